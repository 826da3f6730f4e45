"""Files that people write, from the disk; and what is wrong with those of a home whose node is down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsky.node.schedule.entries import FILE, BadFile, Fault, read_entries
from netsky.node.schedule.limits import CRON_BYTES_MAX, LOOP_BYTES_MAX, LOOPS_MAX
from netsky.node.schedule.loop import FOLDER, read_loop
from netsky.node.schedule.zones import UTC_NAME, Zones
from netsky.node.seams.files import HostileFile

if TYPE_CHECKING:
    from netsky.node.home import Home
    from netsky.node.seams.files import Files

SUFFIX = ".toml"


def file_in(files: Files, path: str, name: str, cap: int) -> bytes | None:
    """None where it is not; BadFile where it is none of ours."""
    try:
        folder = files.open_folder(path)
    except FileNotFoundError:
        return None
    try:
        return files.read(folder, name, cap)
    except FileNotFoundError:
        return None
    except HostileFile as hostile:
        raise BadFile(Fault(f"{path}/{name}", 1, hostile.sentence)) from None
    finally:
        files.close(folder)


def loop_names(files: Files, path: str) -> list[str]:
    """Of the files in that folder, as many as there may be loops."""
    try:
        folder = files.open_folder(path)
    except FileNotFoundError:
        return []
    try:
        names = files.names(folder, 4 * LOOPS_MAX)
    finally:
        files.close(folder)
    return [name for name in names if name.endswith(SUFFIX) and name[0] != "."][:LOOPS_MAX]


def mistakes(home: Home, files: Files) -> list[Fault]:
    """The first one of each file, as a start would find it."""
    found = []
    try:
        data = file_in(files, home.path, FILE, CRON_BYTES_MAX)
        for _ in read_entries(data or b"", home.at(FILE), Zones(), UTC_NAME):
            pass
    except BadFile as bad:
        found.append(bad.fault)
    folder = home.at(FOLDER)
    for name in loop_names(files, folder):
        try:
            data = file_in(files, folder, name, LOOP_BYTES_MAX)
            if data is not None:
                read_loop(data, f"{folder}/{name}", name.removesuffix(SUFFIX))
        except BadFile as bad:
            found.append(bad.fault)
    return found
