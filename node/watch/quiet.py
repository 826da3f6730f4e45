"""Declared quiet: an actor says that it will not move for a while, and nobody is alarmed for it meanwhile.

A quiet is a marker with an absolute end, at most an hour after it was declared. Several may stand for one actor; the
latest end counts. The end is absolute for people and across restarts; within one life of the node it is counted by the
clock that nobody sets, from when the quiet was seen first: a clock that jumps neither ends nor lengthens one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.markers import Marker
from netsky.node.watch.limits import QUIET_SECONDS_MAX

SECOND = 10**9
PREFIX = "quiet."
_SKEW = 60 * SECOND
"""A quiet that begins later than that was declared by another clock than ours."""


@dataclass(frozen=True, slots=True)
class Quiet:
    name: str
    """Of its marker."""
    actor: str
    by: str
    reason: str
    at: int
    expires: int


def marker_of(actor: str, by: str, reason: str, at: int, seconds: float) -> Marker:
    expires = at + round(seconds * SECOND)
    return Marker(
        name=f"{PREFIX}{actor}.{expires // 1_000_000}",
        owner=by,
        reason=reason,
        at=at,
        expires=expires,
        clear=f"netsky quiet --clear --actor {actor}, or its end",
        data={"actor": actor},
    )


def quiet_of(marker: Marker) -> Quiet | None:
    """None for another marker, and for one that says more than a quiet can."""
    actor, expires = marker.data.get("actor"), marker.expires
    if not marker.name.startswith(PREFIX) or not isinstance(actor, str) or expires is None:
        return None
    if not 0 < expires - marker.at <= QUIET_SECONDS_MAX * SECOND:
        return None
    return Quiet(marker.name, actor, marker.owner, marker.reason, marker.at, expires)


class Quiets:
    """Those that count in this life of the node."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[Quiet, int]] = {}
        self._over: set[str] = set()

    def look(self, markers: Sequence[Marker], *, wall: int, monotonic: int) -> list[str]:
        """Takes in what stands there now. Gives the names of markers that say nothing any more, to be removed."""
        found = {marker.name: quiet_of(marker) for marker in markers if marker.name.startswith(PREFIX)}
        self._over &= found.keys()
        for name, quiet in found.items():
            if quiet is None or (name not in self._until and not quiet.at - _SKEW <= wall < quiet.expires):
                self._over.add(name)
            elif name not in self._until and name not in self._over:
                self._until[name] = (quiet, monotonic + min(quiet.expires - wall, QUIET_SECONDS_MAX * SECOND))
        for name, (quiet, until) in list(self._until.items()):
            taken_away = name not in found and wall < quiet.expires
            if taken_away or until <= monotonic:
                del self._until[name]
                self._over.add(name)
        return sorted(self._over & found.keys())

    def forget(self, name: str) -> None:
        self._until.pop(name, None)

    def all(self, monotonic: int) -> list[tuple[Quiet, int]]:
        """Each with the ns that it has left, by actor, the latest last."""
        left = [(quiet, until - monotonic) for quiet, until in self._until.values() if until > monotonic]
        return sorted(left, key=lambda one: (one[0].actor, one[1], one[0].name))

    def of(self, actor: str, monotonic: int) -> tuple[Quiet, int] | None:
        """The one that counts."""
        own = [one for one in self.all(monotonic) if one[0].actor == actor]
        return own[-1] if own else None
