"""Nodes of one mesh as processes on this machine, with homes on a real disk, and the books of what they were given.

The set-up that benches of the mesh share: a root, siblings that join by invitation, and the lines under [routes] that
let them speak with each other.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from collections.abc import Set as AbstractSet

from netsky.node.bench.figures import Figure
from netsky.node.bench.process import Machine
from netsky.node.bench.reference import keep_apart
from netsky.node.bench.sending import Sent
from netsky.node.client import Client

ACTORS = "1"


class Fleet:
    """The root is `nodes[0]`; netskyN is `nodes[N]`."""

    def __init__(self, folder: str, siblings: int, routes: Sequence[str], notice: Callable[[str], None]) -> None:
        self.folder = folder
        self.nodes = [Machine(os.path.join(folder, f"netsky{number}")) for number in range(1 + siblings)]
        self.routes = tuple(routes)
        self.synchronous: list[str] = []
        """Of each node, as it read it back."""
        self._notice = notice
        keep_apart(folder)

    def start(self) -> None:
        root, *siblings = self.nodes
        self._notice(f"{len(self.nodes)} homes, {len(siblings)} invites …")
        root.netsky("init", "--root")
        root.configure("127.0.0.1:0", *self.routes)
        root.up()
        for number, sibling in enumerate(siblings, 1):
            ticket = root.data("invite", f"bench-{number}")["ticket"]
            sibling.netsky("join", "--yes", ticket)
            sibling.up(ACTORS)
        for sibling in siblings:
            sibling.wait_linked()
        for node in self.nodes:
            with Client.connect(node.home) as client:
                self.synchronous.append(str(client.call("status")["ledger"]["synchronous"]))

    def end(self) -> None:
        try:
            for node in self.nodes:
                if os.path.exists(node.home.config):
                    node.down()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


class Books:
    """What was accepted, held by id against what is there."""

    def __init__(self) -> None:
        self.lost = self.doubled = 0
        self.ended: Counter[str] = Counter()
        """By fate and reason: accepted, not delivered, and known at the origin to be so."""

    def figures(self) -> list[Figure]:
        kinds = ", ".join(f"{what}: {some:,}" for what, some in sorted(self.ended.items()))
        return [
            Figure("lost", "accepted, not there, and no word of it", self.lost, "envelopes", "0"),
            Figure(
                "ended",
                "ended otherwise, and known to be so at the origin",
                self.ended.total(),
                "envelopes",
                "0",
                kinds,
            ),
            Figure("doubled", "there twice", self.doubled, "envelopes", "0"),
        ]

    def compare(self, origin: Machine, sent: Sent, there: Collection[str]) -> int:
        """How many of them are not among those that are there."""
        found = Counter(there)
        self.doubled += sum(found[id_] - 1 for id_ in sent.ids if found[id_] > 1)
        return self.missing(origin, sent.origin, set(sent.ids) - found.keys())

    def missing(self, origin: Machine, key: bytes, ids: AbstractSet[str]) -> int:
        """Counts them as ended, if their origin knows how, or as lost."""
        if not ids:
            return 0
        ended = origin.ended(key, ids)
        self.ended.update(ended.values())
        self.lost += len(ids - ended.keys())
        return len(ids)
