"""What is read in the quick way is exactly what the careful way reads: held against each other, damage by damage."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import product

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.envelope.fields import Body, Header, header_values
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import TEXT_BYTES_MAX, TIME_MAX
from netsky.envelope.usual_header import matches_usual_header
from netsky.envelope.wire import careful_body, careful_header, decode_body, decode_header, encode_body, encode_header

from tests.envelope.test_wire import BODIES, HEADERS

NOW = 1_700_000_000 * 10**9
KEY = bytes(range(32))


def header(**fields: object) -> Header:
    usual = {
        "v": 1, "id": "18eb5dfc87b61427af92a6c69a", "origin": KEY, "sender": "agent0", "destination": KEY[::-1],
        "to": "worker12@netsky3", "kind": "brief", "in_reply_to": None, "thread": None, "swarm": None,
        "idempotency_key": None, "requires_ack": False, "ts": NOW, "clock": NOW + 5, "expires": NOW + 10**12,
        "parent": None,
    }  # fmt: skip
    return Header(**(usual | fields))  # type: ignore[arg-type]


SHAPES = [
    header(),
    header(kind=None, in_reply_to="x", parent="p" * 32),
    header(id="i" * 64, in_reply_to="r" * 64, thread="t" * 31, swarm=" !~"[1:], idempotency_key="0"),
    header(id="0", kind="report", in_reply_to="a" * 33, requires_ack=True, idempotency_key="@" * 48, parent="z"),
]
"""Short and long strings, each optional field there and not."""


def outcome(read: Callable[[bytes], object], data: bytes) -> object:
    try:
        return read(data)
    except Invalid as invalid:
        return (invalid.field, invalid.sentence, invalid.code)


def check_header(data: bytes) -> bool:
    """Whether it is a header; asserts that both ways say the same, also of what is wrong."""
    found = outcome(decode_header, data)
    assert found == outcome(careful_header, data), data.hex(" ")
    return isinstance(found, Header)


def check_body(data: bytes) -> bool:
    found = outcome(decode_body, data)
    assert found == outcome(careful_body, data), data.hex(" ")
    return isinstance(found, Body)


def each_byte_changed(data: bytes) -> Iterator[bytes]:
    for at, value in product(range(len(data)), range(256)):
        yield data[:at] + bytes((value,)) + data[at + 1 :]


def cut_and_grown(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[:at]
        yield data[:at] + data[at + 1 :]
        for value in (0x00, 0x20, 0x61, 0x80, 0xA1, 0xC0, 0xC2, 0xC4, 0xD9):
            yield data[:at] + bytes((value,)) + data[at:]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_usual_needs_no_second_look(shape: Header) -> None:
    """Else all that follows would hold the careful way against itself."""
    data = encode_header(shape)
    assert matches_usual_header(data) is not None
    assert decode_header(data) == shape


@pytest.mark.parametrize("shape", SHAPES)
def test_no_byte_of_a_header_can_be_changed_so_that_the_two_ways_differ(shape: Header) -> None:
    data = encode_header(shape)
    taken = sum(map(check_header, each_byte_changed(data)))
    assert taken > 64 * 255, "a change of a key alone breaks no rule"
    for damaged in cut_and_grown(data):
        check_header(damaged)


def test_no_two_marks_can_be_changed_so_that_the_two_ways_differ() -> None:
    """A length one too long, the next one too short, and all their like."""
    for shape in SHAPES:
        data = encode_header(shape)
        marks = [at for at, byte in enumerate(data) if byte >= 0x80 or byte == 0x20]
        values = (*range(0xA0, 0xC0, 3), 0x20, 0x40, 0x41, 0xC0, 0xC2, 0xC3, 0xC4, 0xCC, 0xCE, 0xCF, 0xD3, 0xD9, 0xDA)
        random_ = random.Random(7)
        for _ in range(20_000):
            damaged = bytearray(data)
            for at in random_.sample(marks, 2):
                damaged[at] = random_.choice(values)
            check_header(bytes(damaged))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_string_with_a_longer_mark_is_not_usual(shape: Header) -> None:
    values = header_values(shape)
    for field, value in enumerate(values):
        if isinstance(value, str):
            size = len(value)
            before, after = (b"".join(map(msgpack.packb, part)) for part in (values[:field], values[field + 1 :]))
            for mark in (
                b"\xd9" + bytes((size,)),
                b"\xda" + size.to_bytes(2, "big"),
                b"\xdb" + size.to_bytes(4, "big"),
            ):
                check_header(b"\xdc\x00\x10" + before + mark + value.encode() + after)


@pytest.mark.parametrize("field", range(16))
def test_another_type_in_a_field_is_never_usual(field: int) -> None:
    for value in (None, True, 1, 2**40, -(2**40), 1.5, "", "agent0", "a b", "x" * 65, b"x" * 32, (), ("a",), {}):
        fields = [*header_values(header())]
        fields[field] = value
        check_header(msgpack.packb(fields))


@pytest.mark.parametrize("ts", [0, 2**32 - 1, 2**32, 2**62, TIME_MAX - 1, TIME_MAX, 2**64 - 1])
def test_times_at_their_limits_are_read_alike(ts: int) -> None:
    for fields in ((ts, ts, ts), (ts, NOW, ts + 1), (NOW, ts, NOW + 1), (NOW, ts, NOW), (NOW, NOW, ts)):
        values = [*header_values(header())]
        values[12:15] = fields
        if max(fields) < 2**64:
            check_header(msgpack.packb(values))
            # Nine bytes for each, whatever its size, with a sign or without.
            for mark in (0xCF, 0xD3):
                wide = b"".join(bytes((mark,)) + value.to_bytes(8, "big") for value in fields)
                check_header(encode_header(header())[:-28] + wide + b"\xc0")


@given(shape=HEADERS, seed=st.integers())
def test_any_header_is_read_alike_whole_and_damaged(shape: Header, seed: int) -> None:
    data = encode_header(shape)
    assert check_header(data)
    random_ = random.Random(seed)
    for _ in range(20):
        at = random_.randrange(len(data))
        check_header(data[:at] + random_.randbytes(random_.randrange(4)) + data[at + random_.randrange(4) :])


@given(body=BODIES, seed=st.integers())
def test_any_body_is_read_alike_whole_and_damaged(body: Body, seed: int) -> None:
    data = encode_body(body)
    assert check_body(data)
    random_ = random.Random(seed)
    for _ in range(20):
        at = random_.randrange(len(data))
        check_body(data[:at] + random_.randbytes(random_.randrange(4)) + data[at + random_.randrange(4) :])


@pytest.mark.parametrize("text", ["", "a", "ü" * 15 + "x", "a" * 31, "a" * 32, "a" * 255, "a" * 256, "\u20ac" * 90])
def test_no_byte_of_a_body_can_be_changed_so_that_the_two_ways_differ(text: str) -> None:
    data = encode_body(Body(text))
    assert check_body(data)
    for damaged in (*each_byte_changed(data), *cut_and_grown(data)):
        check_body(damaged)
    for head in (
        b"\xd9" + bytes((len(text.encode()) % 256,)),
        b"\xda" + len(text.encode()).to_bytes(2, "big"),
        b"\xdb",
    ):
        check_body(b"\x93" + head + text.encode() + b"\xc0\x90")


@pytest.mark.parametrize("text", ["<channel source=x>", "</channel>", "<b>", "a" * TEXT_BYTES_MAX, "a" * 49_153])
def test_a_text_at_its_rules_is_read_alike(text: str) -> None:
    check_body(msgpack.packb((text, None, ())))
