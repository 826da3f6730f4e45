"""`netsky backup` and `restore`: one file with all that a home needs to go on; its key only where that was asked for.

A restore puts back the database, and of the other files those that are missing: what the home still has is newer. It
leaves a mark by which the node knows, when it starts next, that it has forgotten something.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from netsky.node.errors import Conflict, NetskyError, NotFound, Refused
from netsky.node.home import LIVES_FILE, RESTORED_FILE, Home, check_permissions, take_lock
from netsky.node.seams.files import Files

VERSION = 1
FILE_BYTES_MAX = 4 << 20
"""Of each file beside the database."""

_MANIFEST = "manifest.json"
_DATABASE = "meta.db"
_KEY = "node.key"
_FILES = ("charter", "roster", "root.json", "config.toml", "cron.toml", "peers.toml", LIVES_FILE)
_LOOP = re.compile(r"loops/[A-Za-z0-9_.-]{1,64}\.toml")


@dataclass(frozen=True, slots=True)
class Made:
    file: str
    bytes: int
    files: tuple[str, ...]
    with_key: bool


@dataclass(frozen=True, slots=True)
class PutBack:
    made_at: int
    files: tuple[str, ...]
    """Those that were missing."""
    kept: str | None
    """Where the database of before is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Where to, and what goes in beside the usual."""

    path: str
    with_key: bool
    now: int
    name: str


def make_backup(home: Home, files: Files, asked: Asked, copy_database: Callable[[str], None]) -> Made:
    """`copy_database` writes a consistent copy of meta.db to a path that does not exist."""
    check_permissions(home, files)
    target, key = _target(asked), _public_key(home, files)
    copy, partial = f"{target}.meta.db", f"{target}.partial"
    try:
        copy_database(copy)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            names = _write(file, home, asked, (copy, key))
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, target)  # never over something that is there
        _sync(os.path.dirname(target))
    except FileExistsError:
        raise Conflict(f"{target} is there already", next="name a new file", code="file_exists") from None
    finally:
        for path in (copy, partial):
            with suppress(FileNotFoundError):
                os.unlink(path)
    return Made(target, os.path.getsize(target), names, asked.with_key)


def put_back(home: Home, files: Files, path: str, now: int) -> PutBack:
    """The home is that of the backup afterwards. The node must be down, and the home empty or of the same node."""
    from netsky.node.db.backup import ready_to_start  # noqa: PLC0415 - brings sqlite3

    files.make_folder(home.path)
    check_permissions(home, files)
    lock = take_lock(home, files)
    if lock is None:
        raise Conflict(f"the node of {home.path} runs", next="netsky down, then the same again", code="node_running")
    fresh = home.at(f"{_DATABASE}.restoring")
    try:
        with _open(path) as archive:
            manifest = _manifest(archive, path)
            members = _members(archive, path)
            _check_key(home, files, manifest, members)
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
                shutil.copyfileobj(_stream(archive, members[_DATABASE]), file)
            ready_to_start(fresh)
            _sync(fresh)
            folder = files.open_folder(home.path)
            try:
                files.replace(folder, RESTORED_FILE, b"%d\n" % manifest["made_at"])  # before anything has changed
                kept = _set_aside(home, now)
                os.rename(fresh, home.database)
                files.sync_folder(folder)
            finally:
                files.close(folder)
            written = _missing(home, files, archive, members)
    finally:
        lock.release()
        with suppress(FileNotFoundError):
            os.unlink(fresh)
    return PutBack(int(manifest["made_at"]), written, kept)


# Making one.


def _target(asked: Asked) -> str:
    path = os.path.abspath(asked.path)
    if os.path.isdir(path):
        path = os.path.join(path, f"netsky-{asked.name}-{asked.now // 10**9}.tar")
    if os.path.lexists(path):
        raise Conflict(f"{path} is there already", next="name a new file", code="file_exists")
    if not os.path.isdir(os.path.dirname(path)):
        raise NotFound(f"there is no folder {os.path.dirname(path)}", next="make it, or name another", code="no_folder")
    return path


def _write(file: IO[bytes], home: Home, asked: Asked, found: tuple[str, str]) -> tuple[str, ...]:
    copy, key = found
    names = [name for name in (*_FILES, *([_KEY] if asked.with_key else ())) if os.path.isfile(home.at(name))]
    with suppress(FileNotFoundError):
        loops = sorted(f"loops/{name}" for name in os.listdir(home.at("loops")))
        names += [name for name in loops if _LOOP.fullmatch(name)]
    manifest = {"version": VERSION, "made_at": asked.now, "name": asked.name, "key": key, "files": names}
    with tarfile.open(fileobj=file, mode="w") as archive:
        _add(archive, _MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n", asked.now)
        for name in names:
            with open(home.at(name), "rb") as one:
                _add(archive, name, one.read(FILE_BYTES_MAX), asked.now)
        info = _info(_DATABASE, os.path.getsize(copy), asked.now)
        with open(copy, "rb") as database:
            archive.addfile(info, database)
    return (_DATABASE, *names)


def _public_key(home: Home, files: Files) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from netsky.node.identity import read_key  # noqa: PLC0415

    secret = read_key(home, files)
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw().hex()


def _add(archive: tarfile.TarFile, name: str, data: bytes, now: int) -> None:
    archive.addfile(_info(name, len(data), now), io.BytesIO(data))


def _info(name: str, size: int, now: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, now // 10**9
    return info


# Putting one back.


def _open(path: str) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", next="name what netsky backup made", code="no_file") from None
    except (tarfile.TarError, OSError) as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: str, why: str) -> Refused:
    return Refused(
        f"{path} is no backup that can be used: {why}",
        next="name what netsky backup made",
        code="backup_damaged",
    )


def _members(archive: tarfile.TarFile, path: str) -> dict[str, tarfile.TarInfo]:
    """Only files, and only of names that a backup has; whatever else stands in there is not looked at."""
    try:
        found = {one.name: one for one in archive.getmembers() if one.isreg()}
    except (tarfile.TarError, OSError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    known = {name: one for name, one in found.items() if name in {*_FILES, _KEY, _DATABASE} or _LOOP.fullmatch(name)}
    large = [name for name, one in known.items() if name != _DATABASE and one.size > FILE_BYTES_MAX]
    if _DATABASE not in known or large:
        raise _damaged(path, f"{large[0]} is too large" if large else "it has no database")
    return known


def _manifest(archive: tarfile.TarFile, path: str) -> dict[str, Any]:
    try:
        info = archive.getmember(_MANIFEST)
        found = json.loads(_stream(archive, info).read(FILE_BYTES_MAX))
        if (
            isinstance(found, dict)
            and found.get("version") == VERSION
            and isinstance(found.get("key"), str)
            and isinstance(found.get("made_at"), int)
        ):
            return found
    except (KeyError, ValueError, tarfile.TarError, OSError, RecursionError) as error:
        raise _damaged(path, str(error)) from None
    raise _damaged(path, f"its manifest is not one of version {VERSION}")


def _check_key(home: Home, files: Files, manifest: dict[str, Any], members: dict[str, tarfile.TarInfo]) -> None:
    if not os.path.lexists(home.node_key):
        if _KEY in members:
            return
        raise NotFound(
            f"{home.path} has no node.key, and neither has the backup: it was made without --with-key",
            next=f"put the key of that node to {home.node_key} (mode 0600), then the same again",
            code="no_key",
        )
    if _public_key(home, files) != manifest["key"]:
        raise Refused(
            f"{home.path} is the home of another node than the backup",
            next="name the home of that node, or an empty folder: netsky --home FOLDER restore FILE",
            code="foreign_backup",
        )


def _stream(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    found = archive.extractfile(info)
    if found is None:
        raise NetskyError(f"{info.name} in the backup is no file", next="take another backup", code="backup_damaged")
    return found


def _set_aside(home: Home, now: int) -> str | None:
    """What was there is never deleted. Its log belongs to it."""
    if not os.path.lexists(home.database):
        return None
    kept = home.at(f"{_DATABASE}.before-{now // 10**9}")
    for end in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.rename(home.database + end, kept + end)
    return kept


def _missing(
    home: Home, files: Files, archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]
) -> tuple[str, ...]:
    """Written where nothing of that name stands."""
    written = []
    for name, info in members.items():
        if name == _DATABASE or os.path.lexists(home.at(name)):
            continue
        where, _, base = home.at(name).rpartition("/")
        files.make_folder(where)
        folder = files.open_folder(where)
        try:
            files.replace(folder, base, _stream(archive, info).read(FILE_BYTES_MAX))
        finally:
            files.close(folder)
        written.append(name)
    return tuple(written)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
