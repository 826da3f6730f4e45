"""How much waits for one actor before no more is taken for it. Two marks for one count of all that it has not taken.

Work stops at the cap, and what is on its way then fits into the reserve; so above both there is nothing but replies,
which have as much room of their own. No reply ever waits for room that requests hold, and nobody counts by lanes.
"""

from __future__ import annotations

from netsky.envelope.kinds import Lane
from netsky.node.bus.limits import INGRESS_RESERVE, INGRESS_RESERVE_AT_ROOT


def mark(cap: int, lane: Lane, *, at_root: bool) -> int:
    """With so many that it has not taken, an actor gets no more of this lane: senders wait."""
    return cap if lane == "work" else cap + _reserve(at_root) + cap


def most(cap: int, lane: Lane, *, at_root: bool) -> int:
    """Beyond this what comes over a link ends: its sender went on in spite of a hold."""
    return mark(cap, lane, at_root=at_root) + _reserve(at_root)


def resumes(cap: int, lane: Lane, *, at_root: bool) -> int:
    """With so few it gets this lane again."""
    return mark(cap, lane, at_root=at_root) - (cap + 1) // 2


def _reserve(at_root: bool) -> int:
    return INGRESS_RESERVE_AT_ROOT if at_root else INGRESS_RESERVE
