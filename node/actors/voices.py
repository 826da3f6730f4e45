"""The actors that are code of the node: agentinfinity, agentcron, agentloop. Each speaks, and each has an inbox like
everybody, from which it is handed one envelope after the other. They have no row, no program and no socket.

What is done with an envelope is a handler's business, one for each actor and kind. Handing over is at least once, as
for everybody, so a handler sends with idempotency keys that follow from the envelope.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from netsky.envelope.kinds import SENDABLE, kind_or_text
from netsky.node.actors.handover import Handed
from netsky.node.actors.hands import Hands
from netsky.node.actors.runtime import Verdict
from netsky.node.bus.draft import Accepted, Draft, Via
from netsky.node.db.actors import ActorRow
from netsky.node.errors import NetskyError, TryLater
from netsky.node.seams.ledger import LedgerBroken
from netsky.node.supervise import Crash, describe
from netsky.relay.authority import VOICES

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

Handler = Callable[[Handed], Awaitable[None]]
"""Raises NetskyError for what cannot be done, which its sender is told; TryLater for what cannot be done yet."""


class Voice:
    """One of them at work. `run` is a child of the tree."""

    def __init__(self, node: Node, name: str, handlers: Mapping[str, Handler]) -> None:
        self.state, self.reason = "idle", ""
        self._node = node
        self._name = name
        self._handlers = handlers
        self._hands = Hands(node, ActorRow(name, (), "none", None, False, True, {}, 0), self._attempt, self)

    async def run(self) -> None:
        await self._hands.run()

    async def _attempt(self, handed: Handed) -> Verdict:
        kind = kind_or_text(handed.header.kind)
        handler = self._handlers.get(kind)
        if handler is None:
            return Verdict(False, reason=f"it does nothing with a {kind}", code="not_understood", again=False)
        self.state = "running"
        try:
            await handler(handed)
        except LedgerBroken:
            raise
        except TryLater as later:
            return Verdict(False, reason=later.message, code=later.code)
        except NetskyError as refused:
            return Verdict(False, reason=refused.message, code=refused.code, again=False)
        except Exception as error:  # noqa: BLE001 - the border: one envelope that we cannot handle stops no other
            self._node.crashes.report(Crash(f"voices/{self._name}", "crashed", error, 0))
            return Verdict(False, reason=f"the node made a mistake with it: {describe(error)}", code="internal")
        return Verdict(True)


class Voices:
    """All of them. Parts of the node say here what is done with which envelope, before any of them is at work."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._handlers: dict[str, dict[str, Handler]] = {name: {} for name in sorted(VOICES)}

    def hear(self, name: str, kind: str, handler: Handler) -> None:
        assert kind not in self._handlers[name], (name, kind)
        self._handlers[name][kind] = handler

    def at_work(self) -> list[tuple[str, Voice]]:
        return [(name, Voice(self._node, name, handlers)) for name, handlers in self._handlers.items()]

    async def say(self, name: str, draft: Draft) -> Accepted:
        """Stored when it returns; raises why not. The authority table is asked as for any actor; a kind that daemons
        alone write has to be the daemon's own word."""
        via: Via = "actor" if kind_or_text(draft.kind) in SENDABLE else "node"
        [result] = await self._node.bus.accept(name, via, [draft])
        if isinstance(result, NetskyError):
            raise result
        return result
