"""A project on this disk, and a node that commits into a repository of its own, with real git and a real database."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio
from netsky.node.db.group import GroupCommit
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.db.opening import begin
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Row, Statement
from netsky.node.seams.real import real_seams
from netsky.node.work.repo.commission import Commission
from netsky.node.work.repo.committer import Committer
from netsky.node.work.repo.git import NO_ATTRIBUTES, Git
from netsky.node.work.repo.recover import open_committer
from netsky.node.work.repo.repository import NOBODYS, Repository
from netsky.node.work.repo.sources import Source, base_ref, ensure_base

CREATED = 1_790_000_000 * 10**9
_PLAIN = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent", "PATH": os.environ["PATH"],
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000",
}  # fmt: skip


def git(folder: Path | str, *args: str, stdin: bytes = b"", check: bool = True) -> str:
    """What a person types."""
    command = ["git", "-c", "init.defaultBranch=main", *args]
    done = subprocess.run(command, cwd=folder, env=_PLAIN, input=stdin, capture_output=True, check=False)
    assert not check or done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


def patch_of(project: Path, base: str) -> bytes:
    """What was done to the project's files since, as a worker hands it in; the files are as before afterwards."""
    git(project, "add", "-A")
    args = ("diff", "--cached", "--binary", "--full-index", "--no-renames", base)
    patch = subprocess.run(["git", *args], cwd=project, env=_PLAIN, capture_output=True, check=True).stdout
    git(project, "reset", "-q", "--hard", base)
    git(project, "clean", "-qfdx")
    return patch


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.node = folder / "node"
        self.asked: list[list[str]] = []
        """What criteria saw."""
        self.project.mkdir(parents=True)
        self.node.mkdir()
        git(self.project, "init", "-q")
        (self.project / "src").mkdir()
        (self.project / "src" / "a.txt").write_text("".join(f"line {n}\n" for n in range(20)))
        (self.project / "src" / "b.txt").write_text("b\n")
        (self.project / "other.txt").write_text("other\n")
        git(self.project, "add", "-A")
        git(self.project, "commit", "-qm", "first")
        self.base = git(self.project, "rev-parse", "HEAD")
        self._make_bare()

    def _make_bare(self) -> None:
        """As `Repository.create` and `ensure_base` would, at a tenth of the cost: most tests are not about those."""
        git(self.folder, "init", "-q", "--bare", f"--initial-branch={NOBODYS}", str(self.bare))
        (self.bare / "info").mkdir(exist_ok=True)
        (self.bare / "info" / "attributes").write_bytes(NO_ATTRIBUTES)
        git(self.bare, "fetch", "-q", "--no-write-fetch-head", str(self.project), f"{self.base}:{base_ref(self.base)}")

    @property
    def bare(self) -> Path:
        return self.node / "repos" / "r.git"

    def patch(self, files: Mapping[str, str | None]) -> bytes:
        for name, content in files.items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if content is None else path.write_text(content)
        return patch_of(self.project, self.base)

    def commission(self, key: str = "k1", **more: Any) -> Commission:
        given: dict[str, Any] = {
            "key": key, "run": "r1", "ticket": f"r1.{key}", "worker": "worker1@netsky1", "node": "netsky1",
            "fence": (1, 1, 1), "branch": "main", "base": self.base, "patch": b"", "scope": ("src/",),
            "title": "Adds a line", "body": "As was asked.", "authorised_by": "env-1", "created": CREATED,
        }  # fmt: skip
        made = Commission(**(given | more))
        return made if made.patch else replace(made, patch=self.patch({f"src/{key}.txt": f"{key}\n"}))

    @asynccontextmanager
    async def life(self, seams: Seams | None = None) -> AsyncIterator[Node]:
        """A daemon's worth of it: the ledger, its group commit, the repository. Not yet a committer."""
        seams = seams or real_seams()
        path = str(self.node / "meta.db")
        ledger = seams.ledger.open(path)
        try:
            await begin(ledger, path, seams.time.wall(), "test")
            group = GroupCommit(ledger, seams.time)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(group.run)
                git_of = Git(seams.processes, seams.files, str(self.node), "git")
                repository = Repository(str(self.bare), git_of, seams.files, seams.time)
                yield Node(self, seams, group, repository)
                nursery.cancel_scope.cancel()
        finally:
            ledger.close()

    @asynccontextmanager
    async def committer(
        self, seams: Seams | None = None, *, pushed_to: str = "", fetch: bool = True
    ) -> AsyncIterator[Node]:
        async with self.life(seams) as node:
            await node.begin(pushed_to=pushed_to, fetch=fetch)
            try:
                yield node
            finally:
                node.repository.let_go()

    def keys_in(self, repository: Path, *refs: str) -> list[str]:
        """The keys in the trailers of all that these refs, or all refs, lead to."""
        said = git(
            repository, "log", "--format=%(trailers:key=Netsky-Key,valueonly,separator=%x00)", *(refs or ("--all",))
        )
        return [line for line in said.splitlines() if line]

    def tip(self, branch: str = "main") -> str:
        return git(self.bare, "rev-parse", f"refs/heads/{branch}")

    def refs(self) -> dict[str, str]:
        lines = git(self.bare, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ") for line in lines)  # type: ignore[misc]


@dataclass
class Node:
    world: World
    seams: Seams
    group: GroupCommit
    repository: Repository
    committer: Committer | None = None

    async def begin(self, *, pushed_to: str = "", fetch: bool = True) -> None:
        await self.repository.create()
        await self.repository.hold()
        if fetch:
            await ensure_base(self.repository, self.world.base, Source(url=str(self.world.project)))
        scratch = str(self.world.node)
        self.committer = await open_committer(self.repository, self.group, self.seams, scratch, pushed_to=pushed_to)

    async def commit(self, commission: Commission, criteria: Any = None) -> Any:
        assert self.committer is not None
        return await self.committer.commit(commission, criteria)

    async def rows(self, sql: str = "SELECT key, state, code FROM commits ORDER BY seq") -> list[Row]:
        [found] = await self.group.read([Statement(sql)])
        return found


def open_ledgers() -> SqliteLedgers:
    return SqliteLedgers()


Chosen = Callable[[str], bool]
