"""Many nodes in one process, for a root to have many links: each with its own home, key, database, routes and streams.

    python -m netsky.node.bench.link_ends HOME …

They are nodes as shipped, opened as a daemon opens one, but of their tasks only those run that a link needs: commits,
the projector and the links. So none has sockets or programs, and hundreds fit into one process. Each answers what its
agent0 gets, once. It says when all are linked; then it tells for each line of its stdin what has arrived and what was
answered so far, and ends with its stdin.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import trio
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.daemon.__main__ import raise_descriptor_limit
from netsky.node.daemon.build import Surroundings, open_node
from netsky.node.daemon.node import Node
from netsky.node.db import inbox
from netsky.node.home import Home
from netsky.node.seams.real import real_seams

ACTOR = "agent0"
ROWS = 64


class LinkEnd:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.received: list[str] = []
        self.answered: list[str] = []
        self.linked = trio.Event()

    async def run(self) -> None:
        assert self.node.links is not None, "it belongs to a mesh"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.node.group.run)
            nursery.start_soon(self.node.bus.projector.run)
            nursery.start_soon(self._listen)
            nursery.start_soon(self.node.links.run)
            await self._answer()

    async def _listen(self) -> None:
        with self.node.events.subscribe() as events:
            while True:
                if (await events.next())["kind"] == "link_up":
                    self.linked.set()

    async def _answer(self) -> None:
        node, after = self.node, 0
        while True:
            rung = node.signals.count(ACTOR)
            [found] = await node.group.read([inbox.waiting(ACTOR, ROWS, after)])
            rows = inbox.waiting_rows(found)
            if not rows:
                await node.signals.wait_beyond(ACTOR, rung)
                continue
            after = rows[-1].seq
            self.received += [row.id for row in rows]
            replies = [Draft(f"{ACTOR}@netsky0", "here", kind="reply", in_reply_to=row.id) for row in rows]
            for answer in await node.bus.accept(ACTOR, "actor", replies):
                if not isinstance(answer, Accepted):
                    raise answer
                self.answered.append(answer.id)


async def main(homes: Sequence[str]) -> None:
    async with AsyncExitStack() as stack:
        stack.enter_context(trio_as_event_loop())
        seams, around = real_seams(), Surroundings(os.getpid())
        ends = [LinkEnd(await stack.enter_async_context(open_node(Home(path), seams, around))) for path in homes]
        say(opened=len(ends))
        async with trio.open_nursery() as nursery:
            lines = _Lines()
            await lines.next()
            for end in ends:
                nursery.start_soon(end.run)
            for end in ends:
                await end.linked.wait()
            say(linked=len(ends), at=time.monotonic())
            while await lines.next():
                say(
                    received={end.node.identity.name: end.received for end in ends},
                    answered={end.node.identity.name: end.answered for end in ends},
                )
            nursery.cancel_scope.cancel()


class _Lines:
    """Of stdin, without holding up the loop."""

    def __init__(self) -> None:
        self._stream = trio.lowlevel.FdStream(os.dup(sys.stdin.fileno()))

    async def next(self) -> bool:
        """Whether there was one."""
        return bool(await self._stream.receive_some(1024))


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    raise_descriptor_limit()
    trio.run(main, sys.argv[1:])
