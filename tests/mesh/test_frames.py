from __future__ import annotations

import tracemalloc

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netsky.envelope.invalid import Invalid
from netsky.mesh.blob_frames import Announce, BlobHead, Have, Pass, Want
from netsky.mesh.frames import (
    CONTROL,
    HEAD_BYTES,
    NOWHERE,
    Ack,
    Bye,
    Credit,
    Data,
    Evidence,
    Frame,
    Hello,
    Hold,
    LaneHello,
    Lineages,
    Open,
    Outcomes,
    Ping,
    Pong,
    Position,
    RosterPiece,
    decode_frame,
    encode_frame,
    frame_cap,
)
from netsky.mesh.limits import (
    CLAIM_BYTES_MAX,
    CONTROL_FRAME_BYTES_MAX,
    DATA_FRAME_BYTES_MAX,
    NUMBER_MAX,
    OUTCOME_BYTES_MAX,
    ROSTER_BYTES_MAX,
    ROSTER_PIECE_BYTES_MAX,
)
from netsky.mesh.lineage import Lineage
from netsky.mesh.splitter import FrameSplitter

from tests.mesh.damage import read_damaged

SOMEWHERE = Position(3, b"L" * 16, 70_000, b"l" * 32)

# The bytes of each frame, without its length. Another implementation must produce exactly these.
GOLDEN: dict[str, tuple[Frame, str]] = {
    "open": (Open(2), "920002"),
    "hello": (
        Hello(
            1, b"m" * 16, 2, 0, ("a",), "0.3", ("h:1", "u"), b"H" * 16, 9,
            LaneHello(NOWHERE, NOWHERE), LaneHello(SOMEWHERE, NOWHERE),
        ),
        "9c0101c410" + "6d" * 16 + "020091a161a3302e3392a3683a31a175"
        "c410" + "48" * 16 + "09"
        "9800c40000c40000c40000c400"
        "9803c410" + "4c" * 16 + "ce00011170c420" + "6c" * 32 + "00c40000c400",
    ),
    "data": (Data(b"\x01\x02", b"\x03"), "9302c4020102c40103"),
    "ack": (Ack("work", 1, 2**32), "94030201cf0000000100000000"),
    "ping": (Ping(200), "9204ccc8"),
    "pong": (Pong(300, 2**40), "9305cd012ccf0000010000000000"),
    "bye": (Bye("stopped", "So."), "9406a773746f70706564a3536f2e00"),
    "bye to a lane": (Bye("claim", "So.", "work"), "9406a5636c61696da3536f2e02"),
    "evidence": (
        Evidence("reply", 1, 5, b"\xff", (b"e" * 32,)),
        "9607010105c401ff91c420" + "65" * 32,
    ),
    "outcomes": (Outcomes(b"\x01", (b"\x02", b"\x03")), "9308c4010192c40102c40103"),
    "credit": (Credit("work", 1, 1_024, 2_097_152), "95090201cd0400ce00200000"),
    "hold": (
        Hold(((b"k" * 32, "", "reply"), (b"k" * 32, "agent4", "work"))),
        "920a9293c420" + "6b" * 32 + "a00193c420" + "6b" * 32 + "a66167656e743402",
    ),
    "no hold": (Hold(()), "920a90"),
    "lineages": (
        Lineages((Lineage(b"k" * 32, b"H" * 16, 300),)),
        "920c9193c420" + "6b" * 32 + "c410" + "48" * 16 + "cd012c",
    ),
    "announce": (Announce(((b"h" * 32, 1 << 30),)), "920d9192c420" + "68" * 32 + "ce40000000"),
    "want": (Want(b"h" * 32, 300), "930ec420" + "68" * 32 + "cd012c"),
    "have": (Have(b"h" * 32), "920fc420" + "68" * 32),
    "pass": (Pass(b"h" * 32, "lost"), "9310c420" + "68" * 32 + "a46c6f7374"),
    "blob": (BlobHead(b"h" * 32, 0), "9311c420" + "68" * 32 + "00"),
    "roster": (RosterPiece(7, 300, 299, b"\x01"), "950b07cd012ccd012bc40101"),
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


NONE = [0, b"", 0, b""] * 2


def hello(**changed: object) -> bytes:
    fields: dict[str, object] = {
        "kind": 1, "version": 1, "mesh": b"m" * 16, "reign": 1, "roster": 0, "capabilities": [], "program": "",
        "addresses": [], "lineage": b"H" * 16, "since": 0, "reply": NONE, "work": NONE,
    }  # fmt: skip
    made: bytes = msgpack.packb(list((fields | changed).values()))
    return made


REFUSED = {
    "a blob above 1 GiB": msgpack.packb([12, [[b"h" * 32, (1 << 30) + 1]]]),
    "33 blobs": msgpack.packb([12, [[b"h" * 32, 1]] * 33]),
    "half a hash": msgpack.packb([14, b"h" * 31]),
    "a pass with control characters": msgpack.packb([15, b"h" * 32, "\x1b[2J"]),
    "nothing": b"",
    "no array": b"\x04",
    "an empty array": b"\x90",
    "an unknown kind": msgpack.packb([12, 1]),
    "a field too many": msgpack.packb([4, 1, 1]),
    "a field too few": msgpack.packb([4]),
    "many fields": msgpack.packb([4] * 11),
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
    "a mesh id too short": hello(mesh=b"m"),
    "a life without lineage": hello(reply=[1, b"", 0, b""] * 2),
    "a number without leaf": hello(reply=[1, b"L" * 16, 1, b""] * 2),
    "a leaf without number": hello(reply=[1, b"L" * 16, 0, b"l" * 32] * 2),
    "a number without life": hello(reply=[0, b"", 1, b"l" * 32] * 2),
    "too many capabilities": hello(capabilities=["a"] * 17),
    "too long a capability": hello(capabilities=["a" * 33]),
    "too long a program": hello(program="1" * 33),
    "a program with a control character": hello(program="1\x1b[2J"),
    "a program with letters that look like others": hello(program="1\u0430"),
    "too many addresses": hello(addresses=["a:1"] * 17),
    "too long an address": hello(addresses=["a" * 201]),
    "an address with a line end": hello(addresses=["a:1\n"]),
    "text that is not UTF-8": b"\x94\x06\xa1\xff\xa0\x00",
    "a goodbye to a lane that does not exist": b"\x94\x06\xa0\xa0\x03",
    "too many leaves": msgpack.packb([7, 1, 1, 1, b"", [b"e" * 32] * 65]),
    "a leaf too short": msgpack.packb([7, 1, 1, 1, b"", [b"e"]]),
    "a seal too long": msgpack.packb([2, bytes(CLAIM_BYTES_MAX + 1), b""]),
    "no outcomes": msgpack.packb([8, b"", []]),
    "too many outcomes": msgpack.packb([8, b"", [b"o"] * 65]),
    "an outcome too long": msgpack.packb([8, b"", [bytes(OUTCOME_BYTES_MAX + 1)]]),
    "credit above the largest number": b"\x95\x09\x01\x01\xcf" + b"\xff" * 8 + b"\x01",
    "too many holds": msgpack.packb([10, [[b"k" * 32, ""]] * 65]),
    "a hold of three": msgpack.packb([10, [[b"k" * 32, "", ""]]]),
    "a hold for a short key": msgpack.packb([10, [[b"k", ""]]]),
    "a hold for a long actor": msgpack.packb([10, [[b"k" * 32, "a" * 33]]]),
    "a hold for an actor with a control character": msgpack.packb([10, [[b"k" * 32, "a\x07"]]]),
    "an empty piece": msgpack.packb([11, 1, 10, 0, b""]),
    "a piece too long": msgpack.packb([11, 1, 10_000, 0, bytes(ROSTER_PIECE_BYTES_MAX + 1)]),
    "a piece beyond the end": msgpack.packb([11, 1, 10, 9, b"xy"]),
    "too many lineages": msgpack.packb([12, [[b"k" * 32, b"l" * 16, 1]] * 65]),
    "a lineage too short": msgpack.packb([12, [[b"k" * 32, b"l", 1]]]),
    "a home without a lineage": hello(lineage=b""),
    "a roster too large": msgpack.packb([11, 1, ROSTER_BYTES_MAX + 1, 0, b"x"]),
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
plain = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=32)
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Open, numbers),
    st.builds(
        Hello, numbers, st.binary(min_size=16, max_size=16), numbers, numbers,
        st.lists(texts, max_size=16).map(tuple), plain, st.lists(plain, max_size=16).map(tuple),
        st.binary(min_size=16, max_size=16), numbers, lanes, lanes,
    ),
    st.builds(Data, st.binary(max_size=512), st.binary(max_size=70_000)),
    st.builds(Ack, lane_names, numbers, numbers),
    st.builds(Ping, numbers),
    st.builds(Pong, numbers, numbers),
    st.builds(Bye, texts, texts, st.sampled_from([None, "reply", "work"])),
    st.builds(
        Evidence, lane_names, numbers, numbers, st.binary(max_size=512),
        st.lists(st.binary(min_size=32, max_size=32), max_size=64).map(tuple),
    ),
    st.builds(
        Outcomes, st.binary(max_size=512), st.lists(st.binary(max_size=320), min_size=1, max_size=64).map(tuple)
    ),
    st.builds(Credit, lane_names, numbers, numbers, numbers),
    st.builds(
        Hold, st.lists(st.tuples(st.binary(min_size=32, max_size=32), plain, lane_names), max_size=64).map(tuple)
    ),
    st.builds(
        lambda version, before, piece, after: RosterPiece(version, before + len(piece) + after, before, piece),
        numbers, st.integers(0, 500_000), st.binary(min_size=1, max_size=4_096), st.integers(0, 500_000),
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
    good = [bytes.fromhex(hexed) for _, hexed in GOLDEN.values()]
    assert read_damaged(good, decode_frame, lambda frame: encode_frame(frame)[HEAD_BYTES:], seed=20261121) > 100


def test_the_largest_of_each_control_frame_fits_its_stream() -> None:
    full = Position(NUMBER_MAX, bytes(16), NUMBER_MAX, bytes(32))
    lanes = LaneHello(full, full)
    for frame in (
        Hello(
            *(1, bytes(16), NUMBER_MAX, NUMBER_MAX, ("c" * 32,) * 16, "p" * 32, ("a" * 200,) * 16),
            *(bytes(16), NUMBER_MAX, lanes, lanes),
        ),
        Lineages((Lineage(bytes(32), bytes(16), NUMBER_MAX),) * 64),
        Hold(((bytes(32), "a" * 32, "work"),) * 64),
        RosterPiece(NUMBER_MAX, ROSTER_BYTES_MAX, 0, bytes(ROSTER_PIECE_BYTES_MAX)),
        Evidence("work", NUMBER_MAX, NUMBER_MAX, bytes(CLAIM_BYTES_MAX), (bytes(32),) * 64),
    ):
        assert decode_frame(encode_frame(frame)[HEAD_BYTES:]) == frame
    assert len(encode_frame(Outcomes(bytes(CLAIM_BYTES_MAX), (bytes(OUTCOME_BYTES_MAX),) * 64))) < DATA_FRAME_BYTES_MAX


def test_a_frame_of_nested_arrays_costs_no_memory() -> None:
    hostile = b"\x93\x02" + b"\x91" * (DATA_FRAME_BYTES_MAX - 2)
    tracemalloc.start()
    with pytest.raises(Invalid):
        decode_frame(hostile)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 1024
