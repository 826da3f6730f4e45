"""A life of the node that follows a restart proves itself and clears the intent; one that follows a crash counts it.

Whoever asked for the restart may be gone: the intent is a marker, and this is who finds it. What is proved becomes a
row of `handoffs`, and only then the marker goes. What is not proved in time is said, and looked at again each round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from netsky.node.db import handoffs, inbox
from netsky.node.db.handoffs import NODE, Intent
from netsky.node.errors import TryLater
from netsky.node.handoff import life
from netsky.node.handoff.intent import CRASHES, DOWN, GAVE_UP, RESTART_NODE, Wanted, read_intent
from netsky.node.handoff.life import Line, Sight
from netsky.node.handoff.limits import (
    CARRIED_OUT_SECONDS,
    LINK_SECONDS,
    NODE_CRASHES_MAX,
    NODE_CRASHES_SECONDS,
    NODE_PROVE_SECONDS,
)
from netsky.node.markers import Marker

if TYPE_CHECKING:
    from netsky.node.daemon.node import Fault, Node

SECOND = 10**9
LIFE_SIGNAL = "new-life/"
"""Rung when this life has proved itself, or was found wanting."""

_LOOK_NS = SECOND // 4


class NewLife:
    name = "new_life"

    def __init__(self, node: Node) -> None:
        self._node = node
        self.wanted: Wanted | None = None
        """The restart that this life follows from, until it has proved itself."""
        self.lines: list[Line] = []
        self.state = "unasked"
        """unasked (nobody asked for this life), starting, proved, wanting"""
        node.complaints.append(self._complain)

    def begin(self) -> None:
        """Before anything serves."""
        node, now = self._node, self._node.now()
        node.markers.clear(DOWN)
        wanted = read_intent(node.markers, now)
        if wanted is not None and wanted.pid != node.pid:
            self.wanted, self.state = wanted, "starting"
            node.log.event("node.restarted", by=wanted.by, why=wanted.why, asked_at=wanted.at, forced=wanted.forced)
        if node.opened.after_crash:
            self._count_crash(now)

    async def run(self) -> None:
        """Looks until it is proved or its time is over."""
        node = self._node
        until = node.seams.time.monotonic() + NODE_PROVE_SECONDS * SECOND
        while not await self._look():
            if node.seams.time.monotonic() >= until:
                if self.wanted is not None:
                    self.state = "wanting"
                    node.log.event("node.not_proved", level="warn", missing=life.missing(self.lines))
                    node.events.publish("restart_failed", actor=NODE, said=life.missing(self.lines))
                break
            await node.seams.time.sleep_until(node.seams.time.monotonic() + _LOOK_NS)
        node.signals.ring(LIFE_SIGNAL)

    async def _look(self) -> bool:
        wanted = self.wanted
        self.lines = life.compare({} if wanted is None else wanted.ran, await self._sight())
        if not life.proved(self.lines):
            return False
        if wanted is not None:
            try:
                await self._node.group.write([handoffs.record(self._intent(wanted), "proved", self._node.now(), *_ALL)])
            except TryLater:  # no room for the row: the proof is looked for again, and found again
                return False
            self.wanted, self.state = None, "proved"
            self._node.markers.clear(RESTART_NODE)
            self._node.markers.clear(CRASHES)
            self._node.events.publish("restarted", actor=NODE, by=wanted.by, why=wanted.why)
        if self._node.markers.clear(GAVE_UP):
            self._node.log.event("node.kept_up_again")
        return True

    async def _sight(self) -> Sight:
        node = self._node
        [counts] = await node.ledger.transaction([inbox.counts()])
        links = [] if node.links is None else node.links.status()
        latest = node.ticker.latest
        return Sight(
            node.is_ready,
            None if latest is None else latest.number,
            {str(row["name"]): "" if row["up"] else _why_down(row) for row in links},
            {
                str(actor["name"]): (str(actor["state"]), str(actor["reason"]))
                for actor in node.actors.states()
                if actor["mode"] != "none"
            },
            sum(cast("int", row[1]) for row in counts),
            node.restarts.returned,
            node.seams.time.monotonic() - node.started_monotonic >= LINK_SECONDS * SECOND,
        )

    def _intent(self, wanted: Wanted) -> Intent:
        return Intent(
            *(NODE, wanted.by, wanted.forced, wanted.why, wanted.ran, None),
            within=NODE_PROVE_SECONDS * SECOND,
            at=wanted.at,
        )

    def _count_crash(self, now: int) -> None:
        """How often it ended without order lately: a loop is called one, by whoever looks and by the next start."""
        node = self._node
        known = node.markers.get(CRASHES, now)
        found = [] if known is None else known.data.get("at")
        before = [at for at in found if isinstance(at, int)] if isinstance(found, list) else []
        times = [*(at for at in before if now - at < NODE_CRASHES_SECONDS * SECOND), now][-100:]
        reason = f"the node ended without order {len(times)} times within {NODE_CRASHES_SECONDS // 60} min"
        clear = f"{NODE_CRASHES_SECONDS // 60} min without another one, or netsky restart is proved"
        until = now + NODE_CRASHES_SECONDS * SECOND
        try:
            node.markers.put(Marker(CRASHES, "node", reason, now, until, clear, {"at": times}))
        except OSError as error:
            node.log.event("marker.not_written", level="warn", name=CRASHES, error=str(error))
        if len(times) >= NODE_CRASHES_MAX:
            node.log.event("node.crash_loop", level="error", ends=len(times))

    async def tick(self, now: int) -> dict[str, object]:
        if self.state == "wanting":
            if await self._look():
                self._node.signals.ring(LIFE_SIGNAL)
        elif self.wanted is None:
            await self._look_for_intent(now)
        return {"state": self.state}

    async def _look_for_intent(self, now: int) -> None:
        """One that speaks of this very life, and that nobody carries out: it is told, and goes."""
        wanted = read_intent(self._node.markers, now)
        if wanted is None or wanted.pid != self._node.pid:
            return
        if now - wanted.at < CARRIED_OUT_SECONDS * SECOND:
            return
        said = "it was asked for, and the node was never stopped"
        await self._node.group.write([handoffs.record(self._intent(wanted), "failed", now, said, True)])
        self._node.markers.clear(RESTART_NODE)
        self._node.log.event("node.restart_not_carried_out", level="warn", by=wanted.by, why=wanted.why)
        self._node.events.publish("restart_failed", actor=NODE, said=said)

    def _complain(self) -> list[Fault]:
        found: list[Fault] = []
        if self.state == "wanting":
            said = f"the node was restarted, and not all is as before: {life.missing(self.lines)}"
            found.append({"code": "restart", "sentence": said, "next": "netsky status; netsky handoffs"})
        crashes = self._node.markers.get(CRASHES, self._node.now())
        ends = crashes.data.get("at") if crashes is not None else None
        if crashes is not None and isinstance(ends, list) and len(ends) >= NODE_CRASHES_MAX:
            step = f"look into {self._node.home.node_log}"
            found.append({"code": "crash_loop", "sentence": crashes.reason, "next": step})
        return found

    def shown(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "lines": [{"what": line.what, "proved": line.proved, "said": line.said} for line in self.lines],
        }


_ALL = ("all that ran before runs again", True)


def _why_down(row: dict[str, Any]) -> str:
    return f"down: {row['trouble']}" if row["trouble"] else "down"
