"""One line of a control socket: a request read strictly, an answer written.

Nothing here knows who asks or what a verb does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from netsky.node.errors import NetskyError, TryLater, Usage
from netsky.node.limits import CONTROL_ANSWER_BYTES_MAX

Answer = dict[str, Any]

_NUMBER_MAX = 1 << 53
_ATTRIBUTES_OF_A_REQUEST = frozenset({"n", "verb", "args"})


@dataclass(frozen=True, slots=True)
class Request:
    number: int | str | None
    verb: str
    args: dict[str, Any]


def parse_request(line: bytes) -> Request:
    """The request in one line, or Usage that says what is wrong with it."""
    try:
        found = json.loads(line.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise _malformed("is not UTF-8") from None
    except _TwiceNamed as twice:
        raise _malformed(f"names {twice.args[0][:64]!r} twice in one object") from None
    except (ValueError, RecursionError):
        raise _malformed("is not JSON") from None
    if not isinstance(found, dict):
        raise _malformed("is not an object")
    number = found.get("n")
    if not _is_number(number):
        raise _malformed("has an `n` that is neither a whole number below 2^53 nor a text of at most 64 characters")
    unknown = found.keys() - _ATTRIBUTES_OF_A_REQUEST
    if unknown:
        raise _malformed(f"has {min(unknown)[:64]!r} beside n, verb and args")
    verb, args = found.get("verb"), found.get("args", {})
    if not isinstance(verb, str):
        raise _malformed("has no `verb`")
    if not isinstance(args, dict):
        raise _malformed("has `args` that are not an object")
    return Request(number, verb, args)


def encode(answer: Answer) -> bytes:
    """One line. A lone surrogate, which has no UTF-8, becomes its JSON escape."""
    line = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    data = line.encode("utf-8", "backslashreplace") + b"\n"
    if len(data) > CONTROL_ANSWER_BYTES_MAX:
        error = TryLater(
            f"the answer has {len(data)} bytes, at most {CONTROL_ANSWER_BYTES_MAX} are sent",
            next="ask for less (a LIMIT, fewer columns)",
            code="answer_too_large",
        )
        return encode(failure(answer.get("n"), error))
    return data


def _is_number(number: object) -> bool:
    if isinstance(number, bool):
        return False
    if isinstance(number, int):
        return 0 <= number < _NUMBER_MAX
    return number is None or (isinstance(number, str) and len(number) <= 64)


def failure(number: int | str | None, error: NetskyError) -> Answer:
    said = {"code": error.code, "exit": error.exit, "message": error.message, "next": error.next}
    return {"n": number, "ok": False, "error": said}


def check_letters(request: Request) -> None:
    """A lone surrogate has no UTF-8: nothing could be stored, sealed or looked up with it."""
    for name, value in request.args.items():
        try:
            json.dumps([name, value], ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Usage(
                f"{request.verb}: {name[:64]!r} must not hold a lone surrogate",
                next=f"netsky help {request.verb}",
                code="lone_surrogate",
            ) from None
        except RecursionError:
            raise _malformed("is nested too deep") from None


class _TwiceNamed(Exception):
    """An object with one key twice has two meanings."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        left = set(found)
        for name, _ in pairs:
            if name not in left:
                raise _TwiceNamed(name)
            left.remove(name)
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _malformed(how: str) -> Usage:
    return Usage(f"a request {how}", next='one line: {"n": 1, "verb": "ping", "args": {}}', code="malformed_request")
