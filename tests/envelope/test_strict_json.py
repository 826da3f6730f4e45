from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import DATA_DEPTH_MAX
from netsky.envelope.strict_json import canonical_json, canonical_object, object_invalid, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(value=st.dictionaries(st.text(), VALUES, max_size=5))
def test_an_object_reads_back_and_has_one_spelling(value: dict[str, object]) -> None:
    data = canonical_object(value)
    assert read_json(data, "data") == value
    assert object_invalid(data) is None
    assert canonical_json(read_json(data, "data"), "data") == data


def test_the_canonical_spelling_is_the_written_one() -> None:
    value = {"b": [1, -0.0, 1e16, 1.5e-7, True, None], "a\u2028": 'ä\x7f\n\x00"\\/', "A": {}}
    assert canonical_object(value) == (
        '{"A":{},"a\u2028":"ä\x7f\\n\\u0000\\"\\\\/","b":[1,-0.0,1e+16,1.5e-07,true,null]}'.encode()
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_json"), (b"{", "not_json"), (b"{}x", "not_json"), (b"{} {}", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"{'a':1}", "not_json"), (b'{"a":1,}', "not_json"), (b'{"a":01}', "not_json"), (b'{"a":+1}', "not_json"),
        (b'{"a":"\n"}', "not_json"), (b'{"a":"\x00"}', "not_json"), (b'{"a":"\\x"}', "not_json"),
        (b"//\n{}", "not_json"),
        (b'{"a', "not_json"), (b'{"a":"\\', "not_json"), (b"{1:2}", "not_json"),
        (b"\xff", "not_utf8"), (b'{"a":"\xc3"}', "not_utf8"), (b'{"a":"\xed\xa0\x80"}', "not_utf8"),
        (b'{"a":"\xc0\x80"}', "not_utf8"), (b"\xff\xfe{\x00}\x00", "not_utf8"),
        (b'{"a":1,"a":1}', "duplicate_key"), (b'{"a":1,"\\u0061":2}', "duplicate_key"),
        (b'{"b":{"a":1,"a":2}}', "duplicate_key"),
        (b'{"a":NaN}', "number_range"), (b'{"a":Infinity}', "number_range"), (b'{"a":-Infinity}', "number_range"),
        (b'{"a":1e400}', "number_range"), (b'{"a":-1e400}', "number_range"),
        (b'{"a":9223372036854775808}', "number_range"),
        (b'{"a":-9223372036854775809}', "number_range"), (b'{"a":' + b"9" * 60_000 + b"}", "number_range"),
        (b'{"a":' + b"[" * DATA_DEPTH_MAX + b"]" * DATA_DEPTH_MAX + b"}", "too_deep"),
        (b"[" * 60_000, "too_deep"), (b'{"a":' * 10_000, "too_deep"),
        (b"[]", "not_object"), (b"null", "not_object"), (b'"a"', "not_object"), (b"1", "not_object"),
        (b" {}", "not_canonical"), (b'{"b":1,"a":2}', "not_canonical"), (b'{"a":1.0e0}', "not_canonical"),
        (b'{"a":-0}', "not_canonical"), (b'{"a":"\\u00e4"}', "not_canonical"), (b'{"a":"\\/"}', "not_canonical"),
        (b'{"a":"\\ud800"}', "lone_surrogate"), (b'{"\\udc00":1}', "lone_surrogate"),
    ],
)  # fmt: skip
def test_what_is_no_object_in_its_one_spelling_says_why(data: bytes, code: str) -> None:
    fault = object_invalid(data, "data")
    assert fault is not None
    assert (fault.field, fault.code) == ("data", code)
    assert fault.sentence.startswith("data must ")
    assert fault.sentence.endswith(".")


def test_depth_counts_brackets_and_not_what_stands_in_strings() -> None:
    deepest = b'{"a":' + b"[" * (DATA_DEPTH_MAX - 1) + b"]" * (DATA_DEPTH_MAX - 1) + b"}"
    assert object_invalid(deepest) is None
    assert object_invalid(b'{"a":"' + b"[{" * 1_000 + b'\\"[","b":[' + b"[],{}," * 100 + b"0]}") is None


@pytest.mark.parametrize("unit", [b'"', b'\\"', b'"\\', b'["', b"[]", b'{"":'])
def test_no_bytes_take_long_to_look_through(unit: bytes) -> None:
    started = time.process_time()
    object_invalid(b'{"a":"' + b"[" * 40 + unit * (60_000 // len(unit)))
    object_invalid(b"[" * 40 + unit * (60_000 // len(unit)))
    assert time.process_time() - started < 0.5


def _endless() -> dict[str, object]:
    value: dict[str, object] = {}
    value["self"] = value
    return value


def _deep() -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(100_000):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"a": object()}, "not_json"), ({"a": float("nan")}, "not_json"), (_endless(), "not_json"),
        (_deep(), "too_deep"),
        ({"a": "\ud800"}, "lone_surrogate"), ({"a": 2**63}, "number_range"), ({1: 1, "1": 2}, "not_json"),
        ({(1,): 1}, "not_json"), ([], "not_object"),
    ],
)  # fmt: skip
def test_a_callers_object_is_checked_like_a_strangers_bytes(value: dict[str, object], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        canonical_object(value)
    assert caught.value.code == code
