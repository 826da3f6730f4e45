from __future__ import annotations

import random
import tracemalloc

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netsky.envelope.invalid import Invalid
from netsky.mesh.frames import (
    CONTROL,
    HEAD_BYTES,
    NOWHERE,
    Ack,
    Bye,
    Data,
    Evidence,
    Frame,
    FrameSplitter,
    Hello,
    LaneHello,
    Open,
    Ping,
    Pong,
    Position,
    decode_frame,
    encode_frame,
    frame_cap,
)
from netsky.mesh.limits import CONTROL_FRAME_BYTES_MAX, DATA_FRAME_BYTES_MAX, NUMBER_MAX

SOMEWHERE = Position(3, b"L" * 16, 70_000, b"l" * 32)

# The bytes of each frame, without its length. Another implementation must produce exactly these.
GOLDEN: dict[str, tuple[Frame, str]] = {
    "open": (Open(2), "920002"),
    "hello": (
        Hello(1, b"m" * 16, 0, 0, ("a",), LaneHello(NOWHERE, NOWHERE), LaneHello(SOMEWHERE, NOWHERE)),
        "980101c410" + "6d" * 16 + "000091a161"
        "9800c40000c40000c40000c400"
        "9803c410" + "4c" * 16 + "ce00011170c420" + "6c" * 32 + "00c40000c400",
    ),
    "data": (Data(b"\x01\x02", b"\x03"), "9302c4020102c40103"),
    "ack": (Ack("work", 1, 2**32), "94030201cf0000000100000000"),
    "ping": (Ping(200), "9204ccc8"),
    "pong": (Pong(300), "9205cd012c"),
    "bye": (Bye("stopped", "So."), "9306a773746f70706564a3536f2e"),
    "evidence": (
        Evidence("reply", 1, 5, b"\xff", (b"e" * 32,)),
        "9607010105c401ff91c420" + "65" * 32,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("frame", "hexed"), GOLDEN.values(), ids=GOLDEN)
def test_a_frame_has_exactly_these_bytes(frame: Frame, hexed: str) -> None:
    payload = bytes.fromhex(hexed)
    assert encode_frame(frame) == len(payload).to_bytes(4, "big") + payload
    assert decode_frame(payload) == frame


@pytest.mark.parametrize(("frame", "hexed"), GOLDEN.values(), ids=GOLDEN)
def test_a_frame_cut_short_or_with_something_behind_it_is_refused(frame: Frame, hexed: str) -> None:
    payload = bytes.fromhex(hexed)
    for end in range(len(payload)):
        with pytest.raises(Invalid):
            decode_frame(payload[:end])
    with pytest.raises(Invalid, match="after its end"):
        decode_frame(payload + b"\xc0")


REFUSED = {
    "nothing": b"",
    "no array": b"\x04",
    "an empty array": b"\x90",
    "an unknown kind": msgpack.packb([8, 1]),
    "a field too many": msgpack.packb([4, 1, 1]),
    "a field too few": msgpack.packb([4]),
    "a number in a longer form": b"\x92\x04\xcc\x05",
    "a number in a much longer form": b"\x92\x04\xcf" + bytes(7) + b"\x05",
    "a number above the largest": b"\x92\x04\xcf" + (NUMBER_MAX + 1).to_bytes(8, "big"),
    "a negative number": msgpack.packb([4, -1]),
    "a float": msgpack.packb([4, 1.0]),
    "true": msgpack.packb([4, True]),
    "a map": msgpack.packb([4, {}]),
    "an array in a longer form": b"\xdc\x00\x02\x04\x05",
    "text where bytes must be": msgpack.packb([2, "a", b"b"]),
    "bytes in a longer form": b"\x93\x02\xc5\x00\x01a\xc4\x01b",
    "bytes in a much longer form": b"\x93\x02\xc4\x01a\xc6\x00\x00\x00\x01b",
    "a lane that does not exist": msgpack.packb([3, 0, 1, 1]),
    "a mesh id too short": msgpack.packb([1, 1, b"m", 0, 0, [], [0, b"", 0, b""] * 2, [0, b"", 0, b""] * 2]),
    "a life without lineage": msgpack.packb([1, 1, b"m" * 16, 0, 0, [], [1, b"", 0, b""] * 2, [0, b"", 0, b""] * 2]),
    "a number without leaf": msgpack.packb(
        [1, 1, b"m" * 16, 0, 0, [], [1, b"L" * 16, 1, b""] * 2, [0, b"", 0, b""] * 2]
    ),
    "a leaf without number": msgpack.packb(
        [1, 1, b"m" * 16, 0, 0, [], [1, b"L" * 16, 0, b"l" * 32] * 2, [0, b"", 0, b""] * 2]
    ),
    "a number without life": msgpack.packb(
        [1, 1, b"m" * 16, 0, 0, [], [0, b"", 1, b"l" * 32] * 2, [0, b"", 0, b""] * 2]
    ),
    "too many capabilities": msgpack.packb(
        [1, 1, b"m" * 16, 0, 0, ["a"] * 17, [0, b"", 0, b""] * 2, [0, b"", 0, b""] * 2]
    ),
    "text that is not UTF-8": b"\x93\x06\xa1\xff\xa0",
    "too many leaves": msgpack.packb([7, 1, 1, 1, b"", [b"e" * 32] * 65]),
    "a leaf too short": msgpack.packb([7, 1, 1, 1, b"", [b"e"]]),
}


@pytest.mark.parametrize("payload", REFUSED.values(), ids=REFUSED)
def test_what_has_another_shape_is_refused(payload: bytes) -> None:
    with pytest.raises(Invalid):
        decode_frame(payload)


numbers = st.integers(0, NUMBER_MAX)
positions = st.one_of(
    st.just(NOWHERE),
    st.builds(Position, st.integers(1, NUMBER_MAX), st.binary(min_size=16, max_size=16), st.just(0), st.just(b"")),
    st.builds(
        Position, st.integers(1, NUMBER_MAX), st.binary(min_size=16, max_size=16), st.integers(1, NUMBER_MAX),
        st.binary(min_size=32, max_size=32),
    ),
)  # fmt: skip
lanes = st.builds(LaneHello, positions, positions)
lane_names = st.sampled_from(["reply", "work"])
texts = st.text(max_size=8)
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Open, numbers),
    st.builds(
        Hello, numbers, st.binary(min_size=16, max_size=16), numbers, numbers,
        st.lists(texts, max_size=16).map(tuple), lanes, lanes,
    ),
    st.builds(Data, st.binary(max_size=600), st.binary(max_size=70_000)),
    st.builds(Ack, lane_names, numbers, numbers),
    st.builds(Ping, numbers),
    st.builds(Pong, numbers),
    st.builds(Bye, texts, texts),
    st.builds(
        Evidence, lane_names, numbers, numbers, st.binary(max_size=600),
        st.lists(st.binary(min_size=32, max_size=32), max_size=64).map(tuple),
    ),
)  # fmt: skip


