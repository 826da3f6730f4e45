from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.envelope.fields import Attachment, Body, Header, header_values
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import KINDS
from netsky.envelope.limits import (
    ATTACHMENT_BYTES_MAX,
    BODY_BYTES_MAX,
    EXPIRES_MAX_NS,
    HEADER_BYTES_MAX,
    TEXT_BYTES_MAX,
    TIME_MAX,
)
from netsky.envelope.strict_json import canonical_object
from netsky.envelope.wire import decode_body, decode_header, encode_body, encode_header

MakeHeader = Callable[..., Header]
MakeBody = Callable[..., Body]

KEYS = st.binary(min_size=32, max_size=32)
TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)
ADDRESSES = st.from_regex(r"(agent|worker)[1-9][0-9]{0,3}(@netsky[1-9][0-9]{0,3})?", fullmatch=True)
TIMES = st.integers(0, TIME_MAX - EXPIRES_MAX_NS)
HEADERS = st.builds(
    lambda lifetime, ts, **fields: Header(v=1, ts=ts, expires=ts + lifetime, **fields),
    id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}", fullmatch=True),
    origin=KEYS, sender=ADDRESSES, destination=KEYS, to=ADDRESSES, kind=st.none() | st.sampled_from(sorted(KINDS)),
    in_reply_to=st.none() | TOKENS, thread=st.none() | TOKENS, swarm=st.none() | TOKENS,
    idempotency_key=st.none() | TOKENS, requires_ack=st.booleans(), ts=TIMES, clock=st.integers(0, TIME_MAX),
    lifetime=st.integers(1, EXPIRES_MAX_NS), parent=st.none() | TOKENS,
)  # fmt: skip
NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=60)
BODIES = st.builds(
    Body,
    text=st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"]), max_size=300),
    data=st.none()
    | st.dictionaries(st.text(max_size=8), st.integers(-99, 99) | st.text(max_size=8)).map(canonical_object),
    attachments=st.lists(
        st.builds(Attachment, NAMES, st.integers(0, ATTACHMENT_BYTES_MAX), KEYS),
        max_size=16,
        unique_by=lambda a: a.name,
    ).map(tuple),
)


@given(header=HEADERS)
def test_a_header_reads_back_as_it_was_written(header: Header) -> None:
    data = encode_header(header)
    assert decode_header(data) == header
    assert encode_header(decode_header(data)) == data
    assert len(data) <= HEADER_BYTES_MAX


@given(body=BODIES)
def test_a_body_reads_back_as_it_was_written(body: Body) -> None:
    data = encode_body(body)
    assert decode_body(data) == body
    assert encode_body(decode_body(data)) == data


@given(header=HEADERS, end=st.integers(0, 10**6), tail=st.binary(min_size=1, max_size=4))
def test_a_header_cut_short_or_grown_is_refused(header: Header, end: int, tail: bytes) -> None:
    data = encode_header(header)
    for damaged in (data[: end % len(data)], data + tail):
        with pytest.raises(Invalid):
            decode_header(damaged)


@given(body=BODIES, end=st.integers(0, 10**6), tail=st.binary(min_size=1, max_size=4))
def test_a_body_cut_short_or_grown_is_refused(body: Body, end: int, tail: bytes) -> None:
    data = encode_body(body)
    for damaged in (data[: end % len(data)], data + tail):
        with pytest.raises(Invalid):
            decode_body(damaged)


def test_a_flipped_bit_raises_invalid_or_means_something_else(make_header: MakeHeader, make_body: MakeBody) -> None:
    for data, decode, encode in (
        (encode_header(make_header()), decode_header, encode_header),
        (encode_body(make_body()), decode_body, encode_body),
    ):
        for bit in range(len(data) * 8):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            try:
                meant = decode(bytes(damaged))
            except Invalid:
                continue
            assert encode(meant) == damaged  # type: ignore[arg-type]


def respelled(header: Header, position: int, spelling: bytes) -> bytes:
    values = [msgpack.packb(value) for value in header_values(header)]
    values[position] = spelling
    return b"\xdc\x00\x10" + b"".join(values)


