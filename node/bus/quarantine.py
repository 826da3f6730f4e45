"""Quarantine: where a file goes that a channel folder may not hold, with its reason beside it.

Everything is moved, nothing is opened: a folder, a FIFO or a link goes there as it stands. The reason is written
first, so that a crash between the two leaves the file where it was, to be found and moved again. Used by the daemon
and by drains, which have no database: the daemon's sweep reads the reasons and makes the rows.
"""

from __future__ import annotations

import json
import os
import re
import zlib

from netsky.node.seams.files import Files

REASON_SUFFIX = ".reason.json"
REASON_BYTES_MAX = 4 * 1024

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,199}")  # @: the sender in the name of a file from another node
_UNSAFE_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")
_TRIES = 9


def is_safe_name(name: str) -> bool:
    """Whether this name can stand in a log line, a path and a terminal without harm."""
    return _SAFE.fullmatch(name) is not None


def kept_name(name: str) -> str:
    """The name under which a file is kept: its own if that is harmless, else one made from it."""
    if is_safe_name(name) and not name.endswith(REASON_SUFFIX):
        return name
    readable = _UNSAFE_CHARACTER.sub("_", name)[:80]
    return f"unsafe-{readable}-{zlib.crc32(os.fsencode(name)):08x}"


def put_away(files: Files, source: int, name: str, quarantine: int, *, reason: str, sentence: str) -> str | None:
    """Moves what stands under `name` in `source` to quarantine; says under which name it is kept there.

    None if it is gone, or if it cannot be moved at all (a folder that even its owner may not write to).
    """
    facts = files.facts(source, name)
    if facts is None:
        return None
    kept = _free_name(files, quarantine, kept_name(name))
    told = {"name": ascii(name)[1:-1], "kind": facts.kind, "size": facts.size, "reason": reason, "sentence": sentence}
    try:
        files.write_new(quarantine, kept + REASON_SUFFIX, json.dumps(told, indent=1).encode() + b"\n", sync=False)
        return kept if files.move(source, name, quarantine, kept) else None
    except (PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError):
        return None


def _free_name(files: Files, quarantine: int, wanted: str) -> str:
    # The last try may be taken: then the newest of ten files of one name replaces the one before it.
    for number in range(2, _TRIES + 2):
        if files.facts(quarantine, wanted) is None:
            return wanted
        wanted = f"{wanted.removesuffix(f'.{number - 1}')}.{number}"
    return wanted
