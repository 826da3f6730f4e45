"""What one node may do to the others: a destination that is dead and full, and an origin that floods.

Five nodes as processes: netsky1 sends to netsky2; netsky4 is stopped with its queues full, and is later where all send
to, two of them at a pace and netsky3 as fast as it can. Each figure is taken in turns, without the trouble and with it,
so that what else the machine does meets both alike; medians of these pairs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Self

from netsky.node.bench.figures import Figure
from netsky.node.bench.fleet import Books, Fleet
from netsky.node.bench.process import Drainer, Machine
from netsky.node.bench.sending import Sender, Sent, fill
from netsky.node.client import Client

SECONDS = 5
"""Of each measurement."""

PAIRS = 3
PACE = 100
"""Envelopes a second of each honest origin."""

AHEAD_SECONDS = 1
"""A flood has begun when the honest ones begin."""

WARM_UP_SECONDS = 2
FILL_MOST = 12_000
"""More than an outbox takes."""

ROUTES = (
    'pair = "*@netsky1 -> *@netsky2: *"',
    'first = "*@netsky1 -> *@netsky4: *"',
    'second = "*@netsky2 -> *@netsky4: *"',
    'third = "*@netsky3 -> *@netsky4: *"',
    'other = "*@netsky1 -> *@netsky3: *"',
)
BULK, QUIET = "agent1", "agent0"
"""Actors of a destination: who gets what is sent as fast as it goes, and who gets the rest."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Of the honest origins together, in one measurement."""

    arrived: float
    """Of what was due, in percent, before the measurement was over."""
    p50: float
    p99: float
    flood: float
    """What came of the flood meanwhile, envelopes/s."""


