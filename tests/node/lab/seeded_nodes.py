"""Three whole nodes on a network full of trouble, all of it decided by one seed; what everybody saw is one history.

`python -m tests.node.lab.seeded_nodes SEED [FILE]` writes the history of one run and says whether everything held.

The senders' and the actors' lines are written by the clients below, never by a node. A node's own lines are taken at
its store (`lab/witness.py`): what stands there is durable.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio
from netsky.envelope.file import read_file
from netsky.mesh.effects import Arrived
from netsky.node.bus.draft import Draft
from netsky.node.errors import TryLater
from netsky.node.lab.checker.__main__ import text
from netsky.node.lab.checker.rules import Report, check
from netsky.node.lab.faults import Faults, NetworkFaults, trouble
from netsky.node.lab.history import By, Writer, digest
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.scheduler import run_seeded
from netsky.node.lab.virtual import SeededChance, VirtualTime
from netsky.node.lab.witness import Witness, WitnessedStore

from tests.node.stations import Station, key, roster, seams_with, station

ROOT_AT = "memory:40"
LINES = ("agent0@netsky1 -> agent0@netsky2: *", "agent0@netsky2 -> agent0@netsky1: *")
NODES = {f"netsky{number}": key(number) for number in range(3)}
TROUBLE_SECONDS = 30.0
DRAIN_SECONDS = 120.0
KINDS = (None, None, "reply", "report", "question")


@dataclass
class Run:
    seed: int
    folder: Path
    lines: list[bytes] = field(default_factory=list)
    stations: dict[str, Station] = field(default_factory=dict)
    over: bool = False

    def witness(self, node: str, by: By) -> Writer:
        return Writer(self.lines.append, VirtualTime().wall, node=node, by=by, boot=1)


async def play(run: Run) -> bytes:
    chance = SeededChance(run.seed)
    net = MemoryNetwork(SeededChance(run.seed + 1), latency=(0.001, 0.05))
    async with AsyncExitStack() as stack:
        for number, name in enumerate(NODES):
            seams = seams_with(net, time=VirtualTime(), chance=SeededChance(1_000 * run.seed + number))
            known, bind = roster(1, 2), f"memory:{40 + number}"
            made = Station(run.folder / name, number, seams, known, bind=bind, root_at=ROOT_AT, routes=LINES)
            run.witness(name, "test").note("start", key=NODES[name].hex())
            made.make_store = partial(Delivering, Witness(made.identity, run.witness(name, "node")))
            run.stations[name] = await stack.enter_async_context(station(made))
        async with trio.open_nursery() as nursery:
            for name in NODES:
                nursery.start_soon(actor, run, name)
                nursery.start_soon(listener, run, name)
                nursery.start_soon(sender, run, name, SeededChance(2_000 * run.seed + int(name[-1])))
            history = run.witness("network", "network")
            await trouble(
                NetworkFaults(net, NODES).draws(), Faults(every=2.5), chance, history, seconds=TROUBLE_SECONDS
            )
            net.heal()
            history.note("heal", value=DRAIN_SECONDS)
            await drained(run)
            run.over = True
            await trio.sleep(2)
            nursery.cancel_scope.cancel()
        for made in run.stations.values():
            assert made.crashes == [], made.crashes
    return b"".join(run.lines)


async def drained(run: Run) -> None:
    """Everything that was accepted has its outcome, and every file was taken."""
    with trio.move_on_after(DRAIN_SECONDS):
        while True:
            left = [
                await made.one(sql)
                for made in run.stations.values()
                for sql in (
                    "SELECT count(*) FROM outbox WHERE state != 'done'",
                    "SELECT count(*) FROM inbox WHERE state != 'taken'",
                    "SELECT count(*) FROM answers",
                )
            ]
            if not any(left):
                return
            await trio.sleep(0.5)


# The people around the nodes.


async def sender(run: Run, name: str, chance: SeededChance) -> None:
    said, made = run.witness(name, "client"), run.stations[name]
    number = 0
    ends = trio.current_time() + TROUBLE_SECONDS
    while trio.current_time() < ends:
        await trio.sleep(2 * chance.fraction())
        to = [one for one in NODES if one != name][int(2 * chance.fraction())]
        kind = KINDS[int(chance.fraction() * len(KINDS))]
        keys = [f"{name}-{number + at}" for at in range(1 + int(8 * chance.fraction() ** 2))]
        number += len(keys)
        words = [f"{one} " + "x" * int(3_000 * chance.fraction() ** 3) for one in keys]
        dest = f"agent0@{to}"
        for one in keys:
            said.note("submit_call", key=one, dest=dest)
        drafts = [Draft(dest, word, kind=kind, idempotency_key=one) for one, word in zip(keys, words, strict=True)]
        answers = await made.bus.accept("agent0", "actor", drafts)
        for one, word, answer in zip(keys, words, answers, strict=True):
            if isinstance(answer, TryLater):
                said.note("submit_refused", key=one, dest=dest, reason=answer.code)
                continue
            assert not isinstance(answer, Exception), answer
            sent = {"key": one, "id": answer.id, "origin": name, "dest": dest, "hash": answer.leaf.hex()}
            said.note("submit_ok", **sent, value=digest(word))


async def listener(run: Run, name: str) -> None:
    """Hears the outcomes of what was sent from here, as `netsky wait` would."""
    said, made = run.witness(name, "client"), run.stations[name]
    told: set[str] = set()
    while True:
        rows = await made.rows(
            "SELECT messages.id, outcomes.fate, outcomes.code FROM outbox JOIN messages USING (seq)"
            " JOIN outcomes ON outcomes.leaf = messages.leaf WHERE outbox.state = 'done' ORDER BY messages.seq"
        )
        for id_, fate, code in rows:
            if id_ not in told:
                told.add(str(id_))
                said.note("outcome", id=id_, origin=name, reason=fate if code is None else f"{fate}({code})")
        await trio.sleep(0.25)


async def actor(run: Run, name: str) -> None:
    """agent0 there: reads a file, does it, says that it is taken."""
    said, made = run.witness(name, "actor"), run.stations[name]
    inbox = made.folder / "channels" / "agent0" / "inbox"
    while True:
        for path in sorted(inbox.glob("*.json")) if inbox.exists() else ():
            shown = read_file(path.read_bytes())
            which = {"id": shown.id, "origin": str(shown.sender).rpartition("@")[2]}
            if await made.rows(
                "UPDATE inbox SET state = 'taken' WHERE file = ? AND state = 'projected' RETURNING 1", path.name
            ):
                said.note("claim", **which, dest=f"agent0@{name}", value=digest(shown.text))
                path.unlink()
                said.note("archive", **which)
        await trio.sleep(0.3)


# What nodes say.


class Delivering(WitnessedStore):
    """Nobody is killed here, so a node can be asked what it delivered as soon as that is durable."""

    def _arrived(self, record: Arrived) -> None:
        super()._arrived(record)
        for one in record.arrivals:
            assert one.header is not None
            if one.header.destination == NODES[self._witness.name]:
                which = {"id": one.header.id, "origin": one.header.origin.hex(), "hash": one.leaf.hex()}
                self._witness.said.note("deliver", **self._in(record.lane, record.life), n=one.number, **which)


# One run.


def history_of(seed: int, folder: Path) -> bytes:
    return run_seeded(play, Run(seed, folder), seed=seed)


def judged(seed: int, folder: Path, file: Path) -> Report:
    file.write_bytes(history_of(seed, folder))
    return check([str(file)])


def main(words: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(words[1]) if len(words) > 1 else Path(folder) / "history"
        report = judged(int(words[0]), Path(folder), file)
    print(text(report))
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
