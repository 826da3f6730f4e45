"""What befalls the machines of a simulated mesh, and those who work on them: crashes, pauses, lost power, bad disks,
wrong clocks, restores, actors that hang or lie. Each kind is a method that lasts as long as its trouble.
"""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import trio
from netsky.node.errors import NetskyError
from netsky.node.lab.beside import Beside
from netsky.node.lab.faults import Draw, Fault, NetworkFaults
from netsky.node.lab.history import Writer
from netsky.node.lab.interpose import writes
from netsky.node.lab.losses import DOWN_SECONDS_MAX, Losses, disk_of
from netsky.node.lab.machine import Machine
from netsky.node.lab.people import Habits
from netsky.node.seams.chance import Chance
from netsky.node.seams.ledger import LedgerBroken
from netsky.node.supervise import MustStop

SERVICE_SECONDS = 1.0
"""After this long the service starts a node again that ended by itself."""
START_TRIES_SECONDS = 2.0
BESIDE_SECONDS = 4.0
"""Within about so long before a crash a way gets into trouble, sometimes."""
CALLS_MAX = 400
"""A crash falls before one of so many seam calls from now."""
WRITES_MAX = 6
WRITES_SECONDS = 15.0
"""Or before one of so many transactions that change something, and so long it is waited for."""
JUMP_SECONDS = 200.0
FAR_JUMP_SECONDS = 3_600.0
DRIFT = 0.01
SLEEPS_SECONDS = (20 * 3_600.0, 60 * 3_600.0)
"""Over a night or a weekend: what lasts a day is over, and what lasts a week is not."""
SLOW_SECONDS = 3.0
FALLS_AFTER_SECONDS = 30.0
"""A node that met a bad sync may take so long to fall, if its disk was slow as well."""
DROPS_MAX = 3
"""Outbox files that are written in the last moment before the power goes."""

Happen = Callable[[Machine, Chance, float], Awaitable[None]]
HOSTILE: Mapping[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "link": lambda path: path.symlink_to("/etc/passwd"),
    "folder": lambda path: path.mkdir(),
    "garbage": lambda path: path.write_bytes(b'{"from": "agent0@netsky0", "text": "\xff'),
}


