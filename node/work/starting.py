"""With which files a ticket is given out. Part of an offer: what is decided here is stored with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from netsky.node.db.work_runs import RunRow
from netsky.node.db.work_tickets import TicketRow
from netsky.node.errors import Usage
from netsky.node.work.limits import FAULTS_SHOWN
from netsky.node.work.plan.plan import Planned
from netsky.node.work.repo.git import GitError
from netsky.node.work.start import Start
from netsky.node.work.workshop import is_remote

if TYPE_CHECKING:
    from netsky.node.work.workshop import Workshop

NOT_REACHED = frozenset({"fetch_failed", "url", "git_timed_out"})
"""With these a node said that it could not get its base: it is sent along with the next try."""


async def check_files(workshop: Workshop, repository: str, base: str, planned: Sequence[Planned]) -> None:
    """What tickets point to in the repository is there at its base; else Usage, with all that is not."""
    pointers = {p for one in planned for p in one.spec.context_pointers if p.startswith("file:")}
    paths = sorted(pointer.removeprefix("file:") for pointer in pointers)
    if not repository or not paths:
        return
    try:
        missing = await workshop.missing(repository, base, paths)
    except GitError as error:
        raise Usage(error.sentence, next="netsky help work", code=error.code) from None
    if missing:
        named = ", ".join(ascii(path) for path in missing[:FAULTS_SHOWN])
        raise Usage(f"{named} is not in the commit {base[:12]}", next="netsky help work", code="bad_context")


async def start_of(
    workshop: Workshop, run: RunRow, row: TicketRow, *, runtime: str, here: bool
) -> Start | Literal["later"] | None:
    """From what its run has committed so far. `later`: a bundle is being made, and then another round begins."""
    head = json.loads(run.head)
    if not head.get("repository") or runtime == "noop":
        return None
    start = Start(head["repository"], run.tip or head["base"])
    if here or (is_remote(start.repository) and row.code not in NOT_REACHED):
        return start
    return await workshop.bundled(start) or "later"
