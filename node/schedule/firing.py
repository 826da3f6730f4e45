"""From a due time to an envelope, once, and what is remembered of it.

The order of effects: the envelope is stored, then how far its schedule has come. The key says which due time it is, so
that whatever is repeated after a crash makes no second envelope.

On a sibling a schedule starts work, and work comes from the root: what fires goes to the same voice at netsky0, which
sends it on as its own word to an actor of that very sibling (`routed.py`). With `local_work`, or in no mesh, it goes
straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import trio
from netsky.envelope.address import Address, parse_address
from netsky.envelope.kinds import kind_or_text
from netsky.node.bus.draft import Accepted, Draft, prepare
from netsky.node.bus.refusals import no_actor, no_node, not_allowed
from netsky.node.db import observe, schedules
from netsky.node.db.schedules import Kind, ScheduleRow
from netsky.node.errors import Conflict, NetskyError, Refused, TryLater
from netsky.node.limits import GROUP_ITEMS_MAX
from netsky.node.schedule.limits import SLICE_NS
from netsky.relay.authority import ROOT, refusal

if TYPE_CHECKING:
    from netsky.node.actors.handover import Handed
    from netsky.node.daemon.node import Fault, Node
    from netsky.node.seams.time import Time

VOICE: dict[Kind, str] = {"cron": "agentcron", "loop": "agentloop"}

_SHOWN_MAX = 3
"""Faults of single schedules that `status` names; the others are counted."""

_BATCH = min(64, GROUP_ITEMS_MAX)
"""What shares a seal and a commit."""


@dataclass(frozen=True, slots=True)
class Fire:
    id: str
    due: int
    target: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one."""

    state: Literal["fired", "later", "refused"]
    envelope: str | None = None
    sentence: str = ""


