"""Restarting the program of an actor, whoever asks: a person, the actor itself, the watchdog. All go this one way.

    intent and text stored in one commit → program ended in order → what it had in hand back in its inbox → the text
    before all of it → stored that a new life may begin → program started → proved → cleared

Whatever dies at whatever point, the next life of the node finds the row and goes on: what is `written` is given back
and handed on before any program starts, what is `restarted` is watched. Nothing is cleared before it is proved. What is
not proved is tried again with a growing pause, three times in all; then it stands there as failed, with a marker and an
event, until the actor is seen to be well or is restarted anew.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.actors.give_back import give_back
from netsky.node.daemon.told import TAKEN_SIGNAL
from netsky.node.db import handoffs, inbox
from netsky.node.db.handoffs import NODE, HandoffRow, Intent
from netsky.node.errors import Conflict, NotFound, TryLater
from netsky.node.handoff import giving
from netsky.node.handoff.judge import AGAIN, SECOND, Seen, Verdict, judge
from netsky.node.handoff.limits import (
    GIVE_AGAIN_SECONDS,
    GRACE_SECONDS,
    HEALTHY_SECONDS,
    LOOK_SECONDS,
    OWN_PER_HOUR,
    PROVE_SECONDS,
)
from netsky.node.handoff.trouble import complaint, healthy, marker_name, put_marker

if TYPE_CHECKING:
    from netsky.node.daemon.node import Fault, Node
    from netsky.node.seams.ledger import Row, Statement

RESTARTS_SIGNAL = "restarts/"
"""Rung when a restart was asked for, or has changed its state."""


class Restarts:
    name = "restarts"

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open: dict[str, HandoffRow] = {}
        self._at_work: set[int] = set()
        self.returned = 0
        """Envelopes that came back from lives that ended, since the node started."""
        node.complaints.append(self._complain)

    async def ask(
        self,
        actor: str,
        *,
        by: str,
        why: str,
        text: str | None = None,
        forced: bool = False,
        within_ns: int = PROVE_SECONDS * SECOND,
    ) -> HandoffRow:
        """The intent, stored when this returns; the rest happens by itself. `by`: operator, the actor, or whoever of
        the node found that it is needed (`forced`)."""
        node, now = self._node, self._node.now()
        state = self._state(actor)
        if state["mode"] == "none":
            raise Conflict(
                f"no program of this node runs for {actor}, so there is none to restart",
                next=f"netsky agent add {actor} -- PROGRAM; to tell it something: netsky send {actor} TEXT",
                code="no_program",
            )
        await self._check_pace(actor, by, now)
        intent = Intent(actor, by, forced, why, await self._ran(state), text, within_ns, now)
        _, written = await node.group.write([handoffs.replace(actor, now), handoffs.write(intent)])
        [row] = handoffs.rows(written)
        self._open[actor] = row
        self._tell("restart_asked", row, by=by, why=why, forced=forced)
        node.signals.ring(RESTARTS_SIGNAL)
        return row

    async def _check_pace(self, actor: str, by: str, now: int) -> None:
        row = self._open.get(actor)
        if row is not None and row.state == "written" and row.id in self._at_work:
            raise TryLater(
                f"{actor} is being restarted just now", next="netsky handoffs, in a moment", code="restart_in_hand"
            )
        if by != actor:
            return
        [[(asked,)]] = await self._node.group.write([handoffs.asked_since(actor, now - 3_600 * SECOND)])
        assert isinstance(asked, int)
        if asked >= OWN_PER_HOUR:
            raise TryLater(
                f"{actor} has asked for its own restart {asked} times within the hour",
                next=f"go on without one, or let the operator do it: netsky restart {actor}",
                code="too_many_restarts",
            )

    async def _ran(self, state: dict[str, Any]) -> dict[str, Any]:
        [counts] = await self._node.ledger.transaction([inbox.counts()])
        waiting = {str(row[0]): (row[1], row[2]) for row in counts}.get(state["name"], (0, 0))
        known = {key: state[key] for key in ("state", "reason", "pid", "started_at", "restarts", "command")}
        return known | {"waiting": waiting[0], "claimed": waiting[1]}

    async def prepare(self) -> None:
        """At each start of the actors, before any program runs: what the last life of the node began goes on."""
        await self._load()
        for row in list(self._open.values()):
            if row.state == "written" and row.actor != NODE:
                self._open[row.actor] = await self._between(row)

    async def run(self) -> None:
        await self._load()
        async with trio.open_nursery() as nursery:
            while True:
                heard = self._node.signals.count(RESTARTS_SIGNAL)
                for row in self._open.values():
                    if row.ended is None and row.id not in self._at_work and row.actor != NODE:
                        self._at_work.add(row.id)
                        nursery.start_soon(self._carry_out, row)
                await self._node.signals.wait_beyond(RESTARTS_SIGNAL, heard)

    async def _load(self) -> None:
        [found] = await self._node.group.write([handoffs.open_ones()])
        self._open = {row.actor: row for row in handoffs.rows(found)}
        self._at_work = set()

    async def _carry_out(self, row: HandoffRow) -> None:
        """One restart, to its proof or its end. The order of effects stands here and nowhere else."""
        try:
            while True:
                if row.state == "written":
                    row = await self._renew(row)
                verdict, row = await self._watch(row)
                if verdict.word == "proved":
                    await self._proved(row, verdict.said)
                    return
                if verdict.word == "failed":
                    await self._failed(row, verdict.said)
                    return
                self._tell("restart_not_proved", row, said=verdict.said)
                await self._pause(row)
                [found] = await self._stored(handoffs.again(row.id, verdict.said))
                if not found or self._is_replaced(row):
                    return
                [row] = handoffs.rows(found)
                self._open[row.actor] = row
        except NotFound as gone:
            await self._stored(handoffs.over(row.id, self._node.now(), gone.message))
            self._forget(row)
        except _Replaced:
            return
        finally:
            self._at_work.discard(row.id)
            self._node.signals.ring(RESTARTS_SIGNAL)

    async def _renew(self, row: HandoffRow) -> HandoffRow:
        node, made = self._node, [row]
        if row.asked_by == row.actor and row.tries == 0:
            await node.seams.time.sleep_until(node.seams.time.monotonic() + round(GRACE_SECONDS * SECOND))

        async def between() -> None:
            made[0] = await self._between(row)

        while True:
            try:
                await node.actors.renew(row.actor, between)
            except TryLater:  # the actors are being started again just now: they do what is between by themselves
                await node.seams.time.sleep_until(node.seams.time.monotonic() + SECOND)
                continue
            if self._is_replaced(row):
                raise _Replaced
            self._open[row.actor] = made[0]
            return made[0]

    async def _between(self, row: HandoffRow) -> HandoffRow:
        """The old life is over, the new one has not begun. A full disk hinders no life: what finds no room is stored
        later, or done once more by the next start."""
        node = self._node
        returned = await give_back(node, row.actor)
        row = await self._give(row)
        now = node.now()
        begun = replace(row, state="restarted", restarted=now, tries=row.tries + 1, returned=row.returned + returned)
        with suppress(TryLater):
            [found] = await node.group.write([handoffs.begun(row.id, now, returned)])
            begun = next(iter(handoffs.rows(found)), begun)
        self._tell("restarting", begun, returned=returned, tries=begun.tries)
        return begun

    async def _give(self, row: HandoffRow) -> HandoffRow:
        if row.text is None or row.envelope is not None:
            return row
        try:
            return replace(row, envelope=await giving.give(self._node, row))
        except TryLater as full:
            self._node.log.event("restart.not_handed_on", level="warn", actor=row.actor, reason=full.message)
            return row

    async def _watch(self, row: HandoffRow) -> tuple[Verdict, HandoffRow]:
        """Until the new life has proved itself, or had its time."""
        node, began = self._node, self._node.seams.time.monotonic()
        tried = began
        while True:
            if self._is_replaced(row):
                raise _Replaced
            now = node.seams.time.monotonic()
            if row.text is not None and row.envelope is None and now - tried >= GIVE_AGAIN_SECONDS * SECOND:
                tried = now
                self._open[row.actor] = row = await self._give(row)
            heard = node.signals.count(TAKEN_SIGNAL)
            seen = await self._seen(row, now - began)
            began = now if seen.state == "halted" else began
            verdict = judge(seen, within_ns=row.within, tries=row.tries)
            if verdict.word != "wait":
                return verdict, row
            with trio.move_on_after(LOOK_SECONDS):
                await node.signals.wait_beyond(TAKEN_SIGNAL, heard)

    async def _seen(self, row: HandoffRow, since_ns: int) -> Seen:
        state = self._state(row.actor)
        handed = await giving.handed(self._node, row)
        return Seen(state["mode"], state["state"], state["reason"], handed, int(state["up_ns"] or 0), since_ns)

    def _state(self, actor: str) -> dict[str, Any]:
        self._node.actors.row(actor)
        return next(state for state in self._node.actors.states() if state["name"] == actor)

    async def _pause(self, row: HandoffRow) -> None:
        time, chance = self._node.seams.time, self._node.seams.chance
        await time.sleep_until(time.monotonic() + AGAIN.wait_ns(max(0, row.tries - 1), chance.fraction()))

    async def _proved(self, row: HandoffRow, said: str) -> None:
        """Only now nothing of it is open any more, and its actor is no longer called broken."""
        await self._stored(handoffs.proved(row.id, self._node.now(), said))
        self._forget(row)
        self._node.markers.clear(marker_name(row.actor))
        self._node.pager.withdraw(f"restart.{row.actor}")
        self._tell("restarted", row, said=said, returned=row.returned)

    async def _failed(self, row: HandoffRow, said: str) -> None:
        now = self._node.now()
        await self._stored(handoffs.failed(row.id, now, said))
        self._open[row.actor] = replace(row, state="failed", ended=now, said=said)
        put_marker(self._node, row.actor, f"restarted {row.tries} times, and not proved: {said}", {"handoff": row.id})
        self._tell("restart_failed", row, said=said, tries=row.tries)
        if row.forced:  # the watchdog asked for it, sees that it did not help, and pages by its own rules
            return
        subject, actor = f"{row.actor} was restarted and did not prove itself", row.actor
        body = (
            f"{row.tries} new lives were begun: {said}.\nNext: netsky agent logs {actor}, then: netsky restart {actor}"
        )
        self._node.pager.page(subject, body, severity="urgent", key=f"restart.{actor}")

    async def _stored(self, statement: Statement) -> list[list[Row]]:
        """Where there is no room, later: whoever waits here waits for nothing else."""
        time = self._node.seams.time
        while True:
            try:
                return await self._node.group.write([statement])
            except TryLater:
                await time.sleep_until(time.monotonic() + round(GIVE_AGAIN_SECONDS * SECOND))

    def _is_replaced(self, row: HandoffRow) -> bool:
        current = self._open.get(row.actor)
        return current is None or current.id != row.id

    def _forget(self, row: HandoffRow) -> None:
        if not self._is_replaced(row):
            del self._open[row.actor]

    def _tell(self, what: str, row: HandoffRow, **more: Any) -> None:
        level = "warn" if what in ("restart_not_proved", "restart_failed") else "info"
        self._node.log.event(f"actor.{what}", level=level, actor=row.actor, handoff=row.id, **more)
        self._node.events.publish(what, actor=row.actor, handoff=row.id, **more)

    # What is seen later, and what is said meanwhile.

    async def tick(self, now: int) -> dict[str, object]:
        """Once a minute: who was given up and is well again is no longer called broken."""
        failed = [row for row in self._open.values() if row.ended is not None and row.actor != NODE]
        for row in failed:
            try:
                seen = await self._seen(row, 0)
            except NotFound as gone:
                await self._node.group.write([handoffs.over(row.id, now, gone.message)])
                self._forget(row)
                continue
            late = judge(seen, within_ns=1, tries=0)
            if late.word == "proved" and (seen.handed != "nothing" or seen.up_ns >= HEALTHY_SECONDS * SECOND):
                await self._proved(row, f"later than it should: {late.said}")
        cleared = healthy(self._node, now, {row.actor for row in self._open.values()})
        return {"open": len(self._open), "given_up": len(failed), "well_again": len(cleared)}

    def in_hand(self, actor: str) -> bool:
        """Whether a restart of it is under way: nobody else needs to do anything about it."""
        row = self._open.get(actor)
        return row is not None and row.ended is None

    def _complain(self) -> list[Fault]:
        return [complaint(row) for row in self._open.values() if row.ended is not None]


class _Replaced(Exception):
    """Somebody asked anew: that one goes on."""
