"""Halts over the mesh: netsky0's orders on their way, and the answers.

An order is an envelope from netsky0's watchdog to that of the node, of a kind that daemons alone write. netsky0 keeps
what it wants of each node (`book.py`) until it is answered: an envelope that ended before it arrived is written anew
when the node is linked, and a node that joins or returns is told what holds.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.daemon.told import ROSTER_SIGNAL
from netsky.node.db import node_state, outbox
from netsky.node.errors import NetskyError
from netsky.node.halt import book as books
from netsky.node.halt.book import Book, Line, Wanted
from netsky.node.halt.halting import HALT_SIGNAL
from netsky.node.halt.receipt import KIND, answer_in, order_in
from netsky.node.halt.state import Answer, Do
from netsky.relay.authority import ROOT, WATCHDOG

if TYPE_CHECKING:
    from netsky.mesh.roster import Member
    from netsky.node.actors.handover import Handed
    from netsky.node.daemon.node import Node
    from netsky.node.seams.ledger import Ledger

LOOK_SECONDS = 15.0
"""Between two looks at orders that linked nodes have not answered: longer than ending programs takes."""


class Orders:
    def __init__(self, node: Node) -> None:
        self._node = node
        self.book = Book()
        self._untold: list[Answer] = []
        node.halt.answer = self._answer

    async def load(self, ledger: Ledger) -> None:
        [found] = await ledger.transaction([node_state.get(books.KEY)])
        text = node_state.value(found)
        if text is not None:
            assert isinstance(text, str)
            self.book = books.decode(text)

    # At netsky0.

    async def give(self, do: Do, members: Sequence[Member], reason: str, *, everybody: bool) -> int:
        """The number of the order, once it is stored; it is on its way then."""
        charter = self._node.identity.charter
        assert charter is not None
        keys = [member.key.hex() for member in members]
        wanted = Wanted(do, charter.reign, reason, self._node.now())
        book = books.given(self.book, wanted, keys, everybody=everybody)
        await self._keep(book)
        self._node.signals.ring(HALT_SIGNAL)
        return book.newest

    def members(self) -> list[Member]:
        """All but this node, those who were revoked left out."""
        roster, _ = self._node.membership.roster()
        own = self._node.identity.key
        return [] if roster is None else [one for one in roster.members if one.key != own and not one.revoked]

    def stands(self, member: Member) -> dict[str, Any]:
        """What is known of a node's being halted, for `halt` and `nodes`."""
        key = member.key.hex()
        wish, answer = self.book.wish(key), self.book.answers.get(key)
        sighting = self._node.membership.sightings.of(member.key)
        linked = sighting is not None and sighting.up
        is_open = self.book.open(key) is not None
        return {
            "name": member.name,
            "linked": linked,
            "lease_s": self._node.config.root_lease_s,
            "last_seen": None if sighting is None else sighting.last_seen,
            "ordered": None if wish is None else wish.order.do,
            "ordered_at": None if wish is None else wish.at,
            "order": None if wish is None else wish.order.order,
            "answered": wish is not None and not is_open,
            "halted": None if answer is None else answer.halted,
            "ended": None if answer is None else answer.ended,
            "still": None if answer is None else answer.still,
            "at": None if answer is None else answer.at,
        }

    def shown(self, member: Member) -> dict[str, Any] | None:
        """For `nodes`: whether it is halted as far as this node knows, and since when; None if nobody ever said so."""
        if member.key == self._node.identity.key:
            halt = self._node.halt.state.halt
            return None if halt is None else {"halted": True, "since": halt.at, "ordered": None, "answered": True}
        found = self.stands(member)
        if found["halted"] is None and found["ordered"] is None:
            return None
        by_order = found["ordered"] == "halt" and found["answered"] and found["halted"]
        since = found["ordered_at"] if by_order or not found["answered"] else found["at"]
        return {name: found[name] for name in ("halted", "ordered", "answered")} | {"since": since}

    async def run(self) -> None:
        """Orders and answers on their way, until they are."""
        signals = self._node.signals
        with self._node.events.subscribe(frozenset({"link_up"})) as ups:
            while True:
                heard, rosters = signals.count(HALT_SIGNAL), signals.count(ROSTER_SIGNAL)
                waits = await self._send_all()
                with trio.move_on_after(LOOK_SECONDS if waits else math.inf):
                    await first_of(
                        partial(signals.wait_beyond, HALT_SIGNAL, heard),
                        partial(signals.wait_beyond, ROSTER_SIGNAL, rosters),
                        ups.next,
                    )

    async def _send_all(self) -> bool:
        """Whether something waits."""
        while self._untold:
            if not await self._tell(self._untold[0]):
                return True
            self._untold.pop(0)
        if not self._node.identity.root:
            return False
        members = self.members()
        known = {member.key.hex() for member in members}
        gone = (self.book.lines.keys() | self.book.answers.keys()) - known
        if gone:
            await self._keep(books.without(self.book, gone))
        open_ = [(member, line) for member in members if (line := self.book.open(member.key.hex())) is not None]
        return await self._send(open_)

    async def _send(self, due: Sequence[tuple[Member, Line]]) -> bool:
        """Once to each; and once more in a connection of the node, if what was sent before has ended without an answer.
        Whether anybody is linked who has not answered."""
        sent = await self._say([_draft(member, line) for member, line in due])
        linked, again = False, []
        for (member, line), answer in zip(due, sent, strict=True):
            seen = self._node.membership.sightings.of(member.key)
            if seen is None or not seen.up:
                continue
            linked = True
            if isinstance(answer, Accepted) and answer.duplicate:
                [found] = await self._node.group.read([outbox.is_done(answer.origin, answer.id)])
                if found:
                    again.append(_draft(member, line, f"/{seen.since}"))
        await self._say(again)
        return linked

    async def _keep(self, book: Book) -> None:
        await self._node.group.write([node_state.put(books.KEY, books.encode(book))])
        self.book = book

    # Between the two.

    async def hear(self, handed: Handed) -> None:
        """A control envelope, from a link."""
        node, header = self._node, handed.header
        charter = node.identity.charter
        roster, _ = node.membership.roster()
        if charter is None or roster is None:
            return
        if node.identity.root:
            answer = answer_in(header, handed.body, roster, self.book.newest)
            if isinstance(answer, str):
                self._refuse(handed, answer)
                return
            await self._keep(books.heard(self.book, header.origin.hex(), answer))
            facts = {"node": node.called(header.origin), "ended": answer.ended, "still": answer.still}
            node.events.publish("order_answered", done=answer.done, order=answer.order, halted=answer.halted, **facts)
            node.signals.ring(HALT_SIGNAL)
            return
        order = order_in(header, handed.body, charter, handed.candidate.reign)
        if isinstance(order, str):
            self._refuse(handed, order)
            return
        before = await node.halt.take(order)
        if before is not None:
            await self._tell(before, header.id)

    def _refuse(self, handed: Handed, code: str) -> None:
        """Nobody is told: an error never answers a word that is nobody's."""
        node, header = self._node, handed.header
        facts = {"origin": node.called(header.origin), "sender": header.sender, "id": header.id, "code": code}
        node.log.event("control.refused", level="warn", **facts)
        node.events.publish("control_refused", **facts)

    def _answer(self, answer: Answer) -> None:
        """Something was carried out on this node: netsky0 is to know."""
        if self._node.identity.charter is not None and not self._node.identity.root:
            self._untold.append(answer)
            self._node.signals.ring(HALT_SIGNAL)

    async def _tell(self, answer: Answer, asked: str | None = None) -> bool:
        """Whether it is on its way."""
        text = f"{answer.done}: {answer.ended} processes ended, {answer.still} still there (order {answer.order})"
        key = f"halt/{answer.order}/{asked or answer.at}"
        draft = Draft(f"{WATCHDOG}@{ROOT}", text, KIND, in_reply_to=asked, idempotency_key=key, data=asdict(answer))
        [sent] = await self._say([draft])
        return isinstance(sent, Accepted)

    async def _say(self, drafts: Sequence[Draft]) -> Sequence[Accepted | NetskyError]:
        answers = await self._node.bus.accept(WATCHDOG, "node", drafts)
        for draft, answer in zip(drafts, answers, strict=True):
            if isinstance(answer, NetskyError):
                self._node.log.event("control.later", level="warn", to=draft.to, why=answer.message)
        return answers


async def first_of(*waits: Callable[[], Awaitable[object]]) -> None:
    """Returns when one of them does; the others are cancelled."""
    async with trio.open_nursery() as nursery:

        async def one(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        for wait in waits:
            nursery.start_soon(one, wait)


def _draft(member: Member, line: Line, again: str = "") -> Draft:
    order = line.order
    text = f"{order.do} (order {order.order})" + (f": {order.reason}" if order.reason else "")
    key = f"order/{order.order}/{member.name}{again}"
    return Draft(f"{WATCHDOG}@{member.name}", text, KIND, idempotency_key=key, data=asdict(order))