class FairnessBench:
    title = "Five nodes over iroh, without and with a trouble in turns"

    def __init__(self, folder: str, notice: Callable[[str], None], seconds: float, pairs: int = PAIRS) -> None:
        self._seconds, self._pairs = seconds, pairs
        self.fleet = Fleet(folder, 4, ROUTES, notice)
        self.books = Books()
        self.root, self.one, self.two, self.three, self.four = self.fleet.nodes
        self._refusals: set[str] = set()
        self._notice = notice

    def measure(self) -> list[Figure]:
        self.fleet.start()
        self._notice("warming up …")
        self._rate(WARM_UP_SECONDS)
        self._honest(WARM_UP_SECONDS, flooded=True)
        return [*self._dead_destination(), *self._one_floods()]

    # One destination dead and full.

    def _dead_destination(self) -> list[Figure]:
        alone, beside, queued = [], [], []
        memory: list[Figure] = []
        for turn in range(self._pairs):
            self._notice(f"a destination dead and full, pair {turn + 1} of {self._pairs} …")
            alone.append(self._rate(self._seconds))
            with _Stopped(self.four) as four:
                filled = [self._fill(node, self.four) for node in (self.root, self.one, self.three)]
                queued.append(_queued_at_root(self.root, "netsky4"))
                beside.append(self._rate(self._seconds))
                if turn == self._pairs - 1:
                    memory = self._memory()
            self._take(four, filled)
            for node, _ in filled:
                node.wait_answered()
        kept = median(100 * with_it / without for without, with_it in zip(alone, beside, strict=True))
        unit = "envelopes/s"
        return [
            Figure("alone_per_s", "netsky1 to netsky2, all others well", median(alone), unit, "", _each(alone)),
            Figure("beside_dead_per_s", "the same, netsky4 dead and full", median(beside), unit, "", _each(beside)),
            Figure("beside_dead_percent", "of its rate is kept", kept, "%", ">= 90", "median of the pairs"),
            Figure(
                "dead_queued",
                "passed on by the root and waiting for netsky4 meanwhile",
                median(queued),
                "envelopes",
                "",
                f"and its senders are told {', '.join(sorted(self._refusals))}",
            ),
            *memory,
        ]

    def _rate(self, seconds: float) -> float:
        """As fast as netsky1 can, to netsky2: from the first send to the last row."""
        mark, drainer = self.two.mark(), Drainer(self.two.home_path, BULK)
        sender = Sender(self.one.home_path, f"{BULK}@netsky2", seconds)
        begun = time.time_ns()
        sender.begin()
        sent = sender.finished()
        there = self.two.arrived(mark, len(sent.ids))
        self.books.compare(self.one, sent, [id_ for id_, _ in there])
        self.books.doubled += drainer.finished(len(there))["doubled"]
        return len(there) / ((max(at for _, at in there) - begun) / 1e9)

    def _fill(self, node: Machine, destination: Machine, **more: Any) -> tuple[Machine, Sent]:
        """Until its own node takes no more for that destination."""
        name = os.path.basename(destination.home_path)
        sent, code = fill(node.home, f"{BULK}@{name}", FILL_MOST, **more)
        self._refusals.add(code)
        return node, sent

    def _take(self, stopped: _Stopped, filled: Sequence[tuple[Machine, Sent]]) -> None:
        """What waited for a destination arrives there."""
        destination = stopped.node
        drainer = Drainer(destination.home_path, BULK)
        there = destination.arrived(stopped.mark, sum(len(sent.ids) for _, sent in filled))
        for node, sent in filled:
            self.books.compare(node, sent, [id_ for id_, _ in there])
        self.books.doubled += drainer.finished(len(there))["doubled"]

    # 10,000 queued.

    def _memory(self) -> list[Figure]:
        """The root has the queue of netsky4 and what it sends there itself; netsky1 fills its outbox to the last."""
        self._notice("10,000 queued on one node …")
        with _Stopped(self.three) as three:
            filled = [self._fill(self.one, self.three)]
            filled.append(self._fill(self.one, self.three, kind="reply"))
            found = [_memory("root", self.root), _memory("origin", self.one)]
        self._take(three, filled)
        return found

    # One who floods.

    def _one_floods(self) -> list[Figure]:
        pairs: list[tuple[Reading, Reading]] = []
        for turn in range(self._pairs):
            self._notice(f"one who floods, pair {turn + 1} of {self._pairs} …")
            pairs.append((self._honest(self._seconds, flooded=False), self._honest(self._seconds, flooded=True)))
        calm, flooded = [one for one, _ in pairs], [other for _, other in pairs]
        times = median(with_it.p99 / without.p99 for without, with_it in pairs)
        who = f"netsky1 and netsky2, {PACE}/s each to netsky4"
        return [
            _median("calm_p50_ms", f"{who}, half within", [one.p50 for one in calm]),
            _median("calm_p99_ms", "99 of 100 within", [one.p99 for one in calm]),
            _median("flooded_p50_ms", "the same, netsky3 floods, half within", [one.p50 for one in flooded]),
            _median("flooded_p99_ms", "99 of 100 within", [one.p99 for one in flooded]),
            Figure("flooded_p99_times", "as long as without the flood", times, "times", "<= 3", "median of the pairs"),
            _median("flooded_arrived_percent", "came of what was due", [one.arrived for one in flooded], "%", ">= 90"),
            _median("calm_arrived_percent", "and without the flood", [one.arrived for one in calm], "%"),
            _median("flood_per_s", "of the flood meanwhile", [one.flood for one in flooded], "envelopes/s"),
        ]  # fmt: skip

    def _honest(self, seconds: float, *, flooded: bool) -> Reading:
        destination, mark = self.four, self.four.mark()
        drainers = {actor: Drainer(destination.home_path, actor) for actor in (QUIET, BULK)}
        senders = [(node, Sender(node.home_path, f"{QUIET}@netsky4", seconds, PACE)) for node in (self.one, self.two)]
        flood = Sender(self.three.home_path, f"{BULK}@netsky4", seconds + AHEAD_SECONDS) if flooded else None
        if flood is not None:
            flood.begin()
            time.sleep(AHEAD_SECONDS)
        for _, sender in senders:
            sender.begin()
        honest = [(node, sender.finished()) for node, sender in senders]
        floods = [(self.three, flood.finished())] if flood is not None else []
        there = dict(found := destination.arrived(mark, sum(len(sent.ids) for _, sent in (*honest, *floods))))
        for node, sent in (*honest, *floods):
            self.books.compare(node, sent, [id_ for id_, _ in found])
        for actor, lot in ((QUIET, honest), (BULK, floods)):
            count = sum(id_ in there for _, sent in lot for id_ in sent.ids)
            self.books.doubled += drainers[actor].finished(count)["doubled"]
        return _reading(there, [sent for _, sent in honest], [sent for _, sent in floods], seconds)

    # What is said of it.

    def summary(self, figures: list[Figure]) -> dict[str, Any]:
        """The documented keys."""
        by_key = {figure.key: figure.value for figure in figures}
        return {
            "dead": {
                "alone_per_s": round(by_key["alone_per_s"]),
                "beside_per_s": round(by_key["beside_dead_per_s"]),
                "percent": round(by_key["beside_dead_percent"], 1),
                "queued": round(by_key["dead_queued"]),
            },
            "flood": {
                "arrived_percent": round(by_key["flooded_arrived_percent"], 1),
                "p99_ms": round(by_key["flooded_p99_ms"], 2),
                "calm_p99_ms": round(by_key["calm_p99_ms"], 2),
                "times": round(by_key["flooded_p99_times"], 2),
                "flood_per_s": round(by_key["flood_per_s"]),
            },
            "rss_mb_queued": {name: round(by_key[f"rss_mb_{name}_queued"], 1) for name in ("root", "origin")},
        }

    def in_short(self, figures: list[Figure]) -> str:
        found = self.summary(figures)
        return (
            f"beside a dead destination {found['dead']['percent']:g} % of the rate; beside a flood "
            f"{found['flood']['arrived_percent']:g} % arrive, {found['flood']['times']:g} times as late"
        )


