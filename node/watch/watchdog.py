"""The watchdog: one task of its own that looks, decides and sees to it. Its state lives here, not in the task, and its
clock is its own: the ticker asks it to look, and when the ticker does not, it looks all the same and says so.

A look is one query with a bound. What it decides is pure (`progress`, `troubles`, `alarms`); what follows from that is
carried out one by one (`carry`), each within its own time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.db import node_state
from netsky.node.seams.files import HostileFile
from netsky.node.supervise import Crash
from netsky.node.watch import carry, facts, memory, troubles
from netsky.node.watch.alarms import Alarm, Decision, Trouble, step, was_told
from netsky.node.watch.facts import DatabaseHangs, Facts
from netsky.node.watch.memory import Kept
from netsky.node.watch.progress import SECOND, Seen, Watched, judge
from netsky.node.watch.quiet import Quiets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netsky.node.daemon.node import Fault, Node
    from netsky.node.markers import Marker

SCHEDULES = ("cron_", "loop_", "tick_")
"""How codes of faults begin that are about what should fire."""


@dataclass(slots=True)
class Looked:
    """What the last look found."""

    at: int | None = None
    took_ns: int = 0
    seen: dict[str, Seen] = field(default_factory=dict)


class Watchdog:
    name = "watchdog"

    def __init__(self, node: Node) -> None:
        self.quiets = Quiets()
        self.actors: dict[str, Watched] = {}
        self.alarms: dict[str, Alarm] = {}
        self.latest = Looked()
        self._node = node
        self._loaded = False
        self._written: object = None
        self._looked_at: int | None = None
        self._silent = 0
        """ns without a word of the ticker, as counted by looks: a machine that slept is no silent ticker."""
        self._failing: dict[str, int] = {}
        self._round = 0
        self._wake, self._done = trio.Event(), trio.Event()
        self._nursery: trio.Nursery | None = None

    @property
    def hang_ns(self) -> int:
        return self._node.config.hang_seconds * SECOND

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                while True:
                    with trio.move_on_after(1.5 * self._node.config.tick_seconds):
                        await self._wake.wait()
                    self._wake = trio.Event()
                    await self.look()
                    self._done.set()
                    self._done = trio.Event()
            finally:
                self._nursery = None

    async def tick(self, now: int) -> Mapping[str, object]:  # noqa: ARG002 - a part of the ticker
        self._silent = 0
        done = self._done
        self._wake.set()
        await done.wait()
        found: dict[str, object] = {"actors": len(self.actors), "alarms": sorted(self.alarms)}
        return found | {"look_ms": round(self.latest.took_ns / 1e6, 3)}

    def complaints(self) -> list[Fault]:
        """For `status` and `doctor`."""
        return [
            {"code": "alarm", "sentence": f"{alarm.sentence}{_done_about(alarm)}", "next": alarm.next}
            for _, alarm in sorted(self.alarms.items())
        ]

    async def look(self) -> None:
        node = self._node
        time = node.seams.time
        began, wall = time.monotonic(), time.wall()
        period = node.config.tick_seconds * SECOND
        passed = 0 if self._looked_at is None else min(began - self._looked_at, 2 * period)
        self._looked_at = began
        self._silent += passed
        markers = self._markers(wall, began)
        found = self._of_the_node(period)
        facts_found = await self._read(began)
        if isinstance(facts_found, Trouble):
            found[facts_found.key] = facts_found
            await self._decide(found, None, passed=passed, wall=wall)
        else:
            self._judge(facts_found, passed=passed, wall=wall)
            for name, watched in self.actors.items():
                seen = self.latest.seen.get(name)
                for trouble in () if seen is None else troubles.of_actor(seen, watched, self.alarms):
                    found[trouble.key] = trouble
            await self._decide(found, facts_found, passed=passed, wall=wall)
            self._keep()
        self._sync_markers(markers, wall)
        self.latest.at, self.latest.took_ns = wall, time.monotonic() - began

    def _markers(self, wall: int, monotonic: int) -> list[Marker]:
        """A folder that cannot be read silences nobody: then there is no quiet."""
        try:
            found = self._node.markers.live(wall)
            over = self.quiets.look(found, wall=wall, monotonic=monotonic)
            for name in over:
                self._node.markers.clear(name)
        except (OSError, HostileFile) as error:
            self._node.log.event("watchdog.no_markers", level="warn", error=str(error))
            return []
        return found

    def _sync_markers(self, there: list[Marker], wall: int) -> None:
        try:
            carry.sync_markers(self._node, self.alarms, there, wall)
        except (OSError, HostileFile) as error:  # a full disk: the row and the page say it, too
            self._node.log.event("watchdog.no_marker", level="warn", error=str(error))

    async def _read(self, monotonic: int) -> Facts | Trouble:
        told = {alarm.told for alarm in self.alarms.values() if alarm.told is not None}
        quiet = frozenset(one.actor for one, _ in self.quiets.all(monotonic))
        try:
            found = await facts.read(self._node, before=self.actors, told=told, quiet=quiet, first=not self._loaded)
        except DatabaseHangs as hangs:
            return troubles.of_database(str(hangs))
        if not self._loaded:
            self._load(found.kept)
        return found

    def _load(self, kept: object) -> None:
        """Once in a life. What happened before it was read is not undone by it."""
        self._loaded = True
        before = memory.decode(kept, hang_ns=self.hang_ns, wall=self._node.now())
        self.actors = dict(before.actors) | self.actors
        self.alarms = dict(before.alarms) | self.alarms

    def _judge(self, found: Facts, *, passed: int, wall: int) -> None:
        self.latest.seen = dict(found.seen)
        hang_ns = self.hang_ns
        judged = {
            name: judge(self.actors.get(name, Watched()), seen, passed=passed, wall=wall, hang_ns=hang_ns)
            for name, seen in found.seen.items()
        }
        self.actors = judged if found.complete else self.actors | judged

    def _of_the_node(self, period: int) -> dict[str, Trouble]:
        """What is wrong with what keeps time here."""
        latest = self._node.ticker.latest
        if latest is not None and latest.number != self._round:
            self._round = latest.number
            failed = {name for name, said in latest.parts.items() if "failed" in said and name != self.name}
            self._failing = {name: self._failing.get(name, 0) + 1 for name in failed}
        silent = troubles.of_ticker(self._silent, period)
        found = [*troubles.of_parts(self._failing), *troubles.of_schedules(self._schedule_faults())]
        return {trouble.key: trouble for trouble in (found if silent is None else [silent, *found])}

    def _schedule_faults(self) -> list[tuple[str, str, str]]:
        found = []
        for complain in self._node.complaints:
            try:
                faults = complain()
            except Exception as error:  # noqa: BLE001 - another part's border: what it cannot say stops no look
                self._node.crashes.report(Crash("watch/complaints", "crashed", error, 0))
                continue
            found += [
                (one["code"], one["sentence"], one["next"]) for one in faults if one["code"].startswith(SCHEDULES)
            ]
        return found

    async def _decide(self, found: dict[str, Trouble], known: Facts | None, *, passed: int, wall: int) -> None:
        """Without facts nothing is said of actors, neither that it is wrong nor that it is over."""
        handled = frozenset[str]() if known is None else known.handled
        for key in sorted({*found, *self.alarms}):
            alarm, trouble = self.alarms.get(key), found.get(key)
            unsure = known is None or not known.complete
            if unsure and trouble is None and alarm is not None and alarm.actor is not None:
                continue
            told = alarm is not None and alarm.told in handled
            after, decisions = step(alarm, trouble, passed=passed, wall=wall, handled=told)
            for decision in decisions:
                after = await self._carry_out(decision, after)
            if after is None:
                self.alarms.pop(key, None)
            else:
                self.alarms[key] = after

    async def _carry_out(self, decision: Decision, after: Alarm | None) -> Alarm | None:
        node, alarm = self._node, decision.alarm
        carry.note(node, decision)
        if decision.act == "tell":
            told = await carry.tell(node, alarm)
            return after if after is None or told is None else was_told(after, told)
        if decision.act == "page":
            carry.page(node, alarm, decision.why)
        elif decision.act == "clear":
            carry.withdraw(node, alarm)
        elif decision.act == "revive":
            assert self._nursery is not None
            self._nursery.start_soon(carry.revive, node, alarm)
        return after

    def _keep(self) -> None:
        """Goes along with other rows, and only where something changed: an idle node writes nothing."""
        kept = ({name: memory.of_actor(one) for name, one in self.actors.items()}, dict(self.alarms))
        if kept != self._written:
            self._written = kept
            self._node.group.ride(node_state.put(memory.KEY, memory.encode(Kept(self.actors, self.alarms))))


def add_watchdog(node: Node) -> None:
    node.watchdog = Watchdog(node)
    node.bus.sent = node.acts.sent
    node.ticker.parts.append(node.watchdog)
    node.complaints.append(node.watchdog.complaints)


def _done_about(alarm: Alarm) -> str:
    done: list[str] = []
    if alarm.revives:
        done.append(f"started again {alarm.revives} times")
    if alarm.pages:
        done.append("the owner was told" if alarm.pages == 1 else f"the owner was told {alarm.pages} times")
    elif alarm.told is not None:
        done.append("agent0 was told")
    if alarm.calm:
        done.append("nothing is done while it is quiet")
    return f" ({'; '.join(done)})" if done else ""


def shown(node: Node, only: str | None = None) -> dict[str, Any]:
    """For `netsky watchdog`: of all actors, or of one."""
    dog = node.watchdog
    monotonic = node.seams.time.monotonic()
    return {
        "hang_s": node.config.hang_seconds,
        "looked_at": dog.latest.at,
        "look_ms": round(dog.latest.took_ns / 1e6, 3),
        "actors": [
            _actor(dog, name, watched)
            for name, watched in sorted(dog.actors.items())
            if only in {None, name} and name in dog.latest.seen
        ],
        "alarms": [_alarm(alarm) for _, alarm in sorted(dog.alarms.items()) if only in {None, alarm.actor}],
        "quiet": quiets_shown(dog, monotonic, only),
    }


def quiets_shown(dog: Watchdog, monotonic: int, only: str | None = None) -> list[dict[str, Any]]:
    return [
        {
            "actor": quiet.actor,
            "by": quiet.by,
            "reason": quiet.reason,
            "at": quiet.at,
            "expires": quiet.expires,
            "left_s": round(left / SECOND, 1),
        }
        for quiet, left in dog.quiets.all(monotonic)
        if only in {None, quiet.actor}
    ]


def _actor(dog: Watchdog, name: str, watched: Watched) -> dict[str, Any]:
    seen = dog.latest.seen[name]
    owes = watched.standing in {"owes", "hung", "unread"}
    return {
        "actor": name,
        "mode": seen.mode,
        "standing": watched.standing,
        "drain": watched.drain,
        "waiting": seen.waiting,
        "oldest": seen.oldest_at,
        "moved_at": watched.moved_at,
        "owed_s": round(watched.owed / SECOND, 1),
        "due_in_s": round((watched.patience - watched.owed) / SECOND, 1) if owes else None,
        "asks": watched.asks if watched.standing == "asks" else None,
    }


def _alarm(alarm: Alarm) -> dict[str, Any]:
    return {
        "key": alarm.key,
        "actor": alarm.actor,
        "sentence": alarm.sentence,
        "next": alarm.next,
        "since": alarm.since,
        "age_s": round(alarm.age / SECOND, 1),
        "calm": alarm.calm,
        "told": alarm.told,
        "pages": alarm.pages,
        "revives": alarm.revives,
    }
