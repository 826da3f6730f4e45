"""A bare repository that this node owns, and what is asked of it.

Whoever changes it holds its lock, and every git that does inherits the lock: a life that was killed lets go of it only
when the last git of that life is gone, so none of those ever meets one of the next life.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.seams.files import Files, HostileFile
from netsky.node.seams.time import Time
from netsky.node.work.repo.commission import branch_ref, is_commit
from netsky.node.work.repo.git import NO_ATTRIBUTES, Git, GitError, Said, Step, Where, without_secrets
from netsky.node.work.repo.limits import FETCH_SECONDS, GIT_SAID_MAX, GIT_SECONDS, LOCK_OLD_NS, LOCK_SECONDS

ADOPTED = "netsky-adopted"
"""Stands in a repository, with a hash of another one's address, once this node knows which keys are done there."""

LOCK = "netsky.lock"
NOBODYS = "netsky-nobody"
"""Where HEAD points: a branch that never is. git locks HEAD as well when the branch behind it moves."""

_PAUSE_NS = 20 * 10**6
_SCHEMES = ("https", "ssh", "file")
_INDEX = "netsky-index"


@dataclass(frozen=True, slots=True)
class Found:
    """An object as a name leads to it."""

    id: str
    kind: str
    content: bytes


class Repository:
    def __init__(self, path: str, git: Git, files: Files, time: Time, far: Git | None = None) -> None:
        """`far` speaks with other repositories, so that one that is slow holds nobody up here."""
        self.path = path
        self._git = git
        self._far = far or git
        self._files = files
        self._time = time
        self._lock: int | None = None

    @property
    def name(self) -> str:
        return os.path.basename(self.path).removesuffix(".git")

    @property
    def where(self) -> Where:
        return Where(self.path)

    @property
    def index(self) -> str:
        return os.path.join(self.path, _INDEX)

    # Making and holding it.

    async def create(self) -> None:
        """Makes it if it is not there: aside first, so that it is whole or not there at all."""
        parent, name = os.path.split(self.path)
        self._files.make_folder(parent)
        folder = self._files.open_folder(parent)
        try:
            if self._files.facts(folder, name) is None:
                aside = os.path.join(parent, f"new-{name}")
                said = await self._git.run(Where(aside), "init", "--quiet", "--bare", f"--initial-branch={NOBODYS}")
                said.out_of("make a repository")
                self._write(aside, "info", "attributes", NO_ATTRIBUTES)
                self._files.move(folder, f"new-{name}", folder, name)
                self._files.sync_folder(folder)
        finally:
            self._files.close(folder)

    def _write(self, repository: str, folder_name: str, name: str, data: bytes) -> None:
        path = os.path.join(repository, folder_name) if folder_name else repository
        self._files.make_folder(path)
        folder = self._files.open_folder(path)
        try:
            self._files.replace(folder, name, data)
        finally:
            self._files.close(folder)

    async def hold(self) -> None:
        """Takes the lock; GitError `repository_in_use` if another committer has it."""
        if self._lock is not None:
            return
        until = self._time.monotonic() + int(LOCK_SECONDS * 10**9)
        folder = self._files.open_folder(self.path)
        try:
            while (lock := self._files.lock(folder, LOCK)) is None:
                if self._time.monotonic() > until:
                    raise GitError("repository_in_use", f"another committer works in {self.path}")
                await self._time.sleep_until(self._time.monotonic() + _PAUSE_NS)
        finally:
            self._files.close(folder)
        self._lock = lock

    def let_go(self) -> None:
        if self._lock is not None:
            self._files.close(self._lock)
            self._lock = None

    @property
    def held(self) -> tuple[int, ...]:
        if self._lock is None:
            raise GitError("repository_closed", f"{self.path} was let go of; open it again")
        return (self._lock,)

    # Looking.

    async def look(self, names: Sequence[str]) -> list[Found | None]:
        """What these names lead to, in one call. Names are ours: refs and ids, checked before."""
        said = await self._git.run(
            self.where, "cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode()
        )
        return _batch(said.out_of("look into the repository"), len(names))

    async def has(self, names: Sequence[str]) -> list[bool]:
        """Whether they lead to anything, without reading it. No name has a line end in it."""
        said = await self._git.run(
            self.where, "cat-file", "--batch-check=found", stdin="".join(f"{name}\n" for name in names).encode(),
            out_max=GIT_SAID_MAX + sum(len(name) + 16 for name in names),
        )  # fmt: skip
        return [line == b"found" for line in said.out_of("look into the repository").splitlines()]

    async def refs(self, prefix: str, out_max: int, *, merged: str = "") -> dict[str, str]:
        """The ids of all refs below a prefix, or of those that are in the history of another one."""
        within = [f"--merged={merged}"] if merged else []
        said = await self._git.run(
            self.where, "for-each-ref", "--format=%(objectname) %(refname)", *within, prefix, out_max=out_max
        )
        pairs = (line.partition(" ") for line in said.out_of("list its refs").decode().splitlines())
        return {name: found for found, _, name in pairs}

    async def reaches(self, commit: str) -> bool:
        """Whether some ref leads to it: then all that it needs is here as well."""
        said = await self._git.run(self.where, "for-each-ref", "--count=1", "--format=x", "--contains", commit)
        return said.failed is None and bool(said.out)

    async def is_ancestor(self, older: str, newer: str) -> bool:
        said = await self._git.run(self.where, "merge-base", "--is-ancestor", older, newer)
        if said.failed is not None and said.errors:
            said.out_of("compare two commits")
        return said.failed is None

    async def diff(self, old: str, new: str, out_max: int) -> bytes:
        """A patch from one tree to another, as the gate reads it."""
        said = await self._git.run(
            self.where, "diff-tree", "-r", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff",
            "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/", old, new, out_max=out_max,
        )  # fmt: skip
        return said.out_of("compare two commits")

    async def raw(self, old: str, new: str, out_max: int) -> bytes:
        """What is changed from one tree to another, in lines for the gate."""
        said = await self._git.run(
            self.where, "diff-tree", "-r", "--raw", "-z", "--no-renames", "--no-abbrev", old, new, out_max=out_max
        )
        return said.out_of("compare two trees")

    def checked_out(self, branch: str) -> bool:
        """Whether somebody has this branch in a working tree of this repository, or rewrites it there."""
        wanted = branch_ref(branch)
        try:
            trees = self._files.open_folder(os.path.join(self.path, "worktrees"))
        except FileNotFoundError:
            return False
        try:
            names = self._files.names(trees, 1_024)
        finally:
            self._files.close(trees)
        places = (("", "HEAD"), ("rebase-merge", "head-name"), ("rebase-apply", "head-name"), ("", "BISECT_START"))
        return any(
            _names_branch(self._line(os.path.join(self.path, "worktrees", name, folder), file), wanted)
            for name in names
            for folder, file in places
        )

    def _line(self, path: str, name: str) -> str:
        try:
            folder = self._files.open_folder(path)
        except (FileNotFoundError, NotADirectoryError):
            return ""
        try:
            return self._files.read(folder, name, 4_096).decode("utf-8", "replace").strip()
        except (FileNotFoundError, HostileFile):
            return ""
        finally:
            self._files.close(folder)

    # Changing.

    async def change(
        self, steps: Sequence[Step], *, stdin: bytes = b"", index: str = "", work_tree: str = "", allow: str = "",
        seconds: float = GIT_SECONDS, out_max: int = GIT_SAID_MAX,
    ) -> Said:  # fmt: skip
        where = Where(self.path, index=index, work_tree=work_tree, allow=allow)
        git = self._far if allow else self._git
        return await git.steps(where, steps, stdin=stdin, seconds=seconds, out_max=out_max, keep=self.held)

    async def tidy(self) -> None:
        """Packs what is here, and forgets what no ref has named for a day: what patches left that came to nothing.
        Nobody commits meanwhile."""
        step = Step(("gc", "--quiet", "--prune=1.day.ago"))
        result = await self.change([step], seconds=FETCH_SECONDS)
        result.out_of("pack the repository")

    def clear_index(self) -> None:
        self.clear(self.path, [_INDEX, f"{_INDEX}.lock"])

    def clear(self, path: str, names: Sequence[str]) -> None:
        """Removes files of ours that a life before this one may have left."""
        try:
            folder = self._files.open_folder(path)
        except FileNotFoundError:
            return
        try:
            for name in names:
                self._files.remove(folder, name)
        finally:
            self._files.close(folder)

    def is_file(self, path: str, name: str) -> bool:
        self._files.make_folder(path)
        folder = self._files.open_folder(path)
        try:
            return self._files.facts(folder, name) is not None
        finally:
            self._files.close(folder)

    def rename(self, path: str, name: str, new_name: str) -> None:
        folder = self._files.open_folder(path)
        try:
            self._files.move(folder, name, folder, new_name)
            self._files.sync_folder(folder)
        finally:
            self._files.close(folder)

    async def free_locks(self, refs: Sequence[str]) -> bool:
        """Removes git's locks on these refs if they are left over: no committer's git runs while we are asked, and
        another's has them for milliseconds. True if there were any."""
        found = False
        for name in (*refs, "packed-refs"):
            path, file = os.path.split(os.path.join(self.path, f"{name}.lock"))
            try:
                folder = self._files.open_folder(path)
            except FileNotFoundError:
                continue
            try:
                facts = self._files.facts(folder, file)
                if facts is not None:
                    found = True
                    age = self._time.wall() - facts.mtime_ns
                    if 0 <= age < LOCK_OLD_NS:
                        await self._time.sleep_until(self._time.monotonic() + LOCK_OLD_NS - age)
                    if self._files.facts(folder, file) == facts:
                        self._files.remove(folder, file)
            finally:
                self._files.close(folder)
        return found

    def locked_in(self, folder_name: str) -> list[str]:
        """The refs right below a folder of refs that have a lock of git's."""
        try:
            folder = self._files.open_folder(os.path.join(self.path, folder_name))
        except FileNotFoundError:
            return []
        try:
            names = self._files.names(folder, 1_024)
        finally:
            self._files.close(folder)
        return [f"{folder_name}/{name.removesuffix('.lock')}" for name in names if name.endswith(".lock")]

    def sync_refs(self, refs: Sequence[str]) -> None:
        """git syncs what a ref says, and not the folder that holds its name."""
        for path in dict.fromkeys(os.path.dirname(os.path.join(self.path, name)) for name in refs):
            try:
                folder = self._files.open_folder(path)
            except FileNotFoundError:
                continue  # the last ref in it is gone, and git took it along
            try:
                self._files.sync_folder(folder)
            finally:
                self._files.close(folder)

    # Other repositories.

    async def fetch(self, url: str, refspecs: Sequence[str]) -> None:
        """GitError with what the other one said."""
        scheme = scheme_of(url)
        step = Step(("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance",
                     "--no-recurse-submodules", "--no-prune", "--", url, *refspecs))  # fmt: skip
        said = await self.change([step], seconds=FETCH_SECONDS, allow=scheme)
        if said.failed is not None:
            raise GitError("fetch_failed", f"nothing could be fetched from {without_secrets(url)}: {said.errors}")

    async def adopt(self, url: str) -> None:
        """Learns which keys are done from a repository that is pushed to: another committer may have pushed there.
        Only then may this one commit. Without a url the repository begins here: nobody else ever committed. Once for
        each url."""
        mark = _adopted(url)
        folder = self._files.open_folder(self.path)
        try:
            if self._files.facts(folder, mark) is not None:
                return
            if url:
                await self.fetch(url, [f"refs/netsky/{kind}/*:refs/netsky/{kind}/*" for kind in ("done", "pending")])
            self._files.replace(folder, mark, f"{without_secrets(url) or 'begun here'}\n".encode())
        finally:
            self._files.close(folder)

    def adopted(self, url: str) -> bool:
        folder = self._files.open_folder(self.path)
        try:
            return self._files.facts(folder, _adopted(url)) is not None
        finally:
            self._files.close(folder)


