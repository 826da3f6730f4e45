"""What a round of the ticker costs: a node as shipped, 1,000 entries in its `cron.toml` and 100 actors beside it.

Counted are processor time of this process, so that a busy neighbour does not count, and the longest step that any task
of the node held the loop for, during the rounds and while the file was read.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass, field

import trio
from netsky.node.bench.figures import Figure, as_data, machine, print_figures
from netsky.node.bench.reference import commit_reference
from netsky.node.cli.output import Output
from netsky.node.daemon.build import Surroundings
from netsky.node.daemon.node import Node
from netsky.node.daemon.run import run
from netsky.node.db import actors
from netsky.node.db.actors import ActorRow
from netsky.node.home import Home
from netsky.node.init import init_home
from netsky.node.schedule.entries import FILE, entry_text
from netsky.node.seams.real import real_seams

ENTRIES = 1_000
ACTORS = 100
ROUNDS = 50
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe")
WANTED = "< 5"


@dataclass(eq=False)
class _Steps(trio.abc.Instrument):
    """How long tasks held the loop."""

    began: float = field(default_factory=time.thread_time)
    longest: float = 0.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - trio's form
        self.began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        self.longest = max(self.longest, time.thread_time() - self.began)


@dataclass(eq=False)
class _Seen:
    """All in milliseconds of processor time."""

    rounds: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    step: float = 0.0
    reading: float = 0.0
    reading_step: float = 0.0


def bench(args: argparse.Namespace, out: Output) -> int:
    folder = os.path.realpath(args.at or os.getcwd())
    with tempfile.TemporaryDirectory(prefix="netsky-bench-", dir=folder) as place:
        seen = _Seen()
        trio.run(_measure, Home(os.path.join(place, "home")), seen)
        figures = [*_figures(seen), commit_reference(place)]
    where = machine(folder)
    took = next(figure.value for figure in figures if figure.key == "round_ms")
    title = f"A round of the ticker, {ENTRIES:,} entries of cron.toml, {ACTORS} actors"
    out.answer(
        "bench-tick",
        f"a round takes {took:.2f} ms",
        as_data(where, figures),
        lambda: print_figures(title, where, figures),
    )
    return 0


async def _measure(home: Home, seen: _Seen) -> None:
    seams = real_seams()
    init_home(home, seams.files, seams.chance, seams.time, root=False)
    async with trio.open_nursery() as nursery:
        ready: list[Node] = []
        serving, stop = trio.Event(), trio.Event()

        def serves(node: Node) -> None:
            ready.append(node)
            serving.set()

        async def live() -> None:
            await run(home, seams, Surroundings(pid=os.getpid()), ready=serves, stop=stop)

        nursery.start_soon(live)
        await serving.wait()
        [node] = ready
        await _people(node)
        _write(home, "0 0 1 1 *")  # New Year: nothing is due in between
        steps = _Steps()
        trio.lowlevel.add_instrument(steps)
        seen.reading = await _cost(node)
        seen.reading_step = steps.longest * 1e3
        steps.longest = 0.0
        for _ in range(ROUNDS):
            await trio.sleep(0.01)
            seen.rounds.append(await _cost(node, seen))
        seen.step = steps.longest * 1e3
        trio.lowlevel.remove_instrument(steps)
        stop.set()


async def _cost(node: Node, seen: _Seen | None = None) -> float:
    began = time.process_time()
    done = await node.ticker.round("bench")
    took = (time.process_time() - began) * 1e3
    if seen is not None:
        for name, said in done.parts.items():
            seen.parts.setdefault(name, []).append(float(str(said["ms"])))
    return took


async def _people(node: Node) -> None:
    rows = [
        ActorRow(f"agent{number}", (), "none", None, False, True, {}, node.started_at)
        for number in range(1, ACTORS + 1)
    ]
    for row in rows:
        await node.actors.add(row, None)
    await node.group.write([actors.put(row) for row in rows])


def _write(home: Home, line: str) -> None:
    entries = [
        entry_text(
            {
                "label": f"entry{number}",
                "schedule": line,
                "target": f"agent{number % ACTORS + 1}",
                "prompt": "look at what waits",
                "tz": ZONES[number % len(ZONES)],
            }
        )
        for number in range(ENTRIES)
    ]
    with open(home.at(FILE), "w", encoding="utf-8") as file:
        file.write("\n".join(entries))


def _figures(seen: _Seen) -> list[Figure]:
    found = [
        Figure("round_ms", "a round, median", _median(seen.rounds), "ms", WANTED, "processor time, all of its parts"),
        Figure("round_worst_ms", f"the worst of {ROUNDS}", max(seen.rounds), "ms", WANTED),
    ]
    found += [Figure(f"{name}_ms", f"part {name}, median", _median(ms), "ms") for name, ms in seen.parts.items()]
    return [
        *found,
        Figure("step_ms", "longest hold of the loop in them", seen.step, "ms", "", "a commit, mostly"),
        Figure("reading_ms", "a round that reads the file anew", seen.reading, "ms", "", "in slices"),
        Figure(
            "reading_step_ms",
            "longest hold of the loop in it",
            seen.reading_step,
            "ms",
            "",
            "the interpreter's own collection included",
        ),
    ]


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
