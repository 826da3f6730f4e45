"""The committer: the one who changes the branch, once for each key.

`commit` owns the order of effects, and nothing else changes a branch here:

    fence → what stands already → gate → tree, gate again → criteria → [a person] → row `prepared` → the commit's bytes
    → pending ref → done ref, branch, pending ref gone → row `committed`, push due

Until the row is `prepared` nothing has happened but objects that no ref names. From then on the row holds all that is
needed to go on, and the repository says how far it came. The done ref is the truth: a database that was put back from
before the commit, or one on another machine, finds it there.
"""

from __future__ import annotations

import os

import trio
from netsky.node.db import commits
from netsky.node.db.commits import Asked, CommitRow
from netsky.node.db.commits import Step as RowStep
from netsky.node.db.group import GroupCommit
from netsky.node.seams import Seams
from netsky.node.work.repo.build import build, check_out
from netsky.node.work.repo.commission import (
    AwaitsReview,
    Commission,
    Commit,
    Committed,
    Conflict,
    Criteria,
    Outcome,
    Refused,
    branch_ref,
    done_ref,
    fault_of,
    make_commit,
    parent_of,
    pending_ref,
    review_ref,
    trailers_of,
)
from netsky.node.work.repo.gate import check_patch
from netsky.node.work.repo.git import GitError, Step
from netsky.node.work.repo.limits import REBASES_MAX
from netsky.node.work.repo.moves import CutOff, Move
from netsky.node.work.repo.patch import PatchFault
from netsky.node.work.repo.repository import Found, Repository
from netsky.node.work.repo.trees import remove_tree

CHECKS = "checks"


