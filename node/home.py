"""A home: where everything of one node lies, and whether it is safe to use.

The sockets lie in the home too (`operator.sock`, `run/<actor>/actor.sock`) unless its path is too long for a Unix
socket. Then they move to a short folder of our own, and `run` in the home is a symbolic link to it, so that a
client with another environment than the daemon's finds them all the same. Whoever fences an actor hides
`runtime_folder` as well as the home.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from shlex import join, quote

from netsky.node.errors import Conflict, NotFound, Refused, Usage
from netsky.node.seams.files import Files, HostileFile

SOCKET_PATH_BYTES_MAX = 100
"""Linux refuses 108 bytes and more, macOS 104; some room for a temporary suffix."""

_LONGEST_SOCKET = "run/agentinfinity/actor.sock"
ACTOR_COPIES = ("charter", "roster")
"""What stands beside an actor's socket."""

_RUNTIME_NAMES_MAX = 1_024
_HOME_MODE = 0o700
_KEY_MODE = 0o600
_LOOSE = 0o077
_LOOK_MAX = 100_000
"""Files looked at for another name of a key: about a second."""


@dataclass(frozen=True, slots=True)
class Home:
    path: str

    @classmethod
    def find(cls, explicit: str | None = None, environ: Mapping[str, str] = os.environ) -> Home:
        """The home that was named on the command line, else by NETSKY_HOME, else ~/.netsky."""
        path = explicit or environ.get("NETSKY_HOME") or "~/.netsky"
        if "\0" in path:
            raise Usage("a home's path holds a NUL byte", next="name the home without it: netsky --home PATH")
        return cls(os.path.realpath(os.path.expanduser(path)))

    def at(self, *parts: str) -> str:
        return os.path.join(self.path, *parts)

    @property
    def config(self) -> str:
        return self.at("config.toml")

    @property
    def node_key(self) -> str:
        return self.at("node.key")

    @property
    def charter(self) -> str:
        return self.at("charter")

    @property
    def roster(self) -> str:
        return self.at("roster")

    @property
    def database(self) -> str:
        return self.at("meta.db")

    @property
    def channels(self) -> str:
        return self.at("channels")

    @property
    def blobs(self) -> str:
        return self.at("blobs")

    @property
    def logs(self) -> str:
        return self.at("logs")

    @property
    def node_log(self) -> str:
        return self.at("logs", "node.log")

    @property
    def daemon_output(self) -> str:
        """What a detached daemon says outside its log: an interpreter's last words."""
        return self.at("logs", "daemon.out")

    def channel(self, actor: str) -> str:
        return self.at("channels", actor)

    @property
    def sockets_fit(self) -> bool:
        return len(os.fsencode(self.at(_LONGEST_SOCKET))) <= SOCKET_PATH_BYTES_MAX

    @property
    def runtime_folder(self) -> str:
        """The folder of the actors' socket folders: `run` in the home, or where its link leads."""
        return runtime_folder(self)

    @property
    def operator_socket(self) -> str:
        if self.sockets_fit:
            return self.at("operator.sock")
        return os.path.join(self.runtime_folder, "operator.sock")

    def actor_folder(self, actor: str) -> str:
        """The folder that is bound into the actor's fence, and nothing beside it."""
        return os.path.join(self.runtime_folder, actor)

    def actor_socket(self, actor: str) -> str:
        return os.path.join(self.actor_folder(actor), "actor.sock")


def runtime_folder(home: Home, environ: Mapping[str, str] = os.environ) -> str:
    """Where the sockets of this home are. The daemon's choice, once made, is the link `run` in the home."""
    run = home.at("run")
    if home.sockets_fit:
        return run
    try:
        return os.readlink(run)
    except OSError:
        return _short_folder(home, environ)


