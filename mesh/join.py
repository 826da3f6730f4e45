"""The two sides of a join, as machines without I/O: what each says, what it believes, and when it has an answer.

The joiner knows from its ticket whom it may believe; the root knows by TLS which key asks, and by the proof that this
key holds the ticket's secret. The root draws its nonce after it has seen the joiner's, so nobody can choose the words.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from netsky.envelope.invalid import Invalid
from netsky.mesh.charter import Charter, open_charter
from netsky.mesh.join_frames import (
    VERSION,
    Challenge,
    Collected,
    Enrolled,
    JoinFrame,
    Knock,
    Pending,
    Piece,
    Proof,
    Refusal,
    Stored,
    pieces_of,
)
from netsky.mesh.roster import Roster, open_roster
from netsky.mesh.ticket import Ticket
from netsky.mesh.words import WORDS

WORDS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Transcript:
    """What both sides know of one join, and nobody can have chosen alone."""

    mesh: bytes
    joiner: bytes
    root: bytes
    joiner_nonce: bytes
    root_nonce: bytes

    def _bytes(self) -> bytes:
        return self.mesh + self.joiner + self.root + self.joiner_nonce + self.root_nonce  # each of a fixed size

    def proof(self, secret: bytes) -> bytes:
        return hmac.digest(secret, b"netsky join 1 proof\0" + self._bytes(), "sha256")

    def words(self) -> tuple[str, ...]:
        return tuple(WORDS[byte] for byte in sha256(b"netsky join 1 words\0" + self._bytes()).digest()[:WORDS_SHOWN])


def proves(mac: bytes, secret: bytes, transcript: Transcript) -> bool:
    return hmac.compare_digest(mac, transcript.proof(secret))


@dataclass(frozen=True, slots=True)
class Question:
    """A complete one: what the root decides upon."""

    invite: bytes
    """Hash of a secret; 32 zero bytes where the joiner has none and is a member already."""
    mac: bytes
    transcript: Transcript
    shown: bytes
    """The sealed roster that the joiner has already, not looked at yet; empty for none."""


class Doorkeeper:
    """The root's side, until the question is complete; what it answers is decided elsewhere."""

    def __init__(self, mesh: bytes, root: bytes, peer: bytes, nonce: bytes) -> None:
        self._mesh, self._root, self._peer, self._nonce = mesh, root, peer, nonce
        self._knock: Knock | None = None
        self._proof: Proof | None = None
        self._shown: Collected | None = None
        self.refusal: Refusal | None = None

    def receive(self, frame: JoinFrame, wall: int) -> list[JoinFrame]:
        """What to answer at once. Raises Invalid for a frame that has no place here."""
        match frame:
            case Knock() if self._knock is None:
                self._knock = frame
                if frame.version == VERSION:
                    return [Challenge(VERSION, self._nonce, wall)]
                self.refusal = Refusal(
                    "version",
                    f"You speak version {frame.version} of joining and the root speaks {VERSION}: install the same "
                    "version of netsky on both machines.",
                )
                return [self.refusal]
            case Proof() if self._knock is not None and self._proof is None and self.refusal is None:
                self._proof, self._shown = frame, Collected(frame.shown)
            case Piece() if self._shown is not None and not self._shown.complete:
                self._shown.add(frame)
            case _:
                raise _out_of_place()
        return []

    @property
    def program(self) -> str:
        """The version of the joiner's program, for people."""
        return "" if self._knock is None else self._knock.program

    @property
    def question(self) -> Question | None:
        if self._knock is None or self._proof is None or self._shown is None or not self._shown.complete:
            return None
        transcript = Transcript(self._mesh, self._peer, self._root, self._knock.nonce, self._nonce)
        return Question(self._knock.invite, self._proof.mac, transcript, self._shown.data)