class Committer:
    """Of one repository. Open it by `recover.open_committer`: it knows nothing before that was done."""

    def __init__(self, repository: Repository, group: GroupCommit, seams: Seams, scratch: str) -> None:
        """`scratch`: a folder of ours, for the files that criteria look at."""
        self.repository = repository
        self._group = group
        self._seams = seams
        self._scratch = scratch
        self.turn = trio.Lock()
        """One commit at a time: they share an index."""

    @property
    def name(self) -> str:
        return self.repository.name

    async def commit(self, commission: Commission, criteria: Criteria | None = None) -> Outcome:
        """Once per key, however often it is asked. Raises what the node's storing raises, nothing of git's."""
        fault = fault_of(commission)
        if fault is not None:
            return Refused("commission", fault)
        async with self.turn:
            try:
                return await self._commit(commission, criteria)
            except PatchFault as error:
                outcome: Refused | Conflict = Refused(error.code, error.sentence)
            except GitError as error:  # of the machine, not of the patch: the row stays as it is
                return Refused(error.code, error.sentence)
            return await self._ended(commission, outcome)

    async def _commit(self, commission: Commission, criteria: Criteria | None) -> Outcome:
        [allowed] = await self._group.write([commits.raise_fence(commission.ticket, commission.fence)])
        if not allowed:
            return _fenced(commission)
        trouble = ""
        for _ in range(1 + REBASES_MAX):
            standing = await self._standing(commission)
            if not isinstance(standing, _Standing):
                return standing
            said = check_patch(commission.patch, commission.scope)
            tip = standing.tip or commission.base
            built = await build(self.repository, commission, said, tip)
            if isinstance(built, Conflict):
                return await self._ended(commission, built)
            if criteria is not None:
                refused = await self._judge(commission, criteria, built.tree)
                if refused is not None:
                    return await self._ended(commission, refused)
            commit = make_commit(commission, built.tree, tip)
            if commission.review == "person" and not standing.approved:
                return await self._show(commission, commit)
            if self.repository.checked_out(commission.branch):
                words = f"somebody has {commission.branch} checked out in {self.repository.path}: it is not moved"
                return await self._ended(commission, Conflict("checked_out", words))
            prepared = RowStep("prepared", tip, commit.id, commit.content)
            if not await self._put(commission, prepared):
                return _fenced(commission)
            move = Move(commission.key, commission.branch, commit.id, standing.tip, standing.reviewed)
            trouble = await self.move(move, commit.content)
            if not trouble:
                await self._store_committed(commission, commit.id, tip)
                return Committed(commit.id)
        standing = await self._standing(commission)  # takes back what the last try has announced
        if not isinstance(standing, _Standing):
            return standing
        words = f"{commission.branch} could not be moved: {trouble}"
        return await self._ended(commission, Conflict("branch_moves", words))

    # What stands already.

    async def _standing(self, commission: Commission) -> _Standing | Outcome:
        """How things are before anything is done for this commission; what was cut off is ended here."""
        key = commission.key
        names = [done_ref(key), pending_ref(key), branch_ref(commission.branch), commission.base, review_ref(key)]
        [found] = await self._group.read([commits.find(self.name, key)])
        row = next(iter(commits.rows(found)), None)
        done, pending, branch, base, review = await self.repository.look(names)
        for known in (done, pending):
            if known is not None and not _is_of(known, commission):
                return Refused(
                    "key_taken", f"the key {key!r} belongs to another ticket, whose commit is {known.id[:12]}"
                )
        if row is not None and row.state not in {"refused", "conflict"} and not _is_row_of(row, commission):
            return Refused("key_taken", f"the key {key!r} belongs to the ticket {row.ticket}")
        if pending is not None:
            done = await self.end_cut_off(
                key, commission.branch, base=commission.base, pending=pending, done=done, tip=branch, review=review
            )
        if done is not None:
            await self._store_committed(commission, done.id, parent_of(done.content))
            return Committed(done.id, again=True)
        if row is not None and row.state == "committed":
            return Refused(
                "commit_lost",
                f"{row.made[:12]} was committed for this key, and {self.repository.path} has no sign of it",
            )
        if base is None or base.kind != "commit":
            return Refused("base_missing", f"the repository does not have its base {commission.base[:12]}")
        same = row is not None and row.patch == commission.patch_id
        if row is not None and same and commission.review == "person":
            if row.state == "waiting" and review is not None:
                return AwaitsReview(review.id, review_ref(key))
            if row.state == "refused" and row.code == "review":
                return Refused("review", row.said)
        return _Standing(
            tip=None if branch is None else branch.id,
            approved=row is not None and same and row.state in {"approved", "prepared"},
            reviewed="" if review is None else review.id,
        )

    async def end_cut_off(
        self,
        key: str,
        branch: str,
        *,
        base: str,
        pending: Found,
        done: Found | None,
        tip: Found | None,
        review: Found | None,
    ) -> Found | None:
        """A move of refs that was cut off is finished, or undone (None). GitError if neither works."""
        parent = parent_of(pending.content)
        cut = CutOff(
            key=key, branch=branch, commit=pending.id, parent=parent, tip=None if tip is None else tip.id,
            done=None if done is None else done.id, begins=parent == base,
            reviewed="" if review is None else review.id,
            in_branch=tip is not None and await self.repository.is_ancestor(pending.id, tip.id),
        )  # fmt: skip
        trouble = await self._update_refs(cut.text(), (done_ref(key), branch_ref(branch), pending_ref(key)))
        if trouble:
            raise GitError("refs", f"a commit that was cut off could not be ended: {trouble}")
        return pending if cut.way == "finish" else None

    # The steps.

    async def _judge(self, commission: Commission, criteria: Criteria, tree: str) -> Refused | None:
        files, folder = self._seams.files, os.path.join(self._scratch, CHECKS)
        files.make_folder(folder)
        name = done_ref(commission.key).rpartition("/")[2][:24]
        await remove_tree(self._seams.processes, files, folder, name)
        path = os.path.join(folder, name)
        files.make_folder(path)
        await check_out(self.repository, tree, path)
        verdict = await criteria(path)
        await remove_tree(self._seams.processes, files, folder, name)
        return None if verdict.passed else Refused(verdict.code or "criteria", verdict.sentence)

    async def _show(self, commission: Commission, commit: Commit) -> AwaitsReview | Refused:
        """A person decides: what would be committed gets a name, and the row waits."""
        ref = review_ref(commission.key)
        result = await self.repository.change(
            [Step(("hash-object", "-t", "commit", "-w", "--stdin"), reads=True), Step(("update-ref", ref, commit.id))],
            stdin=commit.content,
        )
        result.out_of("show what would be committed")
        if not await self._put(commission, RowStep("waiting", commit.parent, commit.id)):
            return _fenced(commission)
        return AwaitsReview(commit.id, ref)

    async def move(self, move: Move, content: bytes) -> str:
        """The commit's bytes and its refs. "" if all of it happened, else what was in the way."""
        refs = move.refs if not move.reviewed else (*move.refs, review_ref(move.key))
        write = Step(("hash-object", "-t", "commit", "-w", "--stdin"), reads=True)
        return await self._update_refs(move.text(), refs, [write], content)

    async def _update_refs(
        self, text: str, refs: tuple[str, ...], before: list[Step] | None = None, content: bytes = b""
    ) -> str:
        steps = [*(before or []), Step(("update-ref", "--stdin"), text=text)]
        result = await self.repository.change(steps, stdin=content)
        if result.failed is not None and await self.repository.free_locks(refs):
            result = await self.repository.change(steps, stdin=content)
        if result.failed is not None:
            return result.errors or "git did not say why"
        self.repository.sync_refs(refs)
        return ""

    # Rows.

    async def _put(self, commission: Commission, step: RowStep) -> bool:
        """False if a higher fence was seen meanwhile."""
        now = self._seams.time.wall()
        [stored] = await self._group.write([commits.put(asked(self.name, commission), step, commission.fence, now)])
        return bool(stored)

    async def _ended(self, commission: Commission, outcome: Refused | Conflict) -> Outcome:
        state = "refused" if isinstance(outcome, Refused) else "conflict"
        await self._put(commission, RowStep(state, code=outcome.code, said=outcome.sentence))
        return outcome

    async def _store_committed(self, commission: Commission, commit: str, parent: str) -> None:
        now, name = self._seams.time.wall(), self.name
        statements = [commits.committed(asked(name, commission), commit, parent, now)]
        if commission.push:
            statements.append(commits.push_due(name, commission.key, commission.branch, commission.push, now))
        await self._group.write(statements)


class _Standing:
    """Nothing was committed for this key yet. `tip`: of the branch, None if it is not there."""

    __slots__ = ("approved", "reviewed", "tip")

    def __init__(self, tip: str | None, *, approved: bool, reviewed: str) -> None:
        self.tip = tip
        self.approved = approved
        self.reviewed = reviewed


def asked(repository: str, commission: Commission) -> Asked:
    return Asked(
        repository, commission.key, commission.ticket, commission.run, commission.worker, commission.node,
        ".".join(map(str, commission.fence)), commission.branch, commission.base, commission.patch_id,
        commission.title, commission.authorised_by, commission.reverts,
    )  # fmt: skip


def _fenced(commission: Commission) -> Refused:
    fence = ".".join(map(str, commission.fence))
    return Refused("fence", f"the lease {fence} of {commission.ticket} is over: a later one was given")


def _is_row_of(row: CommitRow, commission: Commission) -> bool:
    return (row.ticket, row.run) == (commission.ticket, commission.run)


def _is_of(found: Found, commission: Commission) -> bool:
    said = trailers_of(found.content)
    return (said.get("Netsky-Task"), said.get("Netsky-Run")) == (commission.ticket, commission.run)
