"""The local bus from an accepted send to the archive of a drainer in another process, on a real disk."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from netsky.node.bench.figures import Figure, as_data, machine, print_figures
from netsky.node.bench.process import Drainer, Machine
from netsky.node.bench.reference import disk_reference, keep_apart
from netsky.node.bench.sending import all_accepted
from netsky.node.bus.drop import drop_in_outbox
from netsky.node.cli.output import Output
from netsky.node.client import Client
from netsky.node.errors import NetskyError
from netsky.node.seams.real import RealChance, RealTime
from netsky.node.seams.real_files import RealFiles

COUNT = 20_000
BATCH = 128
BODY_BYTES = 1024
DROPPED = 3_000
COMMAND_RUNS = 15
IDLE_SECONDS = 10.0
WAIT_SECONDS = 60


def bench(args: argparse.Namespace, out: Output) -> int:
    folder = tempfile.mkdtemp(prefix="netsky-bench-", dir=args.at or os.getcwd())
    where = machine(folder)
    keep_apart(folder)
    run = BusBench(folder, out.notice)
    try:
        figures = run.measure(args.count or COUNT)
    finally:
        run.end()
    rate = round(next(figure.value for figure in figures if figure.key == "bus_per_s"))
    title = (
        f"The bus of one node, 1 KiB of random text, {BATCH} in a request, "
        f"synchronous={run.synchronous} read back from the daemon"
    )
    out.answer(
        "bench-bus",
        f"{rate:,} envelopes/s from accepted send to archive",
        {**as_data(where, figures), "synchronous": run.synchronous},
        lambda: print_figures(title, where, figures),
    )
    return 0


class BusBench:
    """A throw-away home with its daemon as shipped; whatever is measured goes through its commands and sockets."""

    def __init__(self, folder: str, notice: Callable[[str], None]) -> None:
        self.folder = folder
        self.node = Machine(os.path.join(folder, "home"))
        self.synchronous = "?"
        self._notice = notice

    def measure(self, count: int) -> list[Figure]:
        self.node.netsky("init", "--root")
        self.node.netsky("up", "1")
        idle = self.idle()
        figures = self.through_the_daemon(count)
        figures += self.file_by_file(DROPPED)
        figures += [
            self.command("send_ms", "netsky send, whole command", "send", "agent1", "hello", "--from", "agent0"),
            self.command("status_ms", "netsky status, whole command", "status"),
            self.bare_python(),
        ]
        return [*figures, *idle, *disk_reference(self.folder)]

    def through_the_daemon(self, count: int) -> list[Figure]:
        self._notice(f"{count} envelopes through the daemon …")
        drainer = Drainer(self.node.home_path, "agent1")
        texts = [os.urandom(BODY_BYTES // 2).hex() for _ in range(BATCH)]
        begun = time.monotonic()
        with Client.connect(self.node.home) as client:
            spent = self.node.cpu_seconds()
            self.synchronous = str(client.call("status")["ledger"]["synchronous"])
            for first in range(0, count, BATCH):
                drafts = [{"to": "agent1", "from": "agent0", "text": text} for text in texts[: count - first]]
                answer = client.request("send", {"drafts": drafts, "wait_s": WAIT_SECONDS}, timeout=WAIT_SECONDS + 10)
                all_accepted(answer)
        accepted = time.monotonic() - begun
        found = drainer.finished(count)
        took = found["at"] - begun
        spent = self.node.cpu_seconds() - spent
        archived = len(os.listdir(os.path.join(self.node.home_path, "channels", "agent1", "archive")))
        if archived != count or found["doubled"]:
            raise NetskyError(
                f"sent {count}, found {archived} files in the archive, {found['doubled']} shown twice",
                next="this is a fault of ours: please report it with the log of the daemon",
            )
        unit = "envelopes/s"
        note = f"{archived} files counted in the archive"
        return [
            Figure("bus_per_s", "accepted send to archived file", count / took, unit, ">= 5,000", note),
            Figure("accepted_per_s", "accepted (row durable)", count / accepted, unit),
            Figure("daemon_cpu_us", "processor time of the daemon", 1e6 * spent / count, "us/envelope"),
            Figure("drainer_cpu_us", "processor time of the drainer", 1e6 * found["cpu"] / count, "us/envelope"),
        ]

    def file_by_file(self, count: int) -> list[Figure]:
        self._notice(f"{count} files dropped with the daemon down …")
        self.node.netsky("down")
        files, clock, chance = RealFiles(), RealTime(), RealChance()
        text = os.urandom(BODY_BYTES // 2).hex()
        folder = os.path.join(self.node.home_path, "channels", "agent0")
        begun = time.monotonic()
        for _ in range(count):
            draft = {"to": "agent1", "text": text}
            drop_in_outbox(files, clock, chance, folder=folder, actor="agent0", draft=draft)
        dropped = time.monotonic() - begun
        begun = time.monotonic()
        self.node.netsky("up", "1")
        found = Drainer(self.node.home_path, "agent1").finished(count)
        taken_in = found["at"] - begun
        unit = "envelopes/s"
        return [
            Figure(
                "dropped_per_s", "stored file by file, daemon down", count / dropped, unit, ">= 1,000", "each synced"
            ),
            Figure("taken_in_per_s", "those, from `up` to archived", count / taken_in, unit, "", "start included"),
        ]

    def command(self, key: str, name: str, *command: str) -> Figure:
        return Figure(
            key, name, _median_ms(lambda: self.node.netsky(*command)), "ms", "< 120", f"median of {COMMAND_RUNS}"
        )

    def bare_python(self) -> Figure:
        bare = _median_ms(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
        return Figure("python_ms", "reference: python -c pass", bare, "ms")

    def idle(self) -> list[Figure]:
        """Memory and processor time of the daemon with nothing to do."""
        self._notice(f"the daemon idle for {IDLE_SECONDS:.0f} s …")
        self.node.cpu_seconds()  # finds the process: not within what is measured
        time.sleep(2.0)
        begun, before = time.monotonic(), self.node.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        share = 100 * (self.node.cpu_seconds() - before) / (time.monotonic() - begun)
        return [
            Figure("idle_rss_mb", "idle daemon, memory", self.node.rss_mb(), "MB", "< 80"),
            Figure("idle_cpu_percent", "idle daemon, processor", share, "%", "< 0.5"),
        ]

    def end(self) -> None:
        try:
            self.node.netsky("down")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def _median_ms(call: Callable[[], object]) -> float:
    spent = []
    for _ in range(COMMAND_RUNS):
        begun = time.perf_counter()
        call()
        spent.append(1000 * (time.perf_counter() - begun))
    return sorted(spent)[len(spent) // 2]
