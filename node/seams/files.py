"""The files seam: folders by descriptor, names relative to them, nothing followed.

All methods but `settle` are plain calls: local file operations take tens of microseconds, and a plain call cannot be
cancelled half-way. Paths are used once, to open a folder; after that everything is relative to its descriptor, so that
a folder swapped for a symbolic link behind our back leads nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class HostileFile(Exception):
    """A file that is not what a channel folder may hold. `reason` is a stable word, the message a sentence."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class FileFacts:
    kind: str  # "file", "folder", "link", "other"
    size: int
    mtime_ns: int
    links: int
    mode: int
    uid: int

    @property
    def mark(self) -> tuple[int, int, int]:
        """Another one once somebody has touched the file."""
        return (self.mtime_ns, self.size, self.mode)


class Files(Protocol):
    def make_folder(self, path: str, mode: int = 0o700, under: int | None = None) -> None:
        """Makes the folder, and those above it, if it is not there; refuses a symbolic link in its last part.

        With `under` it is one name in that folder.
        """

    def open_folder(self, path: str, under: int | None = None) -> int:
        """A descriptor of a folder; never through a symbolic link in the last part. Close it with `close`."""

    def close(self, descriptor: int) -> None: ...

    def names(self, folder: int, limit: int, scan: int = 4096) -> list[str]:
        """Up to `limit` names in sorted order, from at most `scan` directory entries read; no "." or ".."."""

    def facts(self, folder: int, name: str) -> FileFacts | None:
        """What stands under this name, not followed; None if nothing."""

    def folder_mtime_ns(self, folder: int) -> int: ...

    def read(self, folder: int, name: str, cap: int) -> bytes:
        """The content of a regular file with one link, owned by us, of at most `cap` bytes.

        Opened with O_NOFOLLOW and O_NONBLOCK, checked by its handle, read up to cap + 1. Raises HostileFile with
        reason link, not_a_file, hard_link, foreign_owner, too_large, unreadable; FileNotFoundError if it is gone.
        """

    def write_new(self, folder: int, name: str, data: bytes, *, sync: bool, mode: int = 0o600) -> bool:
        """A complete file under a new name or nothing: temporary file, hard link, unlink. False if the name exists.

        With `sync` the file and the folder are synced before it returns.
        """

    def replace(self, folder: int, name: str, data: bytes, *, mode: int = 0o600) -> None:
        """The file has this content afterwards, or the old one: temporary, sync, rename, sync of the folder."""

    def append(self, folder: int, name: str, data: bytes, *, mode: int = 0o600) -> None: ...

    def move(self, folder: int, name: str, to: int, new_name: str) -> bool:
        """Renames within one file system. False if the source is gone."""

    def remove(self, folder: int, name: str) -> bool:
        """Removes one name that is not a folder. False if it was gone."""

    def remove_folder(self, folder: int, name: str) -> bool:
        """Removes an empty folder. False if it was gone; OSError if it is not empty."""

    def sync_folder(self, folder: int) -> None: ...

    def open_file(self, folder: int, name: str) -> int:
        """A regular file of ours to read from, never through a link. FileNotFoundError, HostileFile. Close it."""

    def open_part(self, folder: int, name: str) -> int:
        """A file that grows by `write_at`, made if it is not there; never through a link. Close it."""

    def size_of(self, descriptor: int) -> int: ...

    def read_at(self, descriptor: int, offset: int, size: int) -> bytes:
        """So many bytes, fewer at the end."""

    def write_at(self, descriptor: int, offset: int, data: bytes) -> None: ...

    def cut(self, descriptor: int, size: int) -> None:
        """What stands behind `size` is gone."""

    async def settle(self, descriptor: int) -> None:
        """What was written to it is durable when this returns: the one call that may take long, so it waits."""

    def free_bytes(self, path: str) -> int: ...

    def lock(self, folder: int, name: str) -> int | None:
        """An exclusive lock on the named file (made if missing), held until the descriptor is closed; None if taken."""
