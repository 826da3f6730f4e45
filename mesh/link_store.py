"""What a link asks of the node that it belongs to: where it keeps things, what it may send, what time it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from netsky.envelope.kinds import Lane
from netsky.mesh.effects import Notice, Record
from netsky.mesh.lineage import Lineage
from netsky.mesh.offer import Offer, Wanted
from netsky.mesh.roster import Roster

if TYPE_CHECKING:
    from netsky.mesh.driver import Driver


class LinkStore(Protocol):
    """Where a link keeps what must outlive its connection. `node/links.py` has it on meta.db."""

    async def persist(self, records: Sequence[Record]) -> None:
        """All of them, durable, or an exception."""

    async def offers(self, lane: Lane, wanted: Wanted) -> Sequence[Offer]:
        """Frames that the machine may send now, oldest first; each fits."""

    async def more(self, lane: Lane) -> None:
        """Returns when there may be more than at the last `offers`, or when window, holds or roster have changed."""

    def is_quiet(self, lane: Lane) -> bool:
        """No `more` of this lane is about to return."""

    async def fates(self) -> None:
        """Returns when there may be outcomes that were not there at the last `offers` of the reply lane."""

    def tell(self, notice: Notice) -> None:
        """Something the node wants to know, once what it is about is durable."""

    def driven(self, driver: Driver) -> AbstractContextManager[None]:
        """As long as this one runs: it may be asked for numbers."""

    def window(self, lane: Lane) -> tuple[int, int]:
        """Envelopes and bytes that the peer may have on its way to us now; (0, 0) for none."""

    def held(self) -> frozenset[tuple[bytes, str, Lane]]:
        """What the peer should hold back: on a sibling for its own actors alone."""

    def lineages(self) -> Mapping[bytes, Lineage]:
        """At the root: of nodes that were restored, by key. Another object when it is another."""

    def roster(self) -> tuple[Roster | None, bytes]:
        """The newest one in force here, and its sealed bytes."""


class Clock(Protocol):
    def monotonic(self) -> int: ...

    def wall(self) -> int: ...

    async def sleep_until(self, monotonic_ns: int) -> None: ...
