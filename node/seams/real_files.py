"""The shipped files seam: plain system calls, relative to folders that are held open by descriptor."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from netsky.node.seams.files import FileFacts, HostileFile

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMELESS = getattr(os, "O_TMPFILE", 0)
_PROC = "/proc/self/fd"

_NOT_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})
"""What file systems and kernels answer that know no file without a name (or where /proc is not mounted)."""


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def temporary_name(name: str) -> str:
    """The name beside `name` that a write in progress may leave behind; whoever opens a folder first removes it.

    Cut, because a name may already be as long as a file system allows.
    """
    return f".{os.fsdecode(os.fsencode(name)[:200])}.tmp"


class RealFiles:
    """Files of this machine."""

    def __init__(self, *, inline: bool = False) -> None:
        """`inline`: even a long sync stays on this thread, because time is virtual and threads have none."""
        self._inline = inline

    def _sync(self, descriptor: int) -> None:
        """The one way to the disk from here; a simulated disk stands in it, and knows by that what is durable."""
        os.fsync(descriptor)

    def make_folder(self, path: str, mode: int = 0o700, under: int | None = None) -> None:
        above = os.path.dirname(path) if under is None else ""
        if above and not os.path.isdir(above):
            self.make_folder(above, mode)
        try:
            os.mkdir(path, mode, dir_fd=under)
        except FileExistsError:
            kind = _kind(os.stat(path, dir_fd=under, follow_symlinks=False).st_mode)
            if kind != "folder":
                raise HostileFile(
                    "link" if kind == "link" else "not_a_folder", f"{path} is a {kind}, a folder belongs there"
                ) from None
        else:
            self._sync_above(path, under)

    def _sync_above(self, path: str, under: int | None) -> None:
        """A file that is synced goes with its folder if the name of that is lost."""
        if under is not None:
            self._sync(under)
            return
        above = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._sync(above)
        finally:
            os.close(above)

    def open_folder(self, path: str, under: int | None = None) -> int:
        try:
            return os.open(path, _FOLDER, dir_fd=under)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise HostileFile("link", f"{path!r} is a symbolic link where a folder belongs") from None
            if error.errno == errno.ENOTDIR:
                # Linux answers a link with this one too: O_DIRECTORY is looked at first.
                link = stat.S_ISLNK(os.stat(path, dir_fd=under, follow_symlinks=False).st_mode)
                what = "a symbolic link" if link else "no folder"
                raise HostileFile(
                    "link" if link else "not_a_folder", f"{path!r} is {what}, a folder belongs there"
                ) from None
            raise

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def names(self, folder: int, limit: int, scan: int = 4096) -> list[str]:
        found: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                found.append(entry.name)
                if len(found) >= scan:
                    break
        return sorted(found)[:limit]

    def facts(self, folder: int, name: str) -> FileFacts | None:
        try:
            s = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return FileFacts(_kind(s.st_mode), s.st_size, s.st_mtime_ns, s.st_nlink, stat.S_IMODE(s.st_mode), s.st_uid)

    def folder_mtime_ns(self, folder: int) -> int:
        return os.fstat(folder).st_mtime_ns

    def read(self, folder: int, name: str, cap: int) -> bytes:
        try:
            descriptor = os.open(name, _READ, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise HostileFile("link", "it is a symbolic link") from None
            if error.errno in (errno.ENXIO, errno.EOPNOTSUPP, errno.ENODEV):
                raise HostileFile("not_a_file", "it is a socket or a device, no file") from None
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.EIO):
                raise  # the machine's fault, not the file's
            raise HostileFile("unreadable", f"it cannot be opened: {error.strerror}") from None
        try:
            _check(os.fstat(descriptor), cap)
            data = os.read(descriptor, cap + 1)
            while len(data) <= cap and (more := os.read(descriptor, cap + 1 - len(data))):
                data += more
        finally:
            os.close(descriptor)
        if len(data) > cap:
            raise HostileFile("too_large", f"it has more than {cap} bytes")
        return data

    def write_new(self, folder: int, name: str, data: bytes, *, sync: bool, mode: int = 0o600) -> bool:
        written = self._write_nameless(folder, name, data, sync=sync, mode=mode)
        if written is None:
            written = self._write_beside(folder, name, data, sync=sync, mode=mode)
        if written and sync:
            self._sync(folder)
        return written

    def _write_nameless(self, folder: int, name: str, data: bytes, *, sync: bool, mode: int) -> bool | None:
        """A file that gets its name when it is complete; None where the system cannot do that.

        It never has two names, so no reader sees a second link, and a crash leaves nothing.
        """
        if not _NAMELESS:
            return None
        try:
            descriptor = os.open(".", _NAMELESS | os.O_WRONLY | os.O_CLOEXEC, mode, dir_fd=folder)
        except OSError as error:
            if error.errno in _NOT_NAMELESS:
                return None
            raise
        try:
            _write_all(descriptor, data)
            if sync:
                self._sync(descriptor)
            os.link(f"{_PROC}/{descriptor}", name, dst_dir_fd=folder, follow_symlinks=True)
        except FileExistsError:
            return False
        except FileNotFoundError:
            return None
        finally:
            os.close(descriptor)
        return True

    def _write_beside(self, folder: int, name: str, data: bytes, *, sync: bool, mode: int) -> bool:
        """The same with a temporary beside it: written, linked, unlinked."""
        temporary = temporary_name(name)
        self.remove(folder, temporary)
        descriptor = os.open(temporary, _NEW, mode, dir_fd=folder)
        try:
            try:
                _write_all(descriptor, data)
                if sync:
                    self._sync(descriptor)
            finally:
                os.close(descriptor)
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            return False
        finally:
            self.remove(folder, temporary)
        return True

    def replace(self, folder: int, name: str, data: bytes, *, mode: int = 0o600) -> None:
        temporary = temporary_name(name)
        self.remove(folder, temporary)
        descriptor = os.open(temporary, _NEW, mode, dir_fd=folder)
        try:
            try:
                _write_all(descriptor, data)
                self._sync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            self.remove(folder, temporary)
            raise
        self._sync(folder)

    def append(self, folder: int, name: str, data: bytes, *, mode: int = 0o600) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, mode, dir_fd=folder)
        try:
            _write_all(descriptor, data)
        finally:
            os.close(descriptor)

    def move(self, folder: int, name: str, to: int, new_name: str) -> bool:
        try:
            os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=to)
        except FileNotFoundError:
            return False
        return True

    def remove(self, folder: int, name: str) -> bool:
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        return True

    def remove_folder(self, folder: int, name: str) -> bool:
        try:
            os.rmdir(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        return True

    def sync_folder(self, folder: int) -> None:
        self._sync(folder)

    def open_file(self, folder: int, name: str) -> int:
        try:
            descriptor = os.open(name, _READ, dir_fd=folder)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise HostileFile("link", "it is a symbolic link") from None
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise HostileFile("not_a_file", "it is no regular file")
        return descriptor

    def open_part(self, folder: int, name: str) -> int:
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)

    def size_of(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def read_at(self, descriptor: int, offset: int, size: int) -> bytes:
        return os.pread(descriptor, size, offset)

    def write_at(self, descriptor: int, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def cut(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    async def settle(self, descriptor: int) -> None:
        import trio  # noqa: PLC0415 - everyday commands use files and do without trio

        if self._inline:
            await trio.lowlevel.checkpoint()
            self._sync(descriptor)
        else:
            await trio.to_thread.run_sync(self._sync, descriptor)

    def free_bytes(self, path: str) -> int:
        s = os.statvfs(path)
        return s.f_bavail * s.f_frsize

    def lock(self, folder: int, name: str) -> int | None:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _check(found: os.stat_result, cap: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise HostileFile("not_a_file", "it is no regular file")
    if found.st_nlink > 1:
        raise HostileFile("hard_link", f"it has {found.st_nlink} names, so somebody else may still write to it")
    if found.st_uid != os.geteuid():
        raise HostileFile("foreign_owner", f"it belongs to uid {found.st_uid}")
    if found.st_size > cap:
        raise HostileFile("too_large", f"it has {found.st_size} bytes, at most {cap} are read")
