"""The charter file of a home. What a charter is stands in `netsky.mesh.charter`."""

from __future__ import annotations

from netsky.envelope.invalid import Invalid
from netsky.mesh.charter import CHARTER_BYTES_MAX, Charter, open_charter
from netsky.node.errors import Refused
from netsky.node.home import Home
from netsky.node.seams.files import Files, HostileFile


def read_sealed_charter(home: Home, files: Files) -> bytes | None:
    """The very bytes, None if there is no charter."""
    folder = files.open_folder(home.path)
    try:
        return files.read(folder, "charter", CHARTER_BYTES_MAX)
    except FileNotFoundError:
        return None
    except HostileFile as hostile:
        raise Refused(f"{home.charter} is not used: {hostile.sentence}", next="netsky doctor") from None
    finally:
        files.close(folder)


def read_charter(home: Home, files: Files) -> Charter | None:
    """The charter of this home, None if it has none; a damaged one is refused, never overlooked."""
    data = read_sealed_charter(home, files)
    if data is None:
        return None
    try:
        return open_charter(data)
    except Invalid as invalid:
        raise Refused(
            f"{home.charter} is damaged: {invalid.sentence}",
            next="put the charter back from your backup; without it this node belongs to no mesh",
            code="damaged_charter",
        ) from None
