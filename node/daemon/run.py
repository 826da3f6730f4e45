"""The life of a daemon: open, serve until told to stop or until it must, close. It knows no real clock and no disk."""

from __future__ import annotations

from collections.abc import Callable

import trio
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.node.daemon.build import Surroundings, open_node
from netsky.node.daemon.node import Node
from netsky.node.daemon.tree import grow
from netsky.node.home import Home
from netsky.node.seams import Seams
from netsky.node.version import program_version

ANSWER_GRACE_S = 0.05
"""Before a stop begins: the answer to `stop` leaves first."""


async def run(
    home: Home,
    seams: Seams,
    around: Surroundings,
    *,
    ready: Callable[[Node], None] = lambda _: None,
    hung: Callable[[str], None] = lambda _: None,
    stop: trio.Event | None = None,
) -> None:
    """Returns after an orderly stop. Raises NetskyError if the home refuses, LedgerBroken, GaveUp, MustStop.

    `ready` hears of the node once it serves; `hung` of a task that cannot be stopped, and should end the process;
    `stop` may be set from outside (a signal).
    """
    with trio_as_event_loop():
        async with open_node(home, seams, around) as node:
            if stop is not None:
                node.stopping = stop
            node.log.event(
                "node.starting", version=program_version(), pid=around.pid, after_crash=node.opened.after_crash
            )
            try:
                await _live(node, ready, hung)
            finally:
                node.is_ready = False
                node.shelf.close()
                node.log.event("node.stopped", reason=node.stop_reason or "signal")


async def _live(node: Node, ready: Callable[[Node], None], hung: Callable[[str], None]) -> None:
    node.tree = grow(node, hung)
    failures: list[Exception] = []

    def serving() -> None:
        node.is_ready = True
        node.log.event("node.ready", sockets=node.control.paths)
        node.events.publish("ready")
        ready(node)

    async def tree() -> None:
        try:
            await node.tree.run(serving)
        except Exception as error:  # noqa: BLE001 - raised again below, outside of the nursery that would wrap it
            failures.append(error)
            node.request_stop("failed")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree)
        await node.stopping.wait()
        node.is_ready = False
        node.events.publish("stopping", reason=node.stop_reason or "signal")
        await trio.sleep(ANSWER_GRACE_S)
        nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]
