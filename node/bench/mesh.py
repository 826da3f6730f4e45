"""Three nodes as three processes, homes on a real disk: netsky1 sends to netsky2 over the root.

Two links, three stores. What is counted is what arrived: rows committed at the destination and files archived there by
a drainer in another process, compared by id with what was accepted at the origin.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from netsky.node.bench.attachment import attachment_figures
from netsky.node.bench.figures import Figure, as_data, machine, print_figures
from netsky.node.bench.iroh_reference import iroh_reference
from netsky.node.bench.process import Drainer, Machine, all_accepted
from netsky.node.bench.reference import disk_reference, keep_apart
from netsky.node.cli.output import Output
from netsky.node.client import Client

SECONDS = 60
BATCH = 256
BODY_BYTES = 1024
EXPIRES_SECONDS = 600
WARM_UP = 500
PACED_PER_S = 100
PACED_SECONDS = 10
ROUTE = 'bench = "*@netsky1 -> *@netsky2: *"'
RECEIVER = "agent1"
NAMES = ("root", "origin", "destination")
WAIT_SECONDS = 60
OUTCOME_BYTES = 40
"""As the design counts them: a hash, a fate and a time."""


def bench(args: argparse.Namespace, out: Output) -> int:
    folder = tempfile.mkdtemp(prefix="netsky-bench-", dir=args.at or os.getcwd())
    where = machine(folder)
    run = MeshBench(folder, out.notice)
    keep_apart(folder)
    try:
        figures = run.measure(float(args.seconds or SECONDS))
    finally:
        run.end()
    data = as_data(where, figures) | run.summary(figures)
    title = (
        f"Three nodes over iroh, two links, three stores; 1 KiB of random text, {BATCH} in a request, expires in "
        f"{EXPIRES_SECONDS // 60} min\n  synchronous={run.synchronous} read back from each node; "
        f"written into the root's config under [routes]: {ROUTE}"
    )
    out.answer(
        "bench-mesh",
        f"{data['envelopes_per_s']:,} envelopes/s from accepted send to committed row at the destination",
        data,
        lambda: print_figures(title, where, figures),
    )
    return 0 if data["lost"] == data["doubled"] == 0 else 1


class MeshBench:
    def __init__(self, folder: str, notice: Callable[[str], None]) -> None:
        self.folder = folder
        self.nodes = [Machine(os.path.join(folder, f"netsky{number}")) for number in range(3)]
        self.synchronous: list[str] = []
        self.lost = self.doubled = 0
        self.ended: Counter[str] = Counter()
        """By fate and reason: accepted, not delivered, and known at the origin to be so."""
        self._origin = b""
        self._notice = notice

    def measure(self, seconds: float) -> list[Figure]:
        self.start()
        figures = self.throughput(seconds)
        figures += self.paced()
        figures += self.memory()
        self._notice("an attachment …")
        figures += attachment_figures(self.folder, self.nodes[1], self.nodes[0])
        return [*figures, *disk_reference(self.folder), *iroh_reference()]

    def start(self) -> None:
        self._notice("three homes, two invites …")
        root, *siblings = self.nodes
        root.netsky("init", "--root")
        root.configure("127.0.0.1:0", ROUTE)
        root.netsky("up")
        for number, sibling in enumerate(siblings, 1):
            ticket = root.data("invite", f"bench-{number}")["ticket"]
            sibling.netsky("join", "--yes", ticket)
            sibling.netsky("up", "1")
        for sibling in siblings:
            sibling.wait_linked()
        for node in self.nodes:
            with Client.connect(node.home) as client:
                self.synchronous.append(str(client.call("status")["ledger"]["synchronous"]))
        with Client.connect(self.nodes[1].home) as client:
            self._origin = bytes.fromhex(client.call("send", **_draft(), wait_s=WAIT_SECONDS)["origin"])
        self.send(WARM_UP - 1)
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
        missing = self._compare(ids)
        found = drainer.finished(WARM_UP + len(ids) - missing)
        drained = found["at"] - begun
        self.doubled += found["doubled"]
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
            Figure("lost", "accepted, not there, and no word of it", self.lost, "envelopes", "0"),
            Figure(
                "ended",
                "ended otherwise, and known to be so at the origin",
                self.ended.total(),
                "envelopes",
                "0",
                ", ".join(f"{what}: {some:,}" for what, some in sorted(self.ended.items())),
            ),
            Figure("doubled", "there twice", self.doubled, "envelopes", "0"),
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
                called[client.call("send", **_draft())["id"]] = before
        self._notice("…")
        rows = dict(destination.rows("SELECT messages.id, stored_at FROM inbox JOIN messages USING (seq)", called))
        waits = sorted((rows[id_] - before) / 1e6 for id_, before in called.items() if id_ in rows)
        self._missing(called.keys() - rows.keys())
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
            "lost": self.lost,
            "ended": dict(self.ended),
            "doubled": self.doubled,
            "synchronous": self.synchronous,
            "routes": ROUTE,
        }

    # Sending and counting.

    def send(self, count: int) -> list[str]:
        with Client.connect(self.nodes[1].home) as client:
            return [id_ for first in range(0, count, BATCH) for id_ in _request(client, min(BATCH, count - first))]

    def send_for(self, seconds: float) -> list[str]:
        ids: list[str] = []
        until = time.monotonic() + seconds
        with Client.connect(self.nodes[1].home) as client:
            while time.monotonic() < until:
                ids += _request(client, BATCH)
        return ids

    def _arrived(self, count: int) -> None:
        """Waits until so many rows are committed at the destination."""
        limit = time.monotonic() + WAIT_SECONDS
        with Client.connect(self.nodes[2].home) as client:
            while client.call("query", sql="SELECT max(seq) FROM inbox")["rows"][0][0] != count:
                if time.monotonic() > limit:
                    return  # counted as lost
                time.sleep(0.05)

    def _compare(self, ids: list[str]) -> int:
        """How many are not there."""
        there = [
            id_ for id_, _ in self.nodes[2].rows("SELECT messages.id, 0 FROM inbox JOIN messages USING (seq)", None)
        ]
        self.doubled += len(there) - len(set(there))
        return self._missing(set(ids) - set(there))

    def _missing(self, ids: AbstractSet[str]) -> int:
        """Counts them as ended, if their origin knows how, or as lost."""
        if not ids:
            return 0
        ended = self.nodes[1].ended(self._origin, ids)
        self.ended.update(ended.values())
        self.lost += len(ids - ended.keys())
        return len(ids)

    def end(self) -> None:
        try:
            for node in self.nodes:
                node.netsky("down")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def _draft() -> dict[str, Any]:
    text = os.urandom(BODY_BYTES // 2).hex()
    return {"to": f"{RECEIVER}@netsky2", "from": "agent0", "text": text, "expires_in": EXPIRES_SECONDS}


def _request(client: Client, count: int) -> Iterator[str]:
    answer = client.request(
        "send", {"drafts": [_draft() for _ in range(count)], "wait_s": WAIT_SECONDS}, timeout=WAIT_SECONDS + 10
    )
    all_accepted(answer)
    return (result["data"]["id"] for result in answer["results"])