class Breath:
    """Lets others have their turn whenever a slice of time is used up."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._began = time.monotonic()

    async def __call__(self) -> None:
        if self._time.monotonic() - self._began >= SLICE_NS:
            await trio.lowlevel.checkpoint()
            self._began = self._time.monotonic()


class Firing:
    """Of one kind. The rows are what is stored, and change when that has changed."""

    def __init__(self, node: Node, kind: Kind) -> None:
        self.kind = kind
        self.voice = VOICE[kind]
        self.rows: dict[str, ScheduleRow] = {}
        self._node = node
        self._by_envelope: dict[str, str] = {}

    async def load(self) -> None:
        [found] = await self._node.group.read([schedules.of_kind(self.kind)])
        self.rows = {row.id: row for row in schedules.rows(found)}
        self._by_envelope = {row.envelope: row.id for row in self.rows.values() if row.envelope is not None}

    async def store(self, changed: Sequence[ScheduleRow], gone: Sequence[str] = ()) -> None:
        for at in range(0, len(changed), _BATCH):
            await self._node.group.write([schedules.put(self.kind, changed[at : at + _BATCH])])
        for at in range(0, len(gone), _BATCH):
            await self._node.group.write([schedules.remove(self.kind, gone[at : at + _BATCH])])
        for row in changed:
            before = self.rows.get(row.id)
            if before is not None and before.envelope is not None and before.envelope != row.envelope:
                self._by_envelope.pop(before.envelope, None)
            if row.envelope is not None:
                self._by_envelope[row.envelope] = row.id
            self.rows[row.id] = row
            self._tell(before, row)
        for one in gone:
            row_gone = self.rows.pop(one, None)
            if row_gone is not None and row_gone.envelope is not None:
                self._by_envelope.pop(row_gone.envelope, None)

    async def send(self, fires: Sequence[Fire]) -> list[Sent]:
        """In their order. Those that cannot go are said so, and keep nobody else from going."""
        answers: list[Sent] = []
        for at in range(0, len(fires), _BATCH):
            part = fires[at : at + _BATCH]
            drafts = [self._draft(fire) for fire in part]
            going = [draft for draft in drafts if isinstance(draft, Draft)]
            stored = iter(await self._node.bus.accept(self.voice, "actor", going))
            answers += [_sent(next(stored) if isinstance(draft, Draft) else draft) for draft in drafts]
        return answers

    def check(self, target: str, prompt: str) -> None:
        """Raises what would be said when it fires, as far as that can be known now."""
        draft = self._draft(Fire("check", 0, target, prompt))
        if not isinstance(draft, Draft):
            raise draft
        prepare(self.voice, "actor", draft)
        here = self._node.identity.name
        to = parse_address(target)
        sender = ROOT if through_root(self._node) else here
        sentence = refusal(Address(self.voice, sender), Address(to.actor, to.node or here), self.kind)
        if sentence is not None:
            raise not_allowed(sentence, self.voice)
        if to.node in {None, here} and to.actor not in actors_here(self._node):
            raise no_actor(to.actor)
        if to.node is not None and to.node != here and self._node.key_of(to.node) is None:
            raise no_node(to, revoked=self._node.was_revoked(to.node))

    async def heard_error(self, handed: Handed) -> None:
        """What was fired came back: its target is gone, or the root did not send it on."""
        id = self._by_envelope.get(handed.header.in_reply_to or "")  # noqa: A001 - the row's word
        row = None if id is None else self.rows.get(id)
        if row is not None:
            await self.store([with_fault(row, handed.body.text.strip()[:300], self._node.now())])

    def complaints(self) -> list[Fault]:
        wrong = [row for row in self.rows.values() if row.fault]
        found: list[Fault] = [
            {
                "code": f"{self.kind}_target",
                "sentence": f"{self.kind} {row.id} could not be sent: {row.fault}",
                "next": f"netsky {self.kind} ls; the next due time tries again",
            }
            for row in wrong[:_SHOWN_MAX]
        ]
        if len(wrong) > _SHOWN_MAX:
            found[-1]["sentence"] += f" (and {len(wrong) - _SHOWN_MAX} more)"
        return found

    def _draft(self, fire: Fire) -> Draft | NetskyError:
        here, to = self._node.identity.name, parse_address(fire.target)
        about: dict[str, object] = {"id": fire.id, "due": fire.due}
        target = fire.target
        if to.node in {None, here} and to.actor not in actors_here(self._node):
            return no_actor(to.actor)
        if through_root(self._node):
            if to.node not in {None, here}:
                return Refused(
                    f"a schedule of {here} reaches actors of {here} alone",
                    next=f"add it at {ROOT}, whose schedules reach other machines",
                    code="authority",
                )
            about["target"], target = to.actor, f"{self.voice}@{ROOT}"
        key = f"{self.kind}/{fire.id}/{fire.due}"
        return Draft(target, fire.prompt, kind=self.kind, idempotency_key=key, data={"schedule": about})

    def _tell(self, before: ScheduleRow | None, row: ScheduleRow) -> None:
        was = "" if before is None else before.fault
        if was == row.fault:
            return
        self._node.log.event(
            f"{self.kind}.{'fault' if row.fault else 'healed'}",
            level="warn" if row.fault else "info",
            id=row.id,
            why=row.fault or was,
        )
        self._node.events.publish("schedule", what=self.kind, id=row.id, fault=row.fault or None)
        if row.fault:
            self._node.group.ride(
                observe.watchdog_saw(
                    row.fault_at,
                    "schedule_fault",
                    actor=self.voice,
                    severity="warn",
                    status="open",
                    detail={"id": row.id, "why": row.fault},
                )
            )


def with_fault(row: ScheduleRow, sentence: str, now: int) -> ScheduleRow:
    """The time is that of the first of the same fault."""
    return row if row.fault == sentence else replace(row, fault=sentence, fault_at=now)


def through_root(node: Node) -> bool:
    identity = node.identity
    return identity.charter is not None and not identity.root and not node.config.local_work


def actors_here(node: Node) -> set[str]:
    return {"agent0", *(str(state["name"]) for state in node.actors.states())}


def _sent(answer: Accepted | NetskyError) -> Sent:
    if isinstance(answer, Accepted):
        return Sent("fired", answer.id)
    if isinstance(answer, Conflict) and answer.code == "idempotency_conflict":
        return Sent("fired")  # before a crash, and its text or target was changed since
    if isinstance(answer, TryLater):
        return Sent("later", sentence=answer.message)
    return Sent("refused", sentence=answer.message)


assert all(kind_or_text(kind) == kind for kind in VOICE)
