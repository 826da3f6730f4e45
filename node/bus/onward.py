"""What a planner asks of the links while it plans: whether what it stores may have its numbers at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from netsky.envelope.kinds import Lane
from netsky.mesh.offer import Offer
from netsky.node.seams.ledger import Statement


class Given(NamedTuple):
    """The numbers first, first + 1 … of one frame."""

    life: int
    first: int
    at: int
    statements: Sequence[Statement]
    """Of the transaction that stores what has the numbers."""
    go: Callable[[], None]
    """Once it is stored."""
    fail: Callable[[], None]
    """If it was not."""


class AllGiven:
    """The numbers of one plan, whose `after` is `go`, and whose `undone` is `fail`."""

    def __init__(self) -> None:
        self._given: list[Given] = []

    def add(self, given: Given) -> None:
        self._given.append(given)

    def statements(self) -> list[Statement]:
        return [statement for given in self._given for statement in given.statements]

    def go(self) -> None:
        for given in self._given:
            given.go()

    def fail(self) -> None:
        for given in self._given:
            given.fail()


class Onward(Protocol):
    def number(self, peer: bytes, lane: Lane, offer: Offer, to: Collection[tuple[bytes, str]]) -> Given | None:
        """None: not at once. Then it is stored without, and the link finds it before anything that comes later."""

    def look_first(self, peer: bytes, lane: Lane) -> None:
        """Something for it is stored without a number, without being asked about here."""


class NoLinks:
    """Of a node without a mesh."""

    def number(self, peer: bytes, lane: Lane, offer: Offer, to: Collection[tuple[bytes, str]]) -> Given | None:  # noqa: ARG002 - part of the protocol
        return None

    def look_first(self, peer: bytes, lane: Lane) -> None:
        pass
