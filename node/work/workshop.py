"""Where the files of work are on this node: the commits that work begins from, workspaces, bundles and patches.

Nothing here knows what a ticket's state is. What takes long (a fetch, a bundle) is done once, however many wait for it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.actors.launch import Offered
from netsky.node.blobs.limits import CHUNK_BYTES
from netsky.node.db import blobs, commits
from netsky.node.errors import Conflict, NetskyError, TryLater, Usage
from netsky.node.work.cell.run import Site, offered_here
from netsky.node.work.limits import FETCH_WAIT_SECONDS
from netsky.node.work.plan import fields
from netsky.node.work.repo.commission import branch_ref, is_branch, is_commit
from netsky.node.work.repo.git import GitError
from netsky.node.work.repo.repository import scheme_of
from netsky.node.work.repo.shelf import name_of
from netsky.node.work.repo.sources import Source, ensure_base, follow, tip_of
from netsky.node.work.repo.workspace import Workspace
from netsky.node.work.start import Start

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

CONTEXT = "context"
SOURCE = "work"
"""Who brought a blob: bundles and patches of this node."""

_REMOTE = re.compile(r"(https|ssh)://[^@]*$|ssh://")


@dataclass(eq=False)
class _Underway:
    """Something that several may wait for."""

    done: trio.Event = field(default_factory=trio.Event)
    result: Any = None
    error: Exception | None = None


class Workshop:
    def __init__(self, node: Node, environ: Mapping[str, str] = os.environ) -> None:
        self._node = node
        self._environ = environ
        self._underway: dict[tuple[str, ...], _Underway] = {}
        self._bundles: dict[str, tuple[str, int]] = {}
        """By commit: SHA-256 and size of the blob; ("", 0) where none could be made."""
        self._site: Site | None = None
        self._nursery: trio.Nursery | None = None
        self._looking = trio.Lock()
        self._tasks: set[str] = set()

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Until cancelled. What stands in workspaces then is nobody's in the next life."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await self._sweep()
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self._underway.clear()
            self._tasks.clear()

    async def _sweep(self) -> None:
        [found] = await self._node.group.read([commits.workspaces()])
        for row in commits.workspace_rows(found):
            await self.clear(row.task)

    # What is here.

    async def site(self) -> Site:
        """Which walls this system has is found out once in each life."""
        async with self._looking:
            if self._site is None:
                node = self._node
                offered = await offered_here(node.home, node.seams, self._environ)
                if offered.kind is None:
                    node.log.event("work.no_sandbox", level="warn", why=offered.why_not)
                self._site = Site(node.home, node.seams, self._environ, offered)
            return self._site

    def stand_on(self, offered: Offered) -> None:
        """For whoever knows which walls there are."""
        self._site = Site(self._node.home, self._node.seams, self._environ, offered)

    def in_use(self) -> set[str]:
        """Workspaces that somebody works in."""
        return set(self._tasks)

    # Where work begins.

    async def pin(self, url: str, base: str, branch: str, push: str) -> str:
        """The commit that a run begins from. Raises Usage, Conflict, TryLater with what is wrong."""
        if not is_branch(branch):
            raise Usage(
                'the plan names a repository and no branch for its commits: branch = "main"'
                if not branch
                else f"branch: {branch!r} is no name of a branch",
                next="netsky help work",
                code="bad_branch",
            )
        try:
            for one in (url, *([push] if push else [])):
                scheme_of(one)
            pinned = await self._shared(
                ("pin", url, base, branch), lambda: self._pin(url, base, branch, push), FETCH_WAIT_SECONDS
            )
        except GitError as error:
            raise Usage(f"{error.sentence}", next="netsky help work", code=error.code) from None
        if pinned is None:
            raise TryLater(
                "the repository is still being fetched", next="the same once more, in a while", code="fetching"
            )
        return str(pinned)

    async def _pin(self, url: str, base: str, branch: str, push: str) -> str:
        shelf = self._node.shelf
        repository = (await shelf.committer(url, branch, push)).repository
        if is_commit(base):
            await ensure_base(repository, base, Source(url))
            return base
        if base:
            return await tip_of(repository, url, base)
        if not await follow(repository, url, branch):
            raise Conflict(
                f"{branch} has gone on here and there: what was committed here is not in {url.rpartition('@')[2]}",
                next='push it, or name a commit to begin from: base = "…"',
                code="diverged",
            )
        here = await self.tip(url, branch)
        if not here:
            raise Usage(
                f"{branch} is no branch there, and the plan does not say what to begin from",
                next='name a commit or a branch: base = "…"',
                code="no_base",
            )
        await ensure_base(repository, here, Source(url))
        return here

    async def tip(self, place: str, branch: str) -> str:
        """ "" if there is no such branch here."""
        [here] = await (await self._node.shelf.repository(place)).look([branch_ref(branch)])
        return "" if here is None else here.id

    async def bundled(self, start: Start) -> Start | None:
        """The same with a bundle of its base in the blob store; None while that is being made. Without one where it
        could not be made: then whoever gets the ticket says why it cannot begin."""
        known = self._bundles.get(start.base)
        if known is not None:
            sha256, size = known
            if not sha256:
                return start
            [held] = await self._node.group.write([blobs.touch(bytes.fromhex(sha256), self._node.now())])
            if held:
                return Start(name_of(start.repository), start.base, sha256, size)
        await self._shared(("bundle", start.base), lambda: self._bundle(start), 0)
        return None

    async def _bundle(self, start: Start) -> None:
        try:
            shelf = self._node.shelf
            await ensure_base(await shelf.repository(start.repository), start.base, Source(start.repository))
            self._bundles[start.base] = await self._keep_file(await shelf.bundle(start.repository, start.base))
        except (GitError, NetskyError) as error:
            self._bundles[start.base] = ("", 0)
            said = error.sentence if isinstance(error, GitError) else error.message
            self._node.log.event("work.no_bundle", level="warn", base=start.base, why=said)
        self._node.work.ring()

    async def workspace(self, task: str, start: Start) -> Workspace:
        """Anew, with the files of its start. GitError, TryLater."""
        bundle = self._node.blobs.path(bytes.fromhex(start.bundle)) if start.bundle else ""
        source = Source(bundle=bundle) if bundle else Source(start.repository)
        self._tasks.add(task)
        return await self._node.shelf.workspace(task, start.repository, start.base, source)

    def lay_out(self, task: str, context: Sequence[tuple[str, str]]) -> str:
        """What a ticket points to, as files beside its clone; "" if there is nothing. Their text is data."""
        if not context:
            return ""
        files, path = self._node.seams.files, os.path.join(self._node.shelf.workspaces.folder, task, CONTEXT)
        files.make_folder(path)
        folder = files.open_folder(path)
        try:
            for number, (pointer, text) in enumerate(context, 1):
                name = re.sub(r"[^A-Za-z0-9._-]", "-", pointer)[:100]
                files.write_new(folder, f"{number:02}-{name}", text.encode("utf-8", "replace"), sync=False)
        finally:
            files.close(folder)
        return path

    async def missing(self, place: str, base: str, paths: Sequence[str]) -> list[str]:
        """Those of these files that this commit does not have."""
        asked = [path for path in paths if fields.path(path) is None]  # git refuses to look for some others
        there = await (await self._node.shelf.repository(place)).has([f"{base}:{path}" for path in asked])
        found = {path for path, is_there in zip(asked, there, strict=True) if is_there}
        return [path for path in paths if path not in found]

    async def patch(self, task: str, start: Start) -> bytes:
        """What became of the files; b"" if nothing did. GitError."""
        return await self._node.shelf.harvest(task, start.repository, start.base)

    async def clear(self, task: str) -> None:
        self._tasks.discard(task)
        try:
            await self._node.shelf.workspaces.remove(task)
        except (GitError, FileNotFoundError) as error:
            self._node.log.event("work.not_cleared", level="warn", task=task, why=str(error))

    # Bytes in the store.

    async def keep(self, data: bytes) -> str:
        """Durable under its SHA-256 when it returns; it stays for an hour, and as long as a row names it."""
        digest, store = hashlib.sha256(data).digest(), self._node.blobs
        at = await store.begin(SOURCE, digest, len(data))
        while at is not None and not await store.append(SOURCE, digest, at, data[at : at + CHUNK_BYTES]):
            at += CHUNK_BYTES
            await trio.lowlevel.checkpoint()
        return digest.hex()

    async def _keep_file(self, path: str) -> tuple[str, int]:
        files, store = self._node.seams.files, self._node.blobs
        folder = files.open_folder(os.path.dirname(path))
        try:
            descriptor = files.open_file(folder, os.path.basename(path))
        finally:
            files.close(folder)
        try:
            size, hasher = files.size_of(descriptor), hashlib.sha256()
            for at in range(0, size, CHUNK_BYTES):
                hasher.update(files.read_at(descriptor, at, CHUNK_BYTES))
                await trio.lowlevel.checkpoint()
            digest = hasher.digest()
            begun = await store.begin(SOURCE, digest, size)
            while begun is not None:
                piece = files.read_at(descriptor, begun, CHUNK_BYTES)
                begun = None if await store.append(SOURCE, digest, begun, piece) else begun + len(piece)
                await trio.lowlevel.checkpoint()
        finally:
            files.close(descriptor)
        return digest.hex(), size

    # Once, however many wait.

    async def _shared(self, key: tuple[str, ...], work: Callable[[], Awaitable[Any]], seconds: float) -> Any:
        """What it came to; None after so many seconds, and it goes on."""
        assert self._nursery is not None
        one = self._underway.get(key)
        if one is None:
            one = self._underway[key] = _Underway()
            self._nursery.start_soon(self._carry_out, key, one, work)
        with trio.move_on_after(seconds):
            await one.done.wait()
        if one.error is not None:
            raise one.error
        return one.result

    async def _carry_out(self, key: tuple[str, ...], one: _Underway, work: Callable[[], Awaitable[Any]]) -> None:
        try:
            one.result = await work()
        except (GitError, NetskyError) as error:
            one.error = error
        finally:
            self._underway.pop(key, None)
            one.done.set()


def is_remote(url: str) -> bool:
    """Whether another machine can ask there too, and there is no password in it."""
    return _REMOTE.match(url) is not None
