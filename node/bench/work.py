"""What a ticket costs by itself: no-op tickets from a plan to completed, through one node as shipped, on a real disk.

The runtime is inside the node: no process, no workspace, no patch; each transition is a durable checkpoint, with lease,
fence, report and key. Beside it what 10,000 queued tickets weigh, and how long a start takes that finds them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from netsky.node.bench.figures import Figure, as_data, machine, print_figures
from netsky.node.bench.fleet import Fleet
from netsky.node.bench.reference import commit_reference
from netsky.node.cli.output import Output
from netsky.node.client import Client
from netsky.node.daemon.build import Surroundings
from netsky.node.daemon.node import Node
from netsky.node.daemon.run import run
from netsky.node.home import Home
from netsky.node.init import init_home
from netsky.node.seams.real import real_seams
from netsky.node.verbs.args import Args

TICKETS = 3_000
QUEUED = 10_000
"""As many as are asked for ten times over, but no more."""
WAIT_SECONDS = 300.0
_NOWHERE = "nowhere"
"""A label that nobody has."""
_SHARES = "SELECT run, node, count(*) FROM work_tickets GROUP BY 1, 2 ORDER BY 1, 2"


@dataclass(eq=False)
class _Seen:
    rate: float = 0.0
    planning_s: float = 0.0
    commits: int = 0
    processor_s: float = 0.0
    queued_mib: float = 0.0
    base_mib: float = 0.0
    resume_s: float = 0.0
    queued: int = 0
    notes: list[str] = field(default_factory=list)


def bench(args: argparse.Namespace, out: Output) -> int:
    folder = os.path.realpath(args.at or os.getcwd())
    count = args.count or TICKETS
    with tempfile.TemporaryDirectory(prefix="netsky-bench-", dir=folder) as place:
        seen = _Seen()
        trio.run(_measure, Home(os.path.join(place, "home")), count, seen)
        figures = [
            *_figures(seen, count),
            *_over_a_mesh(os.path.join(place, "mesh"), count, out),
            commit_reference(place),
        ]
    where = machine(folder)
    title = f"Tickets of one node, {count:,} of the runtime noop, each with a key of its own"
    out.answer(
        "bench-work",
        f"{seen.rate:,.0f} no-op tickets/s from plan to completed",
        as_data(where, figures),
        lambda: print_figures(title, where, figures),
    )
    return 0


async def _measure(home: Home, count: int, seen: _Seen) -> None:
    seams = real_seams()
    init_home(home, seams.files, seams.chance, seams.time, root=False)
    seen.base_mib = _resident_mib()
    async with _living(home) as node:
        commits, processor = node.group.statistics().commits, time.process_time()
        began = time.monotonic()
        started = await _ask(node, "run", plan=_plan("work", count))
        seen.planning_s = time.monotonic() - began
        found = await _ask(node, "wait", run=started["run"]["id"], wait_s=WAIT_SECONDS)
        took = time.monotonic() - began
        assert (found["run"]["state"], found["states"]) == ("completed", {"committed": count}), found
        seen.rate = count / took
        seen.commits = node.group.statistics().commits - commits
        seen.processor_s = time.process_time() - processor
        seen.queued = min(QUEUED, 10 * count)
        await _ask(node, "run", plan=_plan("queued", seen.queued, needs=[_NOWHERE]))
        await trio.sleep(0.5)
        seen.queued_mib = _resident_mib()
    began = time.monotonic()
    async with _living(home) as node:
        found = await _ask(node, "ls", open=True, limit=1)
        assert found["tickets"], found
        seen.resume_s = time.monotonic() - began


@asynccontextmanager
async def _living(home: Home) -> AsyncIterator[Node]:
    ready: list[Node] = []
    serving, stop = trio.Event(), trio.Event()

    def serves(node: Node) -> None:
        ready.append(node)
        serving.set()

    async with trio.open_nursery() as nursery:

        async def live() -> None:
            await run(home, real_seams(), Surroundings(pid=os.getpid()), ready=serves, stop=stop)

        nursery.start_soon(live)
        await serving.wait()
        await ready[0].work.loaded.wait()
        yield ready[0]
        stop.set()


async def _ask(node: Node, order: str, **values: Any) -> dict[str, Any]:
    return await node.work.order(order, f"operator@{node.identity.name}", Args(order, values))


def _plan(name: str, count: int, **more: Any) -> dict[str, Any]:
    keyed = [{"id": f"t{number}", "idempotency_key": f"{name}-{number}", **more} for number in range(count)]
    return {"name": name, "ticket": keyed}


def _over_a_mesh(folder: str, count: int, out: Output) -> list[Figure]:
    """Three daemons as shipped, linked by iroh; what is elsewhere goes there and back as sealed envelopes."""
    os.mkdir(folder)
    fleet = Fleet(folder, 2, (), out.notice)
    try:
        fleet.start()
        with Client.connect(fleet.nodes[0].home) as client:
            client.request("work_run", {"plan": _plan("warm", 100)})
            time.sleep(1.0)
            began = time.monotonic()
            run = client.request("work_run", {"plan": _plan("mesh", count)}, timeout=WAIT_SECONDS)["run"]["id"]
            found = client.request("work_wait", {"run": run, "wait_s": WAIT_SECONDS}, timeout=2 * WAIT_SECONDS)
            took = time.monotonic() - began
            rows = client.request("query", {"sql": _SHARES})["rows"]
        assert found["states"] == {"committed": count}, found
    finally:
        fleet.end()
    shares = ", ".join(f"{node} {some:,}" for of, node, some in rows if of == run)
    return [Figure("mesh_tickets_per_s", "the same over three processes", count / took, "/s", ">= 150", shares)]


def _resident_mib() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _figures(seen: _Seen, count: int) -> list[Figure]:
    return [
        Figure("tickets_per_s", "no-op tickets, plan to completed", seen.rate, "/s", ">= 300", "planning included"),
        Figure("planning_s", "of that, reading and storing the plan", seen.planning_s, "s"),
        Figure("commits", "commits for each ticket", seen.commits / count, ""),
        Figure("processor_ms", "processor time for each ticket", seen.processor_s * 1e3 / count, "ms"),
        Figure(
            "queued_mib", f"memory with {seen.queued:,} queued tickets", seen.queued_mib, "MiB", "< 150", "the whole"
        ),
        Figure("base_mib", "of that, before there was a node", seen.base_mib, "MiB"),
        Figure("resume_s", f"a start that finds {seen.queued:,} tickets", seen.resume_s, "s", "< 3", "up to an answer"),
    ]