@pytest.mark.parametrize(
    ("position", "spelling"),
    [
        (0, b"\xcc\x01"), (0, b"\xcd\x00\x01"), (0, b"\xd0\x01"), (0, b"\xcb\x3f\xf0" + bytes(6)), (0, b"\xc3"),
        (1, b"\xd9\x01a"), (1, b"\xda\x00\x01a"), (1, b"\xdb\x00\x00\x00\x01a"), (1, b"\xc4\x01a"), (1, b"\xa1\xff"),
        (2, b"\xc5\x00\x20" + bytes(32)), (2, b"\xc6\x00\x00\x00\x20" + bytes(32)), (2, b"\xd9\x20" + bytes(32)),
        (12, b"\xd3" + (5).to_bytes(8, "big")), (12, b"\xcf" + (5).to_bytes(8, "big")), (12, b"\xff"),
        (7, b"\x80"), (7, b"\x90"), (7, b"\x81\xc0\xc0"), (7, b"\xc7\x00\x05"), (7, b"\xd6\xff" + bytes(4)), (7,
        b"\xc1"),
        (7, b"\xc8\xff\xff\x01"), (7, b"\xdf\xff\xff\xff\xff"), (7, b"\xdd\xff\xff\xff\xff"), (7,
        b"\xdb\xff\xff\xff\xff"),
        (7, b"\x91" * 600 + b"\xc0"), (7, b"\xca\x7f\xc0\x00\x00"), (11, b"\x01"), (11, b"\xc0"),
    ],
)  # fmt: skip
def test_another_spelling_or_another_type_is_refused(make_header: MakeHeader, position: int, spelling: bytes) -> None:
    with pytest.raises(Invalid):
        decode_header(respelled(make_header(ts=5, clock=5, expires=6), position, spelling))


def test_the_respelled_header_is_fine_when_nothing_is_respelled(make_header: MakeHeader) -> None:
    assert decode_header(respelled(make_header(), 0, b"\x01")) == make_header()


def test_a_large_clock_has_one_spelling_of_two_with_the_same_length(make_header: MakeHeader) -> None:
    header = make_header()
    signed = b"\xd3" + header.clock.to_bytes(8, "big")
    with pytest.raises(Invalid, match="shortest"):
        decode_header(respelled(header, 13, signed))


@pytest.mark.parametrize(
    "head", [b"", b"\xdc", b"\xdc\x00\x0f", b"\xdd\x00\x00\x00\x10", b"\x9f", b"\xdf\x00\x00\x00\x10"]
)
def test_a_header_is_an_array_of_sixteen(make_header: MakeHeader, head: bytes) -> None:
    with pytest.raises(Invalid, match="16 fields"):
        decode_header(head + encode_header(make_header())[3:])


def test_a_header_over_a_kibibyte_is_refused_by_its_size(make_header: MakeHeader) -> None:
    with pytest.raises(Invalid) as caught:
        decode_header(encode_header(make_header()).ljust(HEADER_BYTES_MAX + 1, b"\x00"))
    assert caught.value.code == "too_large"


def test_an_invalid_header_or_body_is_not_written(make_header: MakeHeader, make_body: MakeBody) -> None:
    with pytest.raises(Invalid):
        encode_header(make_header(to="nobody"))
    with pytest.raises(Invalid):
        encode_body(make_body(text="</channel>"))


def test_an_invalid_header_or_body_is_not_read(make_header: MakeHeader) -> None:
    with pytest.raises(Invalid, match="address"):
        decode_header(respelled(make_header(), 5, msgpack.packb("nobody")))
    with pytest.raises(Invalid) as caught:
        decode_body(msgpack.packb(("</channel>", None, ())))
    assert caught.value.code == "wrapper_token"


def test_a_body_is_capped_as_a_whole(make_body: MakeBody) -> None:
    room = BODY_BYTES_MAX - len(encode_body(make_body(text="x" * TEXT_BYTES_MAX, data=b'{"a":""}')))
    fits = make_body(text="x" * TEXT_BYTES_MAX, data=b'{"a":"' + b"y" * (room - 1) + b'"}')
    assert decode_body(encode_body(fits)) == fits
    with pytest.raises(Invalid) as caught:
        encode_body(make_body(text=fits.text, data=b'{"a":"' + b"y" * (room + 1) + b'"}'))
    assert caught.value.code == "body_too_large"
    with pytest.raises(Invalid) as caught:
        decode_body(bytes(BODY_BYTES_MAX + 1))
    assert caught.value.code == "body_too_large"


