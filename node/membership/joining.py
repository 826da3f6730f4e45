"""The joiner's side: from a ticket and a home to a home in the mesh. The node of that home does not run meanwhile.

Order of effects: ask, check, write roster and addresses, then the charter, then say that it is stored. A crash before
the charter leaves a home that is in no mesh, and the same line typed again ends it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import trio
from netsky.envelope.invalid import Invalid
from netsky.mesh.charter import Charter
from netsky.mesh.join import Admission, Joiner
from netsky.mesh.join_frames import JoinFrame, JoinStream
from netsky.mesh.limits import JOIN_ALPN, ROSTER_BYTES_MAX
from netsky.mesh.roster import open_roster
from netsky.mesh.ticket import Ticket
from netsky.mesh.transport import Connection, OpenTransport, PeerAddress, Transport, TransportError, TransportOptions
from netsky.node.backoff import DIAL
from netsky.node.charter import read_charter, read_sealed_charter
from netsky.node.config import ANY_PORT
from netsky.node.errors import Conflict, Refused, TimedOut, TryLater, Unreachable
from netsky.node.home import Home, read_home_file
from netsky.node.identity import fingerprint, public_key, read_key
from netsky.node.membership.limits import DIAL_SECONDS, SILENT_SECONDS, UNREACHABLE_SECONDS
from netsky.node.membership.membership import ROOT_FILE, ROSTER, root_file
from netsky.node.seams.chance import Chance
from netsky.node.seams.files import Files
from netsky.node.seams.time import Time

_TURNED_AWAY = re.compile(r"\b(door_closed|revoked|busy|slow|frame|replaced|not_the_root): ")
"""What the root says as it closes; the words around it are the transport's."""

_NEW_TICKET = "at the root: netsky invite LABEL, and use the new ticket"
_NEW_HOME = "make a new home with a new ticket: netsky --home PATH join TICKET"
_NEXT = {
    "version": "install the same version on both machines",
    "revoked": _NEW_HOME,
    "roster_fork": _NEW_HOME,
    "key": _NEW_HOME,
    "mesh_full": "ask the operator of the root",
    "disk_full": "free some space at the root, then type the same line again",
    "node_stopped": "type the same line again",
}
GOODBYE_SECONDS = 1.0


class Listener(Protocol):
    """Whoever shows a person what happens. Nothing here waits for an answer."""

    def words(self, words: tuple[str, ...]) -> None: ...

    def clock(self, behind_ns: int) -> None:
        """This machine's clock is so far behind that of the root (before it, if negative)."""

    def pending(self) -> None:
        """The root waits for its operator; said again with every sign of life."""

    def trouble(self, sentence: str) -> None:
        """It did not work this time, and will be tried again."""


@dataclass(frozen=True, slots=True)
class Around:
    """The seams that a join needs."""

    files: Files
    chance: Chance
    time: Time
    transport: OpenTransport


def check_home(home: Home, files: Files, ticket: Ticket) -> None:
    """Refuses a ticket that this home may not take. Nothing is changed, nobody asked."""
    if public_key(read_key(home, files)) == ticket.root_key:
        raise Conflict(
            "this is the home of the very root that made the ticket",
            next="type the line on the machine that is to join",
            code="own_ticket",
        )
    charter = read_charter(home, files)
    if charter is None:
        return
    another = "a home stays in its mesh; join from another one: netsky --home PATH join TICKET"
    if charter.mesh != ticket.mesh:
        raise Refused(
            f"this home belongs to the mesh {charter.mesh.hex()} and the ticket to {ticket.mesh.hex()}",
            next=another,
            code="foreign_ticket",
        )
    if charter.owner_key != ticket.owner_key:
        raise Refused(
            f"the ticket names another owner ({fingerprint(ticket.owner_key)}) of this home's mesh than its charter "
            f"({fingerprint(charter.owner_key)}): one of the two is forged",
            next="do not use it; ask the owner where the ticket comes from",
            code="foreign_owner_key",
        )
    if charter.root_key != ticket.root_key:
        raise Refused(
            f"two roots: this home follows the root {fingerprint(charter.root_key)} (reign {charter.reign}), and the "
            f"ticket comes from {fingerprint(ticket.root_key)}",
            next="ask the owner which of the two is the root, and take a ticket from that one",
            code="two_roots",
        )


async def join(
    home: Home, around: Around, ticket: Ticket, *, program: str, listener: Listener, wait_seconds: float
) -> Admission:
    """Asks until there is an answer, and stores it. Raises what a person can act upon. The home's lock is held."""
    secret = read_key(home, around.files)
    shown = _shown_roster(home, around.files, ticket)
    options = TransportOptions(ANY_PORT, (ticket.relay,) if ticket.relay else ())
    transport = await around.transport.open(secret, [JOIN_ALPN], options)
    asking = _Asking(home, around, ticket, transport, shown=shown, listener=listener, program=program)
    try:
        with trio.move_on_after(wait_seconds):
            return await asking.until_answered()
    finally:
        with trio.CancelScope(shield=True), trio.move_on_after(GOODBYE_SECONDS):
            await transport.close()
    if not asking.was_pending:
        raise asking.no_answer(f"within {wait_seconds:g} s")
    raise TimedOut(
        f"nobody at the root has approved this join within {wait_seconds:g} s",
        next="at the root: netsky nodes, then netsky approve LABEL; then type the same line here again",
        code="not_approved",
    )


