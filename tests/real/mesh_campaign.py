"""Three daemons over real iroh whose processes, disks, networks, clocks and memories fail while envelopes pass between
all of them.

    python -m tests.real.mesh_campaign --hours 8                        a night; the seed decides which faults, and when
    python -m tests.real.mesh_campaign --seconds 600 --faults crash,part,restore --seed 7
    python -m tests.real.mesh_campaign --namespaces        as root: each node in a network namespace with its address

Senders and drainers are processes of their own and write what they saw; now and then they are killed too. Nodes write
what their links stored. Without namespaces siblings reach the root by a proxy alone, and datagrams fare badly there. As
root each home has a small file system of its own, which runs full. At the end all is healed and drained, the lab's
checker judges the history, and databases and folders are looked at once more. The mix of faults is drawn from the seed
and printed with it. Exit 0 if everything held, 1 if not, 6 if it did not come to its end in time.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from netsky.node.errors import EXIT_TIMED_OUT
from netsky.node.lab import books
from netsky.node.lab.checker.__main__ import text
from netsky.node.lab.checker.rules import Report, check
from netsky.node.lab.totals import Totals

from tests.real import mesh_after, mesh_disk, mesh_faults
from tests.real.mesh import Machine, Mesh, until
from tests.real.mesh_client import Flow
from tests.real.mesh_faults import KINDS, LOSSES
from tests.real.mesh_gauges import Gauges, counted
from tests.real.mesh_people import People
from tests.real.mesh_proxy import ByProxy
from tests.real.mesh_spaces import BySpaces, why_not
from tests.real.mesh_told import Heard, Told
from tests.real.mesh_trouble import Trouble

REPO = Path(__file__).resolve().parents[2]
ROUTES = 'there = "*@netsky1 -> *@netsky2: text reply"\nback = "*@netsky2 -> *@netsky1: text reply"'
_SENT = "SELECT count(*) FROM outbox JOIN messages USING (seq) WHERE state = 'done' AND kind != 'error'"
REFUSED = "report"
"""Between siblings those lines let none pass, and only the root knows that."""
ACTORS = 2
DRAIN_SECONDS = 60.0
SAY_EVERY_SECONDS = 10.0
EVERY_SECONDS = 2.0
"""Between two faults, if nothing else was asked for."""
RATE = 50
"""Envelopes a second, if nothing else was asked for."""
UNSEEN = (
    "I8 saw each frame a node keeps for its peer go after the ack, every 2 s; nothing is old enough to be pruned here",
    "I17 saw bounds; how memory grows with reconnects is measured by tests/node/attacks/test_bad_peer.py",
    "I18 saw database, log and blobs; of channel folders only that nothing lies where it should not",
)


class PastTheTime(Exception):
    """Nothing is wrong that anybody could name, and it does not end."""


@dataclass(frozen=True, slots=True)
class Options:
    seconds: float
    envelopes: int
    seed: int
    faults: tuple[str, ...] = ()
    """Kinds, each of which happens; else the seed chooses some."""
    every: float = EVERY_SECONDS
    namespaces: bool = False
    mounts: bool = False
    """This process may mount without being seen by others."""


def flows(options: Options, began: float) -> dict[str, list[Flow]]:
    """By sending node. Between the siblings in both directions, and between the root and each."""
    between: dict[str, list[tuple[str, str]]] = {
        "netsky0": [("agent0", "agent2@netsky1"), ("agent0", "agent2@netsky2")],
        "netsky1": [("agent1", "agent1@netsky2"), ("agent2", "agent0@netsky0")],
        "netsky2": [("agent1", "agent1@netsky1"), ("agent2", "agent0@netsky0")],
    }
    count = -(-options.envelopes // sum(map(len, between.values())))
    return {
        node: [
            Flow(sender, to, count, options.seconds, ("text", "text", "reply"), began,
                 None if "netsky0" in {node, to.partition("@")[2]} else REFUSED)
            for sender, to in some
        ]
        for node, some in between.items()
    }  # fmt: skip


class Campaign:
    def __init__(self, folder: Path, options: Options) -> None:
        self.folder = folder
        self.options = options
        chance = random.Random(options.seed)
        self.without = mesh_faults.possible(namespaces=options.namespaces, mounts=options.mounts)
        drawn = mesh_faults.mix(chance, options.seconds, options.every, options.faults)
        self.mix = {kind: count for kind, count in drawn.items() if kind not in self.without}
        self.without = {kind: why for kind, why in self.without.items() if kind in drawn}
        ways = BySpaces() if options.namespaces else ByProxy(options.seed)
        self.mesh = Mesh(folder, routes=ROUTES, actors=ACTORS, ways=ways)
        self.trouble = Trouble(folder, self.mesh, chance)
        self.todo = mesh_faults.Drawing(chance, sorted(self.trouble.clocks), options.seconds).draw(self.mix, ways.WAYS)
        self.keys: dict[str, str] = {}
        self.people = People(folder, self.mesh.machines, self.keys)
        self.wrong: list[str] = []
        self._over = threading.Event()
        self._began = time.monotonic()

    def begin(self) -> None:
        for machine in self.mesh.machines:
            machine.environ["NETSKY_HISTORY"] = os.environ["NETSKY_HISTORY"] = str(self.folder)
            if self.options.mounts:
                mesh_disk.put_on_tmpfs(machine.home)
        self.mesh.build()
        for machine in self.mesh.machines:
            self.keys[machine.name] = machine.netsky("status")["key"]
            self.trouble.note(machine.name, "start", key=self.keys[machine.name])
        names = {key: name for name, key in self.keys.items()}
        self.gauges = Gauges(str(self.folder / "gauges.history"), self.mesh.machines, names, self.options.envelopes)
        for machine in self.mesh.machines:
            for number in range(ACTORS + 1):
                self.people.drains(machine.name, f"agent{number}")
        until(self.people.begun, what="the start of the drainers")
        time.sleep(1)  # they have connected, so that their connections belong to the base
        self.gauges.begin()
        for name, some in flows(self.options, time.time()).items():
            for flow in some:
                self.people.sends(name, flow)
        self._began = time.monotonic()
        threading.Thread(target=self._say_progress, daemon=True).start()

    def befall(self) -> None:
        self.trouble.befall(self.people, self.gauges, self.todo)

    def drain(self) -> tuple[float, float]:
        """Waits for the senders, heals, and waits until nothing is under way. How long all took, and how long that."""
        limit = self._began + 4 * self.options.seconds + 300
        while not self.people.all_sent():
            if time.monotonic() > limit:
                raise PastTheTime(f"after {time.monotonic() - self._began:.0f} s not all was accepted")
            time.sleep(0.02)
        began = time.monotonic()
        self.trouble.note("netsky0", "heal", value=DRAIN_SECONDS)
        while (open_ones := books.left(self.mesh.machines)) and time.monotonic() < began + DRAIN_SECONDS:
            self.people.check()
            time.sleep(0.1)
        self.wrong += [f"after {DRAIN_SECONDS:.0f} s: {one}" for one in open_ones]
        self._over.set()
        return time.monotonic() - self._began, time.monotonic() - began

    def judge(self, took: float) -> str:
        self.gauges.stop()
        machines, losses = self.mesh.machines, bool(LOSSES & self.mix.keys())
        downs = 0
        for machine in machines:
            self.wrong += self._faults_of(machine)
            downs += machine.rows("SELECT count(*) FROM iroh_events WHERE event = 'down'")[0][0]
        self.people.stop()
        hostile, now, lines = self.trouble.hostile, time.time_ns(), books.files_in(self.folder)
        copies, clocks = self.trouble.copies, self.trouble.clocks
        heard = Heard(self.folder, {copy.node for copy in copies})
        held = [(max(one.newest, heard.held(one.node, one.marks)) + 1, one.node, one.name) for one in copies]
        books.note_backups(lines, held)
        books.note_books(lambda name: Told(str(self.folder / f"{name}.history"), clocks, heard), machines, self.keys)
        self.wrong += books.note_hostile(lines, machines, hostile, now)
        for machine in machines:
            self.wrong += mesh_after.not_delivered(machine, REFUSED, after_a_loss=losses)
            evil = {name for node, _, name in (*hostile, *self.trouble.looked_at) if node == machine.name}
            self.wrong += mesh_after.archived(machine, str(self.folder / f"end-{machine.name}.history"), now, evil)
        if not losses:
            self.wrong += mesh_after.order(machines, self.keys)
            self._count()
        report = check(mesh_after.history_files(self.folder))
        self.wrong += [f"{rule} violated {n} times" for rule, n in report.violations.items()]
        unjudged = [*UNSEEN, *(["order after a restore: what was put back comes behind newer"] if losses else [])]
        return "\n".join(
            [*_summary(report, took), f"links noticed an end {downs} times; {self.gauges.text()}", text(report),
             *(f"not judged: {one}" for one in unjudged)]
        )  # fmt: skip

    def _faults_of(self, machine: Machine) -> list[str]:
        """Those that the root had to refuse are dead letters by now; `not_delivered` looks at each of them."""
        status = machine.netsky("status")
        ours = {"dead_letters", "crash_loop"}  # what some were sent to, and how often they were killed
        if mesh_faults.MOUNTS & self.mix.keys():
            ours.add("log")  # on a disk that was full
        faults = [fault for fault in status["faults"] if fault["code"] not in ours]
        crashes = [row for row in machine.rows("SELECT * FROM crashes") if not self._is_excused(str(row))]
        found = [f"{machine.name}: {one}" for one in [*faults, *crashes]]
        return found + [f"{machine.name}: frozen {link}" for link in status["links"] if link["frozen"]]

    def _is_excused(self, crash: str) -> bool:
        """A task that the machine failed is begun again; where that goes on, the node stops and is started again."""
        wanting = {"descriptors": ("[Errno 24]",), "disk_full": ("[Errno 28]",), "read_only": ("[Errno 30]",)}
        excused = any(word in crash for kind in self.mix for word in wanting.get(kind, ()))
        self.trouble.besides["tasks that the machine failed"] += excused
        return excused

    def _count(self) -> None:
        """Each that was sent has an end, and errors are sent by nodes themselves."""
        sent = sum(flow.count for some in flows(self.options, 0).values() for flow in some)
        [every] = [sum(some) for some in zip(*(machine.rows(_SENT)[0] for machine in self.mesh.machines), strict=True)]
        if every != sent:
            self.wrong.append(f"{every} ends of {sent} envelopes")

    def _say_progress(self) -> None:
        while not self._over.wait(SAY_EVERY_SECONDS):
            try:
                sent = [counted(machine.home.database) for machine in self.mesh.machines]
            except sqlite3.DatabaseError:
                continue  # one is being put back just now
            every, waiting = map(sum, zip(*sent, strict=True))
            faults = mesh_faults.text({**self.trouble.count})
            print(f"{time.monotonic() - self._began:5.0f} s: {every} accepted, {waiting} open; {faults}", flush=True)

    def end(self) -> None:
        self._over.set()
        self.people.stop()
        if self.options.mounts and (self.wrong or self.trouble.wrong or sys.exc_info()[0] is not None):
            for machine in self.mesh.machines:
                mesh_disk.keep(machine.home, self.folder / "kept" / machine.name)
        self.mesh.end()


def _summary(report: Report, took: float) -> list[str]:
    """In the words of the simulator."""
    told = report.summary
    ends = (Counter(told.dead), Counter(told.in_doubt), Counter(told.faults), Counter(report.branches))
    *lines, _ = Totals(1, told.accepted, told.delivered, told.open, *ends).lines()
    return [*lines, f"speed      {told.accepted / took:.0f} envelopes a second for {took:.0f} s"]


def run(folder: Path, options: Options) -> list[str]:
    """What was wrong. Prints the mix at its beginning, and a summary at its end."""
    campaign = Campaign(folder, options)
    print(f"seed {options.seed}; faults: {mesh_faults.text(campaign.mix)}; in {folder}", flush=True)
    for kind, why in campaign.without.items():
        print(f"no {kind}: {why}", flush=True)
    try:
        campaign.begin()
        campaign.befall()
        took, drained = campaign.drain()
        told = campaign.judge(took)
    finally:
        for one in campaign.trouble.wrong:
            print(f"WRONG: {one}", flush=True)
        campaign.end()
    trouble = campaign.trouble
    head = f"{options.envelopes} envelopes in {took:.0f} s ({options.envelopes / took:.0f}/s)"
    print(f"{head}, drained {drained:.1f} s after the last was sent; seed {options.seed}")
    print(f"befell: {mesh_faults.text({**trouble.count})}; by that: {mesh_faults.text({**trouble.besides})}")
    print(told)
    for one in campaign.wrong:
        print(f"WRONG: {one}")
    return [*campaign.wrong, *trouble.wrong]


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--hours", type=float)
    asked.add_argument("--seconds", type=float, default=60)
    asked.add_argument("--envelopes", type=int, help=f"sent however long it takes; else {RATE} a second")
    asked.add_argument("--faults", default="", help=f"all, or some of: {', '.join(KINDS)}; else the seed chooses")
    asked.add_argument("--every", type=float, default=EVERY_SECONDS, help="seconds between two faults")
    asked.add_argument("--namespaces", action="store_true")
    asked.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    asked.add_argument("--at", type=Path, help="an empty folder that stays; else one that goes when everything held")
    asked.add_argument("--mounts", action="store_true", help=argparse.SUPPRESS)
    args = asked.parse_args()
    faults = tuple(KINDS) if args.faults == "all" else tuple(filter(None, args.faults.split(",")))
    if strange := set(faults) - KINDS.keys():
        asked.error(f"no such fault: {', '.join(sorted(strange))}")
    if args.namespaces and (why := why_not()) is not None:
        asked.error(why)
    if not args.mounts and mesh_faults.why_no_mounts() is None:
        words = [*sys.argv[1:], "--seed", str(args.seed), "--mounts"]
        mesh_disk.in_own_namespace([sys.executable, "-m", "tests.real.mesh_campaign", *words])
    folder = args.at or Path(tempfile.mkdtemp(prefix="netsky-campaign-"))
    folder.mkdir(exist_ok=True)
    seconds = args.hours * 3_600 if args.hours else args.seconds
    envelopes = args.envelopes or round(RATE * seconds)
    try:
        wrong = run(folder, Options(seconds, envelopes, args.seed, faults, args.every, args.namespaces, args.mounts))
    except PastTheTime as error:
        print(f"past the time: {error}; {folder}")
        return EXIT_TIMED_OUT
    if not wrong and args.at is None:
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