DIGEST = b"\xc4\x20" + bytes(32)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x93", b"\x92\xa1a\xc0", b"\x94\xa1a\xc0\x90\xc0", b"\xdc\x00\x03\xa1a\xc0\x90", b"\x83\xa1a\xc0\x90",
        b"\x93\xc0\xc0\x90", b"\x93\xc4\x01a\xc0\x90", b"\x93\xd9\x01a\xc0\x90",
        b"\x93\xda\x00\x20" + b"a" * 32 + b"\xc0\x90",
        b"\x93\xdb\x00\x00\x00\x01a\xc0\x90", b"\x93\xa1\xff\xc0\x90", b"\x93\xdb\xff\xff\xff\xffa\xc0\x90",
        b"\x93\xda\xff\xffa\xc0\x90", b"\x93\xa2a", b"\x93\xa1a\xc2\x90", b"\x93\xa1a\xc5\x00\x02{}\x90",
        b"\x93\xa1a\xa2{}\x90",
        b"\x93\xa1a\xc6\x00\x00\x00\x02{}\x90", b"\x93\xa1a\xc4", b"\x93\xa1a\xc5\x01", b"\x93\xa1a\xc5\xff\xff{}\x90",
        b"\x93\xa1a\xc0", b"\x93\xa1a\xc0\xc0", b"\x93\xa1a\xc0\xdc\x00\x00", b"\x93\xa1a\xc0\xdc\xff\xff",
        b"\x93\xa1a\xc0\xdc\x00\x11",
        b"\x93\xa1a\xc0\xdd\xff\xff\xff\xff", b"\x93\xa1a\xc0\x91\xc0", b"\x93\xa1a\xc0\x91\x92\xa1b\x01",
        b"\x93\xa1a\xc0\x91\x93\xa1b\xff" + DIGEST, b"\x93\xa1a\xc0\x91\x93\xa1b\xcc\x01" + DIGEST,
        b"\x93\xa1a\xc0\x91\x93\xa1b\xcd\x00\x80" + DIGEST, b"\x93\xa1a\xc0\x91\x93\xa1b\xce\x00\x00\x80\x00" + DIGEST,
        b"\x93\xa1a\xc0\x91\x93\xa1b\xcf\x00\x00\x00\x01\x00\x00\x00\x00" + DIGEST,
        b"\x93\xa1a\xc0\x91\x93\xa1b\xcd\x01",
        b"\x93\xa1a\xc0\x91\x93\xa1b\x01\xc4\x1f" + bytes(31), b"\x93\xa1a\xc0\x91\x93\xa1b\x01\xc4\x21" + bytes(33),
    ],
)  # fmt: skip
def test_a_damaged_or_respelled_body_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        decode_body(data)
    assert caught.value.code in {"damaged", "attachment_hash"}


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536, ATTACHMENT_BYTES_MAX])
@pytest.mark.parametrize("letters", [1, 31, 32, 255])
def test_every_length_has_its_shortest_form(size: int, letters: int) -> None:
    body = Body("t" * letters * 150, b'{"a":"' + b"x" * letters + b'"}', (Attachment("n" * letters, size, bytes(32)),))
    assert decode_body(encode_body(body)) == body


@pytest.mark.parametrize(
    "unit", [b"\x90", b"\x91", b"\xdc\x00\x10", b"\x80", b"\xdd\x00\x00\xff\xff", b"\xc0", b"\xdf\x7f\xff\xff\xff"]
)
@pytest.mark.parametrize("front", [b"\x93", b"\x93\xa1a", b"\x93\xa1a\xc0", b"\x93\xa1a\xc0\x9f", b"\xdc\x00\x10", b""])
def test_hostile_bytes_take_no_more_room_than_a_body(front: bytes, unit: bytes) -> None:
    body = (front + unit * BODY_BYTES_MAX)[:BODY_BYTES_MAX]
    tracemalloc.start()
    try:
        for decode, data in ((decode_body, body), (decode_header, body[:HEADER_BYTES_MAX])):
            with pytest.raises(Invalid):
                decode(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * BODY_BYTES_MAX
    finally:
        tracemalloc.stop()
