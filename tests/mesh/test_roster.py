from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest
from netsky.envelope.batch import Batch, Statement, decode_batch, encode_batch, proof, seal
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import BODY_BYTES_MAX
from netsky.mesh.limits import NUMBER_MAX, ROSTER_BYTES_MAX, ROSTER_MEMBERS_MAX
from netsky.mesh.roster import (
    Member,
    Roster,
    capability_invalid,
    label_invalid,
    open_roster,
    seal_roster,
    succession_invalid,
)

from tests.mesh.damage import read_damaged
from tests.mesh.world import MESH, NOW, OTHER, REIGN, ROOT, SIBLING, Node, roster

BASE = roster()

# Another implementation must produce exactly these.
GOLDEN_HEADER = "9601030501cf17979cfe362a000002"  # fmt: skip
GOLDEN_BODY = (
    "92"
    "96c420" + ROOT.key.hex() + "a76e6574736b7930a6" + b"studio".hex() + "900100"
    "96c420" + SIBLING.key.hex() + "a76e6574736b7931a5" + b"attic".hex() + "92a3677075a4746573740203"
)  # fmt: skip
SMALL = Roster(
    MESH, ROOT.key, REIGN, 5, 1, NOW,
    (Member(ROOT.key, "netsky0", "studio", (), 1), Member(SIBLING.key, "netsky1", "attic", ("gpu", "test"), 2, 3)),
)  # fmt: skip


def test_a_roster_has_exactly_these_bytes_and_is_read_as_it_was_sealed() -> None:
    data = seal_roster(SMALL, ROOT.sign)
    [statement] = decode_batch(data).statements
    assert isinstance(statement, Statement)
    assert (statement.header.hex(), statement.body.hex()) == (GOLDEN_HEADER, GOLDEN_BODY)
    assert open_roster(data, ROOT.key, MESH) == SMALL


def test_who_belongs_is_found_by_key_and_by_name_and_the_revoked_do_not() -> None:
    known = roster(revoked=[2])
    assert known.member(SIBLING.key) == known.members[1]
    assert known.member(OTHER.key) is None
    assert known.member(b"x" * 32) is None
    assert known.by_key[OTHER.key].revoked
    assert known.key_of("netsky1") == SIBLING.key
    assert known.key_of("netsky2") is None
    assert known.key_of("netsky9") is None
    assert [member.number for member in known.members] == [0, 1, 2]


