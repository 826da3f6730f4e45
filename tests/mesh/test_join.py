"""The two machines of a join against each other, and against whoever says something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from netsky.envelope.invalid import Invalid
from netsky.mesh.charter import Charter, seal_charter
from netsky.mesh.join import Doorkeeper, Joiner, Transcript, enrolled_frames, proves
from netsky.mesh.join_frames import (
    Challenge,
    Enrolled,
    JoinFrame,
    Knock,
    Pending,
    Piece,
    Proof,
    Refusal,
    Stored,
    decode_join,
    encode_join,
    pieces_of,
)
from netsky.mesh.limits import JOIN_ASK_BYTES_MAX, JOIN_FRAME_BYTES_MAX, JOIN_PIECE_BYTES, ROSTER_BYTES_MAX
from netsky.mesh.roster import Member, Roster, seal_roster
from netsky.mesh.ticket import Ticket
from netsky.mesh.words import WORDS

MESH = b"m" * 16


def private(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def public(seed: int) -> bytes:
    return private(seed).public_key().public_bytes_raw()


OWNER, ROOT, JOINER, OTHER = 1, 2, 3, 4
CHARTER = Charter(MESH, public(OWNER), 1, public(ROOT), (), "", 0, b"", 5)
SEALED_CHARTER = seal_charter(CHARTER, private(OWNER).sign)
ROSTER = Roster(
    *(MESH, public(ROOT), 1, 2, 1, 5),
    (Member(public(ROOT), "netsky0", "root", (), 1), Member(public(JOINER), "netsky1", "studio", ("gpu",), 2)),
)
SEALED_ROSTER = seal_roster(ROSTER, private(ROOT).sign)
TICKET = Ticket(
    MESH, public(OWNER), sha256(SEALED_CHARTER).digest(), public(ROOT), ("h:1",), "", b"s" * 16, 1_000 * 10**9
)


def joiner(shown: bytes = b"", ticket: Ticket = TICKET) -> Joiner:
    return Joiner(ticket, public(JOINER), b"j" * 32, "1.0", shown)


def doorkeeper(nonce: bytes = b"r" * 32) -> Doorkeeper:
    return Doorkeeper(MESH, public(ROOT), public(JOINER), nonce)


def asked(one: Joiner, door: Doorkeeper) -> None:
    """Runs the two until the question is complete."""
    towards = list(one.begin())
    while towards:
        back = [answer for frame in towards for answer in door.receive(decode(frame), 7)]
        towards = [answer for frame in back for answer in one.receive(decode(frame))]


def decode(frame: JoinFrame) -> JoinFrame:
    return decode_join(encode_join(frame)[4:])


def told(one: Joiner, *frames: JoinFrame) -> Joiner:
    for frame in frames:
        one.receive(decode(frame))
    return one


def test_a_join_from_knock_to_roster() -> None:
    one, door = joiner(), doorkeeper()
    assert one.words == ()
    asked(one, door)
    question = door.question
    assert question is not None
    assert (question.invite, door.program, question.shown) == (TICKET.invite, "1.0", b"")
    assert proves(question.mac, TICKET.secret, question.transcript)
    assert one.words == question.transcript.words()
    assert len(one.words) == 6
    assert one.root_wall == 7
    told(one, *enrolled_frames("netsky1", SEALED_CHARTER, SEALED_ROSTER))
    assert one.admission is not None
    assert (one.admission.name, one.admission.roster, one.admission.charter) == ("netsky1", ROSTER, CHARTER)
    assert one.stored() == Stored()


def test_a_join_that_waits_hears_it_again_and_then_its_answer() -> None:
    one = joiner()
    asked(one, doorkeeper())
    told(one, Pending(SEALED_CHARTER), Pending(SEALED_CHARTER))
    assert one.pending
    assert one.admission is None
    told(one, *enrolled_frames("netsky1", SEALED_CHARTER, SEALED_ROSTER))
    assert one.admission is not None


def test_a_refusal_ends_it_at_any_point() -> None:
    for said in ((), (Pending(SEALED_CHARTER),)):
        one = joiner()
        asked(one, doorkeeper())
        told(one, *said, Refusal("ticket_used", "It was used."))
        assert one.refusal == Refusal("ticket_used", "It was used.")
    assert told(joiner(), Refusal("version", "Another version.")).refusal is not None


def test_the_roster_that_a_home_has_is_shown_in_pieces() -> None:
    many = tuple(Member(public(10 + at), f"netsky{at + 2}", "x" * 60, ("y" * 30,) * 16) for at in range(100))
    sealed = seal_roster(replace(ROSTER, members=ROSTER.members + many), private(ROOT).sign)
    assert len(sealed) > 2 * JOIN_PIECE_BYTES - 10_000
    one, door = joiner(sealed), doorkeeper()
    asked(one, door)
    assert door.question is not None
    assert door.question.shown == sealed
    told(one, *enrolled_frames("netsky1", SEALED_CHARTER, sealed))
    assert one.admission is not None


# What the root must not believe.


def test_each_part_of_the_transcript_changes_proof_and_words() -> None:
    base = Transcript(MESH, public(JOINER), public(ROOT), b"j" * 32, b"r" * 32)
    others = [
        replace(base, mesh=b"n" * 16),
        replace(base, joiner=public(OTHER)),
        replace(base, root=public(OTHER)),
        replace(base, joiner_nonce=b"k" * 32),
        replace(base, root_nonce=b"k" * 32),
    ]
    assert len({base.proof(b"s" * 16), base.proof(b"t" * 16), *(one.proof(b"s" * 16) for one in others)}) == 7
    assert len({base.words(), *(one.words() for one in others)}) == 6
    for one in others:
        assert not proves(base.proof(b"s" * 16), b"s" * 16, one)


def test_a_proof_that_was_overheard_is_worth_nothing_to_another_key_or_another_time() -> None:
    door = doorkeeper()
    asked(joiner(), door)
    assert door.question is not None
    again = doorkeeper(nonce=b"q" * 32)
    again.receive(Knock(1, b"j" * 32, TICKET.invite, ""), 7)
    again.receive(Proof(door.question.mac, 0), 7)
    assert again.question is not None
    assert not proves(again.question.mac, TICKET.secret, again.question.transcript)


def test_another_version_is_told_so_and_asked_nothing() -> None:
    door = doorkeeper()
    [answer] = door.receive(Knock(2, b"j" * 32, b"i" * 32, "9.0"), 7)
    assert isinstance(answer, Refusal)
    assert answer == door.refusal
    assert "same version" in answer.sentence
    with pytest.raises(Invalid):
        door.receive(Proof(b"m" * 32, 0), 7)


@pytest.mark.parametrize(
    "frames",
    [
        [Proof(b"m" * 32, 0)],
        [Piece(0, b"x")],
        [Stored()],
        [Refusal("a", "b")],
        [Challenge(1, b"r" * 32, 1)],
        [Enrolled("netsky1", b"", 0)],
        [Pending(b"")],
        [Knock(1, b"j" * 32, b"i" * 32, "")] * 2,
        [Knock(1, b"j" * 32, b"i" * 32, ""), Proof(b"m" * 32, 0), Proof(b"m" * 32, 0)],
        [Knock(1, b"j" * 32, b"i" * 32, ""), Proof(b"m" * 32, 0), Piece(0, b"x")],
        [Knock(1, b"j" * 32, b"i" * 32, ""), Proof(b"m" * 32, 5), Piece(1, b"x")],
        [Knock(1, b"j" * 32, b"i" * 32, ""), Proof(b"m" * 32, 5), Piece(0, b"")],
        [Knock(1, b"j" * 32, b"i" * 32, ""), Proof(b"m" * 32, 5), Piece(0, b"123456")],
        [Knock(1, b"j" * 32, b"i" * 32, ""), Proof(b"m" * 32, 5), Piece(0, b"123"), Piece(0, b"123")],
    ],
    ids=lambda frames: " ".join(type(frame).__name__ for frame in frames),
)
def test_the_root_refuses_what_has_no_place(frames: list[JoinFrame]) -> None:
    door = doorkeeper()
    for frame in frames[:-1]:
        door.receive(frame, 7)
    with pytest.raises(Invalid):
        door.receive(frames[-1], 7)
    assert door.question is None or isinstance(frames[-1], Proof | Piece)


# What the joiner must not believe.


def sealed_charter(**changes: object) -> bytes:
    return seal_charter(replace(CHARTER, **changes), private(OWNER).sign)  # type: ignore[arg-type]


def sealed_roster(signer: int = ROOT, **changes: object) -> bytes:
    return seal_roster(replace(ROSTER, **changes), private(signer).sign)  # type: ignore[arg-type]


@dataclass
class Lie:
    name: str = "netsky1"
    charter: bytes = SEALED_CHARTER
    roster: bytes = SEALED_ROSTER
    ticket: Ticket = TICKET
    shown: bytes = field(default=b"")


def foreign_charter() -> Lie:
    """Another owner names himself: the hash in the ticket is of that charter, the owner key is not."""
    sealed = seal_charter(replace(CHARTER, owner_key=public(OTHER)), private(OTHER).sign)
    return Lie(charter=sealed, ticket=replace(TICKET, charter_hash=sha256(sealed).digest()))


def broken_charter() -> Lie:
    sealed = SEALED_CHARTER[:-1] + bytes([SEALED_CHARTER[-1] ^ 1])
    return Lie(charter=sealed, ticket=replace(TICKET, charter_hash=sha256(sealed).digest()))


LIES: dict[str, Callable[[], Lie]] = {
    "another charter": lambda: Lie(charter=sealed_charter(issued=6)),
    "the charter of another owner": foreign_charter,
    "a charter whose seal is broken": broken_charter,
    "a roster by another key": lambda: Lie(roster=sealed_roster(OTHER)),
    "a roster of another mesh": lambda: Lie(roster=sealed_roster(mesh=b"n" * 16)),
    "a roster of another reign": lambda: Lie(roster=sealed_roster(reign=2)),
    "a roster without us": lambda: Lie(roster=sealed_roster(members=ROSTER.members[:1])),
    "a roster in which we are revoked": lambda: Lie(
        roster=sealed_roster(members=(ROSTER.members[0], replace(ROSTER.members[1], revoked=9)))
    ),
    "another name than the roster's": lambda: Lie(name="netsky2"),
    "no roster": lambda: Lie(roster=b"x"),
    "an older roster than we have": lambda: Lie(shown=sealed_roster(version=3)),
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_the_joiner_believes_nothing_but_its_ticket(lie: str) -> None:
    said = LIES[lie]()
    one = joiner(said.shown, said.ticket)
    door = doorkeeper()
    asked(one, door)
    with pytest.raises(Invalid) as caught:
        told(one, *enrolled_frames(said.name, said.charter, said.roster))
    assert caught.value.sentence
    assert one.admission is None


def test_a_pending_answer_shows_the_charter_too() -> None:
    one = joiner()
    asked(one, doorkeeper())
    with pytest.raises(Invalid):
        told(one, Pending(sealed_charter(issued=6)))


@pytest.mark.parametrize(
    "frames",
    [
        [Pending(SEALED_CHARTER)],
        [Enrolled("netsky1", SEALED_CHARTER, 5)],
        [Piece(0, b"x")],
        [Stored()],
        [Knock(1, b"j" * 32, b"i" * 32, "")],
        [Challenge(1, b"r" * 32, 1)] * 2,
        [Challenge(1, b"r" * 32, 1), Enrolled("netsky1", SEALED_CHARTER, 5), Pending(SEALED_CHARTER)],
        [Challenge(1, b"r" * 32, 1), Enrolled("netsky1", SEALED_CHARTER, 5), Enrolled("netsky1", SEALED_CHARTER, 5)],
        [Challenge(1, b"r" * 32, 1), Enrolled("netsky1", SEALED_CHARTER, 5), Piece(1, b"x")],
        [Challenge(1, b"r" * 32, 1), Enrolled("netsky1", SEALED_CHARTER, 0), Piece(0, b"x")],
    ],
    ids=lambda frames: " ".join(type(frame).__name__ for frame in frames),
)
def test_the_joiner_refuses_what_has_no_place(frames: list[JoinFrame]) -> None:
    one = joiner()
    for frame in frames[:-1]:
        one.receive(frame)
    with pytest.raises(Invalid):
        one.receive(frames[-1])


# Frames.

GOLDEN: list[tuple[JoinFrame, str]] = [
    (Knock(1, bytes(32), b"\1" * 32, "1.0"), "950001c420" + "00" * 32 + "c420" + "01" * 32 + "a3312e30"),
    (Challenge(1, bytes(32), 300), "940101c420" + "00" * 32 + "cd012c"),
    (Proof(b"\2" * 32, 0), "9302c420" + "02" * 32 + "00"),
    (Piece(5, b"xy"), "930305c4027879"),
    (Pending(b"ch"), "9204c4026368"),
    (Enrolled("netsky1", b"ch", 7), "9405a76e6574736b7931c402636807"),
    (Refusal("code", "Why."), "9306a4636f6465a45768792e"),
    (Stored(), "9107"),
]


@pytest.mark.parametrize(("frame", "wire"), GOLDEN, ids=lambda one: type(one).__name__)
def test_a_frame_has_these_bytes_and_comes_back(frame: JoinFrame, wire: str) -> None:
    encoded = encode_join(frame)
    assert encoded[4:].hex() == wire
    assert int.from_bytes(encoded[:4], "big") == len(encoded) - 4
    assert decode_join(encoded[4:]) == frame


def test_the_largest_frames_fit_their_side_of_the_door() -> None:
    [*_, last] = pieces_of(b"x" * ROSTER_BYTES_MAX)
    assert isinstance(last, Piece)
    assert last.offset + len(last.piece) == ROSTER_BYTES_MAX
    largest = encode_join(Piece(ROSTER_BYTES_MAX, b"x" * JOIN_PIECE_BYTES))
    assert len(largest) < JOIN_ASK_BYTES_MAX
    assert len(encode_join(Enrolled("netsky1234", b"x" * 1024, ROSTER_BYTES_MAX))) < JOIN_FRAME_BYTES_MAX


@settings(max_examples=2_000)
@given(st.data())
def test_damaged_frames_are_invalid_and_nothing_else(data: st.DataObject) -> None:
    frame, _ = data.draw(st.sampled_from(GOLDEN))
    wire = bytearray(encode_join(frame)[4:])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(wire)))
        wire[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        assert encode_join(decode_join(bytes(wire)))[4:] == bytes(wire)
    except Invalid as invalid:
        assert invalid.sentence  # noqa: PT017


@settings(max_examples=300)
@given(st.lists(st.sampled_from([frame for frame, _ in GOLDEN]), max_size=6), st.booleans())
def test_any_order_of_frames_ends_in_an_answer_or_in_invalid(frames: list[JoinFrame], at_root: bool) -> None:
    one, door = joiner(), doorkeeper()
    try:
        for frame in frames:
            if at_root:
                door.receive(frame, 1)
            else:
                one.receive(frame)
    except Invalid:
        pass
    assert one.admission is None


def test_the_words_are_256_short_ones_that_begin_alike_in_no_five_letters() -> None:
    assert len(set(WORDS)) == 256
    assert all(word.isascii() and word.islower() and word.isalpha() and 3 <= len(word) <= 8 for word in WORDS)
    assert len({word[:5] for word in WORDS}) == 256
