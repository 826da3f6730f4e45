"""The repositories and workspaces of one node: each opened once, and held until the node stops.

home/repos/NAME.git        one for each place that work is taken from; NAME follows from its address
home/repos/checks          files that criteria look at
home/bundles/COMMIT.bundle
home/workspaces/TASK/repo
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import trio
from netsky.node.db.group import GroupCommit
from netsky.node.seams import Seams
from netsky.node.work.repo.committer import Committer
from netsky.node.work.repo.git import Git, GitError
from netsky.node.work.repo.recover import learn_from, open_committer
from netsky.node.work.repo.repository import Repository
from netsky.node.work.repo.sources import Source, ensure_base, follow, make_bundle
from netsky.node.work.repo.workspace import Workspace, Workspaces

REPOS, BUNDLES, WORKSPACES = "repos", "bundles", "workspaces"


class Shelf:
    def __init__(self, home: str, group: GroupCommit, seams: Seams, floor: Callable[[], int]) -> None:
        """`floor`: so many bytes of the disk stay free."""
        self._home = home
        self._group = group
        self._seams = seams
        self.workspaces = Workspaces(os.path.join(home, WORKSPACES), group, seams, floor)
        self._open: dict[str, Repository] = {}
        self._committers: dict[str, Committer] = {}
        self._followed: set[tuple[str, str, str]] = set()
        self._turns: dict[str, trio.Lock] = {}

    @property
    def repos(self) -> str:
        return os.path.join(self._home, REPOS)

    @property
    def bundles(self) -> str:
        return os.path.join(self._home, BUNDLES)

    def _turn(self, name: str) -> trio.Lock:
        """One after the other, of those who open the same one."""
        return self._turns.setdefault(name, trio.Lock())

    async def repository(self, place: str) -> Repository:
        """The one for what is taken from this place: a remote's address, or any other name that the mesh has for it,
        where its bundles are all that comes. GitError."""
        return await self.by_name(name_of(place))

    async def by_name(self, name: str) -> Repository:
        """One that is on the disk."""
        async with self._turn(name):
            return await self._repository(name)

    @property
    def busy(self) -> bool:
        """Somebody is committing."""
        return any(committer.turn.locked() for committer in self._committers.values())

    async def _repository(self, name: str) -> Repository:
        if name not in self._open:
            self._seams.files.make_folder(self.repos)
            git, far = (
                Git(self._seams.processes, self._seams.files, self.repos, f".{name}{end}") for end in ("", "-far")
            )
            if not self._open:
                await git.check_version()
            made = Repository(os.path.join(self.repos, f"{name}.git"), git, self._seams.files, self._seams.time, far)
            await made.create()
            await made.hold()
            self._open[name] = made
        return self._open[name]

    async def committer(self, place: str, branch: str = "", push: str = "") -> Committer:
        """The one of this place. With `push` it first learns what is done there, and where the branch is; GitError
        `done_refs_missing` or `diverged` if that does not go."""
        return await self.committer_named(name_of(place), branch, push)

    async def committer_named(self, name: str, branch: str = "", push: str = "") -> Committer:
        async with self._turn(name):
            repository = await self._repository(name)
            if name not in self._committers:
                self._committers[name] = await open_committer(
                    repository, self._group, self._seams, self.repos, pushed_to=push
                )
            elif not repository.adopted(push):
                await learn_from(self._committers[name], self._group, self._seams, push)
            if push and branch and (name, branch, push) not in self._followed:
                if not await follow(repository, push, branch):
                    raise GitError("diverged", f"{branch} has gone on both here and where it is pushed to")
                self._followed.add((name, branch, push))
            return self._committers[name]

    def look_again(self, name: str, branch: str, push: str) -> None:
        """A push was refused: before the next commit of this branch it is asked where the branch is."""
        self._followed.discard((name, branch, push))

    async def workspace(self, task: str, place: str, base: str, source: Source) -> Workspace:
        """A fresh clone at this commit, fetched if it is not here. GitError, TryLater."""
        repository = await self.repository(place)
        await ensure_base(repository, base, source)
        return await self.workspaces.make(task, repository, base)

    async def harvest(self, task: str, place: str, base: str) -> bytes:
        """The patch from its base to what stands in a task's workspace."""
        repository = await self.repository(place)
        return await self.workspaces.harvest(self.workspaces.of(task, repository, base), repository)

    async def bundle(self, place: str, base: str) -> str:
        """The path of a file with this commit and all that it needs, for a node that cannot reach the place."""
        return await make_bundle(await self.repository(place), base, self.bundles)

    async def tidy(self, name: str) -> None:
        """Between two commits."""
        repository = await self.by_name(name)
        committer = self._committers.get(name)
        if committer is None:
            await repository.tidy()
            return
        async with committer.turn:
            await repository.tidy()

    async def forget(self, name: str) -> Repository | None:
        """Lets go of one, so that it may be removed."""
        async with self._turn(name):
            self._committers.pop(name, None)
            held = self._open.pop(name, None)
            if held is not None:
                held.let_go()
            return held

    def close(self) -> None:
        for repository in self._open.values():
            repository.let_go()
        self._open.clear()
        self._committers.clear()


def name_of(place: str) -> str:
    return hashlib.sha256(place.encode()).hexdigest()[:16]
