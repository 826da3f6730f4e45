"""What links tell the node: rows, lines of the log, events, and the errors that senders get."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from netsky.envelope.address import parse_address
from netsky.mesh.effects import Restored
from netsky.mesh.lineage import Lineage
from netsky.mesh.roster import Roster
from netsky.node.bus.acks import Accept
from netsky.node.bus.draft import Draft
from netsky.node.bus.ingress import Incoming, Ingressed
from netsky.node.bus.telling import TOLD_MAX, Telling, tell_forever
from netsky.node.daemon.told import ENDED_SIGNAL, OUTBOX_SIGNAL, Next, fates_signal, outbox_signal
from netsky.node.db import observe, outbox, outcomes
from netsky.node.db.group import GroupCommit
from netsky.node.db.outbox import Due
from netsky.node.db.passed import PassedRow, insert
from netsky.node.errors import TryLater
from netsky.node.events import Events, Signals
from netsky.node.links.endings import Ended
from netsky.node.links.reasons import reason
from netsky.node.log import Log
from netsky.node.seams import Seams


@dataclass(eq=False)
class Notices:
    """The planner's `Told`, and the log's and the tables' side of what links do."""

    seams: Seams
    group: GroupCommit
    signals: Signals
    events: Events
    log: Log
    name_of: Callable[[bytes], str | None]
    adopt: Callable[[Roster, bytes], None]
    begin_anew: Callable[[Restored], None]
    noted: Callable[[Sequence[Lineage]], None]

    def ended(self, ended: Ended) -> None:
        for mine, outcome in ended.fates:
            self.events.publish("outcome", id=mine.id, fate=outcome.fate, code=outcome.code)
        for outcome, why in ended.disbelieved:
            fields = {"id": outcome.id, "code": why, "ender": observe.peer_hash(outcome.ender)}
            self.log.event("link.disbelieved", level="warn", **fields)
            self.events.publish("link_alarm", **fields)
        self.signals.ring(ENDED_SIGNAL)

    def arrived(self, peer: bytes, item: Incoming, result: Ingressed) -> None:
        kind = "link_alarm" if result.conflict else "link_dead_letter"
        fields = {"peer": self._name(peer), "id": item.header.id, "code": result.code}
        self.log.event(kind, level="warn", **fields)
        self.events.publish(kind, **fields)

    def refused(self, peer: bytes, code: str, what: str) -> None:
        self.log.event("link.refused", level="warn", peer=self._name(peer), code=code, what=what)
        self.events.publish("link_refused", peer=self._name(peer), code=code, what=what)

    def enrolled(self, roster: Roster, sealed: bytes) -> None:
        self.adopt(roster, sealed)

    def passed(self, rows: Sequence[PassedRow]) -> None:
        self.group.ride(insert(rows))

    def lineages(self, new: Sequence[Lineage]) -> None:
        self.noted(new)
        for one in new:
            fields = {"peer": self._name(one.node), "since": one.since}
            self.log.event("link.lineage", level="warn", **fields)
            self.events.publish("link_restored", **fields)
        self.signals.ring(OUTBOX_SIGNAL)  # every link has something to tell its peer

    def restored(self, record: Restored) -> None:
        self.log.event("node.restored", level="warn", life=record.life, reason=record.reason)
        self.events.publish("restored", life=record.life, reason=record.reason)
        self.begin_anew(record)

    def queued(self, going: Iterable[Next], fates: Iterable[bytes]) -> None:
        for peer, lane in going:
            self.signals.ring(outbox_signal(peer, lane))
        for peer in fates:
            self.signals.ring(fates_signal(peer))

    def holds(self) -> None:
        self.signals.ring(OUTBOX_SIGNAL)

    def row(self, event: str, key: bytes, name: str | None, **detail: Any) -> None:
        """A line of the log and a row; the row knows the peer by a hash."""
        self.log.event(f"link.{event}", peer=name or observe.peer_hash(key), **detail)
        self.group.ride(observe.link_event(self.seams.time.wall(), event, key, name, detail))

    def _name(self, peer: bytes) -> str:
        return self.name_of(peer) or observe.peer_hash(peer)


class Errors:
    """Turns fates into `error` files for the actors that sent the envelopes. Told once: its id follows from theirs."""

    def __init__(self, group: GroupCommit, signals: Signals, accept: Accept, seams: Seams) -> None:
        self._group = group
        self._signals = signals
        self._accept = accept
        self._seams = seams

    async def run(self) -> None:
        telling = Telling(ENDED_SIGNAL, self._find, self._tell)
        await tell_forever(telling, self._signals, self._seams.time, self._seams.chance)

    async def _find(self, after: int) -> list[Due]:
        [found] = await self._group.read([outbox.due_errors(after, TOLD_MAX)])
        return outbox.due_rows(found)

    async def _tell(self, due: Sequence[Due]) -> int:
        keys = {one.seq: outcomes.key_of(one.origin, one.id) for one in due}
        [found] = await self._group.read([outcomes.find(list(keys.values()))])
        fates = {row.key: row for row in outcomes.rows(found)}
        drafts = [_draft(one, fates.get(keys[one.seq])) for one in due]
        answers = await self._accept("agentinfinity", "node", drafts)
        done = [one.seq for one, answer in zip(due, answers, strict=True) if not isinstance(answer, TryLater)]
        if done:  # what can never be told, since its actor is gone, is told in `netsky dead` alone
            await self._group.write([outbox.error_told(done)])
        return len(done)


def _draft(due: Due, fate: outcomes.OutcomeRow | None) -> Draft:
    code = "unknown" if fate is None else fate.code or ""
    what = "may or may not have arrived" if fate is not None and fate.fate == "in_doubt" else "was not delivered"
    sentence, step = reason(code)
    return Draft(
        to=parse_address(due.sender).actor,
        text=f"Your envelope {due.id} to {due.recipient} {what}: {sentence} ({code}). Next: {step}.",
        kind="error",
        in_reply_to=due.id,
        thread=due.thread,
        data={"id": due.id, "to": due.recipient, "fate": "dead" if fate is None else fate.fate, "code": code},
        id="error-" + hashlib.sha256(due.origin + due.id.encode()).hexdigest()[:32],
    )
