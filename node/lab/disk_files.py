"""The files of a simulated disk: the shipped seam on real files, with what the disk may do to it.

It is the shipped class and no wrapper, so that what is durable is what that class really syncs, in the order in which
it does.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from netsky.node.lab.unsynced import Folder, Journal, Place
from netsky.node.seams.real_files import RealFiles

if TYPE_CHECKING:
    from netsky.node.lab.disk import Disk


class DiskFiles(RealFiles):
    def __init__(self, disk: Disk) -> None:
        super().__init__(inline=True)
        self._disk = disk
        self.journal = Journal()
        self._folders: dict[int, Folder] = {}
        """By descriptor."""
        self._parts: dict[int, Place] = {}
        """Files that are open to be written, by descriptor."""
        self._settling: dict[int, int] = {}
        """Files that are being synced, by descriptor: since when."""
        self._synced: list[Folder] = []
        self._failed: Folder | None = None
        self._wrote_bytes = False
        """What the call under way has synced: folders, or not; the bytes of a file that it makes."""

    # Descriptors.

    def open_folder(self, path: str, under: int | None = None) -> int:
        descriptor = super().open_folder(path, under)
        self._folders[descriptor] = self._folder(path, under)
        return descriptor

    def _folder(self, path: str, under: int | None) -> Folder:
        if under is not None:
            path = f"{self._folders[under].path}/{path}"
        elif not self._disk.home:
            self._disk.home = os.path.normpath(path)
        found = self.journal.folders.get(path)
        return found or self.journal.folder(os.path.normpath(path))

    def open_part(self, folder: int, name: str) -> int:
        at = Place(self._folders[folder], name)
        is_new = not os.access(name, os.F_OK, dir_fd=folder, follow_symlinks=False)
        if is_new:
            self._need_entry()
        descriptor = super().open_part(folder, name)
        self._parts[descriptor] = at
        if is_new:
            self.journal.changed(self._now(), None, at)
        return descriptor

    def close(self, descriptor: int) -> None:
        self._folders.pop(descriptor, None)
        self._parts.pop(descriptor, None)
        super().close(descriptor)

    # Names.

    def make_folder(self, path: str, mode: int = 0o700, under: int | None = None) -> None:
        if under is None and not self._disk.home:
            self._disk.home = os.path.normpath(path)
        is_new = not os.access(path, os.F_OK, dir_fd=under, follow_symlinks=False)
        if is_new:
            self._need_entry()
        self._begin()
        try:
            super().make_folder(path, mode, under)
        finally:
            if is_new:
                made = self._folder(path, under)
                above, name = os.path.split(made.path)
                self._came(Place(self.journal.folder(above), name))

    def write_new(self, folder: int, name: str, data: bytes, *, sync: bool, mode: int = 0o600) -> bool:
        self._need_entry()
        self._begin()
        at, written = Place(self._folders[folder], name), False
        was_there = os.access(name, os.F_OK, dir_fd=folder, follow_symlinks=False)
        try:
            written = super().write_new(folder, name, data, sync=sync, mode=mode)
        except OSError:
            written = not was_there and os.access(name, os.F_OK, dir_fd=folder, follow_symlinks=False)
            raise
        finally:
            if written:
                self._came(at)
                if not self._wrote_bytes:
                    self.journal.grew(self._now(), at.folder, name, 0)
        return written

    def replace(self, folder: int, name: str, data: bytes, *, mode: int = 0o600) -> None:
        self._need_entry()
        self._begin()
        at, kept = Place(self._folders[folder], name), self._keep(folder, name)
        old = os.stat(kept).st_ino if kept is not None else None
        replaced = True
        try:
            super().replace(folder, name, data, mode=mode)
        except OSError:
            with suppress(FileNotFoundError):
                replaced = os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino != old
            raise
        finally:
            if replaced:
                self._came(at, kept)
                if not self._wrote_bytes:
                    self.journal.grew(self._now(), at.folder, name, 0)
            elif kept is not None:
                os.unlink(kept)

    def move(self, folder: int, name: str, to: int, new_name: str) -> bool:
        before, after = Place(self._folders[folder], name), Place(self._folders[to], new_name)
        kept = self._keep(to, new_name)
        moved = False
        try:
            moved = super().move(folder, name, to, new_name)
        finally:
            if moved:
                self.journal.changed(self._now(), before, after, kept)
                self.journal.moved_folder(before.path, after.path)
                for part in self._parts.values():
                    if part.is_at(before.folder, name):
                        part.folder, part.name = after.folder, new_name
            elif kept is not None:
                os.unlink(kept)
        return moved

    def remove(self, folder: int, name: str) -> bool:
        kept = self._keep(folder, name)
        removed = False
        try:
            removed = super().remove(folder, name)
        finally:
            if removed:
                self.journal.changed(self._now(), Place(self._folders[folder], name), None, kept)
            elif kept is not None:
                os.unlink(kept)
        return removed

    def remove_folder(self, folder: int, name: str) -> bool:
        removed = super().remove_folder(folder, name)
        if removed:
            self.journal.changed(self._now(), Place(self._folders[folder], name), None)
        return removed

    def _keep(self, folder: int, name: str) -> str | None:
        """Another name, in a folder of ours, for what this one stands for, unless that is nothing or a folder."""
        if not os.access(name, os.F_OK, dir_fd=folder, follow_symlinks=False):
            return None
        kept = self._disk.place_to_keep()
        try:
            os.link(name, kept, src_dir_fd=folder, follow_symlinks=False)
        except PermissionError:
            return None
        return kept

    def _came(self, at: Place, kept: str | None = None) -> None:
        """A name that is new, or stands for something new. It may have been synced in the same call."""
        self.journal.changed(self._now(), None, at, kept)
        if at.folder in self._synced:
            self.journal.synced(at.folder)
        elif self._failed is at.folder:
            self.journal.never_synced(at.folder)

    # Bytes.

    def append(self, folder: int, name: str, data: bytes, *, mode: int = 0o600) -> None:
        at, now = self._folders[folder], self._now()
        if not self.journal.is_growing(now, at, name):
            try:
                size = os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
            except FileNotFoundError:
                size = 0
                self._need_entry()
                self.journal.changed(now, None, Place(at, name))
            self.journal.grew(now, at, name, size)
        super().append(folder, name, self._what_fits(data), mode=mode)
        self._need_room()

    def write_at(self, descriptor: int, offset: int, data: bytes) -> None:
        at, now, size = self._parts[descriptor], self._now(), self.size_of(descriptor)
        if offset < size:
            self.journal.rewrote(now, at, size, offset, self.read_at(descriptor, offset, len(data)))
        elif offset > size or not self.journal.is_growing(now, at.folder, at.name):
            self.journal.grew(now, at.folder, at.name, size)
        self.journal.written(at, offset, offset + len(data))
        super().write_at(descriptor, offset, self._what_fits(data))
        self._need_room()

    def cut(self, descriptor: int, size: int) -> None:
        at, now, old = self._parts[descriptor], self._now(), self.size_of(descriptor)
        if size < old:
            self.journal.rewrote(now, at, old, size, self.read_at(descriptor, size, old - size))
        elif size > old:
            self.journal.grew(now, at.folder, at.name, old)
        self.journal.written(at, size, max(old, size))
        super().cut(descriptor, size)

    async def settle(self, descriptor: int) -> None:
        """Only what was written before it began is durable afterwards."""
        self._settling[descriptor] = self._now()
        try:
            self.journal.sealed(self._parts[descriptor])
            await self._disk.wait()
            await super().settle(descriptor)
        finally:
            del self._settling[descriptor]

    # The disk.

    def free_bytes(self, path: str) -> int:
        return 0 if self._disk.full else super().free_bytes(path)

    def _begin(self) -> None:
        self._synced, self._failed, self._wrote_bytes = [], None, False

    def _sync(self, descriptor: int) -> None:
        """No real one: what a simulated loss of power leaves is the journal's to say."""
        folder, part = self._folders.get(descriptor), self._parts.get(descriptor)
        if folder is not None:
            self._sync_names(folder)
        elif part is not None:
            failed = self._disk.sync_fails()
            self.journal.bytes_synced(part, self._settling[descriptor], self.size_of(descriptor), failed=failed)
            if failed:
                raise _failure()
        elif self._disk.sync_fails():
            raise _failure()
        else:
            self._wrote_bytes = True

    def _sync_above(self, path: str, under: int | None) -> None:
        self._sync_names(self._folders[under] if under is not None else self._folder(os.path.dirname(path), None))

    def _sync_names(self, folder: Folder) -> None:
        if self._disk.sync_fails():
            self._failed = folder
            self.journal.never_synced(folder)
            raise _failure()
        self._synced.append(folder)
        self.journal.synced(folder)

    def _need_entry(self) -> None:
        """For another name."""
        if self._disk.no_files:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._need_room()

    def _need_room(self) -> None:
        if self._disk.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _what_fits(self, data: bytes) -> bytes:
        """On a full disk, into the last page that the file has already."""
        return data[: int(self._disk.chance.fraction() * len(data))] if self._disk.full else data

    def _now(self) -> int:
        return self._disk.time.monotonic()


def _failure() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))
