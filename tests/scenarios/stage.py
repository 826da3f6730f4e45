"""netsky0, netsky1 and netsky2 as a stage for scenario files: whole nodes, virtual time, everything in a fixed order.

| step | what it does |
|---|---|
| `up N…`, `down N…` | starts nodes, ends them in order |
| `kill N…` | the process is gone: deaf and silent |
| `send N NAME TO [kind=K] [expires=SECONDS]` | agent0 of N sends; NAME is what it is called below |
| `wait SECONDS` | |
| `part A B`, `clog A B`, `cut A B` | packets are lost; bytes from A to B stand still; connections end |
| `heal`, `heal A B` | all is well, or all between these two |
| `room N MAX`, `take N` | how many untaken envelopes an actor of N may have; its actors take all |
| `disk N slow`, `disk N well` | N grants no work, or does again |
| `revoke N` | the owner takes it out of the mesh |
| `fail N numbers` | N's disk is full for the next transaction in which numbers are given |
| `fail N CALL [after]` | the next persist, offers, tell, send or close of N's driver fails, or does when it is done |

Seen are frames as they are given to the network (not heartbeats, credit and what opens streams), and rows as they
change: a node's own envelopes with their state, its inbox, the frames that the root has to pass on, error files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import trio
from netsky.envelope.batch import decode_batch, leaves
from netsky.mesh.claim import open_claim
from netsky.mesh.effects import Acked, Answered, Arrived, Numbered
from netsky.mesh.frames import Ack, Bye, Data, Evidence, Frame, Hello, Hold, LaneHello, Outcomes, RosterPiece
from netsky.mesh.outcome import unpack_outcome
from netsky.mesh.pieces import full_positions
from netsky.mesh.route import open_route
from netsky.node.db.group import GroupCommit
from netsky.node.errors import NetskyError
from netsky.node.lab.interpose import Killed
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.tap import Tapped
from netsky.node.lab.virtual import SeededChance, VirtualTime
from netsky.node.links.store import PeerStore
from netsky.node.seams.ledger import Ledger, LedgerFull, Row, Statement

from tests.node.stations import MESH, Station, key, roster, seams_with, station

ROOT_AT = "memory:40"
LINES = ("agent0@netsky1 -> agent0@netsky2: *", "agent0@netsky2 -> agent0@netsky1: *")
SETTLES_SECONDS = 0.7
LATENCY = {1: 0.010, 2: 0.013}
"""Of the ways to the root, each its own: what happens on both links happens in an order that is no chance."""

STORED = Numbered | Acked | Arrived | Answered


@dataclass
class Life:
    made: Station
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    up: trio.Event = field(default_factory=trio.Event)
    over: trio.Event = field(default_factory=trio.Event)
    crashes: int = 0


class FullOnce:
    """The ledger of a group, without room for the next numbers that are given."""

    def __init__(self, group: GroupCommit, really: Ledger) -> None:
        self._group, self._really = group, really

    async def transaction(self, statements: Sequence[Statement]) -> list[list[Row]]:
        if any("INTO flight" in statement.sql for statement in statements):
            self._group._ledger = self._really
            raise LedgerFull("no room")
        return await self._really.transaction(statements)

    def close(self) -> None:
        self._really.close()


class MeshStage:
    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self._folder, self._nursery = folder, nursery
        self._net = MemoryNetwork()
        for number, seconds in LATENCY.items():
            self._net.set_latency(key(0), key(number), seconds, seconds)
            self._net.set_latency(key(number), key(0), seconds, seconds)
        self._tap = Tapped(self._net, self._heard)
        self._known = roster(1, 2)
        self._lives: dict[int, Life] = {}
        self._names: dict[bytes, str] = {}  # leaf -> what the scenario calls it
        self._said: list[Callable[[], str]] = []  # told when a step is over: a frame may leave before `send` has a name
        self._rows: dict[int, dict[str, str]] = {}
        self.failing: set[tuple[int, str, str]] = set()

    # Steps.

    async def do(self, verb: str, words: Sequence[str]) -> None:
        steps: dict[str, Callable[..., Any]] = {
            "up": self._up, "down": self._down, "kill": self._kill, "send": self._send, "wait": self._wait,
            "part": self._part, "clog": self._clog, "cut": self._cut, "heal": self._heal, "room": self._room,
            "take": self._take, "disk": self._disk, "revoke": self._revoke, "fail": self._fail,
        }  # fmt: skip
        if verb not in steps:
            raise ValueError("no such step")
        await steps[verb](*words)
        if verb != "fail":  # it is about what comes next, and not about a heartbeat before that
            await trio.sleep(SETTLES_SECONDS)

    async def _up(self, *numbers: str) -> None:
        for number in map(int, numbers):
            seams = seams_with(self._tap, time=VirtualTime(), chance=SeededChance(number))
            bind = f"memory:{40 + number}"
            made = Station(
                self._folder / str(number), number, seams, self._known, bind=bind, root_at=ROOT_AT, routes=LINES
            )
            life = self._lives[number] = Life(made)
            self._nursery.start_soon(self._live, life)
            await life.up.wait()
            await trio.sleep(SETTLES_SECONDS)

    async def _live(self, life: Life) -> None:
        try:
            with life.scope:
                async with station(life.made):
                    life.up.set()
                    await trio.sleep_forever()
        except* Killed:
            pass
        life.over.set()

    async def _down(self, *numbers: str) -> None:
        for number in map(int, numbers):
            life = self._lives.pop(number)
            life.scope.cancel()
            await life.over.wait()

    async def _kill(self, *numbers: str) -> None:
        for number in map(int, numbers):
            self._net.kill(key(number))
        await self._down(*numbers)

    async def _send(self, number: str, name: str, to: str, *options: str) -> None:
        given = dict(option.split("=") for option in options)
        fields: dict[str, Any] = {"kind": given["kind"]} if "kind" in given else {}
        if "expires" in given:
            fields["expires_in_ns"] = int(given["expires"]) * 10**9
        try:
            [sent] = await self._lives[int(number)].made.send(to, f"the text of {name}", **fields)
        except NetskyError as refused:
            sentence = f"netsky{number}: {name} is not accepted: {refused.message}"
            self._said.append(lambda: sentence)
        else:
            self._names[sent.leaf] = name

    async def _wait(self, seconds: str) -> None:
        await trio.sleep(float(seconds))

    async def _part(self, one: str, other: str) -> None:
        self._net.part(key(int(one)), key(int(other)))

    async def _clog(self, one: str, other: str) -> None:
        self._net.clog(key(int(one)), key(int(other)))

    async def _cut(self, one: str, other: str) -> None:
        self._net.cut(key(int(one)), key(int(other)))

    async def _heal(self, *ends: str) -> None:
        self._net.heal(*(key(int(end)) for end in ends))

    async def _room(self, number: str, most: str) -> None:
        made = self._lives[int(number)].made
        made.config = replace(made.config, inbox_envelopes_max=int(most))

    async def _take(self, number: str) -> None:
        await self._lives[int(number)].made.rows("UPDATE inbox SET state = 'taken' RETURNING 1")

    async def _disk(self, number: str, how: str) -> None:
        made = self._lives[int(number)].made
        made.takes_work = how == "well"
        made.signals.ring("outbox")

    async def _revoke(self, number: str) -> None:
        root = self._lives[0].made
        self._known = roster(1, 2, version=2, revoked={int(number): root.seams.time.wall()})
        await root.group.write([root.book.store(self._known[1])])
        root.book.adopt(*self._known)

    async def _fail(self, number: str, call: str, when: str = "before") -> None:
        if call in {"send", "close"}:
            self._tap.broken.add((key(int(number)), call))
        elif call == "numbers":
            group = self._lives[int(number)].made.group
            group._ledger = FullOnce(group, group._ledger)
        else:
            self.failing.add((int(number), call, when))

    # What fails.

    def around(self, call: str, really: Callable[..., Any]) -> Callable[..., Any]:
        """PeerStore's method, failing where a step says so."""

        def hit(store: PeerStore, when: str) -> None:
            for number, life in self._lives.items():
                if life.made.links._ways is store._ways and (number, call, when) in self.failing:
                    self.failing.discard((number, call, when))
                    raise RuntimeError(f"{call} failed")

        async def waits(store: PeerStore, *args: Any) -> Any:
            if call != "persist" or any(isinstance(record, STORED) for record in args[0]):
                hit(store, "before")
            answer = await really(store, *args)
            if call != "persist" or any(isinstance(record, STORED) for record in args[0]):
                hit(store, "after")
            return answer

        def at_once(store: PeerStore, *args: Any) -> None:
            hit(store, "before")
            really(store, *args)

        return at_once if call == "tell" else waits

    # What is seen.

    async def news(self) -> list[str]:
        said, self._said = [words for tell in self._said if (words := tell())], []
        for number, life in sorted(self._lives.items()):
            said += [f"netsky{number}: crashed: {crash.error}" for crash in life.made.crashes[life.crashes :]]
            life.crashes = len(life.made.crashes)
            rows = await self._look(life.made)
            before = {"forward": "nothing"} | self._rows.get(number, {})
            said += [f"netsky{number}: {what} {rows[what]}" for what in rows if rows[what] != before.get(what, "")]
            self._rows[number] = rows
        return [line.rstrip() for line in said]

    async def _look(self, made: Station) -> dict[str, str]:
        found: dict[str, str] = {}
        own = await made.rows(
            "SELECT leaf, outbox.state, (SELECT fate || coalesce(' ' || code, '') FROM outcomes"
            " WHERE outcomes.leaf = messages.leaf) FROM outbox JOIN messages USING (seq) ORDER BY seq"
        )
        for leaf, state, fate in own:
            found[f"own {self._name(leaf)}"] = str(fate if state == "done" else state)
        came = await made.rows("SELECT leaf FROM inbox JOIN messages USING (seq) WHERE via = 'link' ORDER BY seq")
        found["inbox"] = " ".join(self._name(leaf) for (leaf,) in came)
        waiting = await made.rows("SELECT state, sum(envelopes) FROM forward GROUP BY state ORDER BY state")
        found["forward"] = ", ".join(f"{count} {state}" for state, count in waiting) or "nothing"
        files = sorted((made.folder / "channels" / "agent0" / "inbox").glob("*.json"))
        shown = [json.loads(file.read_text()) for file in files]
        found["errors"] = " ".join(str(one["data"]["code"]) for one in shown if one.get("kind") == "error")
        return found

    def _name(self, leaf: Any) -> str:
        return self._names.get(leaf, "something")

    def _heard(self, sender: bytes, receiver: bytes, frame: Frame) -> None:
        def tell() -> str:
            words = self._words(sender, frame)
            return f"{_node(sender)} > {_node(receiver)}  {words}" if words else ""

        self._said.append(tell)

    def _words(self, sender: bytes, frame: Frame) -> str:
        match frame:
            case Hello():
                lanes = f"work {_came(frame.work)}, reply {_came(frame.reply)}"
                return f"hello, roster {frame.roster}, {lanes}"
            case Data():
                return self._data(sender, frame)
            case Ack():
                return f"ack {frame.lane} {frame.number}"
            case Outcomes():
                ended = [unpack_outcome(packed) for packed in frame.outcomes]
                told = ", ".join(f"{self._name(one.leaf)} {one.fate} {one.code}".rstrip() for one in ended)
                return f"reply {open_claim(frame.seal, sender, MESH).first}: {told}"
            case Hold():
                held = " ".join(f"{actor or '*'}@{_node(held_key)}" for held_key, actor, _ in frame.held)
                return f"hold {held or 'nothing'}"
            case RosterPiece():
                return f"roster {frame.version}"
            case Evidence():
                return f"evidence of {frame.lane} {frame.number}"
            case Bye():
                return f"bye {frame.code}: {frame.sentence}"
        return ""

    def _data(self, sender: bytes, frame: Data) -> str:
        batch = decode_batch(frame.batch)
        every = leaves(batch)
        names = " ".join(self._name(every[at]) for at in full_positions(batch))
        if sender == key(0):
            route = open_route(frame.seal, sender, MESH)
            return f"{route.lane} {route.first}: {names}, routed"
        claim = open_claim(frame.seal, sender, MESH)
        return f"{claim.lane} {claim.first}: {names}"


def _came(lane: LaneHello) -> str:
    return f"sent {lane.sends.number} received {lane.received.number}"


def _node(node_key: bytes) -> str:
    return next(f"netsky{number}" for number in range(3) if key(number) == node_key)
