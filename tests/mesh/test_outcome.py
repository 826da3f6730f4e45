from __future__ import annotations

from collections.abc import Callable

import msgpack
import pytest
from netsky.envelope.batch import leaf
from netsky.envelope.invalid import Invalid
from netsky.mesh.limits import NUMBER_MAX, OUTCOME_BYTES_MAX
from netsky.mesh.outcome import (
    NOT_RELAYED,
    Fate,
    Outcome,
    careful_outcome,
    matches_delivered,
    outcome_leaf,
    pack_outcome,
    unpack_outcome,
)

from tests.mesh.damage import read_damaged

DEAD = Outcome(b"o" * 32, "a-1", b"l" * 32, "dead", "dest_revoked", b"e" * 32, b"v" * 32, 1, 2, 300)
ID = "18fae276cf4eca007bd5d47ec2"
USUAL = Outcome(b"o" * 32, ID, b"l" * 32, "delivered", "", b"e" * 32, b"v" * 32, 1 << 60, 1 << 61, 1 << 62)
DELIVERED = Outcome(b"o" * 32, "a", b"l" * 32, "delivered", "", b"e" * 32, NOT_RELAYED, 0, 0, 5)

# Another implementation must produce exactly these.
GOLDEN = {
    "dead": (
        DEAD,
        "9ac420" + "6f" * 32 + "a3612d31c420" + "6c" * 32 + "01ac646573745f7265766f6b6564"
        "c420" + "65" * 32 + "c420" + "76" * 32 + "0102cd012c",
    ),
    "delivered": (
        DELIVERED,
        "9ac420" + "6f" * 32 + "a161c420" + "6c" * 32 + "00a0c420" + "65" * 32 + "c420" + "00" * 32 + "000005",
    ),
}


@pytest.mark.parametrize(("value", "hexed"), GOLDEN.values(), ids=GOLDEN)
def test_an_outcome_has_exactly_these_bytes(value: Outcome, hexed: str) -> None:
    assert pack_outcome(value).hex() == hexed
    assert unpack_outcome(bytes.fromhex(hexed)) == value


def test_the_largest_outcome_fits_where_room_is_kept_for_it() -> None:
    largest = Outcome(
        bytes(32), "a" * 64, bytes(32), "in_doubt", "c" * 32, bytes(32), bytes(32), NUMBER_MAX, NUMBER_MAX, NUMBER_MAX
    )
    assert unpack_outcome(pack_outcome(largest)) == largest
    assert len(pack_outcome(largest)) <= OUTCOME_BYTES_MAX


def test_every_fate_comes_back() -> None:
    fates: tuple[tuple[Fate, str], ...] = (("delivered", ""), ("dead", "expired"), ("in_doubt", "restored"))
    for fate, code in fates:
        value = DEAD._replace(fate=fate, code=code)
        assert unpack_outcome(pack_outcome(value)) == value


def test_the_usual_outcome_is_read_as_carefully_as_any_other() -> None:
    data = pack_outcome(USUAL)
    assert matches_delivered(data)
    assert unpack_outcome(data) == careful_outcome(data) == USUAL
    for at in range(len(data)):
        for byte in range(256):
            damaged = data[:at] + bytes((byte,)) + data[at + 1 :]
            assert _read(unpack_outcome, damaged) == _read(careful_outcome, damaged)


def test_the_id_of_a_usual_outcome_ends_where_its_length_says() -> None:
    for length in (0x20, 0x40):  # of the 26 bytes that follow, in the form of one byte more
        data = pack_outcome(USUAL)
        at = data.index(ID.encode()) - 1
        for mark in (bytes((0xA0 + 5,)), bytes((0xBF,)), bytes((0xD9, length))):
            wrong = data[:at] + mark + data[at + 1 :]
            assert _read(unpack_outcome, wrong) == _read(careful_outcome, wrong)


def _read(read: Callable[[bytes], Outcome], data: bytes) -> Outcome | str:
    try:
        return read(data)
    except Invalid as fault:
        return fault.sentence


def fields(**changed: object) -> bytes:
    values: dict[str, object] = {
        "origin": b"o" * 32, "id": "a", "leaf": b"l" * 32, "fate": 1, "code": "expired", "ender": b"e" * 32,
        "via": bytes(32), "received": 0, "routed": 0, "ended": 1,
    }  # fmt: skip
    packed: bytes = msgpack.packb(list((values | changed).values()))
    return packed


REFUSED = {
    "a short origin": fields(origin=b"o"),
    "no id": fields(id=""),
    "an id that no envelope can have": fields(id="a b"),
    "an id that is not ASCII": fields(id="\u00e4"),
    "an id too long": fields(id="a" * 65),
    "a short leaf": fields(leaf=b""),
    "an unknown fate": fields(fate=3),
    "a fate as text": fields(fate="dead"),
    "dead without a reason": fields(code=""),
    "in doubt without a reason": fields(fate=2, code=""),
    "delivered with a reason": fields(fate=0),
    "a reason that is no word": fields(code="Not one"),
    "a reason for a terminal": fields(code="\x1b[2J"),
    "a reason too long": fields(code="c" * 33),
    "a short ender": fields(ender=b"e"),
    "a short via": fields(via=b""),
    "a time that is negative": fields(ended=-1),
    "a time beyond all": fields(routed=NUMBER_MAX + 1),
    "a field more": fields(more=1),
    "something behind it": fields() + b"\xc0",
    "nothing": b"",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_an_outcome_that_breaks_a_rule_is_refused(data: bytes) -> None:
    assert unpack_outcome(fields()).code == "expired"
    with pytest.raises(Invalid):
        unpack_outcome(data)


def test_damaged_outcomes_raise_nothing_but_invalid() -> None:
    assert read_damaged([pack_outcome(DEAD), pack_outcome(DELIVERED)], unpack_outcome, pack_outcome, seed=8) > 100


def test_the_leaf_of_an_outcome_is_that_of_no_statement() -> None:
    packed = pack_outcome(DEAD)
    assert outcome_leaf(packed).hex() == "f888690b91dc68bee2d5cf481a5695f575028310f84eab59177cb91d921d0c16"
    assert outcome_leaf(packed) != leaf("envelope", bytes(16), packed, b"")
