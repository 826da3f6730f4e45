"""One test of somebody who tests his own agents: a mesh, his story, peace, and the checker.

    run_mesh(story, siblings=2, seed=7)          await story(mesh), in virtual time; the seed decides everything

What the story raises is raised here, as it was. If it ends well, every trouble that it left is ended, everything
drains, and what the history then breaks is raised as `Broken`; a story that means to leave a mesh broken says
`mesh.judge = False`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import trio
from netsky.node.config import with_line
from netsky.node.lab.checker.rules import check_lines
from netsky.node.lab.chronicle import Chronicle
from netsky.node.lab.disk import Disk
from netsky.node.lab.mesh import DRAIN_SECONDS, Mesh, Misused, open_mesh
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.people import chance_of
from netsky.node.lab.scheduler import run_seeded

__tracebackhide__ = True  # of what a test reports: its own lines are what matters

LATENCY = (0.001, 0.02)
"""Seconds one way, drawn for each piece: enough for another seed to be another order of things."""
SETTLE_SECONDS = 3.0
SIBLINGS_MAX = 50
SEEDS_APART = 100_000
"""Of the machines of two runs: nobody draws so many."""
MEMORY = Path("/dev/shm")  # noqa: S108 - only where a folder of our own is made

T = TypeVar("T")
Story = Callable[[Mesh], Awaitable[T]]


class Broken(AssertionError):
    """What a mesh promises did not hold in this run. The text is the checker's story."""


@dataclass
class Trial:
    siblings: int = 2
    seed: int = 0
    routes: Sequence[str] = ()
    """Lines under [routes] of the root's config: what siblings may send to each other."""
    failures: list[str] = field(default_factory=list)
    """What programs of agents raised: they were ended and tried again, and the test may know nothing of it."""

    def __post_init__(self) -> None:
        if not 0 <= self.siblings <= SIBLINGS_MAX:
            raise Misused(f"a mesh here has 0 to {SIBLINGS_MAX} siblings, not {self.siblings}")

    def run(self, story: Story[T]) -> T:
        """Raises what the story raises, and Broken."""
        ended: list[T] = []
        raised: list[BaseException] = []

        async def play() -> None:
            network = MemoryNetwork(chance_of(self.seed, "network"), latency=LATENCY)
            given: dict[str, Any] = {"network": network, "seed": self.seed * SEEDS_APART}
            async with open_mesh(Path(folder), self.siblings, prepare=self._prepare, **given) as mesh:
                try:
                    ended.append(await story(mesh))
                    if mesh.judge:
                        await self._judge(mesh)
                except Exception as error:  # noqa: BLE001 - raised outside, free of our nurseries
                    raised.append(error)
                finally:
                    self._gather(mesh)

        with tempfile.TemporaryDirectory(prefix="netsky-test-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
            run_seeded(play, seed=self.seed)
        if raised:
            raise raised[0]
        return ended[0]

    def _prepare(self, mesh: Mesh) -> None:
        config = Path(mesh.machines[0].home.config)
        told = config.read_text()
        for at, line in enumerate(self.routes):
            told = with_line(told, "routes", f"test{at}", line)
        config.write_text(told)
        for machine in mesh.machines:
            machine.put_on(Disk(chance_of(self.seed, f"disk {machine.name}"), machine.time))
        mesh.chronicle = Chronicle(submissions=True)
        mesh.chronicle.watch(mesh)

    async def _judge(self, mesh: Mesh) -> None:
        chronicle = mesh.chronicle
        assert chronicle is not None
        await mesh.heal()
        for machine in mesh.machines:
            if not machine.is_up:
                await mesh.start(machine.name)
        chronicle.witness("network", "network").note("heal", value=DRAIN_SECONDS)
        left: list[str] = []
        with trio.move_on_after(DRAIN_SECONDS):
            while left := mesh.left(programs=False):  # noqa: ASYNC110 - databases ring no bell
                await trio.sleep(0.5)
        if left:
            raise Broken(
                f"{DRAIN_SECONDS:g} s after the test, with every trouble ended, there is left: {'; '.join(left)}.\n"
                "If the test means to leave it so (a full inbox, a halt): mesh.judge = False"
            )
        await trio.sleep(SETTLE_SECONDS)
        chronicle.note_ends(mesh.machines)
        report = check_lines(chronicle.lines)
        if report.violations:
            told = "\n".join(story.text() for story in report.stories)
            raise Broken(f"what the mesh promises did not hold in this run:\n{told}")

    def _gather(self, mesh: Mesh) -> None:
        """Each that is told by other words once."""
        times: dict[str, list[float]] = {}
        for machine in mesh.machines:
            for failure in machine.programs.failures:
                times.setdefault(f"{failure.actor}\n{failure.text()}", []).append(failure.at)
        for said, at in times.items():
            who, _, what = said.partition("\n")
            when = f"after {at[0]:.3f} s" if len(at) == 1 else f"{len(at)} times, first after {at[0]:.3f} s"
            self.failures.append(f"{who}, {when}:\n{what}")


def run_mesh(story: Story[T], *, siblings: int = 2, seed: int = 0, routes: Sequence[str] = ()) -> T:
    """`await story(mesh)` in a mesh of its own, and what it returns."""
    return Trial(siblings, seed, routes).run(story)
