"""Three daemons over real iroh that are killed, paused, cut off and put back from backups while envelopes pass between
all of them.

    python -m tests.real.mesh_campaign --seconds 600 --envelopes 500000 --kills 100 --cuts 20 --restores 3
    python -m tests.real.mesh_campaign --namespaces        as root: each node in a network namespace with its address

Senders and drainers are processes of their own and write what they saw; now and then they are killed too. Without
namespaces siblings reach the root by a proxy alone, and links are cut there. At the end all is healed and drained, the
lab's checker judges the history, and databases and folders are looked at once more. The seed is printed, and `--seed`
draws the same again. `--envelopes` are sent however long it takes. Exit 0 if everything held, 1 if not.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from netsky.node.lab import books
from netsky.node.lab.checker.__main__ import text
from netsky.node.lab.checker.rules import check

from tests.real import mesh_after
from tests.real.mesh import Mesh, until
from tests.real.mesh_client import Flow
from tests.real.mesh_gauges import Gauges, counted
from tests.real.mesh_people import People
from tests.real.mesh_proxy import ByProxy
from tests.real.mesh_spaces import BySpaces, why_not
from tests.real.mesh_trouble import Trouble

ROUTES = 'there = "*@netsky1 -> *@netsky2: text reply"\nback = "*@netsky2 -> *@netsky1: text reply"'
REFUSED = "report"
"""Between siblings those lines let none pass, and only the root knows that."""
ACTORS = 2
DRAIN_SECONDS = 60.0
SAY_EVERY_SECONDS = 10.0
UNSEEN = (
    "I8 saw each frame a node keeps for its peer go after the ack, every 2 s; nothing is old enough to be pruned here",
    "I17 saw bounds; how memory grows with reconnects is measured by tests/node/attacks/test_bad_peer.py",
    "I18 saw database, log and blobs; of channel folders only that nothing lies where it should not",
    "I20 had no count of frames: nodes do not write down what they take for a duplicate",
)


@dataclass(frozen=True, slots=True)
class Options:
    seconds: float
    envelopes: int
    kills: int
    seed: int
    cuts: int = 0
    restores: int = 0
    namespaces: bool = False
    progress: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    wrong: list[str]
    figures: str


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
        self.mesh = Mesh(folder, routes=ROUTES, actors=ACTORS, ways=BySpaces() if options.namespaces else ByProxy())
        self.trouble = Trouble(folder, self.mesh, options.seed)
        self.keys: dict[str, str] = {}
        self.people = People(folder, self.mesh.machines, self.keys)
        self.wrong: list[str] = []
        self._over = threading.Event()
        self._began = time.monotonic()

    def begin(self) -> None:
        self.mesh.build()
        now = time.time_ns()
        for machine in self.mesh.machines:
            self.keys[machine.name] = machine.netsky("status")["key"]
            self.trouble.note(machine.name, "start", key=self.keys[machine.name])
        books.note_trust(books.files_in(self.folder), self.mesh.machines, self.keys, now)
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
        if self.options.progress:
            threading.Thread(target=self._say_progress, daemon=True).start()

    def befall(self) -> None:
        options = self.options
        todo = self.trouble.draw(options.seconds, options.kills, options.cuts, options.restores)
        self.trouble.befall(self.people, self.gauges, todo)

    def drain(self) -> tuple[float, float]:
        """Waits for the senders, heals, and waits until nothing is under way. How long all took, and how long that."""
        until(self.people.all_sent, 4 * self.options.seconds + 300, "the end of the senders")
        began = time.monotonic()
        self.trouble.note("netsky0", "heal", value=DRAIN_SECONDS)
        while (open_ones := books.left(self.mesh.machines)) and time.monotonic() < began + DRAIN_SECONDS:
            self.people.check()
            time.sleep(0.1)
        self.wrong += [f"after {DRAIN_SECONDS:.0f} s: {one}" for one in open_ones]
        self._over.set()
        return time.monotonic() - self._began, time.monotonic() - began

    def judge(self) -> str:
        self.gauges.stop()
        machines, losses = self.mesh.machines, self.options.restores
        downs = 0
        for machine in machines:
            status = machine.netsky("status")
            # Those that the root had to refuse are dead letters by now; `not_delivered` looks at each of them.
            ours = {"dead_letters", "crash_loop"}  # what some were sent to, and how often they were killed
            faults = [fault for fault in status["faults"] if fault["code"] not in ours]
            self.wrong += [f"{machine.name}: {one}" for one in [*faults, *machine.rows("SELECT * FROM crashes")]]
            self.wrong += [f"{machine.name}: frozen {link}" for link in status["links"] if link["frozen"]]
            downs += machine.rows("SELECT count(*) FROM iroh_events WHERE event = 'down'")[0][0]
        self.people.stop()
        hostile, now, lines = self.trouble.hostile, time.time_ns(), books.files_in(self.folder)
        books.note_backups(lines, self.trouble.backups)
        books.note_books(lines, machines, self.keys)
        self.wrong += books.note_hostile(lines, machines, hostile, now)
        for machine in machines:
            self.wrong += mesh_after.not_delivered(machine, REFUSED, after_a_loss=losses > 0)
            evil = {name for node, _, name in hostile if node == machine.name}
            self.wrong += mesh_after.archived(machine, str(self.folder / f"end-{machine.name}.history"), now, evil)
        if not losses:
            self.wrong += mesh_after.order(machines, self.keys)
        report = check(mesh_after.history_files(self.folder))
        self.wrong += [*self.trouble.wrong, *(f"{rule} violated {n} times" for rule, n in report.violations.items())]
        if not losses:
            self._count(report.tally.by_kind)
        unjudged = [*UNSEEN, *(["order after a restore: what was put back comes behind newer"] if losses else [])]
        return "\n".join(
            [f"links noticed an end {downs} times; {self.gauges.text()}", text(report),
             *(f"not judged: {one}" for one in unjudged)]
        )  # fmt: skip

    def _count(self, kinds: dict[str, int]) -> None:
        """Each that died has an outcome, and so has the error that says so. Hostile files are told by errors too, but
        for those whose node was killed just then."""
        sent = sum(flow.count for some in flows(self.options, 0).values() for flow in some)
        ends = kinds.get("outcome", 0) - kinds.get("dead_letter", 0)
        if not 0 <= ends - sent <= len(self.trouble.hostile):
            self.wrong.append(f"{ends} ends of {sent} envelopes")

    def _say_progress(self) -> None:
        while not self._over.wait(SAY_EVERY_SECONDS):
            sent = [counted(machine.home.database) for machine in self.mesh.machines]
            every, waiting = map(sum, zip(*sent, strict=True))
            count = ", ".join(f"{what} {n}" for what, n in sorted(self.trouble.count.items()))
            print(f"{time.monotonic() - self._began:5.0f} s: {every} accepted, {waiting} open; {count}", flush=True)

    def end(self) -> None:
        self._over.set()
        self.people.stop()
        self.mesh.end()


def run(folder: Path, options: Options) -> Result:
    campaign = Campaign(folder, options)
    try:
        campaign.begin()
        campaign.befall()
        took, drained = campaign.drain()
        told = campaign.judge()
    finally:
        campaign.end()
    count = {**campaign.trouble.count, "clients": campaign.people.killed}
    befell = ", ".join(f"{what} {n}" for what, n in sorted(count.items()))
    head = f"{options.envelopes} envelopes in {took:.0f} s ({options.envelopes / took:.0f}/s)"
    rest = f"drained {drained:.1f} s after the last was sent; befell: {befell}; seed {options.seed}"
    return Result(campaign.wrong, f"{head}, {rest}\n{told}")


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=60)
    asked.add_argument("--envelopes", type=int, default=20_000)
    asked.add_argument("--kills", type=int, default=15)
    asked.add_argument("--cuts", type=int, default=3)
    asked.add_argument("--restores", type=int, default=0)
    asked.add_argument("--namespaces", action="store_true")
    asked.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    asked.add_argument("--at", type=Path, help="an empty folder that stays; else one that goes when everything held")
    args = asked.parse_args()
    if args.namespaces and (why := why_not()) is not None:
        asked.error(why)
    folder = args.at or Path(tempfile.mkdtemp(prefix="netsky-campaign-"))
    folder.mkdir(exist_ok=True)
    print(f"seed {args.seed}, in {folder}", flush=True)
    counts = (args.seconds, args.envelopes, args.kills, args.seed, args.cuts, args.restores)
    result = run(folder, Options(*counts, args.namespaces, progress=True))
    print(result.figures)
    for one in result.wrong:
        print(f"WRONG: {one}")
    if not result.wrong and args.at is None:
        shutil.rmtree(folder)
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
