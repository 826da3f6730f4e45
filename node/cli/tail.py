"""`netsky channel tail`: a look at what waits, claiming nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from netsky.envelope.file import read_file
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import FILE_BYTES_MAX
from netsky.envelope.render import render
from netsky.node.bus.folders import check_not_replaced
from netsky.node.cli.arrivals import Arrivals
from netsky.node.cli.mailbox import folder_of
from netsky.node.cli.output import Output
from netsky.node.cli.text import visible
from netsky.node.errors import EXIT_DONE
from netsky.node.seams.files import HostileFile
from netsky.node.seams.real_files import RealFiles

_SHOWN = 10
_SCAN = 4096
_TRUST = "only looked at: nobody was asked whether the node stored this"


def tail(args: Any, out: Output) -> int:
    actor = args.node.actor_or_self(args.actor, "channel tail")
    folder = folder_of(args.node, actor)
    limit = _SHOWN if args.limit is None else args.limit
    seen: set[str] = set()
    found = list(_look(folder, seen, out))
    for name, raw in found[max(0, len(found) - limit) :]:
        _show(name, raw, out)
    if not found:
        out.notice(f"nothing waits for {actor}")
    if args.follow:
        out.stdout.flush()
        with Arrivals(args.node, actor) as arrivals:
            while True:
                arrivals.wait()
                for name, raw in _look(folder, seen, out):
                    _show(name, raw, out)
                out.stdout.flush()
    return EXIT_DONE


def _look(folder: str, seen: set[str], out: Output) -> Iterator[tuple[str, bytes]]:
    """Files not seen before, in the order of names; those shown to somebody first. `seen` forgets what is gone."""
    files = RealFiles()
    present: set[str] = set()
    check_not_replaced(files, folder)
    for place in ("claimed", "inbox"):
        try:
            descriptor = files.open_folder(f"{folder}/{place}")
        except (FileNotFoundError, HostileFile):
            continue
        try:
            for name in files.names(descriptor, _SCAN, _SCAN):
                if name.startswith(".") or not name.endswith(".json"):
                    continue
                present.add(name)
                if name in seen:
                    continue
                seen.add(name)
                try:
                    yield name, files.read(descriptor, name, FILE_BYTES_MAX)
                except FileNotFoundError:
                    continue
                except HostileFile as hostile:
                    out.notice(f"not shown: {visible(name)}: {visible(hostile.sentence)}")
        finally:
            files.close(descriptor)
    seen &= present


def _show(name: str, raw: bytes, out: Output) -> None:
    try:
        envelope = read_file(raw)
    except Invalid as wrong:
        out.notice(f"not shown: {visible(name)}: {visible(wrong.sentence)}")
        return
    if out.json:
        summary = f"{envelope.kind or 'text'} from {envelope.sender}"
        out.answer("channel-tail", summary, {"envelope": json.loads(raw), "file": name})
        return
    out.line(render(envelope, _TRUST))
