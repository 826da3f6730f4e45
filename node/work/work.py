"""Work as a part of a node: the office, where this node may give work out; the tenant, where netsky0 does; the floor
under both; and one task that goes round while there is something to do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.bus.draft import Draft
from netsky.node.halt.halting import HALT_SIGNAL
from netsky.node.halt.orders import first_of
from netsky.node.work import posting
from netsky.node.work.asking import Asking
from netsky.node.work.desk import MOVED, Desk
from netsky.node.work.floor import Floor
from netsky.node.work.mail import Mailroom
from netsky.node.work.office import Office
from netsky.node.work.repo.shelf import name_of
from netsky.node.work.runtime import Noop, Runtime
from netsky.node.work.runtimes.command import Command
from netsky.node.work.tenant import Tenant
from netsky.node.work.workshop import Workshop

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.db.work_tickets import TicketRow
    from netsky.node.verbs.args import Args

Order = Callable[[str, "Args", str | None], Awaitable[dict[str, Any]]]

WORK_SIGNAL = "work/"
"""Rung when there is something to do."""


class Work:
    def __init__(self, node: Node) -> None:
        self.workshop = Workshop(node)
        runtimes: dict[str, Runtime] = {"noop": Noop(), "command": Command(node, self.workshop)}
        self.floor = Floor(node, runtimes)
        charter, is_root = node.identity.charter, node.identity.root
        gives = is_root or charter is None or node.config.local_work
        self.office = Office(node, self.floor, self.workshop) if gives else None
        self.tenant = Tenant(node, self.floor) if charter is not None and not is_root else None
        self.desk = None if self.office is None else Desk(node, self.office)
        self.asking = Asking(node)
        self._mail = Mailroom(node)
        self._node = node
        self.loaded = trio.Event()
        """What the last life left is known: orders are taken from here on."""
        node.bus.ingress.between = self.ring

    def in_use(self) -> set[str]:
        """Workspaces that somebody works in, and repositories of runs that go on."""
        runs = [] if self.office is None else self.office.book.runs.values()
        places = {json.loads(run.head).get("repository") for run in runs if run.state != "completed"}
        return self.workshop.in_use() | {name_of(place) for place in places if place}

    def ring(self) -> None:
        self._node.signals.ring(WORK_SIGNAL)

    def moved(self) -> None:
        self._node.signals.ring(MOVED)

    async def run(self) -> None:
        """A child of the tree. Each of its lives begins with what the rows say."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.workshop.run)
            await nursery.start(self.floor.run)
            if self.office is not None:
                await nursery.start(self.office.landing.run)
                async with self.office.lock:
                    await self.office.load()
            if self.tenant is not None:
                await self.tenant.load()
                await nursery.start(self._hear_links)
            self.loaded.set()
            await self._go_round()

    async def _go_round(self) -> None:
        signals = self._node.signals
        while True:
            heard, halts = signals.count(WORK_SIGNAL), signals.count(HALT_SIGNAL)
            did = await self._mail.round()
            if self.tenant is not None:
                did |= await self.tenant.round()
            if self.office is not None:
                did |= await self.office.round()
            if did:
                await trio.lowlevel.checkpoint()
                continue
            with trio.move_on_after(await self._wait_ns() / 1e9):
                await first_of(
                    partial(signals.wait_beyond, WORK_SIGNAL, heard), partial(signals.wait_beyond, HALT_SIGNAL, halts)
                )

    async def _wait_ns(self) -> int:
        waits = [] if self.office is None else [await self.office.wait_ns()]
        return min([*waits, *([] if self.tenant is None else [self.tenant.wait_ns()])])

    async def _hear_links(self, task_status: trio.TaskStatus[None]) -> None:
        node, tenant = self._node, self.tenant
        assert tenant is not None
        with node.events.subscribe(frozenset({"link_up", "lease_renewed", "lease_lapsed"})) as changes:
            task_status.started()
            while True:
                if (await changes.next())["kind"] == "link_up":
                    tenant.linked()
                self.ring()

    async def order(self, order: str, who: str, args: Args) -> dict[str, Any]:
        """Of somebody on this node."""
        if self.desk is None:
            return await self.asking.ask(order, who, args.all())
        return await self.here(order, who, args)

    async def here(self, order: str, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:
        """At the node that gives work out."""
        await self.loaded.wait()
        handler: Order = getattr(self.desk, order)
        return await handler(who, args, cause)

    def tell_blocked(self, rows: Sequence[TicketRow]) -> list[Draft]:
        """Somebody is needed: the owner, or where there is none this node's agent0."""
        to = "owner" if self._node.identity.root else posting.AGENT
        return [
            Draft(
                *(to, f"{row.id} is blocked: {row.reason}\nnext: netsky task show {row.id}", "escalation"),
                idempotency_key=f"blocked/{row.seq}/{row.since}",
            )
            for row in rows
        ]


def add_work(node: Node) -> None:
    node.work = Work(node)