class _Stopped:
    """A node that is down meanwhile; afterwards it is linked again."""

    def __init__(self, node: Machine) -> None:
        self.node = node
        self.mark = node.mark()

    def __enter__(self) -> Self:
        self.node.down()
        return self

    def __exit__(self, *_: object) -> None:
        self.node.up()
        self.node.wait_linked()


def _reading(there: dict[str, int], honest: list[Sent], floods: list[Sent], seconds: float) -> Reading:
    begun = min(sent.due[0] for sent in honest)
    over = begun + round(seconds * 1e9)
    waits = sorted(
        (there[id_] - due) / 1e6 for sent in honest for id_, due in zip(sent.ids, sent.due, strict=True) if id_ in there
    )
    offered = sum(len(sent.ids) for sent in honest)
    in_time = sum(there.get(id_, over + 1) <= over for sent in honest for id_ in sent.ids)
    flood = sum(begun <= there.get(id_, 0) <= over for sent in floods for id_ in sent.ids)
    return Reading(100 * in_time / offered, waits[len(waits) // 2], waits[len(waits) * 99 // 100], flood / seconds)


def _queued_at_root(root: Machine, name: str) -> int:
    with Client.connect(root.home) as client:
        return next(int(link["queued"]) for link in client.call("status")["links"] if link["name"] == name)


def _memory(name: str, node: Machine) -> Figure:
    queued = node.count(
        "SELECT (SELECT count(*) FROM outbox WHERE state != 'done') + (SELECT coalesce(sum(envelopes), 0) FROM forward)"
    )
    return Figure(f"rss_mb_{name}_queued", f"memory of {name}", node.rss_mb(), "MB", "<= 120", f"{queued:,} queued")


def _median(key: str, name: str, each: list[float], unit: str = "ms", wanted: str = "") -> Figure:
    return Figure(key, name, median(each), unit, wanted, _each(each))


def _each(values: Sequence[float]) -> str:
    return "median of " + ", ".join(f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in values)