class Mishaps:
    def __init__(
        self,
        machines: Sequence[Machine],
        habits: Mapping[str, Sequence[Habits]],
        folder: Path,
        witness: Callable[[str], Writer],
        nursery: trio.Nursery,
        *,
        ways: NetworkFaults,
    ) -> None:
        self._machines, self._habits = machines, habits
        self._beside = Beside(machines, ways)
        self._losses = Losses(folder, self._beside, witness, self._up)
        self._witness = witness
        self._nursery = nursery
        self._busy: set[str] = set()
        self._forgetful: str | None = None
        self._disk_troubles: dict[str, float] = {}
        """Until when a node may fall by what its disk did."""
        self.hostile: list[tuple[str, str, str]] = []
        """Node, actor, name of the file."""
        self.drops: dict[str, Callable[[], None]] = {}
        """By node: somebody there writes an outbox file."""
        self.fell: list[str] = []
        """What ended a node that nothing was done to."""
        for machine in machines:
            machine.service = self._service_of(machine)

    @property
    def stolen(self) -> str | None:
        return self._losses.stolen

    @stolen.setter
    def stolen(self, name: str | None) -> None:
        self._losses.stolen = name

    def draws(self) -> dict[str, Draw]:
        return {kind: self._drawn(happen) for kind, happen in self._kinds().items()}

    def _kinds(self) -> dict[str, Happen]:
        return {
            "crash": self._crash, "pause": self._pause, "power": self._power,
            "disk_slow": self._disk_slow, "disk_full": self._disk_full, "disk_fails": self._disk_fails,
            "clock_jump": self._clock_jump, "clock_drift": self._clock_drift, "clock_freeze": self._clock_freeze,
            "sleep": self._sleep,
            "restore": self._losses.restore, "behind": self._losses.behind, "no_files": self._no_files,
            "hang": partial(self._habit, "hangs"), "die": partial(self._habit, "dies"),
            "lie": partial(self._habit, "lies"), "hostile": self._drop,
        }  # fmt: skip

    def _drawn(self, happen: Happen) -> Draw:
        def draw(kind: str, chance: Chance) -> Fault | None:
            """One thing at a time for one machine. And no machine forgets what another has forgotten too: if one has,
            it is that one again."""
            free = [one for one in self._machines if one.name not in self._busy and one.is_up]
            if kind == "behind":
                free = [one for one in free if one.number]
            if kind in {"restore", "behind"} and self._forgetful is not None:
                # In silence it is put back once: a copy of before its node began anew is a copy, and frozen.
                free = [one for one in free if one.name == self._forgetful and kind == "restore"]
            if not free:
                return None
            machine = free[int(chance.fraction() * len(free))]
            self._busy.add(machine.name)
            if kind in {"restore", "behind"}:
                self._forgetful = machine.name

            async def run(lasting: float) -> None:
                try:
                    await happen(machine, chance, lasting)
                finally:
                    self._busy.discard(machine.name)

            return Fault(machine.name, run)

        return draw

    # The process.

    async def _crash(self, machine: Machine, chance: Chance, lasting: float) -> None:
        async with self._beside.trouble(machine, chance, BESIDE_SECONDS, often=0.3) as beside:
            if beside:
                await trio.sleep(BESIDE_SECONDS * chance.fraction())
            if machine.is_up:
                await _fall(machine, chance)
            self._say(machine, "crash")
            await trio.sleep(min(lasting, DOWN_SECONDS_MAX))
            await self._up(machine)

    async def _pause(self, machine: Machine, chance: Chance, lasting: float) -> None:
        del chance
        life = machine.life
        machine.pause()
        await trio.sleep(lasting)
        if life is not None:
            life.go_on()

    # The disk.

    async def _power(self, machine: Machine, chance: Chance, lasting: float) -> None:
        disk = disk_of(machine)
        await _fall(machine, chance)
        drop = self.drops.get(machine.name)
        if drop is not None and chance.fraction() < 0.5:  # people go on for a moment longer than their node
            for _ in range(1 + int(DROPS_MAX * chance.fraction())):
                drop()
        self._say(machine, "power_cut")
        disk.power_cut()
        machine.is_off = True
        await trio.sleep(min(lasting, DOWN_SECONDS_MAX))
        machine.is_off = False
        await self._up(machine)

    async def _disk_slow(self, machine: Machine, chance: Chance, lasting: float) -> None:
        disk = disk_of(machine)
        disk.sync_seconds = SLOW_SECONDS * chance.fraction()
        await trio.sleep(lasting)
        disk.sync_seconds = 0.0

    async def _disk_full(self, machine: Machine, chance: Chance, lasting: float) -> None:
        disk = disk_of(machine)
        del chance
        disk.full = True
        await self._bad_disk(machine, lasting)
        disk.full = False
        await self._up(machine)

    async def _no_files(self, machine: Machine, chance: Chance, lasting: float) -> None:
        """A disk with room and no entry left for a file: databases go on, folders do not."""
        del chance
        disk = disk_of(machine)
        disk.no_files = True
        await self._bad_disk(machine, lasting)
        disk.no_files = False
        await self._up(machine)

    async def _disk_fails(self, machine: Machine, chance: Chance, lasting: float) -> None:
        disk = disk_of(machine)
        disk.fail_syncs = 1 + int(2 * chance.fraction())
        await self._bad_disk(machine, lasting)
        disk.fail_syncs = 0
        await self._up(machine)

    async def _bad_disk(self, machine: Machine, lasting: float) -> None:
        """For so long, and a while after it, its node may fall by what its disk does."""
        self._disk_troubles[machine.name] = math.inf
        await trio.sleep(lasting)
        self._disk_troubles[machine.name] = trio.current_time() + FALLS_AFTER_SECONDS

    # The clock.

    async def _clock_jump(self, machine: Machine, chance: Chance, lasting: float) -> None:
        far = FAR_JUMP_SECONDS if chance.fraction() < 0.1 else JUMP_SECONDS
        machine.time.moved += int((2 * chance.fraction() - 1) * far * 1e9)
        await trio.sleep(lasting)
        machine.time.set_right()

    async def _clock_drift(self, machine: Machine, chance: Chance, lasting: float) -> None:
        machine.time.drift((2 * chance.fraction() - 1) * DRIFT)
        await trio.sleep(lasting)
        machine.time.drift(0.0)

    async def _clock_freeze(self, machine: Machine, chance: Chance, lasting: float) -> None:
        del chance
        machine.time.freeze()
        await trio.sleep(lasting)
        machine.time.set_right()

    async def _sleep(self, machine: Machine, chance: Chance, lasting: float) -> None:
        """All machines at once, their lids closed in the middle of whatever they do."""
        del machine, lasting
        low, high = SLEEPS_SECONDS
        slept = int((low + (high - low) * chance.fraction()) * 1e9)
        for one in self._machines:
            one.time.slept += slept
        await trio.lowlevel.checkpoint()

    # Those who work there.

    async def _habit(self, habit: str, machine: Machine, chance: Chance, lasting: float) -> None:
        some = self._habits[machine.name]
        of = some[int(chance.fraction() * len(some))]
        setattr(of, habit, True)
        await trio.sleep(lasting)
        setattr(of, habit, False)

    async def _drop(self, machine: Machine, chance: Chance, lasting: float) -> None:
        del lasting
        await trio.lowlevel.checkpoint()
        shapes = sorted(HOSTILE)
        shape = shapes[int(chance.fraction() * len(shapes))]
        name = f"evil-{len(self.hostile)}-{shape}.json"
        self._witness(machine.name).seen_by("client").note("submit_call", key=name, reason="hostile")
        HOSTILE[shape](Path(machine.home.channel("agent1"), "outbox", name))
        self.hostile.append((machine.name, "agent1", name))

    # Coming back.

    async def _up(self, machine: Machine) -> None:
        """As a service does it: again and again, as long as its disk is in trouble."""
        while not machine.is_up:
            try:
                await machine.start(self._nursery)
            except (NetskyError, OSError, LedgerBroken) as error:
                if not self._has_disk_trouble(machine):
                    self.fell.append(f"{machine.name} does not start: {error!r}")
                    return
                await trio.sleep(START_TRIES_SECONDS)

    def _service_of(self, machine: Machine) -> Callable[[BaseException], None]:
        def fell(error: BaseException) -> None:
            self._say(machine, "crash")
            if not self._has_disk_trouble(machine) or not _is_of_the_disk(error):
                self.fell.append(f"{machine.name} fell: {error!r}")
            self._nursery.start_soon(self._served, machine)

        return fell

    async def _served(self, machine: Machine) -> None:
        await trio.sleep(SERVICE_SECONDS)
        if self._has_disk_trouble(machine):
            await self._up(machine)

    def _has_disk_trouble(self, machine: Machine) -> bool:
        return trio.current_time() <= self._disk_troubles.get(machine.name, -math.inf)

    def _say(self, machine: Machine, ev: str, **fields: object) -> None:
        self._witness(machine.name).note(ev, **fields)


async def _fall(machine: Machine, chance: Chance) -> None:
    """Nearly all calls of a node look at something while it has nothing to do: so half of the time only those count
    that change its database."""
    at_any, place = chance.fraction() < 0.5, chance.fraction()
    if at_any:
        await machine.crash(1 + int(CALLS_MAX * place))
    else:
        await machine.crash(1 + int(WRITES_MAX * place), writes, WRITES_SECONDS)


def _is_of_the_disk(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_of_the_disk(part) for part in error.exceptions)
    return isinstance(error, LedgerBroken | MustStop | OSError | trio.Cancelled)
