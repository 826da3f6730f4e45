"""What two linked nodes have their ledgers store, transaction by transaction, as they ship: recorded at the seam.

A root and a sibling live through a drawn day: groups of envelopes both ways, answers, receipts, refusals and dead
letters, actors that come and go, retention, restarts in order and without. What each of them stored is played again
on a disk that forgets, where SQL, settings and code of the ledger are those of the product.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio
from netsky.node.daemon.care import prune
from netsky.node.db import node_state
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.lab.clock import DAY, MachineTime
from netsky.node.lab.machine import Down, Machine
from netsky.node.lab.mesh import Mesh, open_mesh
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.scheduler import run_seeded
from netsky.node.lab.virtual import SeededChance
from netsky.node.seams.ledger import Ledger, OpenLedger, Row, Statement
from netsky.node.seams.real_files import RealFiles

ROUNDS = 24
READS = ("SELECT", "PRAGMA", "EXPLAIN")


@dataclass
class Traffic:
    """Of one node. The first transaction of a new file, its schema, is not among them: whoever plays it begins."""

    node: str
    transactions: list[Sequence[Statement]] = field(default_factory=list)
    ends: set[int] = field(default_factory=set)
    """Before the transaction of this number the ledger was closed in order."""


class _Recorded:
    def __init__(self, ledger: Ledger, traffic: Traffic) -> None:
        self._ledger, self._traffic = ledger, traffic

    async def transaction(self, statements: Sequence[Statement]) -> list[list[Row]]:
        rows = await self._ledger.transaction(statements)
        if not all(statement.sql.startswith(READS) for statement in statements):
            self._traffic.transactions.append(tuple(statements))
        return rows

    def close(self) -> None:
        self._traffic.ends.add(len(self._traffic.transactions))
        self._ledger.close()


class _Recording:
    """The seam of one machine."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic, self._real = traffic, SqliteLedgers()

    def open(self, path: str) -> Ledger:
        return _Recorded(self._real.open(path), self._traffic)


def record(seed: int) -> list[Traffic]:
    """The same seed, the same transactions."""
    made = [Traffic("netsky0"), Traffic("netsky1")]
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        run_seeded(_day, Path(folder), made, random.Random(seed), seed=seed)  # noqa: S311 - reproducible on purpose
    return [_without_schema(traffic) for traffic in made]


def memory_folder() -> str | None:
    """Where there is one: nothing here is meant to be kept."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


def _without_schema(traffic: Traffic) -> Traffic:
    begun = next(at for at, one in enumerate(traffic.transactions) if one[-1] == _mark(one[-1]))
    return Traffic(
        traffic.node, traffic.transactions[begun + 1 :], {at - begun - 1 for at in traffic.ends if at > begun}
    )


def _mark(statement: Statement) -> Statement:
    """What the last transaction of `opening.begin` looks like with this statement's values."""
    time = statement.values[1] if len(statement.values) > 1 else 0
    return node_state.put(node_state.RUNNING_SINCE, time if isinstance(time, int) else 0)


async def _day(folder: Path, made: list[Traffic], chance: random.Random) -> None:
    seed = chance.randrange(1 << 20)
    network = MemoryNetwork(SeededChance(seed), latency=(0.001, 0.02))

    def prepare(mesh: Mesh) -> None:
        for machine, traffic in zip(mesh.machines, made, strict=True):
            ledgers: OpenLedger = _Recording(traffic)
            machine.ledgers = ledgers
            machine.files = RealFiles(inline=True)  # a thread would not wait for a clock that jumps
            machine.configure("tick", "seconds", 600)

    async with open_mesh(folder, 1, network=network, seed=seed, prepare=prepare) as mesh:
        for number in range(ROUNDS):
            await _round(mesh, chance, number)
        for machine in mesh.machines:
            await machine.stop()


async def _round(mesh: Mesh, chance: random.Random, number: int) -> None:
    root, sibling = mesh.machines
    for machine, to in ((root, "agent0@netsky1"), (sibling, "agent0@netsky0"), (sibling, "owner@netsky0")):
        if chance.random() < 0.8:
            await _send(machine, chance, to, number)
    if chance.random() < 0.3:
        await _send(root, chance, "agent7@netsky1", number)  # nobody: dead, and an error file
    await trio.sleep(chance.choice((0.01, 0.1, 1)))
    for machine in mesh.machines:
        if chance.random() < 0.7:
            await _take(machine, chance)
    await _befall(mesh, chance, chance.choice((root, sibling)), number)


async def _send(machine: Machine, chance: random.Random, to: str, number: int) -> None:
    count = chance.choice((1, 1, 2, 5, 20))
    length = chance.choice((10, 200, 200, 1_000, 1_000, 6_000))
    kind = "report" if to.startswith("owner") else chance.choice((None, "question", "report", "reply"))
    drafts = [
        {
            "from": "agent0",
            "to": to,
            "text": chance.randbytes(length // 2).hex(),
            "kind": kind,
            "requires_ack": chance.random() < 0.3,
            "idempotency_key": f"{number}-{at}-{to}" if chance.random() < 0.5 else None,
        }
        for at in range(count)
    ]
    sent = [{name: value for name, value in draft.items() if value is not None} for draft in drafts]
    with suppress(Down):
        await machine.ask("send", drafts=sent)


async def _take(machine: Machine, chance: random.Random) -> None:
    files = [one["file"] for one in await machine.inbox("agent0") if one["state"] == "projected"]
    files = files[: chance.randint(1, 64)]
    if not files:
        return
    await machine.ask("claim", actor="agent0", files=files)
    if chance.random() < 0.1:
        await machine.ask("release", actor="agent0", files=files)
    else:
        await machine.ask("ack", actor="agent0", ids=files)


async def _befall(mesh: Mesh, chance: random.Random, machine: Machine, number: int) -> None:
    what = chance.choice(("restart", "crash", "actor", "dead", "time", "nothing", "nothing"))
    if what == "restart":
        await mesh.restart(machine)
    elif what == "crash":
        await machine.crash()
        await machine.start(mesh.nursery)
    elif what == "actor":
        await machine.ask("agent_add", actor=f"agent{number + 1}", mode="none")
    elif what == "dead":
        ids = [letter["id"] for letter in (await machine.ask("dead_ls"))["letters"][:5]]
        if ids:
            await machine.ask("dead_drop", ids=ids)
    elif what == "time":
        for one in mesh.machines:
            assert isinstance(one.time, MachineTime)
            one.time.moved += chance.choice((2 * DAY, 40 * DAY))
            await prune(one.node)  # as every ten minutes
