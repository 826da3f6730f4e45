"""Three daemons over real iroh, killed with SIGKILL and paused at random while envelopes pass between all of them.

    python -m tests.real.mesh_campaign --seconds 600 --envelopes 500000 --kills 100

Senders and drainers are processes of their own and write what they saw; now and then they are killed too. At the end
all is healed and drained, the lab's checker judges the history, and the databases are looked at once more. The seed is
printed, and `--seed` draws the same kills again. Exit 0 if everything held.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from netsky.node.errors import NetskyError
from netsky.node.lab.checker.__main__ import text
from netsky.node.lab.checker.rules import check
from netsky.node.lab.history import Appended, Writer

from tests.real.mesh import Machine, Mesh, until
from tests.real.mesh_books import left, note_end
from tests.real.mesh_client import Flow

REPO = Path(__file__).resolve().parents[2]
ROUTES = 'there = "*@netsky1 -> *@netsky2: text reply"\nback = "*@netsky2 -> *@netsky1: text reply"'
ACTORS = 2
DRAIN_SECONDS = 60.0
CLIENT_KILLED = 0.25
"""So often a client is killed beside a daemon."""
DOWN_SECONDS_MAX = 1.5
PAUSE_SECONDS_MAX = 8.0
"""A link is dead after 5 s of silence."""
KILLS_PER_PAUSE = 4


@dataclass(frozen=True, slots=True)
class Options:
    seconds: float
    envelopes: int
    kills: int
    seed: int


@dataclass(frozen=True, slots=True)
class Result:
    wrong: list[str]
    figures: str


@dataclass(slots=True)
class Client:
    argv: list[str]
    process: subprocess.Popen[bytes]


def flows(options: Options) -> dict[str, list[Flow]]:
    """By sending node. Between the siblings in both directions, and between the root and each."""
    between: dict[str, list[tuple[str, str]]] = {
        "netsky0": [("agent0", "agent2@netsky1"), ("agent0", "agent2@netsky2")],
        "netsky1": [("agent1", "agent1@netsky2"), ("agent2", "agent0@netsky0")],
        "netsky2": [("agent1", "agent1@netsky1"), ("agent2", "agent0@netsky0")],
    }
    count = options.envelopes // sum(map(len, between.values()))
    return {
        node: [
            # Between siblings the line under [routes] lets no report pass, and only the root knows that.
            Flow(sender, to, count, options.seconds, ("text", "text", "reply"),
                 None if "netsky0" in {node, to.partition("@")[2]} else "report")
            for sender, to in some
        ]
        for node, some in between.items()
    }  # fmt: skip


class Campaign:
    def __init__(self, folder: Path, options: Options) -> None:
        self.folder = folder
        self.options = options
        self.chance = random.Random(options.seed)
        self.mesh = Mesh(folder, routes=ROUTES, actors=ACTORS)
        self.machines = {machine.name: machine for machine in self.mesh.machines}
        self.keys: dict[str, str] = {}
        self.senders: dict[str, Client] = {}
        self.drainers: dict[str, Client] = {}
        self.kills: collections.Counter[str] = collections.Counter()
        self.troubles: list[str] = []
        self._appended = Appended(str(folder / "test.history"))
        self._lock = threading.Lock()

    def note(self, node: str, ev: str, **fields: object) -> None:
        with self._lock:  # in the order of its times
            Writer(self._appended, time.time_ns, node=node, by="test").note(ev, **fields)

    def begin(self) -> None:
        self.mesh.build()
        for name, machine in self.machines.items():
            self.keys[name] = machine.netsky("status")["key"]
            self.note(name, "start", key=self.keys[name])
        for name in self.machines:
            for actor in ["agent0", *(f"agent{number}" for number in range(1, ACTORS + 1))]:
                self.drainers[f"{actor}@{name}"] = self._client("drain", name, actor)
        for name, some in flows(self.options).items():
            for flow in some:
                self.senders[f"{name} {flow.name}"] = self._client("send", name, json.dumps(asdict(flow)))

    def _client(self, role: str, node: str, what: str) -> Client:
        path = self.folder / f"{role}-{node}-{len(self.senders) + len(self.drainers)}.history"
        argv = [sys.executable, "-m", "tests.real.mesh_client", role, self.machines[node].home.path, node]
        argv += [self.keys[node], str(path), what]
        return Client(argv, self._process(argv))

    def _process(self, argv: list[str]) -> subprocess.Popen[bytes]:
        with open(self.folder / "errors", "ab") as errors:
            return subprocess.Popen(argv, stderr=errors, cwd=REPO)

    # Killing.

    def trouble_at_random(self) -> None:
        """As many kills as were asked for, and some pauses, while envelopes are sent; some of them overlap."""
        began = time.monotonic()
        busy: dict[str, threading.Thread] = {}
        for at, what, name, seconds in self.draw():
            time.sleep(max(0.0, began + at - time.monotonic()))
            self.check_clients()
            if self.chance.random() < CLIENT_KILLED:
                self.kill_client()
            if name in busy:
                busy[name].join()
            busy[name] = threading.Thread(target=what, args=(self.machines[name], seconds))
            busy[name].start()
        for thread in busy.values():
            thread.join()

    def draw(self) -> list[tuple[float, Callable[[Machine, float], None], str, float]]:
        """When, what, to whom, and for how long."""
        draw, names = self.chance, sorted(self.machines)
        todo = [(self.kill_daemon, DOWN_SECONDS_MAX)] * self.options.kills
        todo += [(self.pause_daemon, PAUSE_SECONDS_MAX)] * (self.options.kills // KILLS_PER_PAUSE)
        drawn = [(draw.uniform(0.02, 1), what, draw.choice(names), draw.uniform(0, most)) for what, most in todo]
        return [(part * self.options.seconds, *rest) for part, *rest in sorted(drawn, key=lambda one: one[0])]

    def kill_daemon(self, machine: Machine, down_seconds: float) -> None:
        self.note(machine.name, "crash")
        machine.kill()
        self.kills[machine.name] += 1
        time.sleep(down_seconds)
        try:
            machine.up()
        except NetskyError as error:
            self.troubles.append(f"{machine.name} did not start again: {error.message}")
        self.note(machine.name, "start")

    def pause_daemon(self, machine: Machine, seconds: float) -> None:
        """Long enough that its peers take it for dead: what it had read and not stored comes late."""
        self.note(machine.name, "fault", key=f"pause {machine.name}")
        with machine.paused():
            time.sleep(seconds)
        self.kills["pauses"] += 1
        self.note(machine.name, "heal", key=f"pause {machine.name}")

    def kill_client(self) -> None:
        alive = {**self.senders, **self.drainers}
        name = self.chance.choice(sorted(alive))
        client = alive[name]
        if client.process.poll() is None:
            client.process.send_signal(signal.SIGKILL)
            client.process.wait()
            client.process = self._process(client.argv)
            self.kills["clients"] += 1

    def check_clients(self) -> None:
        everybody = {**self.senders, **self.drainers}
        fell = {name: code for name, one in everybody.items() if (code := one.process.poll())}
        if fell:
            raise RuntimeError(f"{fell} ended by themselves: {(self.folder / 'errors').read_text()[-2000:]}")

    # The end.

    def drain(self) -> float:
        """Heals, and waits until nothing is under way. How long that took."""
        until(self._all_sent, self.options.seconds + DRAIN_SECONDS, "the end of the senders")
        began = time.monotonic()
        self.note("netsky0", "heal", value=DRAIN_SECONDS)
        limit = began + DRAIN_SECONDS
        while (open_ones := left(self.mesh.machines)) and time.monotonic() < limit:
            self.check_clients()
            time.sleep(0.1)
        self.troubles += [f"after {DRAIN_SECONDS:.0f} s: {one}" for one in open_ones]
        return time.monotonic() - began

    def _all_sent(self) -> bool:
        self.check_clients()
        return all(one.process.poll() is not None for one in self.senders.values())

    def judge(self) -> str:
        for machine in self.mesh.machines:
            status = machine.netsky("status")
            crashes = machine.rows("SELECT * FROM crashes")
            # Those that the root had to refuse are dead letters by now; `note_end` looks at each of them.
            faults = [fault for fault in status["faults"] if fault["code"] != "dead_letters"]
            self.troubles += [f"{machine.name}: {fault}" for fault in [*faults, *crashes]]
            self.troubles += [f"{machine.name}: frozen {link}" for link in status["links"] if link["frozen"]]
        self.stop_clients()
        self.troubles += note_end(str(self.folder / "end.history"), self.mesh.machines, self.keys)
        report = check(sorted(str(path) for path in self.folder.glob("*.history")))
        self.troubles += [f"{rule} violated {count} times" for rule, count in report.violations.items()]
        sent = self.options.envelopes - self.options.envelopes % len(self.senders)
        ends = report.tally.by_kind.get("outcome", 0) - report.tally.by_kind.get("dead_letter", 0)
        if ends != sent:
            self.troubles.append(f"{ends} ends of {sent} envelopes")
        return text(report)

    def stop_clients(self) -> None:
        for client in (*self.senders.values(), *self.drainers.values()):
            client.process.kill()
            client.process.wait()

    def end(self) -> None:
        self.stop_clients()
        self.mesh.end()


def run(folder: Path, options: Options) -> Result:
    campaign = Campaign(folder, options)
    try:
        campaign.begin()
        began = time.monotonic()
        campaign.trouble_at_random()
        drained = campaign.drain()
        took = time.monotonic() - began
        told = campaign.judge()
    finally:
        campaign.end()
    kills = ", ".join(f"{name} {count}" for name, count in sorted(campaign.kills.items()))
    head = f"{options.envelopes} envelopes in {took:.0f} s, drained {drained:.1f} s after the last was sent"
    return Result(campaign.troubles, f"{head}; killed: {kills}; seed {options.seed}\n{told}")


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=60)
    asked.add_argument("--envelopes", type=int, default=20_000)
    asked.add_argument("--kills", type=int, default=15)
    asked.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    asked.add_argument("--at", type=Path, help="an empty folder that stays; else one that goes when everything held")
    args = asked.parse_args()
    folder = args.at or Path(tempfile.mkdtemp(prefix="netsky-campaign-"))
    folder.mkdir(exist_ok=True)
    print(f"seed {args.seed}, in {folder}", flush=True)
    result = run(folder, Options(args.seconds, args.envelopes, args.kills, args.seed))
    print(result.figures)
    for one in result.wrong:
        print(f"WRONG: {one}")
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
