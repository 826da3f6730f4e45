"""JSON with one meaning: no duplicate keys, no infinities, no lone surrogates, bounded depth, 64-bit integers."""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import DATA_DEPTH_MAX

# Possessive and with an optional end, so that an unterminated string is passed over once and not once per quote.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_INTEGER_DIGITS_MAX = len(str(-(2**63)))


def read_json(data: bytes, field: str, *, depth: int = DATA_DEPTH_MAX) -> object:
    """The one value that these bytes mean. Raises Invalid, whatever the bytes are."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Invalid(field, f"{field} must be UTF-8; byte {error.start} is not.", "not_utf8") from None
    # Looked at before parsing: the parser would build what is too deep, or run out of stack.
    if _deeper_than(text, depth):
        raise Invalid(field, f"{field} must not be nested deeper than {depth} levels.", "too_deep")
    try:
        value = _DECODER.decode(text)
    except Invalid as error:
        raise Invalid(field, f"{field} {error.sentence}", error.code) from None
    except ValueError as error:
        raise Invalid(field, f"{field} must be JSON: {error}.", "not_json") from None
    return value


def canonical_json(value: object, field: str) -> bytes:
    """The one spelling of a value: keys in code point order, no spaces, UTF-8. Raises Invalid."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:
        raise Invalid(field, f"{field} must not hold a lone surrogate.", "lone_surrogate") from None
    except RecursionError:
        raise Invalid(field, f"{field} must not be nested deeper than {DATA_DEPTH_MAX} levels.", "too_deep") from None
    except (TypeError, ValueError) as error:
        raise Invalid(field, f"{field} must be what JSON can say: {error}.", "not_json") from None


def canonical_object(value: dict[str, object], field: str = "data") -> bytes:
    """The bytes of `data` for an object that a caller built. Raises Invalid."""
    data = canonical_json(value, field)
    invalid = object_invalid(data, field)
    if invalid is not None:
        raise invalid
    return data


def object_invalid(data: bytes, field: str = "data") -> Invalid | None:
    """What is wrong with bytes that should be a JSON object in its one spelling."""
    try:
        value = read_json(data, field)
        if not isinstance(value, dict):
            return Invalid(field, f"{field} must be a JSON object.", "not_object")
        if canonical_json(value, field) != data:
            return Invalid(field, f"{field} must be in canonical JSON: sorted keys, no spaces.", "not_canonical")
    except Invalid as invalid:
        return invalid
    return None


def _deeper_than(text: str, limit: int) -> bool:
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        mark = text[token.start()]
        if mark in "[{":
            depth += 1
            if depth > limit:
                return True
        elif mark != '"':
            depth -= 1
    return False


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Invalid("", "must not name a key twice.", "duplicate_key")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _INTEGER_DIGITS_MAX or not -(2**63) <= (value := int(digits)) < 2**63:
        raise Invalid("", "must not hold an integer beyond 64 bits; write it as a string.", "number_range")
    return value


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Invalid("", "must not hold a number beyond a double's range.", "number_range")
    return value


def _constant(name: str) -> NoReturn:
    raise Invalid("", f"must not hold {name}.", "number_range")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_constant, strict=True
)
