"""What netsky0 knows of the nodes: what each has said of itself, and whether it is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from netsky.node.db.work_tickets import Held
from netsky.node.work.placing import Room
from netsky.node.work.posting import Beat

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.floor import Floor


class Rooms:
    def __init__(self, node: Node, floor: Floor) -> None:
        self._node = node
        self._floor = floor
        self._beats: dict[bytes, Beat] = {}
        self._asked: dict[bytes, int | None] = {}

    def unasked(self) -> list[str]:
        """Members that are linked and were not asked in this connection. From now on they were."""
        node = self._node
        roster, _ = node.membership.roster()
        if not node.identity.root or roster is None:
            return []
        found = []
        for member in roster.members:
            seen = node.membership.sightings.of(member.key)
            if member.revoked or member.key == node.identity.key or seen is None or not seen.up:
                continue
            if self._asked.get(member.key) != seen.since:
                self._asked[member.key] = seen.since
                found.append(member.name)
        return found

    def heard(self, key: bytes, beat: Beat) -> None:
        self._beats[key] = beat

    def forget(self, name: str) -> None:
        """It takes nothing, whatever it said: it is asked anew."""
        key = self._node.key_of(name)
        if key is not None:
            self._beats.pop(key, None)
            self._asked.pop(key, None)

    def now(self, held: Iterable[Held]) -> list[Room]:
        """This node first, then the members by number."""
        node = self._node
        used = {one.node: one for one in held}
        roster, _ = node.membership.roster()
        found = [self._own(used.get(node.identity.name))]
        if node.identity.root and roster is not None:
            members = sorted(
                (one for one in roster.members if not one.revoked and one.key != node.identity.key),
                key=lambda one: one.number,
            )
            found += [self._of(member.name, member.key, member.label, used.get(member.name)) for member in members]
        return found

    def _own(self, held: Held | None) -> Room:
        node = self._node
        labels = {*self._floor.labels, *filter(None, (node.membership.label, node.config.label))}
        away = "" if node.halt.hands_out == "all" else "halted" if node.halt.is_halted else "cut off from netsky0"
        return Room(node.identity.name, self._floor.slots, *_used(held), frozenset(labels), away, _alone(held))

    def _of(self, name: str, key: bytes, label: str, held: Held | None) -> Room:
        beat, seen = self._beats.get(key), self._node.membership.sightings.of(key)
        linked = seen is not None and seen.up
        away = "" if linked else "not linked"
        if beat is None:
            return Room(name, 0, *_used(held), frozenset(filter(None, [label])), away)
        if beat.halted and not away:
            away = "halted"
        return Room(
            name, beat.slots, *_used(held), frozenset({*beat.labels, *filter(None, [label])}), away, _alone(held)
        )


def _used(held: Held | None) -> tuple[int]:
    return (0 if held is None else held.used,)


def _alone(held: Held | None) -> bool:
    return held is not None and held.alone