class _Asking:
    def __init__(
        self,
        home: Home,
        around: Around,
        ticket: Ticket,
        transport: Transport,
        *,
        shown: bytes,
        listener: Listener,
        program: str,
    ) -> None:
        self._home, self._around, self._ticket, self._transport = home, around, ticket, transport
        self._program, self._shown, self._listener = program, shown, listener
        self._words: tuple[str, ...] = ()
        self.was_pending = False

    async def until_answered(self) -> Admission:
        time, chance = self._around.time, self._around.chance
        began, attempt = time.monotonic(), 0
        while True:
            try:
                admission = await self._once()
            except TransportError as error:
                trouble = self._judged(error)
                lasted = time.monotonic() - began
                if not self.was_pending and lasted > UNREACHABLE_SECONDS * 1e9:
                    raise trouble from None
                self._listener.trouble(trouble.message)
            except Invalid as invalid:
                raise Refused(
                    f"what answered is not the root that the ticket names: {invalid.sentence}",
                    next="install the same version on both machines; if they are, ask for a new ticket",
                    code=invalid.code,
                ) from None
            else:
                if admission is not None:
                    return admission
                self._listener.trouble("the root went away")
            await time.sleep_until(time.monotonic() + DIAL.wait_ns(attempt, chance.fraction()))
            attempt += 1

    def _judged(self, error: TransportError) -> Unreachable | TryLater:
        """What the end of a connection means; raises what no further try can change."""
        turned = _TURNED_AWAY.search(str(error))
        if turned is None:
            return self.no_answer(f"({error})")
        code = turned[1]
        if code == "door_closed":
            raise Refused(
                "the root lets nobody in at the moment: the ticket was used, withdrawn, or its hour is over",
                next=_NEW_TICKET,
                code=code,
            )
        if code == "revoked":
            raise Refused("this node was revoked, and that cannot be undone", next=_NEW_HOME, code=code)
        if code == "not_the_root":
            raise Refused("what answers is no root", next="ask the owner which machine is", code=code)
        return TryLater(f"the root broke off ({code})", next="type the same line again in a minute", code=code)

    def no_answer(self, how: str) -> Unreachable:
        where = ", ".join((*self._ticket.addresses, *filter(None, (self._ticket.relay,)))) or "no address"
        return Unreachable(
            f"the root does not answer at {where} {how}",
            next="is it up (netsky status there), and can this machine reach that address? then type it again",
            code="root_unreachable",
        )

    async def _once(self) -> Admission | None:
        """One connection. None if it ended without an answer."""
        ticket, time = self._ticket, self._around.time
        connection: Connection | None = None
        with trio.move_on_after(DIAL_SECONDS):
            address = PeerAddress(ticket.root_key, ticket.addresses, ticket.relay or None)
            connection = await self._transport.dial(address, JOIN_ALPN)
        if connection is None:
            raise TransportError("connect", f"no answer within {DIAL_SECONDS:g} s")
        try:
            stream = JoinStream(await connection.open_stream(), root=False)
            joiner = Joiner(ticket, self._transport.key, self._around.chance.token(32), self._program, self._shown)
            for frame in joiner.begin():
                await stream.send(frame)
            while joiner.admission is None:
                with trio.move_on_after(SILENT_SECONDS) as patience:
                    received = await stream.receive()
                if patience.cancelled_caught or received is None:
                    return None
                await self._heard(stream, joiner, received, time.wall())
            self._store(joiner.admission)
            await stream.send(joiner.stored())
            with trio.move_on_after(GOODBYE_SECONDS):
                await connection.closed()
            return joiner.admission
        finally:
            connection.close(0, b"done")

    async def _heard(self, stream: JoinStream, joiner: Joiner, received: JoinFrame, wall: int) -> None:
        had = joiner.words
        for frame in joiner.receive(received):
            await stream.send(frame)
        if joiner.refusal is not None:
            said = joiner.refusal
            raise Refused(f"the root refused: {said.sentence}", next=_NEXT.get(said.code, _NEW_TICKET), code=said.code)
        if joiner.words and not had:
            self._listener.words(joiner.words)
            self._listener.clock(joiner.root_wall - wall)
        if joiner.pending and joiner.admission is None:
            self.was_pending = True
            self._listener.pending()

    def _store(self, admission: Admission) -> None:
        files, home = self._around.files, self._home
        before = read_charter(home, files)
        if before is not None:
            _check_reign(before, read_sealed_charter(home, files), admission)
        known = (*self._ticket.addresses, *filter(None, (self._ticket.relay,)))
        keep(home, files, admission.sealed_charter, admission.sealed_roster, known)


def keep(home: Home, files: Files, charter: bytes, roster: bytes, root_at: Sequence[str]) -> None:
    """Makes a home one of a mesh: the charter last, so that a home that has one has all of it."""
    folder = files.open_folder(home.path)
    try:
        files.replace(folder, ROSTER, roster)
        files.replace(folder, ROOT_FILE, root_file(root_at))
        files.replace(folder, "charter", charter)
    finally:
        files.close(folder)


def _check_reign(before: Charter, sealed_before: bytes | None, admission: Admission) -> None:
    given = admission.charter
    if given.reign < before.reign:
        raise Refused(
            f"the root shows a charter of reign {given.reign}, and this home knows reign {before.reign}",
            next="that root was restored or replaced: ask the owner which one is the root",
            code="old_reign",
        )
    if given.reign == before.reign and admission.sealed_charter != sealed_before:
        raise Refused(
            f"there are two charters of reign {given.reign} for this mesh",
            next="ask the owner, whose key sealed both",
            code="two_charters",
        )


def _shown_roster(home: Home, files: Files, ticket: Ticket) -> bytes:
    """The roster that this home has of that root, if it has one."""
    sealed = read_home_file(home, files, ROSTER, ROSTER_BYTES_MAX)
    try:
        if sealed:
            open_roster(sealed, ticket.root_key, ticket.mesh)
    except Invalid:
        return b""
    return sealed
