"""Giving envelopes to a program one by one, and ending each: answered, tried again, or given up on.

The order of effects: the try is counted and the claim stored before the program starts; the answer is stored before
the envelope is taken. So a crash at any point repeats, and never loses. Where there is no room for what is to be
stored, each step raises TryLater and may be repeated.

A file in claimed/ says that a program is at work on it. It goes back as soon as that is over, even where no row can be
written: the next life counts a loss by it, for an envelope that took the node down, and for no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from netsky.envelope.address import parse_address
from netsky.envelope.fields import Body, Header
from netsky.envelope.file import Proof, to_file
from netsky.envelope.kinds import lane_of
from netsky.envelope.wire import decode_body, decode_header
from netsky.node.actors.limits import LOSSES_MAX, TRIES_MAX
from netsky.node.actors.runtime import Verdict
from netsky.node.backoff import RETRY
from netsky.node.bus.draft import Accepted, Draft, Via
from netsky.node.bus.folders import open_channel
from netsky.node.db import handovers, inbox
from netsky.node.db.actors import ActorRow
from netsky.node.db.group import GroupCommit
from netsky.node.db.handovers import Candidate, Open
from netsky.node.db.inbox import Handing
from netsky.node.errors import Conflict, NetskyError, Refused, TryLater
from netsky.node.events import Events
from netsky.node.log import Log
from netsky.node.seams.chance import Chance
from netsky.node.seams.files import Files, HostileFile
from netsky.node.seams.time import Time
from netsky.relay.acks import GIVEN_UP_CODES, GIVEN_UP_TEXT, given_up_id
from netsky.relay.authority import ROOT

Accept = Callable[[str, Via, Sequence[Draft]], Awaitable[Sequence[Accepted | NetskyError]]]


@dataclass(frozen=True, slots=True)
class Handed:
    """One envelope in the hands of a program."""

    candidate: Candidate
    header: Header
    body: Body

    @property
    def is_routed_work(self) -> bool:
        return self.candidate.reign is not None and lane_of(self.header.kind) == "work"

    @property
    def file(self) -> bytes:
        """What the program reads: the very object that stands in the inbox."""
        c = self.candidate
        return to_file(self.header, self.body, Proof(c.origin, c.id, c.leaf, c.reign, c.life, c.number))


class Handover:
    """All of this for one actor."""

    def __init__(
        self,
        actor: ActorRow,
        *,
        channels: str,
        files: Files,
        time: Time,
        chance: Chance,
        group: GroupCommit,
        accept: Accept,
        events: Events,
        log: Log,
        taken: Callable[[], None],
        at_root: bool,
        may: Callable[[], Handing] = lambda: "all",
    ) -> None:
        """`may` tells what is handed out now."""
        self._actor = actor
        self._channels = channels
        self._files = files
        self._time = time
        self._chance = chance
        self._group = group
        self._accept = accept
        self._events = events
        self._log = log
        self._taken = taken
        self._at_root = at_root
        self._may = may

    async def next(self, *, replies_alone: bool = False) -> Handed | None:
        """The next envelope to try, its try counted and stored; None if there is none now. Replies first: they ask for
        no room, and make it."""
        while True:
            now, name, may = self._time.wall(), self._actor.name, self._may()
            looks = [handovers.due(name, now, "replies"), handovers.due(name, now, may)]
            both = await self._group.write(looks[:1] if replies_alone else looks)
            found = [one for rows in both for one in handovers.candidates(rows)]
            if not found:
                return None
            candidate = found[0]
            handed = Handed(candidate, decode_header(candidate.header), decode_body(candidate.body))
            hopeless = self._hopeless(handed)
            if hopeless is not None:
                await self._give_up(handed, *hopeless)
                continue
            now = self._time.wall()
            await self._group.write(
                [handovers.begin(candidate.seq, self._actor.name), inbox.claim(self._actor.name, [candidate.file], now)]
            )
            self._move(candidate.file, "inbox", "claimed")
            if self._may() != may and not self._may_have(handed):
                await self.interrupted(handed)  # the node was halted, or its lease ended, while it was claimed
                continue
            return handed

    def _may_have(self, handed: Handed) -> bool:
        may = self._may()
        return may == "all" or lane_of(handed.header.kind) == "reply" or (may == "own" and not handed.is_routed_work)

    async def wait_ns(self) -> int | None:
        """Until the next failed one is due; None if none waits."""
        [rows] = await self._group.write([handovers.next_due(self._actor.name, self._may())])
        due = rows[0][0]
        return None if due is None else max(0, int(due) - self._time.wall())

    async def conclude(self, handed: Handed, verdict: Verdict) -> None:
        try:
            await self._conclude(handed, verdict)
        except TryLater:
            self._move(handed.candidate.file, "claimed", "inbox")
            raise

    async def _conclude(self, handed: Handed, verdict: Verdict) -> None:
        c = handed.candidate
        if verdict.taken:
            problem = await self._answer(handed, verdict.answer)
            if problem is None:
                await self._take(handed, "exit", "archive")
                return
            verdict = Verdict(False, reason=problem.message, code=problem.code, again=False)
        if not verdict.again or c.tries + 1 >= TRIES_MAX:
            tried = c.tries + 1
            reason = f"{verdict.reason} ({tried} {'try' if tried == 1 else 'tries'})"
            await self._give_up(handed, verdict.code or "program_failed", reason)
            return
        wait = RETRY.wait_ns(c.tries, self._chance.fraction())
        due = self._time.wall() + wait
        await self._group.write(
            [handovers.failed(c.seq, due, verdict.reason), inbox.release(self._actor.name, [c.file])]
        )
        self._move(c.file, "claimed", "inbox")
        self._log.warn("actor.try_failed", actor=self._actor.name, id=c.id, tries=c.tries + 1, reason=verdict.reason)

    async def interrupted(self, handed: Handed) -> None:
        """An orderly stop: as if it had not begun."""
        name, file = self._actor.name, handed.candidate.file
        self._move(file, "claimed", "inbox")
        with suppress(TryLater):  # no room on the disk: the next start does it
            await self._group.write([handovers.stopped([handed.candidate.seq]), inbox.release(name, [file])])

    def _hopeless(self, handed: Handed) -> tuple[str, str] | None:
        c = handed.candidate
        if c.losses >= LOSSES_MAX:
            return "poison", f"the node ended {c.losses} times while a program had it"
        if c.tries >= TRIES_MAX:
            return "program_failed", f"{c.reason} ({c.tries} tries)"
        if handed.header.expires < self._time.wall():
            return "expired", "it expired before its work began"
        return None

    async def _answer(self, handed: Handed, text: str) -> NetskyError | None:
        """Hands in the answer; an error if the answer itself cannot be sent as it is."""
        if not text or lane_of(handed.header.kind) == "reply":  # an answer to an answer would never end
            return None
        actor, header = self._actor, handed.header
        upwards = actor.name.startswith("worker") and header.sender == actor.manager
        draft = self._draft(handed, text, "report" if upwards else "reply")
        result = await self._hand_in("actor", draft)
        if isinstance(result, Accepted | Conflict):  # an answer of an earlier try stands
            return None
        if isinstance(result, Refused):  # nobody there may hear it: the work is done all the same
            self._log.warn("actor.answer_refused", actor=actor.name, id=header.id, reason=result.message)
            return None
        return result

    async def _hand_in(self, via: Via, draft: Draft) -> Accepted | NetskyError:
        """Raises TryLater where there is no room for it yet, on the disk or at its reader: no answer is dropped for it,
        and its envelope is not taken without it."""
        [result] = await self._accept(self._actor.name, via, [draft])
        if isinstance(result, TryLater):
            raise result
        return result

    async def _give_up(self, handed: Handed, code: str, reason: str) -> None:
        actor, header = self._actor, handed.header
        if lane_of(header.kind) == "work":  # an error about an error would never end
            draft = self._error(handed, code, reason)
            result = await self._hand_in("node", draft)
            if isinstance(result, NetskyError) and not isinstance(result, Conflict):
                self._log.warn("actor.error_refused", actor=actor.name, id=header.id, reason=result.message)
        self._log.warn("actor.gave_up", actor=actor.name, id=header.id, code=code, reason=reason)
        self._events.publish("given_up", actor=actor.name, id=header.id, code=code, reason=reason)
        await self._take(handed, "given_up", "quarantine", (code, reason))

    def _error(self, handed: Handed, code: str, reason: str) -> Draft:
        """Between siblings no word of an actor passes that the owner has not allowed: there it is the daemon's."""
        header, name = handed.header, self._actor.name
        node = parse_address(header.sender).node
        if self._at_root or node in {None, ROOT}:
            text = f"{name} could not do this: {reason}."
            return self._draft(handed, text, "error", {"error": {"code": code, "message": reason}})
        return Draft(
            to=header.sender,
            text=GIVEN_UP_TEXT,
            kind="error",
            in_reply_to=header.id,
            thread=header.thread,
            data={"error": {"code": code if code in GIVEN_UP_CODES else GIVEN_UP_CODES[-1]}},
            id=given_up_id(header.origin, header.id),
        )

    async def _take(self, handed: Handed, by: str, to: str, why: tuple[str, str] | None = None) -> None:
        c, name = handed.candidate, self._actor.name
        await self._group.write([inbox.take_files(name, [c.file], self._time.wall(), by), handovers.ended(c.seq)])
        self._taken()
        self._events.publish("taken", actor=name, id=c.id, by=by)
        for source in ("claimed", "inbox"):
            self._move(c.file, source, to, why)

    def _draft(self, handed: Handed, text: str, kind: str, data: dict[str, object] | None = None) -> Draft:
        header = handed.header
        mark = hashlib.sha256(header.origin + header.id.encode()).hexdigest()[:32]
        return Draft(
            to=header.sender,
            text=text,
            kind=kind,
            in_reply_to=header.id,
            thread=header.thread,
            swarm=header.swarm,
            parent=header.id,
            idempotency_key=f"{'error' if kind == 'error' else 'answer'}-{mark}",
            data=data,
        )

    def _move(self, file: str, source: str, to: str, why: tuple[str, str] | None = None) -> None:
        """The projection follows the row. The folder is the actor's: what it did to it is no error of ours."""
        try:
            with open_channel(self._files, self._channels, self._actor.name) as channel:
                if to == "quarantine":
                    code, reason = why or ("given_up", "")
                    channel.put_away(getattr(channel, source), file, code, reason)
                else:
                    self._files.move(getattr(channel, source), file, getattr(channel, to), file)
        except (OSError, HostileFile) as error:
            self._log.warn("actor.file_not_moved", actor=self._actor.name, file=file, reason=str(error))


async def settle_open(group: GroupCommit, files: Files, channels: str, log: Log, *, halted: bool = False) -> None:
    """At a start: counts a loss for each envelope on which a program was at work when the last life ended. If it ended
    while it was being halted, that is why the program ended, and it counts for nothing."""
    [found] = await group.write([handovers.in_the_middle()])
    at_work: dict[bool, list[int]] = {True: [], False: []}
    for one in handovers.open_ones(found):
        at_work[not halted and _is_claimed(files, channels, one)].append(one.seq)
    if not found:
        return
    lost, _ = await group.write([handovers.lose(at_work[True]), handovers.stopped(at_work[False])])
    for actor, seq, losses in lost:
        log.event("actor.handover_lost", level="warn", actor=actor, seq=seq, losses=losses)


def _is_claimed(files: Files, channels: str, one: Open) -> bool:
    try:
        with open_channel(files, channels, one.actor) as channel:
            return channel.where(one.file) == "claimed"
    except (OSError, HostileFile):
        return True  # nobody can say: the careful answer is the one that ends