def enrolled_frames(name: str, charter: bytes, roster: bytes) -> Iterator[JoinFrame]:
    yield Enrolled(name, charter, len(roster))
    yield from pieces_of(roster)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the joiner is given, and has checked against its ticket."""

    name: str
    charter: Charter
    sealed_charter: bytes
    roster: Roster
    sealed_roster: bytes


class Joiner:
    """The side that holds a ticket."""

    def __init__(self, ticket: Ticket, key: bytes, nonce: bytes, program: str, shown: bytes = b"") -> None:
        self._ticket, self._key, self._nonce, self._program = ticket, key, nonce, program
        self._sealed_shown = shown
        self._shown = open_roster(shown, ticket.root_key, ticket.mesh) if shown else None
        self._transcript: Transcript | None = None
        self._enrolled: Enrolled | None = None
        self._roster: Collected | None = None
        self.root_wall = 0
        """The root's wall clock when it answered, ns."""
        self.pending = False
        self.refusal: Refusal | None = None
        self.admission: Admission | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Empty before the root has answered."""
        return () if self._transcript is None else self._transcript.words()

    def begin(self) -> list[JoinFrame]:
        return [Knock(VERSION, self._nonce, self._ticket.invite, self._program)]

    def receive(self, frame: JoinFrame) -> list[JoinFrame]:
        """What to say next. Raises Invalid for what is out of place, or not what the ticket promises."""
        ticket = self._ticket
        match frame:
            case Refusal() if self.admission is None:
                self.refusal = frame
                return []
            case Challenge() if self._transcript is None:
                self._transcript = Transcript(ticket.mesh, self._key, ticket.root_key, self._nonce, frame.nonce)
                self.root_wall = frame.wall
                proof = Proof(self._transcript.proof(ticket.secret), len(self._sealed_shown))
                return [proof, *pieces_of(self._sealed_shown)]
            case Pending() if self._transcript is not None and self._enrolled is None:
                self._check_charter(frame.charter)
                self.pending = True
            case Enrolled() if self._transcript is not None and self._enrolled is None:
                self._check_charter(frame.charter)
                self._enrolled, self._roster = frame, Collected(frame.roster)
            case Piece() if self._roster is not None and not self._roster.complete:
                self._collect(self._roster, frame)
            case _:
                raise _out_of_place()
        return []

    def _collect(self, roster: Collected, piece: Piece) -> None:
        roster.add(piece)
        if roster.complete:
            self.admission = self._joined(roster.data)

    def stored(self) -> Stored:
        """To be said once the membership is on disk."""
        assert self.admission is not None
        return Stored()

    def _check_charter(self, sealed: bytes) -> Charter:
        """TLS has proven the root's key; the charter proves that the owner wants it to be the root."""
        if sha256(sealed).digest() != self._ticket.charter_hash:
            raise _foreign("gave another charter than the ticket names")
        charter = open_charter(sealed)
        found = (charter.mesh, charter.owner_key, charter.root_key)
        if found != (self._ticket.mesh, self._ticket.owner_key, self._ticket.root_key):
            raise _foreign("gave a charter of another mesh, owner or root than the ticket")
        return charter

    def _joined(self, sealed: bytes) -> Admission:
        assert self._enrolled is not None
        charter = self._check_charter(self._enrolled.charter)
        roster = open_roster(sealed, self._ticket.root_key, self._ticket.mesh)
        member = roster.member(self._key)
        if member is None or member.name != self._enrolled.name:
            raise _foreign(f"says that you are {self._enrolled.name}, and its roster does not")
        if roster.reign != charter.reign:
            raise _foreign("gave a roster of another reign than its charter")
        if self._shown is not None and roster.version < self._shown.version:
            raise _foreign("gave an older roster than the one that this home has")
        return Admission(member.name, charter, self._enrolled.charter, roster, sealed)


def _out_of_place() -> Invalid:
    return Invalid("frame", "A frame came that has no place at this point of a join.", "frame")


def _foreign(how: str) -> Invalid:
    return Invalid("answer", f"The root {how}: nothing was stored.", "root_answer")
