"""A node in this process that is killed at a chosen seam call, and the people around it, who write the history.

The sender and the consumer below note what they saw, never what the node says of itself, and try again as real ones
would. Files and database are real; time, chance and sockets are virtual.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import trio
from netsky.envelope.file import FileEnvelope, read_file
from netsky.node.bus.drop import drop_in_outbox
from netsky.node.daemon.build import Surroundings
from netsky.node.daemon.run import run
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.home import Home
from netsky.node.init import init_home
from netsky.node.lab.history import By, Writer, digest
from netsky.node.lab.interpose import Life, was_killed
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.virtual import MemorySockets, NoPrograms, SeededChance, VirtualTime
from netsky.node.seams import Seams
from netsky.node.seams.real_files import RealFiles

Tale = Callable[["World", MemorySockets], Awaitable[None]]

LIFE_SECONDS = 30.0
"""Of virtual time, for one life to bring the story to its end: beyond it the node is stuck."""


LOOKS = frozenset(
    f"{seam}.{name}"
    for seam, names in {
        "files": "facts open_folder close names free_bytes read read_handle",
        "time": "wall monotonic sleep_until",
        "chance": "token fraction",
        "memorystream": "receive close",
        "memorylistener": "accept",
        "processes": "world which",
    }.items()
    for name in names.split()
)
"""Seam calls that change nothing: who dies before one of them leaves behind what he leaves behind who dies before the
next call that does. All of them: NETSKY_CRASH_ALL=1."""

STEP = 1 if os.environ.get("NETSKY_CRASH_ALL") else 2
"""Of stories that are a whole day or a whole mesh each, the daily run tells every second death."""


class World:
    def __init__(self, folder: str) -> None:
        self.home = Home(folder)
        self.history: list[bytes] = []
        self.accepted: dict[str, str] = {}  # key -> id
        self.lives = 0
        self.life: Life | None = None
        """The one that is being lived."""
        self.counted: Callable[[str], bool] = lambda _: True
        self._ledgers: list[Any] = []
        init_home(self.home, RealFiles(), SeededChance(1), VirtualTime(), root=True)

    def witness(self, by: By) -> Writer:
        return Writer(self.history.append, VirtualTime().wall, node="netsky0", by=by, boot=self.lives)

    def seams(self, sockets: MemorySockets) -> Seams:
        self.lives += 1
        return Seams(
            files=RealFiles(),
            ledger=SqliteLedgers(),
            processes=NoPrograms(),
            sockets=sockets,
            transport=MemoryNetwork(),
            time=VirtualTime(),
            chance=SeededChance(1_000 + self.lives),
        )

    async def live(self, story: Tale, kill_before: int | None) -> list[str]:
        """One life: the node and its people together, until the story is told or the node is killed. Its seam calls."""
        sockets = MemorySockets()
        life = self.life = Life(self.seams(sockets), kill_before, self.counted)
        stop = trio.Event()
        ready = trio.Event()

        async def node() -> None:
            try:
                await run(self.home, life.seams, Surroundings(pid=4242), ready=lambda _: ready.set(), stop=stop)
            except BaseException as error:
                if not (life.dead and was_killed(error)):
                    raise
                self.witness("test").note("crash")
            finally:
                sockets.cut()
                people.cancel()

        with trio.fail_after(LIFE_SECONDS):
            async with trio.open_nursery() as nursery:
                people = trio.CancelScope()
                nursery.start_soon(node)
                with people:
                    await ready.wait()
                    try:
                        await story(self, sockets)
                    except ConnectionError:
                        await trio.sleep_forever()  # the node dies: its end ends this scope too
                    stop.set()
        return life.calls


class Client:
    """The operator's socket, as any program would use it."""

    def __init__(self, world: World, sockets: MemorySockets) -> None:
        self._path = world.home.operator_socket
        self._sockets = sockets

    async def call(self, verb: str, **args: Any) -> dict[str, Any]:
        return await asked(self._sockets, self._path, verb, args)


async def asked(sockets: MemorySockets, path: str, verb: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """The answer's data; a refusal is a failure of the test, a node that dies meanwhile a ConnectionResetError."""
    stream = await sockets.connect(path)
    try:
        await stream.send(json.dumps({"n": 1, "verb": verb, "args": args}).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            more = await stream.receive(65_536)
            if not more:
                raise ConnectionResetError
            data += more
    finally:
        stream.close()
    answer = json.loads(data)
    assert answer["ok"], answer
    found: dict[str, Any] = answer["data"]
    return found


def file_at(path: str) -> FileEnvelope:
    return read_file(Path(path).read_bytes())


class Story:
    """agent0 sends three, one at a time; agent1 takes them and drops an answer into its outbox; agent0 takes that."""

    async def __call__(self, world: World, sockets: MemorySockets) -> None:
        client, witness = Client(world, sockets), world.witness("client")
        await client.call("agent_add", actor="agent1", mode="none")
        for number in range(3):
            key = f"key-{number}"
            if key not in world.accepted:
                draft = {"to": "agent1", "from": "agent0", "text": f"work {number}", "idempotency_key": key}
                witness.note("submit_call", key=key, dest="agent1")
                sent = await client.call("send", **draft)
                world.accepted[key] = sent["id"]
                said = {"key": key, "id": sent["id"], "origin": "netsky0", "hash": sent["leaf"], "dest": "agent1"}
                witness.note("submit_ok", **said, value=digest(draft["text"]))
        if "dropped" not in world.accepted:
            folder = os.path.join(world.home.channels, "agent1")
            draft = {"to": "agent0", "text": "done", "idempotency_key": "dropped"}
            witness.note("submit_call", key="dropped", dest="agent0")
            drop_in_outbox(RealFiles(), VirtualTime(), SeededChance(7), folder=folder, actor="agent1", draft=draft)
            world.accepted["dropped"] = ""  # its id is the node's to give; it is known when it arrives
        await self.consume(world, client, "agent1", 3)
        await self.consume(world, client, "agent0", 1)

    async def consume(self, world: World, client: Client, actor: str, wanted: int) -> None:
        """Claim → emit → ack → archive, as a drain does it."""
        witness = world.witness("actor")
        folder = os.path.join(world.home.channels, actor)
        while len(self.archived(world, actor)) < wanted:
            for place in ("claimed", "inbox"):
                for name in sorted(os.listdir(os.path.join(folder, place))):
                    if name.startswith("."):
                        continue
                    state = (await client.call("claim", actor=actor, files=[name]))["files"][name]
                    claimed = os.path.join(folder, "claimed", name)
                    os.rename(os.path.join(folder, place, name), claimed)
                    if state == "ok":
                        shown = file_at(claimed)
                        which = {"id": shown.id, "origin": "netsky0"}
                        witness.note("claim", **which, dest=actor, value=digest(shown.text))
                        await client.call("ack", actor=actor, ids=[name])
                        witness.note("archive", **which)
                    assert state != "unknown", name
                    os.rename(claimed, os.path.join(folder, "archive", name))
            await trio.sleep(0.1)

    @staticmethod
    def archived(world: World, actor: str) -> list[str]:
        return [name for name in os.listdir(os.path.join(world.home.channels, actor, "archive")) if name[0] != "."]