def _short_folder(home: Home, environ: Mapping[str, str]) -> str:
    mark = hashlib.sha256(os.fsencode(home.path)).hexdigest()[:16]
    session = environ.get("XDG_RUNTIME_DIR", "")
    if session.startswith("/") and len(os.fsencode(session)) <= 40 and _is_ours_alone(session):
        return f"{session.rstrip('/')}/netsky-{mark}"
    return f"/tmp/netsky-{os.getuid()}-{mark}"  # noqa: S108 - made with 0700 and checked to be ours before it is used


def _is_ours_alone(folder: str) -> bool:
    try:
        facts = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & _LOOSE


def prepare_runtime_folder(home: Home, files: Files) -> None:
    """Makes the folder of the sockets; refuses one that somebody else could have prepared. The daemon calls it."""
    folder = home.runtime_folder
    if home.sockets_fit:
        files.make_folder(folder)
        return
    files.make_folder(folder)
    if not _is_ours_alone(folder):
        raise Refused(
            f"{folder}, where the sockets of this home belong, is not a folder that only you can enter",
            next=f"look at it, then: rm -r {folder}",
            code="foreign_runtime_folder",
        )
    run = home.at("run")
    if not os.path.islink(run):
        os.symlink(folder, run)


def remove_runtime_folder(home: Home, files: Files) -> None:
    """At the end of a daemon: a folder outside of the home goes, with the little that the daemon itself put into it.
    What somebody else put there stays, and so does the folder."""
    folder = home.runtime_folder
    if home.sockets_fit or not os.path.islink(home.at("run")):
        return
    opened: list[int] = []

    def hold(path: str, under: int | None = None) -> int:
        opened.append(files.open_folder(path, under))
        return opened[-1]

    try:
        here = hold(folder)
        for actor in files.names(here, _RUNTIME_NAMES_MAX, _RUNTIME_NAMES_MAX):
            for name in ACTOR_COPIES:
                files.remove(hold(actor, here), name)
            files.remove_folder(here, actor)
        files.remove_folder(hold(os.path.dirname(folder)), os.path.basename(folder))
        files.remove(hold(home.path), "run")
    except (OSError, HostileFile):
        return  # it is found again by the next start, and is tried again at its end
    finally:
        for descriptor in opened:
            files.close(descriptor)


def no_folder(home: Home, hostile: HostileFile) -> Refused:
    """Something else stands where the home belongs."""
    return Refused(
        f"{home.path} is no folder: {hostile.sentence}",
        next="name the folder of a home: netsky --home PATH",
        code="not_a_folder",
    )


def check_socket(home: Home, files: Files) -> None:
    """Nothing but a socket stands where the operator's belongs; what a dead daemon left there is replaced."""
    path = home.operator_socket
    folder = files.open_folder(os.path.dirname(path))
    try:
        facts = files.facts(folder, os.path.basename(path))
    finally:
        files.close(folder)
    if facts is not None and facts.kind != "other":
        raise Conflict(
            f"{path} is a {facts.kind}, and the node's socket belongs there",
            next=f"move it away (mv {path} {path}.aside), then: netsky up",
            code="socket_taken",
        )


def check_permissions(home: Home, files: Files) -> None:
    """Refuses a home that is not there, not ours, or that others can read. The message holds the command to type."""
    try:
        folder = files.open_folder(home.path)
    except FileNotFoundError:
        raise NotFound(f"there is no home at {home.path}", next="netsky init", code="no_home") from None
    except HostileFile as hostile:
        raise no_folder(home, hostile) from None
    except OSError as error:
        raise Refused(
            f"the home {home.path} cannot be opened: {error.strerror}",
            next=f"ls -ld {home.path}",
            code="unreadable",
        ) from None
    try:
        facts = files.facts(folder, ".")
        assert facts is not None
        if facts.uid != os.getuid():
            raise Refused(
                f"the home {home.path} belongs to another user (uid {facts.uid})",
                next="start the node as that user, or name your own home: netsky --home PATH",
                code="foreign_owner",
            )
        if facts.mode & _LOOSE:
            raise Refused(
                f"the home {home.path} has mode {facts.mode & 0o777:04o}: others can look into it",
                next=f"chmod 0700 {home.path}",
                code="loose_permissions",
            )
        for secret in ("node.key", "owner.key"):
            check_secret(home, files, folder, secret)
    finally:
        files.close(folder)