@settings(max_examples=300)
@given(frames)
def test_every_frame_survives_the_wire(frame: Frame) -> None:
    data = encode_frame(frame)
    assert decode_frame(data[HEAD_BYTES:]) == frame


@settings(max_examples=100)
@given(st.lists(frames, max_size=5), st.integers(1, 7))
def test_frames_are_cut_apart_however_the_bytes_arrive(sent: list[Frame], step: int) -> None:
    data = b"".join(encode_frame(frame) for frame in sent)
    splitter, got = FrameSplitter(DATA_FRAME_BYTES_MAX), []
    step = max(step, len(data) // 500)
    for at in range(0, len(data), step):
        splitter.feed(data[at : at + step])
        while (payload := splitter.take()) is not None:
            got.append(decode_frame(payload))
    assert got == sent
    assert splitter.between_frames


@pytest.mark.parametrize("size", [0, CONTROL_FRAME_BYTES_MAX + 1, 2**32 - 1])
def test_a_length_out_of_bounds_is_refused_before_its_bytes_are_waited_for(size: int) -> None:
    splitter = FrameSplitter(frame_cap(CONTROL))
    splitter.feed(size.to_bytes(4, "big"))
    with pytest.raises(Invalid, match="bytes"):
        splitter.take()


def test_ten_thousand_damaged_frames_raise_nothing_but_invalid() -> None:
    chance = random.Random(20261121)
    good = [bytes.fromhex(hexed) for _, hexed in GOLDEN.values()]
    read = 0
    for _ in range(10_000):
        payload = bytearray(chance.choice(good))
        for _ in range(chance.randint(1, 4)):
            match chance.randrange(4):
                case 0:
                    payload[chance.randrange(len(payload))] = chance.randrange(256)
                case 1:
                    payload.insert(chance.randrange(len(payload) + 1), chance.randrange(256))
                case 2 if len(payload) > 1:
                    del payload[chance.randrange(len(payload))]
                case _:
                    payload += chance.randbytes(chance.randrange(9))
        try:
            frame = decode_frame(bytes(payload))
        except Invalid:
            continue
        read += 1
        # What is read has one spelling only.
        assert encode_frame(frame)[HEAD_BYTES:] == payload
    assert read > 100


def test_a_frame_of_nested_arrays_costs_no_memory() -> None:
    hostile = b"\x93\x02" + b"\x91" * (DATA_FRAME_BYTES_MAX - 2)
    tracemalloc.start()
    with pytest.raises(Invalid):
        decode_frame(hostile)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 1024
