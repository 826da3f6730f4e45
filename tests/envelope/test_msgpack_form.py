from __future__ import annotations

from collections.abc import Callable

import pytest
from netsky.envelope.invalid import Invalid
from netsky.envelope.msgpack_form import Reader, array_head, binary_head

READS: list[tuple[bytes, Callable[[Reader], object], object]] = [
    (b"\x9f", lambda reader: reader.array(15), 15),
    (b"\xdc\x00\x10", lambda reader: reader.array(16), 16),
    (b"\xc4\x02ab", lambda reader: reader.binary(2), b"ab"),
    (b"\xc5\x01\x00" + b"a" * 256, lambda reader: reader.binary(256), b"a" * 256),
    (b"\xa1a", lambda reader: reader.text(1), "a"),
    (b"\xd9\x20" + b"a" * 32, lambda reader: reader.text(32), "a" * 32),
    (b"\xda\x01\x00" + b"a" * 256, lambda reader: reader.text(256), "a" * 256),
    (b"\x7f", Reader.unsigned, 127),
    (b"\xcc\x80", Reader.unsigned, 128),
    (b"\xcd\x01\x00", Reader.unsigned, 256),
    (b"\xce\x00\x01\x00\x00", Reader.unsigned, 65_536),
]


@pytest.mark.parametrize(("data", "read", "value"), READS)
def test_a_shape_is_taken_whole_and_never_further(data: bytes, read: Callable[[Reader], object], value: object) -> None:
    reader = Reader(data, "thing")
    assert read(reader) == value
    reader.end()
    with pytest.raises(Invalid, match="after its end"):
        Reader(data + b"\xc0", "thing").end()


@pytest.mark.parametrize(("data", "read", "value"), READS)
def test_a_shape_that_ends_early_is_noticed_at_once(
    data: bytes, read: Callable[[Reader], object], value: object
) -> None:
    for end in range(len(data)):
        with pytest.raises(Invalid, match="ends"):
            read(Reader(data[:end], "thing"))


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (b"\x92", lambda reader: reader.array(1)),
        (b"\xdc\xff\xff", lambda reader: reader.array(64)),
        (b"\xc4\x03abc", lambda reader: reader.binary(2)),
        (b"\xa3abc", lambda reader: reader.text(2)),
    ],
)
def test_a_shape_beyond_its_limit_is_refused_by_its_length(data: bytes, read: Callable[[Reader], object]) -> None:
    with pytest.raises(Invalid, match="at most"):
        read(Reader(data, "thing"))


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (b"\xdc\x00\x0f", lambda reader: reader.array(16)),
        (b"\xc5\x00\xff" + bytes(255), lambda reader: reader.binary(255)),
        (b"\xd9\x1f" + b"a" * 31, lambda reader: reader.text(31)),
        (b"\xda\x00\xff" + b"a" * 255, lambda reader: reader.text(255)),
        (b"\xcc\x7f", Reader.unsigned),
        (b"\xcd\x00\xff", Reader.unsigned),
        (b"\xce\x00\x00\xff\xff", Reader.unsigned),
    ],
)
def test_a_longer_spelling_is_no_spelling(data: bytes, read: Callable[[Reader], object]) -> None:
    with pytest.raises(Invalid, match="shortest"):
        read(Reader(data, "thing"))


def test_what_may_be_there_is_taken_only_if_it_is() -> None:
    reader = Reader(b"\xc0\x92", "thing")
    assert (reader.pair(), reader.nothing(), reader.nothing(), reader.pair(), reader.pair(), reader.nothing()) == (
        False, True, False, True, False, False,
    )  # fmt: skip
    reader.end()


def test_heads_are_in_shortest_form() -> None:
    assert [array_head(count) for count in (0, 15, 16)] == [b"\x90", b"\x9f", b"\xdc\x00\x10"]
    assert [binary_head(size) for size in (0, 255, 256)] == [b"\xc4\x00", b"\xc4\xff", b"\xc5\x01\x00"]
