"""One simulated run: a mesh of whole nodes with people around it, trouble by the seed, then peace, and the checker.

    result = run(Plan(seed=7))
    python -m netsky.node.lab.sim --seed 7 --nodes 5 --seconds 600 --faults medium --history FILE

First a phase of faults in which safety is judged at every instant; then everything heals and drains, and within a bound
every accepted envelope has its outcome and its sender knows it. The same plan is the same history, byte for byte.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio
from netsky.node.config import with_line
from netsky.node.lab import books
from netsky.node.lab.checker.__main__ import text
from netsky.node.lab.checker.rules import Report, check_lines
from netsky.node.lab.checker.trust import Verify, ed25519
from netsky.node.lab.chronicle import Chronicle
from netsky.node.lab.clock import MachineTime
from netsky.node.lab.disk import Disk
from netsky.node.lab.drafts import LATE, Traffic
from netsky.node.lab.faults import Faults, NetworkFaults, trouble
from netsky.node.lab.history import By, Writer
from netsky.node.lab.intruder import Intruder, stolen_member
from netsky.node.lab.machine import Down, Machine
from netsky.node.lab.mesh import Mesh, open_mesh
from netsky.node.lab.mishaps import Mishaps
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.people import Actor, Client, Habits, chance_of
from netsky.node.lab.profile import CLASSES, LEVELS, Profile, draw
from netsky.node.lab.scheduler import run_seeded
from netsky.node.lab.virtual import VirtualTime
from netsky.relay.limits import ROUTES_MAX

ACTORS = ("agent0", "agent1")
DRAIN_SECONDS = 180.0
"""Within this after the last fault everything has its end: backoffs, holds and clocks that were wrong included."""
SETTLE_SECONDS = 3.0
PROGRESS_SECONDS = 10.0
MEMORY = Path("/dev/shm")  # noqa: S108 - only where a folder of our own is made


@dataclass(frozen=True)
class Plan:
    seed: int
    nodes: int = 5
    seconds: float = 600.0
    faults: str = "medium"
    every: float = 8.0
    """Seconds for each envelope of one sender, on average."""
    without: tuple[str, ...] = ()
    """Fault classes that were drawn and are left out."""
    only: tuple[str, ...] = ()
    """Fault classes instead of those that are drawn."""

    def profile(self) -> Profile:
        return draw(self.seed, self.faults, self.only).without(self.without)


@dataclass
class Result:
    plan: Plan
    history: bytes
    report: Report | None
    """None if the run did not come to its end."""
    wrong: list[tuple[str, str]]
    """(class, sentence): crash, safety or liveness."""
    cpu_seconds: float
    simulated_seconds: float

    @property
    def classes(self) -> set[str]:
        return {what for what, _ in self.wrong}


def run(
    plan: Plan,
    progress: Callable[[float], None] = lambda _: None,
    over: Callable[[], bool] = lambda: False,
    verify: Verify = ed25519,
) -> Result:
    """`progress` hears of simulated seconds; a run that is `over` before its end is not judged."""
    began = time.process_time()
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)  # millions of small objects, few circles
    try:
        with tempfile.TemporaryDirectory(prefix="netsky-sim-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
            simulation = Simulation(plan, Path(folder), progress, over)
            try:
                run_seeded(simulation.play, seed=plan.seed)
            except Exception:  # noqa: BLE001 - whatever it is, it is what this run has to tell
                simulation.wrong.append(("crash", traceback.format_exc()))
    finally:
        gc.set_threshold(*thresholds)
    report = _judged(simulation.chronicle.lines, simulation.wrong, verify) if simulation.ended else None
    history = b"".join(simulation.chronicle.lines)
    return Result(plan, history, report, simulation.wrong, time.process_time() - began, simulation.simulated)


def _judged(lines: list[bytes], wrong: list[tuple[str, str]], verify: Verify) -> Report:
    report = check_lines(lines, verify)
    if report.violations:
        wrong.append((report.class_ or "safety", text(report)))
    return report


@dataclass
class Simulation:
    plan: Plan
    folder: Path
    progress: Callable[[float], None]
    over: Callable[[], bool]
    chronicle: Chronicle = field(default_factory=Chronicle)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False
    simulated: float = 0.0

    def witness(self, node: str, by: By) -> Writer:
        return self.chronicle.witness(node, by)

    async def play(self) -> None:
        seed, profile = self.plan.seed, self.plan.profile()
        network = MemoryNetwork(chance_of(seed, "network"), latency=profile.latency)
        nodes = self.plan.nodes
        times = [MachineTime() for _ in range(nodes)]
        given: dict[str, Any] = {"times": times, "network": network, "seed": seed * 100_000}
        with trio.CancelScope() as self._scope:
            async with open_mesh(self.folder, nodes - 1, prepare=self._prepare, **given) as mesh:
                for machine in mesh.machines:
                    await machine.ask("agent_add", actor="agent1", mode="none")
                intruder = await self._stolen(mesh) if {"intruder", "revoke"} & set(profile.kinds) else None
                await self._live(mesh, profile, intruder)
                self.ended = True

    def _prepare(self, mesh: Mesh) -> None:
        root = mesh.machines[0]
        config = Path(root.home.config)
        told, pairs = config.read_text(), self._pairs(mesh)
        absent = f"netsky{self.plan.nodes}"  # the member that never runs, if there is one
        senders = list(dict.fromkeys(one for one, _ in pairs))[: ROUTES_MAX - len(pairs)]
        for one, other in [*pairs, *((one, absent) for one in senders)]:
            told = with_line(told, "routes", f"{one}_{other}", f"*@{one} -> *@{other}: text reply question")
        config.write_text(told)
        profile = self.plan.profile()
        for machine in mesh.machines:
            machine.configure("bus", "sweep_ms", min(round(2_000 * profile.looks), 10_000))
            machine.configure("bus", "inbox_max", profile.inbox_max)
            machine.configure("link", "heartbeat_ms", profile.heartbeat_ms)
            machine.configure("link", "dead_after_ms", profile.dead_after_ms)
            machine.put_on(Disk(chance_of(self.plan.seed, f"disk {machine.name}"), machine.time))
        self.chronicle.watch(mesh)

    def _pairs(self, mesh: Mesh) -> list[tuple[str, str]]:
        """Which sibling sends to which: all to all, or, where those are more lines than a root takes, to the next."""
        names = [one.name for one in mesh.machines[1:]]
        every = [(one, other) for one in names for other in names if one != other]
        if len(every) <= ROUTES_MAX:
            return every
        return list(zip(names, [*names[1:], names[0]], strict=True))[:ROUTES_MAX]

    async def _stolen(self, mesh: Mesh) -> Intruder:
        """One more member, whose key is in wrong hands."""
        number = self.plan.nodes
        machine = Machine(self.folder, mesh.network, number, MachineTime(), seed=self.plan.seed * 100_000)
        self.witness(machine.name, "test").note("start", key=machine.key.hex(), reason="absent")
        return await stolen_member(mesh, machine)

    async def _live(self, mesh: Mesh, profile: Profile, intruder: Intruder | None) -> None:
        plan, seed = self.plan, self.plan.seed
        began = trio.current_time()
        habits: dict[str, list[Habits]] = {}
        clients: list[Client] = []
        network = self.witness("network", "network")
        async with trio.open_nursery() as nursery, trio.open_nursery() as senders:
            for machine in mesh.machines:
                habits[machine.name] = self._actors(machine, profile, nursery)
                nursery.start_soon(self._add_late, machine, began + plan.seconds * profile.odd.late, profile, nursery)
                for client in self._clients(mesh, machine, profile, "" if intruder is None else intruder.name):
                    clients.append(client)
                    senders.start_soon(client.send_until, began + plan.seconds)
                    nursery.start_soon(client.hear)
            ways = NetworkFaults(mesh.network, {one.name: one.key for one in mesh.machines}, network)
            said = partial(self.witness, by="test")
            mishaps = Mishaps(mesh.machines, habits, self.folder, said, nursery, ways=ways)
            mishaps.stolen = None if intruder is None else intruder.name
            if profile.drops:
                mishaps.drops = {client.node: client.drop for client in clients}
            draws = ways.draws() | mishaps.draws()
            if intruder is not None:
                draws |= intruder.draws()
            faults = Faults(profile.every, profile.lasting, profile.kinds)
            nursery.start_soon(self._say_progress, began)
            await trouble(draws, faults, chance_of(seed, "trouble"), network, seconds=plan.seconds)
            mesh.network.heal()
            if intruder is not None:
                await mesh.machines[0].ask("revoke", who=intruder.name)
            network.note("heal", value=DRAIN_SECONDS)
            await self._drain(mesh)
            senders.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
        self.simulated = trio.current_time() - began
        self.wrong += [("crash", one) for one in mishaps.fell]
        self.wrong += [("safety", one) for client in clients for one in client.strange]
        self._look_after(mesh, mishaps)

    def _actors(self, machine: Machine, profile: Profile, nursery: trio.Nursery) -> list[Habits]:
        return [self._actor(machine, name, profile, nursery) for name in ACTORS]

    def _actor(self, machine: Machine, name: str, profile: Profile, nursery: trio.Nursery) -> Habits:
        chance = chance_of(self.plan.seed, f"actor {name}@{machine.name}")
        actor = Actor(machine, name, self.witness(machine.name, "actor"), chance, looks=profile.looks)
        actor.habits.alone = profile.odd.alone
        nursery.start_soon(actor.take)
        return actor.habits

    async def _add_late(self, machine: Machine, at: float, profile: Profile, nursery: trio.Nursery) -> None:
        await trio.sleep_until(at)
        with suppress(Down):  # then it never comes
            await machine.answer("agent_add", actor=LATE, mode="none")
        self._actor(machine, LATE, profile, nursery)

    def _clients(self, mesh: Mesh, machine: Machine, profile: Profile, absent: str) -> list[Client]:
        """Each sibling sends to its own, to the others and to the root; the root to all."""
        if machine.number:
            names = [other for one, other in self._pairs(mesh) if one == machine.name]
            to = (*(2 * [f"agent{at % 2}@{name}" for at, name in enumerate(names)]), "agent0@netsky0")
        else:
            to = tuple(f"agent{one.number % 2}@{one.name}" for one in mesh.machines[1:])
        sender, neighbour = ("agent1", "agent0") if machine.number else ("agent0", "agent1")
        traffic = Traffic(
            sender=sender,
            to=(*to, f"{neighbour}@{machine.name}"),
            every=self.plan.every,
            together=profile.together,
            kinds=profile.kinds_sent,
            chars=profile.chars,
            twice=profile.twice,
            drops=profile.drops,
            odd=profile.odd,
            absent=absent,
        )
        chance = chance_of(self.plan.seed, f"client {machine.name}")
        return [Client(machine, self.witness(machine.name, "client"), chance, traffic)]

    async def _drain(self, mesh: Mesh) -> None:
        """Everything that was accepted has its outcome, and every file was taken."""
        left: list[str] = []
        with trio.move_on_after(DRAIN_SECONDS):
            while True:
                left = [f"{one.name} is down" for one in mesh.machines if not one.is_up]
                left = left or books.unsent(mesh.machines, ACTORS) or books.left(mesh.machines)
                if not left:
                    break
                await trio.sleep(1)
        self.wrong += [("liveness", f"{DRAIN_SECONDS:.0f} s after the last fault: {one}") for one in left]
        await trio.sleep(SETTLE_SECONDS)

    def _look_after(self, mesh: Mesh, mishaps: Mishaps) -> None:
        """What stands in databases and folders at the end."""
        self.chronicle.note_ends(mesh.machines)
        pages, now = self.chronicle.pages, VirtualTime().wall()
        books.note_archives(lambda _: pages(), mesh.machines, now)
        for one in books.note_hostile(lambda _: pages(), mesh.machines, mishaps.hostile, now):
            self.wrong.append(("safety", one))

    async def _say_progress(self, began: float) -> None:
        while True:
            self.progress(trio.current_time() - began)
            if self.over():
                self._scope.cancel()
            await trio.sleep(PROGRESS_SECONDS)


def main(words: list[str]) -> int:
    asked = argparse.ArgumentParser(prog="python -m netsky.node.lab.sim", description=__doc__.split("\n")[0])
    asked.add_argument("--seed", type=int, required=True)
    asked.add_argument("--nodes", type=int, default=Plan.nodes)
    asked.add_argument("--seconds", type=float, default=Plan.seconds)
    asked.add_argument("--faults", choices=sorted(LEVELS), default=Plan.faults)
    asked.add_argument("--every", type=float, default=Plan.every)
    asked.add_argument("--only", action="append", choices=list(CLASSES), default=[], help="may be repeated")
    asked.add_argument("--history", type=Path)
    args = asked.parse_args(words)
    plan = Plan(args.seed, args.nodes, args.seconds, args.faults, args.every, only=tuple(args.only))
    print(f"seed {plan.seed}: {plan.profile().text()}", flush=True)
    result = run(plan)
    if args.history is not None:
        with suppress(FileNotFoundError):
            args.history.unlink()
        args.history.write_bytes(result.history)
    for what, sentence in result.wrong:
        print(f"{what}: {sentence}")
    if result.report is not None and not result.report.violations:
        print(text(result.report))
    print(f"{result.simulated_seconds:.0f} s simulated in {result.cpu_seconds:.2f} s of CPU")
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
