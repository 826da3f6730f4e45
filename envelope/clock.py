"""The hybrid logical clock: nanoseconds that follow the wall and never run behind their cause."""

from __future__ import annotations

from netsky.envelope.limits import SKEW_NS


def next_clock(last: int, wall: int, cause: int | None) -> tuple[int, bool]:
    """The clock of the next envelope, and whether its cause was too far ahead to be followed.

    It is greater than `last`, which the caller keeps, and greater than `cause` unless that is more than five minutes
    ahead of the own wall clock: one node with a wrong clock must not drag the others into the future.
    """
    skewed = cause is not None and cause > wall + SKEW_NS
    floor = last if cause is None or skewed else max(last, cause)
    return max(wall, floor + 1), skewed
