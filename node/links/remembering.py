"""What this node knows of memories: its own lineage and highest life, and the lineages of those it meets.

The highest life stands in the file `lives` of the home as well, synced before any stream uses it: a database that knows
less than this file was put back from a backup. `netsky restore` says so itself, by the file `restored`. Who follows a
charter of a higher reign begins anew likewise: stored seals carry the old one, and nobody takes them any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from netsky.mesh.effects import Restored
from netsky.mesh.frames import LINEAGE_BYTES
from netsky.mesh.lineage import Lineage, Memory
from netsky.node.db import invites, node_state, restore
from netsky.node.db.group import GroupCommit
from netsky.node.home import LIVES_FILE, RESTORED_FILE, Home, read_home_file, was_restored
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Row, Statement

_LIVES_BYTES_MAX = 20
NO_LINEAGES: Mapping[bytes, Lineage] = MappingProxyType({})


class Remembering:
    def __init__(self, me: bytes, reign: int, home: Home, seams: Seams, group: GroupCommit) -> None:
        """`reign` is that of the charter in force."""
        self._me = me
        self._reign = reign
        self._home = home
        self._seams = seams
        self._group = group
        self._own = Lineage(me, bytes(LINEAGE_BYTES), 0)
        self._highest = 1
        self._on_file = 0
        self._known_until = 0
        """Wall clock: what links brought before this life of the node is remembered up to here."""
        self._in_force: dict[bytes, Lineage] = {}
        self._superseded: dict[bytes, frozenset[bytes]] = {}
        self._stated: Mapping[bytes, Lineage] = NO_LINEAGES

    async def load(self) -> Restored | None:
        """Before any link. What has to be stored first of all, if this home was put back from a backup."""
        found, newest, lives, reigned = await self._group.write(
            [
                restore.all_lineages(),
                restore.newest_from_links(),
                restore.highest_life(),
                node_state.get(node_state.REIGN),
            ]
        )
        self._load_lineages(found)
        self._known_until = node_state.integer(newest)
        known = node_state.integer(lives)
        self._on_file = _number(read_home_file(self._home, self._seams.files, LIVES_FILE, _LIVES_BYTES_MAX))
        self._highest = max(1, known, self._on_file)
        if self._me not in self._in_force:
            self._own = Lineage(self._me, self._seams.chance.token(LINEAGE_BYTES), 0)
            await self._group.write(restore.put_lineage(self._own, self._seams.time.wall()))
            self.noted([self._own])
        behind = "lives" if self._on_file > max(1, known) else None
        reason = "restore" if was_restored(self._home, self._seams.files) else behind
        if reason is None and node_state.integer(reigned, self._reign) < self._reign:
            reason = "reign"
        if reason is None:
            self.raise_to(self._highest)
            if not reigned:
                await self._group.write([node_state.put(node_state.REIGN, self._reign)])
            return None
        return Restored(self._highest + 1, self._seams.chance.token(LINEAGE_BYTES), reason)

    def memory(self, peer: bytes) -> Memory:
        known = self._in_force.get(peer)
        return Memory(
            *(self._own.lineage, self._own.since, known.lineage if known else b""),
            *(self._superseded.get(peer, frozenset()), self._highest, self._seams.chance.token(LINEAGE_BYTES)),
        )

    @property
    def highest(self) -> int:
        """Of the lives of all streams."""
        return self._highest

    def stated(self) -> Mapping[bytes, Lineage]:
        """At the root: of those that were ever restored."""
        return self._stated

    def raise_to(self, life: int) -> None:
        """Before the commit that uses it."""
        if life > self._on_file:
            folder = self._seams.files.open_folder(self._home.path)
            try:
                self._seams.files.replace(folder, LIVES_FILE, b"%d\n" % life)
            finally:
                self._seams.files.close(folder)
            self._on_file = life
        self._highest = max(self._highest, life)

    def event(self, record: Restored, now: int) -> list[Statement]:
        """This home was put back: one transaction, before it acknowledges, routes or enrols anything."""
        return [
            *restore.raise_all(restore.NewLife(record.life, record.lineage, now, record.reason)),
            *restore.put_lineage(self._renewed(record), now),
            invites.burn_open(now),
            node_state.raise_to(node_state.REIGN, self._reign),
        ]

    def restored(self, record: Restored) -> None:
        """That is stored."""
        self.noted([self._renewed(record)])
        folder = self._seams.files.open_folder(self._home.path)
        try:
            if self._seams.files.remove(folder, RESTORED_FILE):
                self._seams.files.sync_folder(folder)
        finally:
            self._seams.files.close(folder)

    def noted(self, lineages: Sequence[Lineage]) -> None:
        """These are stored."""
        for one in lineages:
            before = self._in_force.get(one.node)
            self._in_force[one.node] = one
            if before is not None and before.lineage != one.lineage:
                known = self._superseded.get(one.node, frozenset())
                self._superseded[one.node] = (known | {before.lineage}) - {one.lineage}
        self._own = self._in_force.get(self._me, self._own)
        self._stated = MappingProxyType(
            {key: one for key, one in self._in_force.items() if one.since or key in self._superseded}
        )

    def _renewed(self, record: Restored) -> Lineage:
        first = self._me not in self._superseded
        since = self._known_until if first else min(self._own.since, self._known_until)
        # Not 0, though nothing had come yet: so says who was never restored, and gets nothing again.
        return Lineage(self._me, record.lineage, max(1, since))

    def _load_lineages(self, found: list[Row]) -> None:
        self._in_force, self._superseded = {}, {}
        for node, lineage, since, superseded in found:
            assert isinstance(node, bytes)
            assert isinstance(lineage, bytes)
            assert isinstance(since, int)
            if superseded:
                self._superseded[node] = self._superseded.get(node, frozenset()) | {lineage}
            else:
                self._in_force[node] = Lineage(node, lineage, since)
        self.noted([])


def _number(data: bytes) -> int:
    """0 where there is none: a file that somebody spoilt proves nothing."""
    text = data.strip()
    return int(text) if text.isdigit() else 0