def many(count: int, *, capabilities: int = 0, label: str = "x") -> Roster:
    more = (
        Member(bytes([1, at // 256, at % 256]) + bytes(29), f"netsky{at}", label, ("c" * 32,) * capabilities, NOW, NOW)
        for at in range(1, count)
    )
    return replace(BASE, members=(BASE.members[0], *more))


def test_as_many_members_as_promised_fit_in_several_parts() -> None:
    known = many(ROSTER_MEMBERS_MAX, label="a label of some length")
    data = seal_roster(known, ROOT.sign)
    assert len(data) <= ROSTER_BYTES_MAX
    statements = decode_batch(data).statements
    assert len(statements) > 1
    assert all(len(one.body) <= BODY_BYTES_MAX for one in statements if isinstance(one, Statement))
    assert open_roster(data, ROOT.key, MESH) == known


@pytest.mark.parametrize("capabilities", [10, 16])
def test_a_roster_that_no_sibling_would_take_is_not_sealed(capabilities: int) -> None:
    with pytest.raises(Invalid, match="would have more than") as caught:
        seal_roster(many(ROSTER_MEMBERS_MAX, capabilities=capabilities, label="x" * 64), ROOT.sign)
    assert caught.value.code == "too_large"


def changed(at: int, **fields: object) -> Roster:
    members = list(BASE.members)
    members[at] = replace(members[at], **fields)  # type: ignore[arg-type]
    return replace(BASE, members=tuple(members))


BROKEN = {
    "no reign": replace(BASE, reign=0),
    "no version": replace(BASE, version=0),
    "no members": replace(BASE, members=()),
    "too many members": many(ROSTER_MEMBERS_MAX + 1),
    "a reign beyond all": replace(BASE, reign=NUMBER_MAX + 1),
    "a negative wire version": replace(BASE, wire=-1),
    "a negative time": replace(BASE, issued=-1),
    "a member of before time": changed(1, joined=-1),
    "a revocation beyond all time": changed(1, revoked=NUMBER_MAX + 1),
    "a name that is none": changed(1, name="netsky01"),
    "a name too large": changed(1, name="netsky10000"),
    "a name twice": changed(1, name="netsky2"),
    "a key twice": changed(1, key=OTHER.key),
    "a short key": changed(1, key=b"k"),
    "no label": changed(1, label=""),
    "a label with spaces around": changed(1, label=" x"),
    "a label with a control character": changed(1, label="x\x1b[2J"),
    "half a character": changed(1, label="\udc80"),
    "a label too long": changed(1, label="x" * 65),
    "a label too long in bytes": changed(1, label="\u00e4" * 33),
    "a capability that is no word": changed(1, capabilities=("a b",)),
    "an empty capability": changed(1, capabilities=("",)),
    "the root absent": replace(BASE, members=BASE.members[1:]),
    "the root under another name": changed(0, name="netsky7"),
    "the root revoked": changed(0, revoked=NOW),
    "netsky0 as somebody else": replace(BASE, root_key=SIBLING.key),
}


@pytest.mark.parametrize("known", BROKEN.values(), ids=BROKEN)
def test_a_roster_that_breaks_a_rule_is_not_sealed(known: Roster) -> None:
    with pytest.raises(Invalid):
        seal_roster(known, ROOT.sign)


def header(**fields: object) -> bytes:
    values = {"form": 1, "reign": REIGN, "version": 5, "wire": 1, "issued": NOW, "count": 1}
    packed: bytes = msgpack.packb(list((values | fields).values()))
    return packed


def body(*members: list[object]) -> bytes:
    packed: bytes = msgpack.packb(list(members))
    return packed


ROOT_ROW: list[object] = [ROOT.key, "netsky0", "studio", [], 1, 0]
ROW: list[object] = [SIBLING.key, "netsky1", "attic", [], 1, 0]
REFUSED: dict[str, list[Statement]] = {
    "another form": [Statement(header(form=2), body(ROOT_ROW))],
    "another count": [Statement(header(count=2), body(ROOT_ROW))],
    "a field more in the header": [Statement(header(more=1), body(ROOT_ROW))],
    "something behind the header": [Statement(header() + b"\xc0", body(ROOT_ROW))],
    "parts of two rosters": [
        *(Statement(header(count=2), body(ROOT_ROW)), Statement(header(count=2, version=6), body(ROW)))
    ],
    "a member of five fields": [Statement(header(), body(ROOT_ROW[:5]))],
    "something behind the members": [Statement(header(), body(ROOT_ROW) + b"\xc0")],
    "no members": [Statement(header(count=0), body())],
    "no root": [Statement(header(), body(ROW))],
    "a rule broken": [Statement(header(count=2), body(ROOT_ROW, [SIBLING.key, "netsky1", "", [], 1, 0]))],
    "too many capabilities": [Statement(header(), body([*ROOT_ROW[:3], ["a"] * 17, 1, 0]))],
    "nothing": [Statement(b"", b"")],
}


@pytest.mark.parametrize("statements", REFUSED.values(), ids=REFUSED)
def test_a_roster_that_breaks_a_rule_is_refused_although_the_root_sealed_it(statements: list[Statement]) -> None:
    good = encode_batch(seal(ROOT.sign, ROOT.key, "roster", MESH, [Statement(header(), body(ROOT_ROW))]))
    assert len(open_roster(good, ROOT.key, MESH).members) == 1
    with pytest.raises(Invalid):
        open_roster(encode_batch(seal(ROOT.sign, ROOT.key, "roster", MESH, statements)), ROOT.key, MESH)


def test_a_seal_of_another_type_key_or_mesh_is_no_roster() -> None:
    statements = [Statement(header(), body(ROOT_ROW))]
    other_type = encode_batch(seal(ROOT.sign, ROOT.key, "charter", MESH, statements))
    other_key = encode_batch(seal(OTHER.sign, OTHER.key, "roster", MESH, statements))
    good = seal_roster(BASE, ROOT.sign)
    for data, mesh in ((other_type, MESH), (other_key, MESH), (good, b"n" * 16)):
        with pytest.raises(Invalid) as caught:
            open_roster(data, ROOT.key, mesh)
        assert caught.value.code == "roster_signer"


def test_a_part_taken_out_a_signature_over_something_else_and_too_many_bytes_are_no_roster() -> None:
    batch = decode_batch(seal_roster(BASE, ROOT.sign))
    bare = Batch(batch.version, batch.type, batch.mesh, batch.key, batch.signature, (bytes(32),))
    other = replace(batch, statements=(Statement(header(), body(ROOT_ROW)),))
    for data in (encode_batch(bare), encode_batch(other), bytes(ROSTER_BYTES_MAX + 1)):
        with pytest.raises(Invalid):
            open_roster(data, ROOT.key, MESH)


def test_a_proof_of_one_part_is_no_roster() -> None:
    parts = [Statement(header(count=2), body(ROOT_ROW)), Statement(header(count=2), body(ROW))]
    batch = seal(ROOT.sign, ROOT.key, "roster", MESH, parts)
    assert len(open_roster(encode_batch(batch), ROOT.key, MESH).members) == 2
    with pytest.raises(Invalid, match="lacks a part"):
        open_roster(encode_batch(proof(batch, 0)), ROOT.key, MESH)


def test_damaged_members_under_the_roots_own_seal_have_one_spelling() -> None:
    def read(data: bytes) -> Roster:
        statement = Statement(header(count=2), data[:BODY_BYTES_MAX])
        return open_roster(encode_batch(seal(ROOT.sign, ROOT.key, "roster", MESH, [statement])), ROOT.key, MESH)

    def write(known: Roster) -> bytes:
        [statement] = decode_batch(seal_roster(known, ROOT.sign)).statements
        assert isinstance(statement, Statement)
        return statement.body

    good = bytes.fromhex(GOLDEN_BODY)
    assert read_damaged([good], read, write, seed=11, count=3_000) > 50


def test_damaged_rosters_raise_nothing_but_invalid_and_none_is_believed() -> None:
    good = seal_roster(SMALL, ROOT.sign)

    def write(known: Roster) -> bytes:
        return seal_roster(known, ROOT.sign)

    assert read_damaged([good], lambda data: open_roster(data, ROOT.key, MESH), write, seed=12, count=3_000) < 30


@pytest.mark.parametrize("label", ["studio-mac", "\u00c4rger im B\u00fcro", "x" * 64, "two words"])
def test_labels_are_what_people_write(label: str) -> None:
    assert label_invalid(label) is None


@pytest.mark.parametrize(
    ("word", "good"),
    [
        ("gpu", True),
        ("mac-arm_64", True),
        ("x" * 32, True),
        ("x" * 33, False),
        ("-", False),
        ("\u00e4", False),
        ("a.b", False),
    ],
)
def test_capabilities_are_words(word: str, good: bool) -> None:
    assert (capability_invalid(word) is None) == good


# What may take the place of a roster.


def test_members_may_be_added_revoked_and_described_anew() -> None:
    after = roster(6, numbers=(0, 1, 2, 3), revoked=[2])
    after = replace(
        after,
        members=(*after.members[:1], replace(after.members[1], label="new", capabilities=("gpu",)), *after.members[2:]),
    )
    assert succession_invalid(BASE, after) is None
    assert succession_invalid(after, replace(after, version=7)) is None


def named(known: Roster, **names: str) -> Roster:
    members = tuple(replace(member, name=names.get(member.name, member.name)) for member in known.members)
    return replace(known, members=members)


def test_nobody_is_lost_renamed_or_taken_back_and_no_name_gets_a_second_key() -> None:
    before = roster(revoked=[2])
    third = replace(Member(Node(3).key, "netsky2", "new", (), NOW), name="netsky2")
    cases = {
        "has lost netsky1": roster(6, numbers=(0, 2), revoked=[2]),
        "has undone that netsky2": roster(6),
        "has renamed netsky1 to netsky9": named(roster(6, revoked=[2]), netsky1="netsky9"),
        "has renamed netsky2 to netsky9": replace(
            named(before, netsky2="netsky9"), members=(*named(before, netsky2="netsky9").members, third)
        ),
        "has renamed netsky0": named(roster(6, revoked=[2]), netsky0="netsky5"),
    }
    for words, after in cases.items():
        assert words in str(succession_invalid(before, after)), words


def test_in_a_higher_reign_netsky0_goes_over_to_the_new_root_and_to_nobody_else() -> None:
    before = roster()
    moved = replace(named(roster(6), netsky0="netsky3", netsky1="netsky0"), reign=REIGN + 1, root_key=SIBLING.key)
    assert succession_invalid(before, moved) is None
    assert "renamed" in str(succession_invalid(before, replace(moved, reign=REIGN)))
    # The name that the new root had is nobody else's.
    taken = replace(moved, members=(*moved.members, Member(Node(4).key, "netsky1", "new", (), NOW)))
    assert "netsky1 a second key" in str(succession_invalid(before, taken))
    revived = succession_invalid(roster(revoked=[2]), moved)
    assert "undone" in str(revived)
