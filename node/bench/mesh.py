"""Three nodes as three processes, homes on a real disk: netsky1 sends to netsky2 over the root.

Two links, three stores. What is counted is what arrived: rows committed at the destination and files archived there by
a drainer in another process, compared by id with what was accepted at the origin.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from netsky.node.bench.attachment import attachment_figures
from netsky.node.bench.fairness import SECONDS as TURN_SECONDS
from netsky.node.bench.fairness import FairnessBench
from netsky.node.bench.figures import Figure, as_data, machine, print_figures
from netsky.node.bench.fleet import Books, Fleet
from netsky.node.bench.iroh_reference import iroh_reference
from netsky.node.bench.process import Drainer
from netsky.node.bench.reference import disk_reference
from netsky.node.bench.sending import BATCH, EXPIRES_SECONDS, Sent, draft, request
from netsky.node.bench.siblings import SiblingsBench
from netsky.node.cli.output import Output
from netsky.node.client import Client
from netsky.node.errors import Usage

SECONDS = 60
WARM_UP = 500
PACED_PER_S = 100
PACED_SECONDS = 10
ROUTE = 'bench = "*@netsky1 -> *@netsky2: *"'
RECEIVER = "agent1"
TO = f"{RECEIVER}@netsky2"
NAMES = ("root", "origin", "destination")
WAIT_SECONDS = 60
OUTCOME_BYTES = 40
"""As the design counts them: a hash, a fate and a time."""


Run: TypeAlias = "MeshBench | FairnessBench | SiblingsBench"


def bench(args: argparse.Namespace, out: Output) -> int:
    if args.fairness and args.siblings is not None:
        raise Usage(
            "--fairness and --siblings are two benches", next="netsky bench mesh --fairness", code="bad_argument"
        )
    folder = tempfile.mkdtemp(prefix="netsky-bench-", dir=args.at or os.getcwd())
    where = machine(folder)
    run: Run
    if args.fairness:
        run = FairnessBench(folder, out.notice, float(args.seconds or TURN_SECONDS))
    elif args.siblings is not None:
        run = SiblingsBench(folder, out.notice, args.siblings)
    else:
        run = MeshBench(folder, out.notice, float(args.seconds or SECONDS))
    try:
        figures = [*run.measure(), *run.books.figures()]
    finally:
        run.fleet.end()
    lines = (
        f"; written into the root's config under [routes]: {', '.join(run.fleet.routes)}" if run.fleet.routes else ""
    )
    title = (
        f"{run.title}; 1 KiB of random text, expires in {EXPIRES_SECONDS // 60} min\n"
        f"  synchronous={run.fleet.synchronous} read back from each daemon{lines}"
    )
    data = data_of(run, where, figures)
    out.answer("bench-mesh", run.in_short(figures), data, lambda: print_figures(title, where, figures))
    return 0 if run.books.lost == run.books.doubled == 0 else 1


def data_of(run: Run, where: dict[str, str], figures: list[Figure]) -> dict[str, Any]:
    """What --json shows."""
    return {
        **as_data(where, figures),
        **run.summary(figures),
        "lost": run.books.lost,
        "ended": dict(run.books.ended),
        "doubled": run.books.doubled,
        "synchronous": run.fleet.synchronous,
        "routes": ", ".join(run.fleet.routes),
    }


class MeshBench:
    title = f"Three nodes over iroh, two links, three stores, {BATCH} in a request"

    def __init__(self, folder: str, notice: Callable[[str], None], seconds: float) -> None:
        self.fleet = Fleet(folder, 2, (ROUTE,), notice)
        self.nodes = self.fleet.nodes
        self.books = Books()
        self._seconds = seconds
        self._origin = b""
        self._notice = notice

    def measure(self) -> list[Figure]:
        self.start()
        figures = self.throughput(self._seconds)
        figures += self.paced()
        figures += self.memory()
        self._notice("an attachment …")
        figures += attachment_figures(self.fleet.folder, self.nodes[1], self.nodes[0])
        return [*figures, *disk_reference(self.fleet.folder), *iroh_reference()]

    def start(self) -> None:
        self.fleet.start()
        with Client.connect(self.nodes[1].home) as client:
            for left in range(WARM_UP, 0, -BATCH):
                [first, *_] = request(client, TO, min(left, BATCH))
        self._origin = bytes.fromhex(first["origin"])
        self._arrived(WARM_UP)

    def throughput(self, seconds: float) -> list[Figure]:
        self._notice(f"as fast as it goes for {seconds:g} s …")
        _, origin, destination = self.nodes
        drainer = Drainer(destination.home_path, RECEIVER)
        spent = [node.cpu_seconds() for node in self.nodes]
        commits = [node.commits() for node in self.nodes]
        begun, own = time.monotonic(), time.process_time()
        ids = self.send_for(seconds)
        accepted, own = time.monotonic() - begun, time.process_time() - own
        self._arrived(WARM_UP + len(ids))
        took = time.monotonic() - begun
        backlog = destination.count("SELECT count(*) FROM inbox WHERE state = 'committed'")
        spent = [node.cpu_seconds() - before for node, before in zip(self.nodes, spent, strict=True)]
        commits = [node.commits() - before for node, before in zip(self.nodes, commits, strict=True)]
        origin.wait_answered()
        missing = self.books.compare(origin, Sent(self._origin, ids, []), [id_ for id_, _ in destination.rows(None)])
        found = drainer.finished(WARM_UP + len(ids) - missing)
        drained = found["at"] - begun
        self.books.doubled += found["doubled"]
        archived = len(os.listdir(os.path.join(destination.home_path, "channels", RECEIVER, "archive")))
        kept = max(node.count("SELECT count(*) FROM outcomes") for node in self.nodes)
        all_spent = sum(spent) + own + found["cpu"]
        unit, count = "envelopes/s", len(ids)
        return [
            Figure(
                "envelopes_per_s", "accepted send to committed row", count / took, unit, ">= 5,000", f"{count:,} sent"
            ),
            Figure(
                "archived_per_s", "accepted send to archived file", count / drained, unit, "", f"{archived:,} files"
            ),
            Figure("accepted_per_s", "accepted at the origin", count / accepted, unit),
            Figure("backlog", "rows without their file when the last row was there", backlog, "rows", "< 1,000"),
            *(
                Figure(f"cpu_us_{name}", f"processor time of {name}", 1e6 * cpu / count, "us/envelope")
                for name, cpu in zip((*NAMES, "sender", "drainer"), (*spent, own, found["cpu"]), strict=True)
            ),
            Figure("cpu_us", "processor time of all five processes", 1e6 * all_spent / count, "us/envelope", "<= 400"),
            *(
                Figure(f"commits_{name}", f"commits of {name}", some / count, "per envelope", "", f"{some:,}")
                for name, some in zip(NAMES, commits, strict=True)
            ),
            Figure(
                "outcomes", "outcomes kept by the node with most", kept, "rows", "", f"{kept * OUTCOME_BYTES:,} bytes"
            ),
        ]

    def paced(self) -> list[Figure]:
        """One envelope in each request, at a pace: what a person or an agent sees."""
        self._notice(f"{PACED_PER_S} envelopes a second for {PACED_SECONDS} s …")
        _, origin, destination = self.nodes
        drainer = Drainer(destination.home_path, RECEIVER)
        called: dict[str, int] = {}
        with Client.connect(origin.home) as client:
            due = time.monotonic()
            for _ in range(PACED_PER_S * PACED_SECONDS):
                due += 1 / PACED_PER_S
                time.sleep(max(0.0, due - time.monotonic()))
                before = time.time_ns()
                called[client.call("send", **draft(TO))["id"]] = before
        self._notice("…")
        rows = dict(destination.rows(called))
        waits = sorted((rows[id_] - before) / 1e6 for id_, before in called.items() if id_ in rows)
        self.books.missing(origin, self._origin, called.keys() - rows.keys())
        drainer.finished(len(waits))
        return [
            Figure(
                "latency_p50_ms",
                f"send to committed row, {PACED_PER_S}/s, median",
                waits[len(waits) // 2],
                "ms",
                "<= 5",
            ),
            Figure(
                "latency_p99_ms", "the same, of a hundred the slowest", waits[len(waits) * 99 // 100], "ms", "<= 25"
            ),
        ]

    def memory(self) -> list[Figure]:
        return [
            Figure(f"rss_mb_{name}", f"memory of {name}", node.rss_mb(), "MB", "<= 120")
            for name, node in zip(NAMES, self.nodes, strict=True)
        ]

    def summary(self, figures: list[Figure]) -> dict[str, Any]:
        """The documented keys."""
        by_key = {figure.key: figure.value for figure in figures}
        return {
            "envelopes_per_s": round(by_key["envelopes_per_s"]),
            "latency_ms": {"p50": round(by_key["latency_p50_ms"], 2), "p99": round(by_key["latency_p99_ms"], 2)},
            "cpu_us_per_envelope": {name: round(by_key[f"cpu_us_{name}"], 1) for name in (*NAMES, "sender", "drainer")},
            "commits_per_envelope": {name: round(by_key[f"commits_{name}"], 4) for name in NAMES},
            "attachment_mb_per_s": round(by_key["attachment_mb_per_s"], 1),
        }

    def in_short(self, figures: list[Figure]) -> str:
        rate = self.summary(figures)["envelopes_per_s"]
        return f"{rate:,} envelopes/s from accepted send to committed row at the destination"

    # Sending and counting.

    def send_for(self, seconds: float) -> list[str]:
        ids: list[str] = []
        until = time.monotonic() + seconds
        with Client.connect(self.nodes[1].home) as client:
            while time.monotonic() < until:
                ids += [one["id"] for one in request(client, TO, BATCH)]
        return ids

    def _arrived(self, count: int) -> None:
        """Waits until so many rows are committed at the destination."""
        limit = time.monotonic() + WAIT_SECONDS
        with Client.connect(self.nodes[2].home) as client:
            while client.call("query", sql="SELECT max(seq) FROM inbox")["rows"][0][0] != count:
                if time.monotonic() > limit:
                    return  # counted as lost
                time.sleep(0.05)
