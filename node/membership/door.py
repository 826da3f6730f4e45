"""The door for joining at the root: who comes in by it says one thing, hears one answer, and leaves.

Open to anybody while an invite is open or a join pending, to members always; else a connection ends before a byte of it
is read. Rate, number and every wait are bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from netsky.envelope.invalid import Invalid
from netsky.mesh.join import Doorkeeper, Question, enrolled_frames
from netsky.mesh.join_frames import JoinFrame, JoinStream, Pending, Refusal
from netsky.mesh.limits import JOIN_SIGN_NS, JOIN_WITHIN_NS
from netsky.mesh.transport import Connection, TransportError
from netsky.node.daemon.told import JOINS_SIGNAL
from netsky.node.errors import NetskyError
from netsky.node.identity import fingerprint
from netsky.node.membership.limits import JOIN_BURST, JOIN_EVERY_NS, JOINS_MAX, SILENT_SECONDS
from netsky.node.membership.register import Verdict, later
from netsky.node.supervise import Crash

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netsky.node.membership.membership import Membership
    from netsky.node.membership.register import Register

DOOR_CLOSED = "door_closed"
BUSY = "busy"
GOODBYE_SECONDS = 2.0
"""For the joiner to read its answer and hang up, before we do."""


class Door:
    def __init__(self, membership: Membership, register: Register) -> None:
        self._membership = membership
        self._register = register
        self._parts = membership.parts
        self._inside = 0
        self._waiting: dict[bytes, Connection] = {}
        self._allowance = JOIN_BURST
        self._counted_at = self._parts.seams.time.monotonic()

    async def serve(self, connection: Connection) -> None:
        key = connection.peer
        closed = self._closed_for(key)
        if closed:
            self._turn_away(connection, closed, "no invite is open for this key")
            self._membership.note_stranger(key, closed)
            return
        if self._inside >= JOINS_MAX or not self._allowed():
            self._turn_away(connection, BUSY, "too many join at this moment")
            return
        self._inside += 1
        try:
            await self._talk(connection)
        except TransportError as error:
            self._parts.log.event("join.cut", key=fingerprint(key), code=error.code)
        except Invalid as invalid:
            self._turn_away(connection, "frame", invalid.sentence)
            self._membership.note_stranger(key, "frame")
        except Exception as mistake:  # noqa: BLE001 - a task's border: one stranger's trouble is not the node's
            self._parts.crashed(Crash("node/join", "crashed", mistake, 0))
        finally:
            self._inside -= 1
            connection.close(0, b"done")

    def _closed_for(self, key: bytes) -> str:
        """Why nothing of it is read; empty if it may ask."""
        roster, _ = self._membership.roster()
        known = None if roster is None else roster.by_key.get(key)
        if known is not None:
            return "revoked" if known.revoked else ""
        return "" if self._register.door_open() else DOOR_CLOSED

    def _turn_away(self, connection: Connection, code: str, sentence: str) -> None:
        self._parts.log.event("join.turned_away", key=fingerprint(connection.peer), code=code)
        connection.close(1, f"{code}: {sentence}".encode())

    def _allowed(self) -> bool:
        now = self._parts.seams.time.monotonic()
        earned = (now - self._counted_at) // JOIN_EVERY_NS
        self._counted_at += earned * JOIN_EVERY_NS
        self._allowance = min(JOIN_BURST, self._allowance + earned)
        if not self._allowance:
            return False
        self._allowance -= 1
        return True

    async def _talk(self, connection: Connection) -> None:
        charter, key = self._parts.identity.charter, connection.peer
        assert charter is not None
        doorkeeper = Doorkeeper(charter.mesh, self._parts.identity.key, key, self._parts.seams.chance.token(32))
        stream: JoinStream | None = None
        with trio.move_on_after(JOIN_WITHIN_NS / 1e9):
            stream = JoinStream(await connection.accept_stream(), root=True)
            while doorkeeper.question is None and doorkeeper.refusal is None:
                frame = await stream.receive()
                if frame is None:
                    return
                for answer in doorkeeper.receive(frame, self._parts.seams.time.wall()):
                    await stream.send(answer)
        question = doorkeeper.question
        if stream is None or (question is None and doorkeeper.refusal is None):
            self._turn_away(connection, "slow", "the question was not complete in time")
            return
        if question is not None:
            older = self._waiting.get(key)
            if older is not None:
                older.close(1, b"replaced: the same key asks again")
            self._waiting[key] = connection
            try:
                await self._answer(stream, question, doorkeeper.program)
            finally:
                if self._waiting.get(key) is connection:
                    del self._waiting[key]
        with trio.move_on_after(GOODBYE_SECONDS):
            await connection.closed()

    async def _answer(self, stream: JoinStream, question: Question, program: str) -> None:
        key = question.transcript.joiner
        bell, wall = self._parts.signals, self._parts.seams.time.wall
        verdict = await self._judge(question, program)
        while verdict.state == "pending":
            await self._say(stream, [Pending(self._membership.sealed_charter)])
            heard = bell.count(JOINS_SIGNAL)
            if self._register.is_pending(key):
                with trio.move_on_after(JOIN_SIGN_NS / 1e9):
                    await bell.wait_beyond(JOINS_SIGNAL, heard)
            if not self._register.is_pending(key):
                verdict = await self._judge(question, program)
        if verdict.state == "refused":
            self._parts.log.event("join.refused", key=fingerprint(key), code=verdict.code, at=wall())
            self._membership.note_stranger(key, verdict.code)
            await self._say(stream, [Refusal(verdict.code, verdict.sentence)])
            return
        _, sealed = self._membership.roster()
        await self._say(stream, enrolled_frames(verdict.name, self._membership.sealed_charter, sealed))
        with trio.move_on_after(SILENT_SECONDS):
            stored = await stream.receive()
            self._parts.log.event("join.stored", name=verdict.name, said=type(stored).__name__)

    async def _judge(self, question: Question, program: str) -> Verdict:
        try:
            return await self._register.judge(question, program)
        except NetskyError as error:
            return later(error)

    async def _say(self, stream: JoinStream, frames: Iterable[JoinFrame]) -> None:
        with trio.move_on_after(SILENT_SECONDS) as patience:
            for frame in frames:
                await stream.send(frame)
        if patience.cancelled_caught:
            raise TransportError("slow", "the joiner reads nothing")
