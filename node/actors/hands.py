"""From an actor's inbox into the hands of whoever works on its envelopes, one by one: a program that is started for
each, or code of the node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeVar

import trio
from netsky.envelope.kinds import lane_of
from netsky.node.actors.handover import Handed, Handover
from netsky.node.actors.limits import LOOK_SECONDS
from netsky.node.actors.runtime import Verdict
from netsky.node.backoff import RESTART
from netsky.node.daemon.told import TAKEN_SIGNAL
from netsky.node.db.actors import ActorRow
from netsky.node.errors import TryLater

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

Done = TypeVar("Done")


class Standing(Protocol):
    """Where it shows how things are."""

    state: str
    reason: str


@dataclass(slots=True)
class _InHand:
    handed: Handed
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    over: trio.Event = field(default_factory=trio.Event)


class Hands:
    def __init__(
        self, node: Node, actor: ActorRow, attempt: Callable[[Handed], Awaitable[Verdict]], standing: Standing
    ) -> None:
        self._node = node
        self._attempt = attempt
        self._standing = standing
        self._name = actor.name
        self._in_hand: _InHand | None = None
        self._handover = Handover(
            actor,
            channels=node.home.channels,
            files=node.seams.files,
            time=node.seams.time,
            chance=node.seams.chance,
            group=node.group,
            accept=node.bus.accept,
            events=node.events,
            log=node.log,
            taken=lambda: node.signals.ring(TAKEN_SIGNAL),
            at_root=node.identity.root,
            may=lambda: node.halt.hands_out,
        )

    async def run(self) -> None:
        while True:
            heard = self._node.signals.count(self._name)
            self._standing.state = "idle"
            handed = await self._stored(self._handover.next)
            if handed is None:
                await self._wait(heard, await self._handover.wait_ns())
                continue
            self._in_hand = in_hand = _InHand(handed)
            try:
                with in_hand.scope:
                    await self._one(handed)
            finally:
                self._in_hand = None
                in_hand.over.set()

    def drop_routed(self) -> trio.Event | None:
        """Gives back what is in hand, if it is work that came by a route: whoever works on it is ended. Set when that
        is done; None if there is none."""
        if self._in_hand is None or not self._in_hand.handed.is_routed_work:
            return None
        self._in_hand.scope.cancel()
        return self._in_hand.over

    async def _one(self, handed: Handed) -> None:
        async def take_replies() -> bool:
            """Whose answer waits for room at its reader takes the replies that it has itself. So two that wait for each
            other's room make it."""
            reply = None if is_reply else await self._handover.next(replies_alone=True)
            if reply is None:
                return False
            await self._one(reply)
            return True

        is_reply = lane_of(handed.header.kind) == "reply"  # it gets no answer, so it waits for no reader
        try:
            verdict = await self._attempt(handed)
            await self._stored(lambda: self._handover.conclude(handed, verdict), meanwhile=take_replies)
        finally:
            if trio.current_effective_deadline() == -inf:  # an orderly stop; a crash of ours leaves the try counted
                with trio.CancelScope(shield=True), trio.move_on_after(1.0):
                    await self._handover.interrupted(handed)

    async def _stored(
        self, step: Callable[[], Awaitable[Done]], *, meanwhile: Callable[[], Awaitable[bool]] | None = None
    ) -> Done:
        """A full disk or inbox is no fault of who works here: the step, which may be repeated, is tried until there is
        room. There is no last try, since whatever it gave up would be work lost without a word."""
        node, standing, attempt = self._node, self._standing, 0
        while True:
            try:
                done = await step()
            except TryLater as full:
                standing.state, standing.reason = "waits", full.message
                if meanwhile is not None and await _done_if_room(meanwhile):
                    continue
                wait = RESTART.wait_ns(attempt, node.seams.chance.fraction())
                await node.seams.time.sleep_until(node.seams.time.monotonic() + wait)
                attempt += 1
            else:
                standing.reason = "" if attempt else standing.reason
                return done

    async def _wait(self, heard: int, due_ns: int | None) -> None:
        """For the bell, for the next try that is due, or for the next look."""
        node = self._node
        most = round(LOOK_SECONDS * 1e9)
        until = node.seams.time.monotonic() + (most if due_ns is None else min(due_ns, most))
        async with trio.open_nursery() as nursery:

            async def ring() -> None:
                await node.signals.wait_beyond(self._name, heard)
                nursery.cancel_scope.cancel()

            nursery.start_soon(ring)
            await node.seams.time.sleep_until(until)
            nursery.cancel_scope.cancel()


async def _done_if_room(step: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await step()
    except TryLater:
        return False
