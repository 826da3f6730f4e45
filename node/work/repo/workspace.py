"""A clone for one task, made anew at a commit, and the patch that comes out of it.

A clone borrows the objects of the repository it was made from, which whoever works in it needs to read (`readable`) and
cannot write. What was worked in is never asked about itself: its own .git decides nothing, since the patch is taken
with the repository of ours as git's, an index of ours, and objects that go nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from netsky.node.db import commits
from netsky.node.db.group import GroupCommit
from netsky.node.errors import TryLater
from netsky.node.seams import Seams
from netsky.node.work.repo.git import NO_ATTRIBUTES, Git, GitError, Step, Where
from netsky.node.work.repo.limits import PATCH_BYTES_MAX
from netsky.node.work.repo.repository import Repository
from netsky.node.work.repo.trees import remove_tree

REPO, BRANCH = "repo", "work"
_TASK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Workspace:
    task: str
    path: str
    """Where its worker works."""
    readable: tuple[str, ...]
    """Folders that it needs besides, to read."""
    base: str


class Workspaces:
    def __init__(self, folder: str, group: GroupCommit, seams: Seams, floor: Callable[[], int]) -> None:
        """`floor`: so many bytes of the disk stay free."""
        self.folder = folder
        self._group = group
        self._seams = seams
        self._floor = floor

    def of(self, task: str, repository: Repository, base: str) -> Workspace:
        """Whether it is there or not."""
        if not _TASK.fullmatch(task):
            raise GitError("task", f"{task!r} cannot be the name of a folder")
        return Workspace(task, os.path.join(self.folder, task, REPO), (os.path.join(repository.path, "objects"),), base)

    async def make(self, task: str, repository: Repository, base: str) -> Workspace:
        """Anew, whatever stood there: a try begins with what is committed and nothing else. The base has to be here
        (`sources.ensure_base`). TryLater if the disk is too full; GitError."""
        made = self.of(task, repository, base)
        files = self._seams.files
        files.make_folder(self.folder)
        if files.free_bytes(self.folder) < self._floor():
            raise TryLater(
                "There is no room for a workspace: the disk is below the floor that is kept free.",
                next="netsky gc, or free some space on the node's disk",
                code="disk_low",
            )
        row = commits.workspace_made(task, repository.name, base, self._seams.time.wall())
        await self._group.write([row])
        await remove_tree(self._seams.processes, files, self.folder, task)
        home = os.path.join(self.folder, task)
        new = os.path.join(home, "new")
        borrowed = os.path.join(repository.path, "objects")
        self._write(os.path.join(new, ".git", "info"), "attributes", NO_ATTRIBUTES)
        self._write(os.path.join(new, ".git", "objects", "info"), "alternates", f"{borrowed}\n".encode())
        result = await self._git(home).steps(
            Where(os.path.join(new, ".git"), work_tree=new),
            [
                Step(("init", "--quiet", f"--initial-branch={BRANCH}")),
                Step(("update-ref", f"refs/heads/{BRANCH}", base)),
                Step(("read-tree", "--reset", "-u", base)),
            ],
        )
        result.out_of("make a workspace")
        folder = files.open_folder(home)
        try:
            files.move(folder, "new", folder, REPO)
        finally:
            files.close(folder)
        return made

    async def harvest(self, workspace: Workspace, repository: Repository) -> bytes:
        """The patch from its base to what stands there now; b"" if nothing was changed. GitError `patch_too_large`,
        `workspace_unreadable`, `workspace_gone`."""
        home = os.path.dirname(workspace.path)
        files = self._seams.files
        folder = files.open_folder(home)
        try:
            facts = files.facts(folder, REPO)
            if facts is None or facts.kind != "folder":
                raise GitError("workspace_gone", f"there is no folder {workspace.path} any more")
            for name in ("index", "index.lock"):
                files.remove(folder, name)
        finally:
            files.close(folder)
        files.make_folder(os.path.join(home, "objects"))
        where = Where(
            repository.path, os.path.join(home, "index"), workspace.path, objects=os.path.join(home, "objects")
        )
        steps = [
            Step(("read-tree", workspace.base)),
            Step(("add", "--all")),
            Step(("diff-index", "--cached", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff",
                  "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/", workspace.base)),
        ]  # fmt: skip
        try:
            result = await self._git(home).steps(where, steps, out_max=PATCH_BYTES_MAX)
        except GitError as error:
            if error.code == "git_said_too_much":
                raise GitError("patch_too_large", f"a patch has at most {PATCH_BYTES_MAX} bytes") from None
            raise
        if result.failed == 1:
            raise GitError("workspace_unreadable", f"what was changed cannot be read: {result.errors}")
        return result.out_of("take the patch")

    async def remove(self, task: str) -> None:
        """Folder first, then its row: what is cut off is found again."""
        await remove_tree(self._seams.processes, self._seams.files, self.folder, task)
        await self._group.write([commits.workspace_gone(task)])

    def _git(self, home: str) -> Git:
        return Git(self._seams.processes, self._seams.files, home, "git")

    def _write(self, path: str, name: str, data: bytes) -> None:
        files = self._seams.files
        files.make_folder(path)
        folder = files.open_folder(path)
        try:
            files.write_new(folder, name, data, sync=False)
        finally:
            files.close(folder)
