"""Which memory a node has: a lineage is drawn when a home begins, and again whenever that home was restored.

A number is used once in a life, and a life once in a lineage. Who sees a node's lineage change knows that this node may
have lost what came to it; who sees one again that was superseded has a clone, or a stolen key, before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from netsky.envelope.kinds import Lane

UNKNOWN = bytes(16)


@dataclass(frozen=True, slots=True)
class Lineage:
    """What is said of one node."""

    node: bytes
    lineage: bytes
    since: int
    """Wall clock of that node, ns: what came to it after that, and before this lineage began, may be lost. 0: all."""


@dataclass(frozen=True, slots=True)
class Blame:
    """The frame of ours at which the peer ended the connection, and how often it has."""

    lane: Lane
    life: int
    first: int
    code: str
    times: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What a connection begins with, beside its streams."""

    lineage: bytes = UNKNOWN
    """Of this node."""
    since: int = 0
    peer: bytes = b""
    """The peer's, as it was known last; empty if it never was."""
    superseded: frozenset[bytes] = frozenset()
    """Those that the peer had before."""
    highest: int = 1
    """Of all lives that any stream of this node ever had."""
    fresh: bytes = UNKNOWN
    """Random: the lineage of what begins in this connection."""
    blame: Blame | None = None
    """Of the connection before this one."""