def _adopted(url: str) -> str:
    return f"{ADOPTED}-{hashlib.sha256(url.encode()).hexdigest()[:16]}"


def scheme_of(url: str) -> str:
    """The protocol of a repository's address: a path, or a URL of one that is allowed. GitError `url` else."""
    found = re.match(r"([a-z][a-z0-9+.-]*)://", url)
    if found is not None and found[1] in _SCHEMES and not re.search(r"[\s\0]|://-|@-", url):
        return found[1]
    if url.startswith("/") and "\0" not in url and "\n" not in url:
        return "file"
    raise GitError("url", f"{without_secrets(url)!r} is no repository: say https://, ssh://, file:// or a whole path")


def _names_branch(line: str, ref: str) -> bool:
    return line in {f"ref: {ref}", ref, ref.removeprefix("refs/heads/")}


def _batch(out: bytes, count: int) -> list[Found | None]:
    found: list[Found | None] = []
    while out and len(found) < count:
        head, _, out = out.partition(b"\n")
        words = head.decode("utf-8", "replace").split(" ")
        if len(words) != 3 or not is_commit(words[0]):
            found.append(None)  # "NAME missing"
            continue
        size = int(words[2])
        found.append(Found(words[0], words[1], out[:size]))
        out = out[size + 1 :]
    assert len(found) == count
    return found
