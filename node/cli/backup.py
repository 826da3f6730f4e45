"""`netsky backup` and `netsky restore`."""

from __future__ import annotations

import os
from typing import Any

from netsky.node.backup import Asked, make_backup, put_back
from netsky.node.cli.dial import Dialer
from netsky.node.cli.lifecycle import outside
from netsky.node.cli.output import Output
from netsky.node.cli.text import local_time, visible
from netsky.node.errors import EXIT_DONE, Conflict, Unreachable
from netsky.node.home import check_permissions, take_lock
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles

COPY_SECONDS = 600.0
"""A database of gigabytes on a slow disk."""


def backup(args: Any, out: Output) -> int:
    outside(args, "backup")
    node: Dialer = args.node
    files = RealFiles()
    check_permissions(node.home, files)
    asked = Asked(args.file, args.with_key, RealTime().wall(), os.path.basename(node.home.path).strip(".") or "node")
    made = make_backup(node.home, files, asked, lambda path: _copy(node, path))
    data = {"file": made.file, "bytes": made.bytes, "files": list(made.files), "with_key": made.with_key}

    def human() -> None:
        out.line(f"{visible(made.file)}: {', '.join(made.files)}")
        if made.with_key:
            out.line(out.warn("It holds the key of this node: whoever has it can be this node."))
        else:
            out.notice("without the key; it can go on where node.key still is")

    out.answer("backup", f"the backup is in {made.file}", data, human)
    return EXIT_DONE


def _copy(node: Dialer, path: str) -> None:
    """By the daemon, or straight from the file while it is down, with the lock held meanwhile."""
    try:
        running = node.client()
    except Unreachable:
        _copy_closed(node, path)
    else:
        running.request("copy", {"into": path}, timeout=COPY_SECONDS)


def _copy_closed(node: Dialer, path: str) -> None:
    lock = take_lock(node.home, RealFiles())
    if lock is None:
        raise Conflict(
            f"another process holds {node.home.path}: the node starts or stops",
            next="netsky wait ready --timeout 10",
            code="home_in_use",
        )
    from netsky.node.db.backup import copy_closed  # noqa: PLC0415 - brings sqlite3

    try:
        copy_closed(node.home.database, path)
    finally:
        lock.release()


def restore(args: Any, out: Output) -> int:
    outside(args, "restore")
    home = args.node.home
    done = put_back(home, RealFiles(), args.file, RealTime().wall())
    data = {"home": home.path, "made_at": done.made_at, "files": list(done.files), "kept": done.kept}
    summary = f"{home.path} is as it was at {local_time(done.made_at)}"

    def human() -> None:
        out.line(summary)
        if done.files:
            out.line(f"put back as well, since they were missing: {visible(', '.join(done.files))}")
        if done.kept is not None:
            out.notice(f"the database of before is kept: {done.kept}")
        out.notice("next: netsky up; the mesh sends again what may be lost")

    out.answer("restore", summary, data, human)
    return EXIT_DONE
