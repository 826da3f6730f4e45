"""Whole nodes as they ship, several in one trio run, joined over a network in memory: root and siblings, each with its
home on disk, its tree of tasks and its sockets in memory. Under a MockClock an hour passes when nobody has work.

    async with open_mesh(folder, siblings=2) as mesh:
        sent = await mesh.send("agent0@netsky0", "hello", to="agent0@netsky1")
        await mesh.crash("netsky1")
        await mesh.start("netsky1")
        assert (await mesh.outcome(sent)).delivered

Every verb is awaited. What a node itself refuses is raised as one of `netsky.node.errors`; what cannot be asked of a
mesh at all, as `Misused`, with what to do instead. `netsky help testing` tells the rest.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio
from netsky.envelope.address import parse_address
from netsky.envelope.file import FileEnvelope, read_file
from netsky.envelope.invalid import Invalid
from netsky.node.api import Node, Outcome, Sent
from netsky.node.lab import books
from netsky.node.lab.attached import Seat, SimulatedInbox, SimulatedNode, attached, live
from netsky.node.lab.chronicle import Chronicle
from netsky.node.lab.clock import MachineTime
from netsky.node.lab.disk import Disk
from netsky.node.lab.history import By, Writer
from netsky.node.lab.machine import Machine
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.programs import Handler, for_each
from netsky.node.lab.troubles import Troubles

__tracebackhide__ = True  # of what a test reports: its own lines are what matters

PATIENCE = 3_600
"""Seconds of virtual time that nothing here takes."""
DRAIN_SECONDS = 180.0
"""Within this after the last fault everything has its end: backoffs, holds and clocks that were wrong included."""

Found = TypeVar("Found")


class Misused(Exception):
    """What cannot be asked of a mesh: a sentence, and what to do instead."""


class Mesh:
    def __init__(
        self,
        folder: Path,
        siblings: int,
        *,
        times: Sequence[MachineTime] | None = None,
        network: MemoryNetwork | None = None,
        seed: int = 0,
    ) -> None:
        self.network = network or MemoryNetwork()
        clocks = times or [MachineTime() for _ in range(siblings + 1)]
        self.machines = [Machine(folder, self.network, at, clocks[at], seed=seed) for at in range(siblings + 1)]
        self.nursery: trio.Nursery
        self.chronicle: Chronicle | None = None
        """Where what happens here is written down, if anybody judges it."""
        self.judge = True
        """Whether the history of a test is judged at its end."""
        self._folder = folder
        self._troubles = Troubles(lambda name: self.said(self[name], "network"))
        self._senders: dict[str, Machine] = {}
        self._working: list[tuple[Machine, str]] = []
        self._backups = 0

    def __getitem__(self, name: str) -> Machine:
        found = next((machine for machine in self.machines if machine.name == name), None)
        if found is None:
            names = ", ".join(machine.name for machine in self.machines)
            raise Misused(f"there is no machine {name!r} in this mesh: there are {names}. More of them: siblings=…")
        return found

    # Its beginning.

    async def build(self) -> None:
        """The root up, the others joined and up, all linked."""
        root, *siblings = self.machines
        await root.start(self.nursery)
        for sibling in siblings:
            ticket = (await root.ask("invite", label=f"machine {sibling.number}"))["ticket"]
            await sibling.join(ticket)
        for sibling in siblings:  # not before: each link that is up gets each new roster, whole
            await sibling.start(self.nursery)
        await self.linked()

    async def linked(self) -> None:
        """Until every machine that is up has its link to the root."""
        siblings = [machine for machine in self.machines[1:] if machine.is_up]

        async def look() -> bool | None:
            links = [link for one in siblings for link in (await one.ask("status"))["links"]]
            return all(link["up"] for link in links) or None

        await until(look)

    # Those who work there.

    async def agent(
        self,
        address: str,
        handler: Handler | None = None,
        *,
        resident: Callable[[Node], Awaitable[object]] | None = None,
    ) -> None:
        """An agent of yours, run by its node as it runs any program. `handler(envelope)` is called for each envelope,
        and what it returns goes back as the answer; `resident(node)` is started once and reads by itself. Without
        either it is a mailbox, for `take`."""
        machine, name = self._place(address)
        if handler is not None and resident is not None:
            raise Misused(f"{address} is either called for each envelope or resident: give one of the two")
        asked: dict[str, Any] = {"mode": "none"}
        if handler is not None:
            asked = {"mode": "per_envelope", "command": machine.programs.put(name, for_each(handler))}
        elif resident is not None:
            program = live(self._seat(machine, name), resident)
            asked = {"mode": "resident", "command": machine.programs.put(name, program)}
        machine.programs.said = lambda _: self.said(machine, "actor")
        if asked["mode"] != "none":
            asked |= {"unfenced": True, "confirm": name}
            self._working.append((machine, name))
        async with self.connect(machine.name) as node:
            await node.call("agent_add", actor=name, **asked)

    def connect(self, who: str) -> AbstractAsyncContextManager[SimulatedNode]:
        """`netsky.node.api` there: as an actor (`agent1@netsky2`), or as the operator of a machine (`netsky2`)."""
        machine, name = self._place(who) if "@" in who else (self._up(who), None)
        return attached(self._seat(machine, name))

    async def send(self, sender: str, text: str, *, to: str, **more: Any) -> Sent:
        """Stored when it returns. `more`: kind, in_reply_to, idempotency_key, data … as in `netsky.node.api`."""
        machine, name = self._place(sender)
        async with self.connect(machine.name) as node:
            sent = await node.send(to, text, sender=name, **more)
        self._senders[sent.id] = machine
        return sent

    async def outcome(self, sent: Sent | str, seconds: float = PATIENCE) -> Outcome:
        """What became of it, once that is known to its sender."""
        id_, machine = self._sent(sent)
        async with self.connect(machine.name) as node:
            found = await node.wait_outcome(id_, seconds)
        told = f"{found.fate}({found.code})" if found.code else found.fate
        self.said(machine, "client").note("outcome", id=id_, origin=machine.name, reason=told)
        return found

    async def reply(self, sent: Sent | str, seconds: float = PATIENCE) -> FileEnvelope:
        """The first answer to it, once it has come. It stays in the inbox of who asked."""
        id_, machine = self._sent(sent)
        async with self.connect(machine.name) as node:
            return read_file(json.dumps(await node.wait_reply(id_, seconds)).encode())

    async def inbox(self, address: str) -> list[FileEnvelope]:
        """What waits for this actor, oldest first. Nothing is taken by looking."""
        machine, name = self._place(address)
        rows = await machine.rows(
            "SELECT file FROM inbox WHERE actor = ? AND state != 'taken' ORDER BY file", name
        )  # fmt: skip

        async def look() -> list[FileEnvelope] | None:
            found = [machine.envelope(name, str(row[0])) for row in rows]
            whole = [one for one in found if one is not None]
            return whole if len(whole) == len(rows) else None

        return await until(look)

    async def take(self, address: str, seconds: float = PATIENCE) -> FileEnvelope:
        """The oldest that waits for this actor, read and acknowledged; the next one that comes, if none waits."""
        machine, name = self._place(address)
        if (machine, name) in self._working:
            raise Misused(f"{address} has a program, which takes what comes: ask for its reply, or look at what it did")
        async with self.connect(machine.name) as node, node.inbox(name) as inbox:
            assert isinstance(inbox, SimulatedInbox)
            inbox.most = 1
            with trio.move_on_after(seconds):
                item = await anext(inbox)
                await item.ack()
                return item.envelope
        raise Misused(f"nothing came for {address} within {seconds:g} s{self._state()}")

    # Time.

    async def advance(self, seconds: float) -> None:
        """So long passes, at once."""
        await trio.sleep(seconds)

    async def drained(self, seconds: float = DRAIN_SECONDS) -> None:
        """Until every accepted envelope has its end, its sender knows it, and every agent with a program has done its
        work. What lies in mailboxes without one stays there."""
        left: list[str] = []
        with trio.move_on_after(seconds):
            while left := self.left():  # noqa: ASYNC110 - databases ring no bell
                await trio.sleep(0.5)
        if left:
            raise Misused(f"after {seconds:g} s there is left: {'; '.join(left)}{self._state()}")

    def left(self, *, programs: bool = True) -> list[str]:
        """What has no end yet; without `programs`, what agents still have to do is none of it."""
        found = books.left(self.machines, read=False)
        for machine, name in self._working if programs else ():
            if count := books.unread(machine, name):
                found.append(f"{machine.name}: {count} envelopes in the hands of {name}")
        return found

    # Trouble.

    async def partition(self, *names: str) -> None:
        """Nothing passes from or to these machines, until `heal`."""
        for name in names:
            machine = self[name]
            others = [other for other in self.machines if other is not machine]
            for other in others:
                self.network.part(machine.key, other.key)
            self._troubles.begin("partition", name, f"{name}>{others[0].name}")
        await trio.lowlevel.checkpoint()

    async def heal(self, *names: str) -> None:
        """Ends every trouble of these machines, or of all: partitions, pauses, disks, clocks. Who is down stays so."""
        for machine in [self[name] for name in names] or self.machines:
            self.network.heal(machine.key)
            machine.go_on()
            machine.time.set_right()
            if machine.disk is not None:
                machine.disk.full, machine.disk.sync_seconds = False, 0.0
        self._troubles.end_all(names or [machine.name for machine in self.machines])
        await trio.lowlevel.checkpoint()

    async def crash(self, name: str, calls: int = 0) -> None:
        """As by SIGKILL; with `calls`, before its so-manieth call to the world from now, so that it falls in the middle
        of something. Its agents die with it."""
        machine = self._up(name)
        await machine.crash(calls)
        self.said(machine, "test").note("crash")

    async def cut_power(self, name: str) -> None:
        """A crash, after which files and databases are as of their last sync."""
        machine, disk = self._up(name), self._disk(name)
        await machine.crash()
        self.said(machine, "test").note("power_cut")
        disk.power_cut()

    async def stop(self, name: str) -> None:
        """In order, as `netsky down` does it."""
        machine = self._up(name)
        self._troubles.begin("stop", name)
        await machine.stop()

    async def start(self, name: str) -> None:
        """A machine that is down is up again when this returns."""
        machine = self[name]
        if machine.is_up:
            raise Misused(f"{name} is up already: await mesh.restart({name!r}) ends it first")
        await machine.start(self.nursery)
        self._troubles.end("stop", name)

    async def restart(self, machine: Machine | str) -> None:
        name = machine if isinstance(machine, str) else machine.name
        await self.stop(name)
        await self.start(name)

    async def pause(self, name: str) -> None:
        """It stands still, as a laptop that sleeps, until `go_on` or `heal`."""
        machine = self._up(name)
        self._troubles.begin("pause", name)
        machine.pause()
        await trio.lowlevel.checkpoint()

    async def go_on(self, name: str) -> None:
        self[name].go_on()
        self._troubles.end("pause", name)
        await trio.lowlevel.checkpoint()

    async def fill_disk(self, name: str) -> None:
        """Nothing can be stored there, until `heal`."""
        self._up(name)
        self._troubles.begin("fill_disk", name)
        self._disk(name).full = True
        await trio.lowlevel.checkpoint()

    async def slow_disk(self, name: str, seconds: float) -> None:
        """Each commit takes so long there, until `heal`."""
        self._up(name)
        self._troubles.begin("slow_disk", name)
        self._disk(name).sync_seconds = seconds
        await trio.lowlevel.checkpoint()

    async def set_clock(self, name: str, ahead: float) -> None:
        """Its wall clock jumps ahead by so many seconds, back if they are below 0; `heal` sets it right."""
        machine = self[name]
        self._troubles.begin("set_clock", name)
        machine.time.moved += round(ahead * 1e9)
        await trio.lowlevel.checkpoint()

    async def backup(self, name: str) -> str:
        """As `netsky backup`; for `restore`."""
        machine = self._up(name)
        self._backups += 1
        file = str(self._folder / f"backup-{self._backups}.tar")
        machine.backup(file)
        self.said(machine, "test").note("backup", key=f"backup {self._backups}")
        await trio.lowlevel.checkpoint()
        return file

    async def restore(self, name: str, backup: str) -> None:
        """The machine is lost, and put back as it was in this backup; it is up when this returns."""
        machine = self[name]
        if machine.is_up:
            await self.crash(name)
        machine.put_back(backup)
        key = "backup " + Path(backup).stem.rpartition("-")[2]
        self.said(machine, "test").note("start", reason="restored", key=key)
        await machine.start(self.nursery)

    # Within.

    def said(self, machine: Machine, by: By) -> Writer:
        """Who writes down what somebody saw there."""
        if self.chronicle is None:
            return Writer(lambda _: None, machine.time.monotonic, node=machine.name, by=by)
        return self.chronicle.witness(machine.name, by)

    def _seat(self, machine: Machine, actor: str | None) -> Seat:
        return Seat(machine, actor, self.said(machine, "client"), self.said(machine, "actor"))

    def _state(self) -> str:
        """What of it may explain why nothing moves."""
        down = [f"{one.name} is down (mesh.start)" for one in self.machines if not one.is_up]
        wrong = [*down, *self._troubles.sentences()]
        return "; " + ", ".join(wrong) if wrong else ""

    def _place(self, address: str) -> tuple[Machine, str]:
        try:
            found = parse_address(address)
        except Invalid as invalid:
            raise Misused(f"{invalid.sentence} An actor of a machine is written agent1@netsky2") from None
        if found.node is None:
            raise Misused(f"{address!r} names no machine: write {address}@netsky1")
        return self._up(found.node), found.actor

    def _up(self, name: str) -> Machine:
        machine = self[name]
        if not machine.is_up:
            raise Misused(f"{name} is down: await mesh.start({name!r}) first")
        return machine

    def _disk(self, name: str) -> Disk:
        disk = self[name].disk
        if disk is None:
            raise Misused(f"{name} stands on no simulated disk: machine.put_on(Disk(…)) before it starts")
        return disk

    def _sent(self, sent: Sent | str) -> tuple[str, Machine]:
        id_ = sent if isinstance(sent, str) else sent.id
        if id_ not in self._senders:
            raise Misused(f"{id_} was not sent by mesh.send: ask its own node, async with mesh.connect(…) as node")
        return id_, self._up(self._senders[id_].name)


@asynccontextmanager
async def open_mesh(
    folder: Path,
    siblings: int = 2,
    *,
    times: Sequence[MachineTime] | None = None,
    network: MemoryNetwork | None = None,
    seed: int = 0,
    prepare: Callable[[Mesh], None] = lambda _: None,
) -> AsyncIterator[Mesh]:
    """`prepare` comes after the homes are made and before any node runs: configs, programs."""
    mesh = Mesh(folder, siblings, times=times, network=network, seed=seed)
    prepare(mesh)
    async with trio.open_nursery() as nursery:
        mesh.nursery = nursery
        with trio.fail_after(365 * 86_400.0):
            await mesh.build()
            yield mesh
        nursery.cancel_scope.cancel()


async def until(look: Callable[[], Awaitable[Found | None]], seconds: float = PATIENCE, every: float = 0.1) -> Found:
    """What `look` gives once it gives something."""
    with trio.fail_after(seconds):
        while (found := await look()) is None:  # noqa: ASYNC110 - time is virtual, and what it waits for rings no bell
            await trio.sleep(every)
    return found
