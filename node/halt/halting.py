"""Halting this node, and letting it go on: what is stored, what is refused, what is ended, in this order.

    held at once in memory → stored in one commit → programs ended and counted → what they held back in its inbox →
    netsky0 told

Nothing new is let in while the commit is on its way; a node that dies anywhere in between is halted when it comes
back, starts nothing, and goes on with what is missing. A disk that is full hinders no halt: it holds in this life, is
stored as soon as there is room, and whoever asked is told so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.actors.give_back import give_back
from netsky.node.db import actors as sessions
from netsky.node.db import node_state
from netsky.node.db.inbox import Handing
from netsky.node.errors import Refused, TryLater
from netsky.node.halt import state as states
from netsky.node.halt.cut import Cut
from netsky.node.halt.state import Answer, Halt, Order, State
from netsky.node.halt.words import refusal, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netsky.node.daemon.node import Fault, Node
    from netsky.node.seams.ledger import Ledger

HALT_SIGNAL = "halt/"
"""Rung when this node is halted or goes on, when an order is given, and when one is answered."""

AGAIN_NS = 5 * 10**9
"""Between two tries of storing what found no room."""


@dataclass(frozen=True, slots=True)
class Done:
    """What halting this node, or letting it go on, came to."""

    ended: int
    still: int
    stored: bool = True


class Halting:
    def __init__(self, node: Node) -> None:
        self._node = node
        self.state = State()
        self.is_stored = True
        self.cut = Cut(node)
        self.answer: Callable[[Answer], None] = lambda _: None
        """Told of each order that was carried out. Set by whoever speaks with netsky0."""
        self._busy = trio.Lock()

    async def load(self, ledger: Ledger) -> None:
        [found] = await ledger.transaction([node_state.get(states.KEY)])
        text = node_state.value(found)
        if text is not None:
            assert isinstance(text, str)
            self.state = states.decode(text)

    @property
    def is_halted(self) -> bool:
        return self.state.halt is not None

    @property
    def hands_out(self) -> Handing:
        """To whoever claims. Replies go on in a halted node, so that what is on its way settles."""
        return "replies" if self.is_halted else "own" if self.cut.is_cut else "all"

    def shown(self) -> dict[str, Any] | None:
        """For `status`."""
        halt = self.state.halt
        return None if halt is None else asdict(halt) | {"by_root": halt is self.state.root}

    def complaints(self) -> list[Fault]:
        if self.is_stored:
            return []
        said = "there is no room on the disk to store whether this node is halted: a restart would undo it"
        return [{"code": "halt_not_stored", "sentence": said, "next": "free some space on the node's disk"}]

    def refusal(self) -> TryLater | None:
        """For whoever wants to hand in work; None while it may be."""
        halt = self.state.halt
        if halt is None:
            return None
        return refusal(self._node.identity.name, halt, self._node.now(), by_root=halt is self.state.root)

    def why_kept(self) -> str:
        """Why not all is handed out, as a sentence; "" if it is."""
        name, now, halt = self._node.identity.name, self._node.now(), self.state.halt
        if halt is not None:
            return f"{sentence(name, halt, now)}; work waits"
        return f"{name} is {self.cut.sentence(now)}; what came from there waits" if self.cut.is_cut else ""

    def why_not(self, actor: str) -> str:
        """Why no program of this actor runs; "" if one may."""
        if self.is_halted:
            return "this node is halted: netsky status"
        return self.cut.why_not(actor)

    async def run(self) -> None:
        """Finishes what the last life began; then watches the lease, and stores what found no room."""
        if self.is_halted:
            async with self._busy:
                with_program = [str(one["name"]) for one in self._node.actors.states() if one["mode"] != "none"]
                await self._give_back(with_program)
                await self._settle(await self._ended_before(), 0)
        else:
            await self._settle(0, 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.cut.watch)
            nursery.start_soon(self._store_later)

    async def halt_here(self, reason: str) -> Done:
        """By the operator of this node."""
        name, now = self._node.identity.name, self._node.now()
        done = await self._change(states.halted_here(self.state, f"the operator of {name}", reason, now))
        self.answer(states.said(self.state, "halt", done.ended, done.still, self._node.now()))
        return done

    async def resume_here(self) -> Done:
        """The same. What netsky0 ordered stays in force."""
        if self.state.own is None and self.state.root is not None:
            name = self._node.identity.name
            raise Refused(
                f"netsky0 halted this node, and only netsky0 lets it go on{_because(self.state.root)}",
                next=f"on netsky0: netsky resume --node {name}",
                code="root_ordered",
            )
        done = await self._change(states.resumed_here(self.state))
        self.answer(states.said(self.state, "resume", 0, 0, self._node.now()))
        return done

    async def take(self, order: Order) -> Answer | None:
        """An order of netsky0, verified. What was answered before, if it is not new: who asks again is told again."""
        changed = states.taken(self.state, order, self._node.now())
        if changed is not None:
            await self._change(changed)
        elif states.owed(self.state) is not None:  # a mistake of ours kept it from being carried out
            await self._carry_out()
        else:
            return self.state.answer
        return None

    async def _change(self, changed: State) -> Done:
        before, self.state = self.state, changed  # from here on nothing new is let in
        self._tell(before)
        return await self._carry_out()

    async def _carry_out(self) -> Done:
        async with self._busy:
            await self._store()
            if self.is_halted:
                ended = await self._node.actors.rest()
                await self._give_back(ended.actors)
                done = Done(ended.processes, ended.still, self.is_stored)
            else:
                await self._node.actors.wake()
                self.ring()
                done = Done(0, 0, self.is_stored)
            await self._settle(done.ended, done.still)
        return done

    async def _settle(self, ended: int, still: int) -> None:
        """What was ordered is done: its answer is stored, and netsky0 told."""
        owed = states.owed(self.state)
        if owed is not None:
            self.state = states.answered(self.state, owed, ended, still, self._node.now())
            await self._store()
        if self.state.answer is not None:
            self.answer(self.state.answer)
        self._node.signals.ring(HALT_SIGNAL)

    async def _give_back(self, actors: Sequence[str]) -> None:
        for actor in actors:
            await give_back(self._node, actor)

    async def _ended_before(self) -> int:
        """By the last life, which ended in the middle: so many programs, each of one process or more."""
        halt = self.state.halt
        assert halt is not None
        [found] = await self._node.group.read([sessions.ended_since(halt.at)])
        [(count,)] = found
        assert isinstance(count, int)
        return count

    async def _store(self) -> None:
        try:
            await self._node.group.write([node_state.put(states.KEY, states.encode(self.state))])
            self.is_stored = True
        except TryLater:
            self.is_stored = False

    async def _store_later(self) -> None:
        time = self._node.seams.time
        while True:
            heard = self._node.signals.count(HALT_SIGNAL)
            if self.is_stored:
                await self._node.signals.wait_beyond(HALT_SIGNAL, heard)
                continue
            await time.sleep_until(time.monotonic() + AGAIN_NS)
            async with self._busy:
                await self._store()

    def _tell(self, before: State) -> None:
        node, halt = self._node, self.state.halt
        if halt is not None and halt != before.halt:
            node.log.event("node.halted", level="warn", who=halt.who, reason=halt.reason)
            node.events.publish("halted", who=halt.who, reason=halt.reason)
        elif halt is None and before.halt is not None:
            node.log.event("node.resumed")
            node.events.publish("resumed")

    def ring(self) -> None:
        """What was kept back may be claimed: whoever follows an inbox looks again."""
        for actor in self._node.actors.states():
            self._node.signals.ring(str(actor["name"]))


def _because(halt: Halt) -> str:
    return f" ({halt.reason})" if halt.reason else ""
