"""Homes on small file systems of their own, made full and made read-only. Root only, in a mount namespace of our own.

A campaign runs itself again in a namespace of its own, so that every mount is gone with its last process. Full is
truly full: the file system is made so small that the wanted rest is left; freed, it is large again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netsky.node.home import Home

SIZE = "8g"
"""Of which nothing is taken before it is used; a node accepts nothing new below 1 GiB."""
PAGE = 4096


def in_own_namespace(argv: list[str]) -> None:
    """Becomes that program there; what it mounts, also its children in network namespaces see, and nobody else."""
    shared = 'mount --make-rshared / && exec "$@"'
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "sh", "-c", shared, "sh", *argv])


def put_on_tmpfs(home: Home) -> None:
    os.makedirs(home.path, mode=0o700, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "home", home.path)


@contextmanager
def full(home: Home, left: int) -> Iterator[None]:
    """With so many bytes left, rounded down to a page."""
    found = os.statvfs(home.path)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    while not _resized(home, used + left // PAGE * PAGE):  # it has grown meanwhile
        used += 16 * PAGE
    try:
        yield
    finally:
        assert _resized(home, SIZE)


@contextmanager
def read_only(paths: list[str]) -> Iterator[None]:
    """What is open there stays as it is; what is opened, made, renamed or removed from now on is refused."""
    done: list[str] = []
    try:
        for path in paths:
            _mount("--bind", path, path)
            done.append(path)
            _mount("-o", "remount,bind,ro", path)
        yield
    finally:
        for path in reversed(done):
            subprocess.run(["umount", "--lazy", path], check=True)


def keep(home: Home, to: Path) -> None:
    """What is on a file system that goes with its namespace."""
    with os.scandir(home.path) as found:
        some = [one.path for one in found if one.is_file(follow_symlinks=False)]
    to.mkdir(parents=True, exist_ok=True)
    for path in some:
        shutil.copy2(path, to)
    if os.path.isdir(home.logs):
        shutil.copytree(home.logs, to / "logs", dirs_exist_ok=True)


def _resized(home: Home, size: int | str) -> bool:
    done = subprocess.run(["mount", "-o", f"remount,size={size}", home.path], capture_output=True, check=False)
    return done.returncode == 0


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)
