"""`netsky channel attachments`, and the line that shows how far a file has come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from netsky.node.attaching import Progress, fetch
from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.text import plural, size, visible
from netsky.node.errors import EXIT_DONE, Usage

_SHOWN_FROM = 8 << 20
"""Smaller files are there before a line could be read."""


def attachments(args: Any, out: Output) -> int:
    node: Dialer = args.node
    id = node.full_id(args.id)  # noqa: A001 - the envelope's word
    found = node.call("attachments", id=id)["attachments"]
    if args.to is not None:
        folder = _folder(args.to)
        try:
            with progress(out) as shown:
                for one in found:
                    one["path"] = os.path.join(args.to, fetch(id, one, folder, node.call, shown))
        finally:
            os.close(folder)

    def human() -> None:
        if not found:
            out.line("nothing is attached to it")
            return
        rows = [(visible(one["name"]), size(one["size"]), visible(one["path"] or "", lines=False)) for one in found]
        out.table(("name", "size", "written to" if args.to is not None else "in the store"), rows)
        if args.to is None:
            out.notice(f"a copy of your own: netsky channel attachments {id} --to FOLDER")

    out.answer("channel-attachments", plural(len(found), "attachment"), {"id": id, "attachments": found}, human)
    return EXIT_DONE


def _folder(path: str) -> int:
    try:
        os.makedirs(path, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Usage(
            f"nothing can be written into {path}: {error.strerror}", next="name another folder: --to FOLDER"
        ) from None


@contextmanager
def progress(out: Output) -> Iterator[Progress]:
    """One line that is written over, for a person who waits at a terminal; for anybody else nothing."""
    drawn = ""

    def show(name: str, done: int, whole: int) -> None:
        nonlocal drawn
        line = f"{visible(name)[:40]}: {done * 100 // whole} % of {size(whole)}" if whole >= _SHOWN_FROM else ""
        if line != drawn:
            drawn = line
            out.progress(line)

    try:
        yield show
    finally:
        if drawn:
            out.progress("")