def check_secret(home: Home, files: Files, folder: int, name: str) -> None:
    """A key file that others can read is no secret any more: say so instead of going on."""
    facts = files.facts(folder, name)
    if facts is None:
        return
    path = home.at(name)
    if facts.kind != "file":
        raise Refused(
            f"{path} is no plain file (a {facts.kind} stands there)",
            next=f"put the key itself there, with mode 0600: {path}",
            code="key_not_a_file",
        )
    if facts.links != 1:
        raise _shared(home, path, facts.links)
    if facts.uid != os.getuid():
        raise Refused(f"{path} belongs to another user", next=f"chown {os.getuid()} {path}", code="foreign_owner")
    if facts.mode & _LOOSE:
        raise Refused(
            f"{path} has mode {facts.mode & 0o777:04o}: others can read the key",
            next=f"chmod 0600 {path} (and think about who may have read it)",
            code="loose_permissions",
        )


def _shared(home: Home, path: str, links: int) -> Refused:
    """The other name may stand in an actor's folder, where the fence hides nothing: so it is looked for and said."""
    others = _other_names(path, home.path)
    found = f": {', '.join(others)}" if others else f"; in {home.path} there is no other"
    elsewhere = links - 1 - len(others)
    key, new = quote(path), quote(path + ".new")
    alone = f"cp -p {key} {new} && mv {new} {key}"
    return Refused(
        f"{path} has {links} names where a key has one{found}",
        # Quoted: whoever made the name may want it to be typed.
        next=(join(["rm", *others]) if elsewhere <= 0 else f"{alone} (find / -samefile {key} shows the others)")
        + ", and think about who may have read it there",
        code="key_not_a_file",
    )


def _other_names(path: str, folder: str) -> list[str]:
    """Other names of this file below the folder, as far as a bounded look goes."""
    sought, looked, found = os.lstat(path), 0, []
    for where, folders, files in os.walk(folder):
        looked += len(folders) + len(files)
        if looked > _LOOK_MAX:
            break
        for name in files:
            one = os.path.join(where, name)
            with suppress(OSError):
                if one != path and os.path.samestat(os.lstat(one), sought):
                    found.append(one)
    return found


@dataclass(slots=True)
class HomeLock:
    """The lock that makes one process the only one that opens this home's database. The kernel lets go of it."""

    descriptor: int
    files: Files

    def release(self) -> None:
        if self.descriptor >= 0:
            self.files.close(self.descriptor)
            self.descriptor = -1


LIVES_FILE = "lives"
"""The highest life that any stream of this node ever had, beside the database that may be older."""

RESTORED_FILE = "restored"
"""There after a restore, until the node has begun anew."""


def was_restored(home: Home, files: Files) -> bool:
    """By `netsky restore`, and has not begun anew yet."""
    folder = files.open_folder(home.path)
    try:
        return files.facts(folder, RESTORED_FILE) is not None
    finally:
        files.close(folder)


LOCK_NAME = "daemon.lock"
HOLDER_NAME = "daemon.json"
"""Who holds the lock, for people and for `netsky down`; the lock itself is the truth."""


def take_lock(home: Home, files: Files) -> HomeLock | None:
    """The lock of this home, or None if another process has it."""
    folder = files.open_folder(home.path)
    try:
        descriptor = files.lock(folder, LOCK_NAME)
    finally:
        files.close(folder)
    return None if descriptor is None else HomeLock(descriptor, files)


def read_home_file(home: Home, files: Files, name: str, cap: int) -> bytes:
    """Nothing if it is not there or cannot be used."""
    folder = files.open_folder(home.path)
    try:
        return files.read(folder, name, cap)
    except (FileNotFoundError, HostileFile):
        return b""
    finally:
        files.close(folder)
