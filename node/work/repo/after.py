"""What comes after a commit, or instead of it: a person's word, a push, a revert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.db import commits
from netsky.node.db.commits import PushRow
from netsky.node.db.group import GroupCommit
from netsky.node.seams.time import Time
from netsky.node.work.repo.commission import (
    Commission,
    Fence,
    Outcome,
    Refused,
    branch_ref,
    done_ref,
    fault_of,
    is_branch,
    parent_of,
)
from netsky.node.work.repo.committer import Committer
from netsky.node.work.repo.git import GitError, Step, without_secrets
from netsky.node.work.repo.limits import FETCH_SECONDS, PATCH_BYTES_MAX, PUSH_REFS_MAX, PUSH_TRIES_MAX, REFS_BYTES_MAX
from netsky.node.work.repo.patch import PatchFault, read_patch
from netsky.node.work.repo.repository import Repository, scheme_of

PUSHES_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Revert:
    """Who wants a commit taken back. It is a commission like any other, with a key of its own."""

    key: str
    """Of the commit that goes."""
    by: str
    node: str
    run: str
    ticket: str
    fence: Fence
    authorised_by: str
    created: int
    """ns"""
    new_key: str = ""
    """"" is made from the key."""
    branch: str = ""
    """Asked for where the database does not know it: it was put back, or is another machine's."""
    push: str = ""


async def rollback(committer: Committer, group: GroupCommit, revert: Revert) -> Outcome:
    """A commit that does the opposite. The history stays as it is."""
    try:
        [done] = await committer.repository.look([done_ref(revert.key)])
        [rows] = await group.read([commits.find(committer.name, revert.key)])
        known = next(iter(commits.rows(rows)), None)
        branch = revert.branch or ("" if known is None else known.branch)
        if done is None or done.kind != "commit" or not parent_of(done.content):
            return Refused("not_committed", f"nothing was committed for the key {revert.key!r}")
        if not is_branch(branch):
            return Refused("branch_unknown", f"it is not known on which branch {done.id[:12]} is; name it")
        patch = await committer.repository.diff(done.id, parent_of(done.content), PATCH_BYTES_MAX)
        scope = tuple(one.path.decode() for one in read_patch(patch))
    except (GitError, PatchFault) as error:
        return Refused(error.code, error.sentence)
    title = done.content.decode("utf-8", "replace").partition("\n\n")[2].partition("\n")[0]
    commission = Commission(
        key=revert.new_key or f"rollback:{revert.key}", run=revert.run, ticket=revert.ticket, worker=revert.by,
        node=revert.node, fence=revert.fence, branch=branch, base=done.id, patch=patch, scope=scope,
        title=f'Revert "{title}"', body=f"This reverts commit {done.id}.", authorised_by=revert.authorised_by,
        created=revert.created, push=revert.push, reverts=revert.key,
    )  # fmt: skip
    fault = fault_of(commission)
    return Refused("commission", fault) if fault is not None else await committer.commit(commission)


async def decide(
    group: GroupCommit, time: Time, repository: str, key: str, by: str, *, approved: bool, why: str = ""
) -> bool:
    """A person's word about what waits for it; False if nothing does. Approved is what was shown, and no other patch:
    the commission comes again, and is then committed."""
    said = why or ("" if approved else "a person said no")
    [done] = await group.write([commits.decide(repository, key, by, time.wall(), approved=approved, said=said)])
    return bool(done)


# Pushing.


async def push(repository: Repository, group: GroupCommit, time: Time) -> list[PushRow]:
    """Sends what is due, each branch with the done refs of all that is in it, so that whoever commits there next knows
    them. Returns the rows as they are afterwards. Never forced: what the other one does not take stays here."""
    [found] = await group.read([commits.pushes_due(repository.name, PUSHES_AT_ONCE)])
    rows = commits.push_rows(found)
    for url, branch in dict.fromkeys((row.url, row.branch) for row in rows):
        mine = [row for row in rows if (row.url, row.branch) == (url, branch)]
        state, said = await _try(repository, url, branch)
        again = state == "due" and max(row.tries for row in mine) + 1 >= PUSH_TRIES_MAX
        await group.write(
            [commits.push_tried([row.seq for row in mine], "refused" if again else state, said, time.wall())]
        )
    [found] = await group.read([commits.pushes_in(repository.name, [row.seq for row in rows])])
    mine_now = {row.seq for row in rows}
    return [row for row in commits.push_rows(found) if row.seq in mine_now]


async def _try(repository: Repository, url: str, branch: str) -> tuple[str, str]:
    """The state that its rows get, and why."""
    try:
        missing = await _missing(repository, url, branch)
        for at in range(0, len(missing), PUSH_REFS_MAX):
            last = at + PUSH_REFS_MAX >= len(missing)
            refs = [*missing[at : at + PUSH_REFS_MAX], *([branch_ref(branch)] if last else [])]
            refused = await _send(repository, url, refs)
            if refused:
                return "refused", refused
        if not missing:
            refused = await _send(repository, url, [branch_ref(branch)])
            if refused:
                return "refused", refused
        await _seen_there(repository, branch)
    except GitError as error:
        return ("refused" if error.code == "url" else "due"), error.sentence
    return "pushed", ""


async def _seen_there(repository: Repository, branch: str) -> None:
    """What was pushed is known to be there: `gc` may then do without it here."""
    [tip] = await repository.look([branch_ref(branch)])
    if tip is not None:
        result = await repository.change([Step(("update-ref", f"refs/netsky/from/{branch}", tip.id))])
        result.out_of("note what was pushed")


async def _missing(repository: Repository, url: str, branch: str) -> list[str]:
    """The done refs of what is in the branch that the other repository does not have."""
    here = await repository.refs("refs/netsky/done/", REFS_BYTES_MAX, merged=branch_ref(branch))
    step = Step(("ls-remote", "--refs", "--", url, "refs/netsky/done/*"))
    said = await repository.change([step], allow=scheme_of(url), seconds=FETCH_SECONDS, out_max=REFS_BYTES_MAX)
    there = {line.partition("\t")[2] for line in said.out_of("ask what is done there").decode().splitlines()}
    return sorted(here.keys() - there)


async def _send(repository: Repository, url: str, refs: Sequence[str]) -> str:
    """ "" if it took all of them, else why it did not; GitError if it could not be asked."""
    step = Step(("push", "--atomic", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed",
                 "--recurse-submodules=no", "--", url, *(f"{ref}:{ref}" for ref in refs)))  # fmt: skip
    said = await repository.change([step], allow=scheme_of(url), seconds=FETCH_SECONDS)
    lines = [line.split("\t") for line in said.out.decode("utf-8", "replace").splitlines() if line.startswith("!\t")]
    if lines:
        worst = next((line for line in lines if "atomic" not in line[-1]), lines[0])
        return f"{worst[1].partition(':')[2]}: {worst[-1]}"
    said.out_of(f"push to {without_secrets(url)}")
    return ""
