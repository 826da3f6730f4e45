"""Three whole nodes on a network full of trouble, all of it decided by one seed; what everybody saw is one history.

`python -m tests.node.lab.seeded_nodes SEED [FILE]` writes the history of one run and says whether everything held.

The senders' and the actors' lines are written by the clients below, never by a node. A node's own lines are taken at
its store: what stands there is durable.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from netsky.envelope.batch import encode_batch
from netsky.envelope.file import read_file
from netsky.mesh.effects import Acked, Answered, Arrived, Numbered, Record, Stated
from netsky.node.bus.draft import Draft
from netsky.node.errors import TryLater
from netsky.node.lab.checker.__main__ import text
from netsky.node.lab.checker.rules import Report, check
from netsky.node.lab.faults import Faults, trouble
from netsky.node.lab.history import By, Writer, digest
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.scheduler import run_seeded
from netsky.node.lab.virtual import SeededChance, VirtualTime
from netsky.node.links.store import PeerStore

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
    _proofs: dict[bytes, str] = field(default_factory=dict)

    def witness(self, node: str, by: By) -> Writer:
        return Writer(self.lines.append, VirtualTime().wall, node=node, by=by, boot=1)

    def proof(self, node: str, data: bytes) -> str:
        """Bytes that a link brought, once; what they are called."""
        if data not in self._proofs:
            self._proofs[data] = f"proof {len(self._proofs)}"
            self.witness(node, "node").note("proof", key=self._proofs[data], value=data.hex())
        return self._proofs[data]


async def play(run: Run) -> bytes:
    chance = SeededChance(run.seed)
    net = MemoryNetwork(SeededChance(run.seed + 1), latency=(0.001, 0.05))
    async with AsyncExitStack() as stack:
        for number, name in enumerate(NODES):
            seams = seams_with(net, time=VirtualTime(), chance=SeededChance(1_000 * run.seed + number))
            known, bind = roster(1, 2), f"memory:{40 + number}"
            made = Station(run.folder / name, number, seams, known, bind=bind, root_at=ROOT_AT, routes=LINES)
            begin(run, name)
            run.stations[name] = await stack.enter_async_context(station(made))
        async with trio.open_nursery() as nursery:
            for name in NODES:
                nursery.start_soon(actor, run, name)
                nursery.start_soon(listener, run, name)
                nursery.start_soon(sender, run, name, SeededChance(2_000 * run.seed + int(name[-1])))
            history = run.witness("network", "network")
            await trouble(net, NODES, Faults(every=2.5), chance, history, seconds=TROUBLE_SECONDS)
            net.heal()
            history.note("heal", value=DRAIN_SECONDS)
            await drained(run)
            run.over = True
            await trio.sleep(2)
            nursery.cancel_scope.cancel()
        for made in run.stations.values():
            assert made.crashes == [], made.crashes
    return b"".join(run.lines)


def begin(run: Run, name: str) -> None:
    run.witness(name, "test").note("start", key=NODES[name].hex())
    said = run.witness(name, "node")
    said.note("trust_set", key=NODES["netsky0"].hex(), reason="root", epoch=1)
    for member in NODES.values():
        said.note("trust_set", key=member.hex(), reason="enrolled")


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


@contextmanager
def observed(run: Run) -> Iterator[None]:
    """Notes what each link of each node has stored, once it is."""
    really = PeerStore.persist

    async def persist(store: PeerStore, records: Sequence[Record]) -> None:
        me = next(made for made in run.stations.values() if made.links._ways is store._ways)
        peer = store._name
        for record in records:
            if isinstance(record, Arrived | Answered):
                received(run, me.identity.name, peer, record)
        await really(store, records)
        for record in records:
            stored(run, me, peer, record)

    PeerStore.persist = persist  # type: ignore[method-assign]
    try:
        yield
    finally:
        PeerStore.persist = really  # type: ignore[method-assign]


def stream(sender_: str, receiver: str, record: Any) -> dict[str, Any]:
    return {"link": f"{sender_}>{receiver}", "ln": record.lane, "epoch": record.life}


def received(run: Run, name: str, peer: str, record: Arrived | Answered) -> None:
    said, where = run.witness(name, "node"), stream(peer, name, record)
    count = len(record.arrivals) if isinstance(record, Arrived) else len(record.outcomes)
    for at in range(count):
        said.note("link_rx", **where, n=record.first + at)


def stored(run: Run, me: Station, peer: str, record: Record) -> None:
    name = me.identity.name
    said = run.witness(name, "node")
    match record:
        case Numbered():
            for at, leaf in enumerate(record.leaves):
                said.note("link_tx", **stream(name, peer, record), n=record.first + at, hash=leaf.hex())
        case Acked():
            said.note("link_ack_rx", **stream(name, peer, record), n=record.number)
        case Arrived():
            arrived(run, me, stream(peer, name, record), record)
        case Answered():
            for at, outcome in enumerate(record.outcomes):
                fate = outcome.fate if not outcome.code else f"{outcome.fate}({outcome.code})"
                which = {"id": outcome.id, "origin": names(outcome.origin), "reason": fate}
                said.note("outcome", **stream(peer, name, record), n=record.first + at, **which)
        case Stated():
            pass  # whose home was ever restored: nobody's here
        case _:
            raise AssertionError(f"nothing freezes and nobody is enrolled here: {record}")


def arrived(run: Run, me: Station, where: dict[str, Any], record: Arrived) -> None:
    name = me.identity.name
    said = run.witness(name, "node")
    proofs = {"seal": run.proof(name, encode_batch(record.batch))}
    if record.route is not None:
        proofs["route"] = run.proof(name, record.claim)
    for arrival in record.arrivals:
        assert arrival.refusal is None, arrival
        header = arrival.header
        assert header is not None
        which = {"id": header.id, "origin": names(header.origin), "hash": arrival.leaf.hex(), "n": arrival.number}
        said.note("accept", **where, **which, value={**proofs, "expires": header.expires})
        if header.destination == me.identity.key:
            said.note("deliver", **where, **which)


def names(node_key: bytes) -> str:
    return next(name for name, one in NODES.items() if one == node_key)


# One run.


def history_of(seed: int, folder: Path) -> bytes:
    run = Run(seed, folder)
    with observed(run):
        return run_seeded(play, run, seed=seed)


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
