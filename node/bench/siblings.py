"""Many siblings of one root: link ends with keys, routes and streams of their own, in a few processes (`link_ends.py`).

Each is sent ten envelopes by the root's agent0 and answers each of them, over real iroh and from real disks.

They are enrolled by a roster that the root's own key seals before its first start. A join each would go through a door
that lets in one a second: five minutes that say nothing about links.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.mesh.roster import Member, Roster, seal_roster
from netsky.node.bench.figures import Figure
from netsky.node.bench.fleet import Books, Fleet
from netsky.node.bench.process import Drainer
from netsky.node.bench.sending import Sent, request
from netsky.node.charter import read_charter, read_sealed_charter
from netsky.node.client import Client
from netsky.node.errors import NetskyError
from netsky.node.home import Home
from netsky.node.identity import public_key, read_key
from netsky.node.init import init_home
from netsky.node.membership.joining import keep
from netsky.node.membership.rosters import first_roster, with_member
from netsky.node.seams.real import RealChance, RealTime
from netsky.node.seams.real_files import RealFiles

EACH = 10
IN_PROCESS = 100
IDLE_SECONDS = 15
SETTLE_SECONDS = 3
PATIENCE_SECONDS = 120
ACTOR = "agent0"


class SiblingsBench:
    def __init__(
        self, folder: str, notice: Callable[[str], None], count: int, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self.title = (
            f"One root over iroh, {count} siblings with homes, keys and streams of their own in a few processes"
        )
        self.fleet = Fleet(folder, 0, (), notice)
        self.books = Books()
        self.root = self.fleet.nodes[0]
        self.homes = [Home(os.path.join(folder, f"netsky{number}")) for number in range(1, count + 1)]
        self._count = count
        self._idle_seconds = idle_seconds
        self._notice = notice

    def measure(self) -> list[Figure]:
        self._notice(f"{self._count} homes …")
        roster = self._enrol()
        self.fleet.start()
        self._settle_in(roster)
        alone = self._idle()
        self._notice("their databases …")
        lots = [self.homes[at : at + IN_PROCESS] for at in range(0, self._count, IN_PROCESS)]
        ends = [_Ends(lot) for lot in lots]
        try:
            return self._with(ends, alone)
        finally:
            for some in ends:
                some.end()

    def _with(self, ends: list[_Ends], alone: tuple[float, float]) -> list[Figure]:
        self._notice("they connect …")
        begun = time.monotonic()
        for some in ends:
            some.begin()
        connected = max(some.linked() for some in ends) - begun
        time.sleep(SETTLE_SECONDS)
        self._notice(f"the root idle with them for {self._idle_seconds:g} s …")
        linked = self._idle()
        with Client.connect(self.root.home) as client:
            granted = [link["granted"]["work"] for link in client.call("status")["links"] if link["up"]]
        self._notice(f"{EACH} for each and {EACH} from each …")
        took = self._exchange(ends)
        count, memory = self._count, self.root.rss_mb()

        def least(unit: str) -> float:
            return float(min(one[unit] for one in granted))

        return [
            Figure("siblings", "linked with the root", len(granted), "siblings", f">= {count}"),
            Figure("connect_s", "until all were linked", connected, "s", "", f"{count / connected:,.0f} a second"),
            Figure("window_envelopes", "granted to each on each lane", least("envelopes"), "envelopes"),
            Figure("window_kb", "the same in bytes", least("bytes") / 1e3, "kB"),
            Figure("rss_mb_alone", "memory of the root without them", alone[0], "MB"),
            Figure("rss_mb", "with all of them linked", linked[0], "MB"),
            Figure("rss_kb_each", "for each of them", 1e3 * (linked[0] - alone[0]) / count, "kB"),
            Figure("rss_mb_after", "memory of the root after the exchange", memory, "MB"),
            Figure("idle_percent_alone", "processor of the idle root without them", alone[1], "%"),
            Figure("idle_percent", "with all of them linked", linked[1], "%", "", "heartbeats both ways"),
            Figure("idle_percent_each", "for each of them", (linked[1] - alone[1]) / count, "%"),
            Figure("exchange_s", f"{EACH} to each and {EACH} back", took, "s", "", f"{2 * EACH * count / took:,.0f}/s"),
        ]  # fmt: skip

    # The mesh.

    def _enrol(self) -> Roster:
        """A home for each, and a roster of all of them in the root's, which takes it at its first start."""
        files, chance, clock = RealFiles(), RealChance(), RealTime()
        init_home(self.root.home, files, chance, clock, root=True)
        charter, secret = read_charter(self.root.home, files), read_key(self.root.home, files)
        assert charter is not None, "a root has a charter"
        roster = first_roster(charter, public_key(secret), "bench", clock.wall())
        for number, home in enumerate(self.homes, 1):
            init_home(home, files, chance, clock, root=False)
            member = Member(public_key(read_key(home, files)), f"netsky{number}", f"end {number}", (), clock.wall())
            roster = with_member(roster, member, clock.wall())
        self._sealed = seal_roster(roster, Ed25519PrivateKey.from_private_bytes(secret).sign)
        _put(self.root.home, "roster", self._sealed)
        return roster

    def _settle_in(self, roster: Roster) -> None:
        """Each home gets what a join would have stored there."""
        files = RealFiles()
        charter = read_sealed_charter(self.root.home, files)
        assert charter is not None
        with Client.connect(self.root.home) as client:
            at = client.call("status")["network"]["addresses"]
        assert len(roster.members) == 1 + len(self.homes)
        for home in self.homes:
            keep(home, files, charter, self._sealed, at)

    # The figures.

    def _idle(self) -> tuple[float, float]:
        """Memory in MB and processor in percent of the root, with nothing to do."""
        self.root.cpu_seconds()  # finds the process: not within what is measured
        begun, before = time.monotonic(), self.root.cpu_seconds()
        time.sleep(self._idle_seconds)
        return self.root.rss_mb(), 100 * (self.root.cpu_seconds() - before) / (time.monotonic() - begun)

    def _exchange(self, ends: list[_Ends]) -> float:
        """From the first send to the last answer's row at the root."""
        drainer, mark = Drainer(self.root.home_path, ACTOR), self.root.mark()
        sent: dict[str, list[str]] = {}
        begun, origin = time.time_ns(), b""
        with Client.connect(self.root.home) as client:
            for number in range(1, self._count + 1):
                accepted = request(client, f"{ACTOR}@netsky{number}", EACH)
                sent[f"netsky{number}"] = [one["id"] for one in accepted]
                origin = bytes.fromhex(accepted[0]["origin"])
        there = self.root.arrived(mark, EACH * self._count)
        took = (max((at for _, at in there), default=begun) - begun) / 1e9
        self.books.doubled += drainer.finished(len(there))["doubled"]
        came_back = [id_ for id_, _ in there]
        for some in ends:
            report = some.report()
            for name, received in report["received"].items():
                self.books.compare(self.root, Sent(origin, sent[name], []), received)
                answered = report["answered"][name]
                self.books.lost += EACH - len(answered) if len(received) == EACH else 0
                self.books.lost += len(set(answered) - set(came_back))
        self.books.doubled += len(came_back) - len(set(came_back))
        return took

    def summary(self, figures: list[Figure]) -> dict[str, Any]:
        """The documented keys."""
        return {"siblings": {figure.key: round(figure.value, 4) for figure in figures}}

    def in_short(self, figures: list[Figure]) -> str:
        by_key = {figure.key: figure.value for figure in figures}
        return (
            f"{by_key['siblings']:,.0f} siblings linked in {by_key['connect_s']:.1f} s, "
            f"{by_key['rss_kb_each']:.0f} kB and {by_key['idle_percent_each']:.3f} % of a core each"
        )


class _Ends:
    """A process of link ends."""

    def __init__(self, homes: list[Home]) -> None:
        argv = [sys.executable, "-m", "netsky.node.bench.link_ends", *(home.path for home in homes)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._hear()

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def linked(self) -> float:
        """When the last of them was (monotonic clock)."""
        return float(self._hear()["at"])

    def report(self) -> dict[str, Any]:
        self.begin()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise NetskyError("a process of link ends failed", next="its error stands above")
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _put(home: Home, name: str, data: bytes) -> None:
    files = RealFiles()
    folder = files.open_folder(home.path)
    try:
        files.replace(folder, name, data)
    finally:
        files.close(folder)
