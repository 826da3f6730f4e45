"""What was committed and is to be pushed: a step of its own after the commit, which waits for nobody's network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from netsky.node.backoff import RETRY
from netsky.node.db import commits
from netsky.node.errors import NetskyError
from netsky.node.work.limits import PUSHES_LOOKED_AT
from netsky.node.work.repo.after import push
from netsky.node.work.repo.git import GitError

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node


class Pushing:
    """How often one is tried is bounded by its row; then a person, or the next commit of its branch, tries again."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._rung = trio.Event()

    def ring(self) -> None:
        """Something was committed."""
        self._rung.set()

    async def run(self) -> None:
        """Until cancelled. A life begins with what the last one left."""
        tries = 0
        while True:
            self._rung = trio.Event()
            left = await self._push_due()
            tries = tries + 1 if left else 0
            wait = RETRY.wait_ns(tries - 1, self._node.seams.chance.fraction()) / 1e9 if left else float("inf")
            with trio.move_on_after(wait):
                await self._rung.wait()

    async def _push_due(self) -> bool:
        """Whether some are still due."""
        node, left = self._node, False
        [found] = await node.group.read([commits.pushes_listed(PUSHES_LOOKED_AT)])
        due = [row for row in commits.push_rows(found) if row.state == "due"]
        for name in sorted({row.repository for row in due}):
            try:
                committer = await node.shelf.committer_named(name)
                rows = await push(committer.repository, node.group, node.seams.time)
            except (GitError, NetskyError) as error:
                said = error.sentence if isinstance(error, GitError) else error.message
                node.log.event("work.push_failed", level="warn", repository=name, why=said)
                left = True
                continue
            for row in rows:
                left |= row.state == "due"
                if row.state == "refused":
                    node.shelf.look_again(name, row.branch, row.url)
                    node.log.event("work.push_refused", level="warn", key=row.key, branch=row.branch, why=row.said)
        return left
