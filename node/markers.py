"""Markers: small files in `state/` that say of something lasting that it is so, whose word that is, and what ends it.

A marker outlives the process that wrote it and can be read without any of ours: that is why these are files. It is
never evidence against what can be seen: whoever acts on a marker looks first whether the thing that it speaks of is
still so. Each names its owner, its reason, when it lapses by itself and what clears it, because a marker that nobody
owns outranks the truth for ever.

What one is stands in `marker.py`, which imports nothing of ours: the program that reaches the owner reads and writes
them while the daemon hangs.
"""

from __future__ import annotations

from netsky.node.home import Home
from netsky.node.marker import BYTES_MAX, FOLDER, Marker, decode, encode, path_of
from netsky.node.seams.files import Files, HostileFile

__all__ = ["FOLDER", "Marker", "Markers", "decode", "encode", "path_of"]

TICK_FILE = "tick.json"
"""Beside them: what the ticker leaves each round, for the second heart outside."""

MARKERS_MAX = 1_000
"""Files looked at in the folder: one for each thing that is wrong, and there are not so many."""


class Markers:
    """Those of one home. Each write is whole or not there. Few are synced: they decide about no work, and a disk that
    syncs slowly must not hold up the node."""

    def __init__(self, home: Home, files: Files) -> None:
        self._path = home.at(FOLDER)
        self._files = files

    def put(self, marker: Marker, *, durable: bool = False) -> None:
        """Raises OSError where the disk is full. `durable`: synced, for what has to outlive a loss of power."""
        if durable:
            self._replace(f"{marker.name}.json", encode(marker))
        else:
            self.write(f"{marker.name}.json", encode(marker))

    def write(self, name: str, data: bytes) -> None:
        """What else of this folder is written often and read from outside."""
        files, part = self._files, f".{name}.part"
        files.make_folder(self._path)
        folder = files.open_folder(self._path)
        try:
            files.remove(folder, part)
            files.write_new(folder, part, data, sync=False)
            files.move(folder, part, folder, name)
        finally:
            files.close(folder)

    def _replace(self, name: str, data: bytes) -> None:
        self._files.make_folder(self._path)
        folder = self._files.open_folder(self._path)
        try:
            self._files.replace(folder, name, data)
        finally:
            self._files.close(folder)

    def read(self, name: str) -> bytes:
        """The same; nothing if it is not there or is no plain file of ours."""
        try:
            folder = self._files.open_folder(self._path)
        except FileNotFoundError:
            return b""
        try:
            return self._files.read(folder, name, BYTES_MAX)
        except (FileNotFoundError, HostileFile):
            return b""
        finally:
            self._files.close(folder)

    def get(self, name: str, now: int) -> Marker | None:
        """What it says now; None if it is not there or has lapsed."""
        marker = self._read(f"{name}.json")
        return marker if marker is not None and marker.says(now) else None

    def clear(self, name: str) -> bool:
        """Whether there was one."""
        return self._remove(f"{name}.json")

    def live(self, now: int) -> list[Marker]:
        """All that say something now, by name; those that have lapsed are removed."""
        found = []
        for name in self._names():
            marker = self._read(name)
            if marker is None or name != f"{marker.name}.json":
                continue
            if marker.says(now):
                found.append(marker)
            else:
                self._remove(name)
        return sorted(found, key=lambda marker: marker.name)

    def _names(self) -> list[str]:
        try:
            folder = self._files.open_folder(self._path)
        except FileNotFoundError:
            return []
        try:
            return [name for name in self._files.names(folder, MARKERS_MAX, MARKERS_MAX) if name.endswith(".json")]
        finally:
            self._files.close(folder)

    def _read(self, name: str) -> Marker | None:
        return decode(self.read(name))

    def _remove(self, name: str) -> bool:
        try:
            folder = self._files.open_folder(self._path)
        except FileNotFoundError:
            return False
        try:
            return self._files.remove(folder, name)
        finally:
            self._files.close(folder)
