"""Removing folders in which others have worked: deep, unreadable, full of links that lead elsewhere."""

from __future__ import annotations

import os

import trio
from netsky.node.seams.files import Files
from netsky.node.seams.processes import CannotStart, Processes
from netsky.node.seams.real_processes import end
from netsky.node.work.repo.git import GitError
from netsky.node.work.repo.limits import GIT_ERRORS_MAX, GIT_SECONDS

_REMOVE = 'chmod -R u+rwX -- "$1" 2>/dev/null; exec rm -rf -- "$1"'


async def remove_tree(processes: Processes, files: Files, folder: str, name: str) -> bool:
    """What stands under this name is gone afterwards, or at least out of the way; False if there was nothing.

    It is renamed first: whatever is cut off then leaves nothing half-removed under its name.
    """
    above = files.open_folder(folder)
    gone = f".gone-{name}"
    try:
        there = files.facts(above, name) is not None
        if files.facts(above, gone) is None:
            if not there:
                return False
            files.move(above, name, above, gone)
            there = False
    finally:
        files.close(above)
    await _remove(processes, folder, gone)
    if there:
        return await remove_tree(processes, files, folder, name)
    return True


async def _remove(processes: Processes, folder: str, name: str) -> None:
    path = os.path.join(folder, name)
    try:
        process = await processes.start(
            ["/bin/sh", "-c", _REMOVE, "sh", path], env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, cwd="/", stdin=False,
            stdout=False, log=os.devnull, log_bytes=GIT_ERRORS_MAX,
        )  # fmt: skip
    except CannotStart as error:
        raise GitError("not_removed", f"{path} cannot be removed: {error}") from None
    ended = None
    try:
        with trio.move_on_after(GIT_SECONDS):
            ended = await process.wait()
    finally:
        if ended is None:
            with trio.CancelScope(shield=True):
                await end(process, 0)
    if ended is None or ended.code != 0:
        raise GitError("not_removed", f"{path} could not be removed")
