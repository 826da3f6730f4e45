"""A committer begins: it holds the repository, knows which keys are done, and ends what a life before it began."""

from __future__ import annotations

from netsky.node.db import commits
from netsky.node.db.commits import Asked, CommitRow
from netsky.node.db.group import GroupCommit
from netsky.node.seams import Seams
from netsky.node.work.repo.commission import (
    branch_ref,
    done_ref,
    is_commit,
    parent_of,
    pending_ref,
    review_ref,
    trailers_of,
)
from netsky.node.work.repo.committer import Committer
from netsky.node.work.repo.git import GitError
from netsky.node.work.repo.limits import LEARNED_AT_ONCE, REFS_BYTES_MAX
from netsky.node.work.repo.moves import Move
from netsky.node.work.repo.repository import Found, Repository


async def open_committer(
    repository: Repository, group: GroupCommit, seams: Seams, scratch: str, *, pushed_to: str
) -> Committer:
    """`pushed_to`: where a committer on another machine has pushed to; "" if there never was one. GitError
    `done_refs_missing` if that cannot be asked: without knowing what is done, nothing is done."""
    await repository.hold()
    try:
        await _adopt(repository, pushed_to)
        committer = Committer(repository, group, seams, scratch)
        [found] = await group.read([commits.prepared(repository.name)])
        rows = commits.rows(found)
        begun = [name for row in rows for name in (done_ref(row.key), branch_ref(row.branch))]
        await repository.free_locks([*begun, *repository.locked_in("refs/netsky/pending")])
        for row in rows:
            await _end(committer, row, group, seams)
        await _learn(repository, group, seams)
    except BaseException:
        repository.let_go()
        raise
    return committer


async def learn_from(committer: Committer, group: GroupCommit, seams: Seams, pushed_to: str) -> None:
    """One that is open already gets to know another place that is pushed to."""
    await _adopt(committer.repository, pushed_to)
    async with committer.turn:
        await _learn(committer.repository, group, seams)


async def _adopt(repository: Repository, pushed_to: str) -> None:
    try:
        await repository.adopt(pushed_to)
    except GitError as error:
        raise GitError("done_refs_missing", f"which keys are done is not known: {error.sentence}") from None


async def _end(committer: Committer, row: CommitRow, group: GroupCommit, seams: Seams) -> None:
    """What was prepared is done now, or given up: then whoever wants it asks again."""
    names = [done_ref(row.key), pending_ref(row.key), branch_ref(row.branch), row.parent, review_ref(row.key)]
    done, pending, branch, parent, review = await committer.repository.look(names)
    trouble = ""
    if pending is not None:
        done = await committer.end_cut_off(
            row.key, row.branch, base=row.base, pending=pending, done=done, tip=branch, review=review
        )
    elif done is None:
        [allowed] = await group.write([commits.raise_fence(row.ticket, _fence(row))])
        tip = None if branch is None else branch.id
        if not allowed:
            trouble = "a later lease of its ticket was given"
        elif row.content is None or parent is None or (tip or row.base) != row.parent:
            trouble = "the branch has moved"
        elif committer.repository.checked_out(row.branch):
            trouble = "somebody has the branch checked out"
        else:
            trouble = await committer.move(
                Move(row.key, row.branch, row.made, tip, "" if review is None else review.id), row.content
            )
            done = None if trouble else Found(row.made, "commit", row.content)
    now = seams.time.wall()
    if done is None:
        said = f"it was cut off, and cannot go on: {trouble or 'the branch went another way'}"
        await group.write([commits.given_up(row.repository, row.key, now, "cut_off", said)])
    else:
        await group.write([commits.committed(_asked(row), done.id, parent_of(done.content), now)])


def _fence(row: CommitRow) -> tuple[int, ...]:
    return tuple(int(part) for part in row.fence.split("."))


def _asked(row: CommitRow) -> Asked:
    return Asked(
        row.repository, row.key, row.ticket, row.run, row.worker, row.node, row.fence, row.branch, row.base, row.patch,
        row.title, row.authorised_by, row.reverts,
    )  # fmt: skip


async def _learn(repository: Repository, group: GroupCommit, seams: Seams) -> None:
    """Rows for commits that the repository has and this database does not know: it was put back, or is another
    machine's."""
    refs = await repository.refs("refs/netsky/done/", REFS_BYTES_MAX)
    [found] = await group.read([commits.made_in(repository.name)])
    known = {made for (made,) in found}
    missing = sorted(name for name, made in refs.items() if made not in known)
    for begin in range(0, len(missing), LEARNED_AT_ONCE):
        names = missing[begin : begin + LEARNED_AT_ONCE]
        now = seams.time.wall()
        seen = zip(names, await repository.look(names), strict=True)
        statements = [
            commits.committed(asked, found.id, parent_of(found.content), now)
            for name, found in seen
            if found is not None and (asked := _read(repository.name, name, found)) is not None
        ]
        if statements:
            await group.write(statements)


def _read(repository: str, ref: str, found: Found) -> Asked | None:
    """What its trailers say of it; None if it is none of ours."""
    said = trailers_of(found.content) if found.kind == "commit" else {}
    key = said.get("Netsky-Key", "")
    parent = parent_of(found.content) if found.kind == "commit" else ""
    if done_ref(key) != ref or not is_commit(parent):
        return None
    title = found.content.decode("utf-8", "replace").partition("\n\n")[2].partition("\n")[0]

    def word(name: str) -> str:
        return said.get(f"Netsky-{name}", "")

    return Asked(
        repository=repository, key=key, ticket=word("Task"), run=word("Run"), worker=word("Worker"), node=word("Node"),
        fence=word("Fence"), branch="", base=parent, patch=word("Patch"), title=title,
        authorised_by=said.get("Authorised-By", ""), reverts=word("Reverts"),
    )  # fmt: skip
