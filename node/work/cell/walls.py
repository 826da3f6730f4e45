"""What is there in a strict sandbox: everything that is named here, and nothing else.

A pure function of the cell and of what the `World` shows. The fence of an ordinary actor begins with the whole machine
and hides; this begins with nothing and shows. Both are a list of mounts, and one launcher puts up either.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netsky.node.actors.fence import Fence, Mount
from netsky.node.errors import Usage
from netsky.node.seams.processes import World
from netsky.node.work.cell.cell import Cell
from netsky.node.work.cell.limits import SHARED_MEMORY_BYTES

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
SETTINGS = (
    *("passwd", "group", "nsswitch.conf", "hosts", "host.conf", "services", "protocols", "localtime", "timezone"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "mime.types", "magic", "locale.conf", "terminfo"),
    *("ssl/certs", "ssl/openssl.cnf", "pki/tls/certs", "pki/ca-trust", "ca-certificates", "crypto-policies"),
)
"""Of /etc: how names, certificates and libraries are found. Not /etc itself: where the node runs as root, root's own
secrets would be in it."""

SETTINGS_LIKE = ("java*", "python3*", "perl")
DEVICES = "null zero full random urandom tty"
SCRATCH = "/tmp"  # noqa: S108 - its own, empty and gone with it

SECRET = ("node.key", "owner.key", "meta.db", "operator.sock", "channels", "logs", "config.toml")
"""Of the node's home: never shown, whoever names it."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What must not be seen of the node that a cell stands on."""

    node_home: str
    runtime_folder: str

    @property
    def secrets(self) -> list[str]:
        return [*(os.path.join(self.node_home, name) for name in SECRET), self.runtime_folder]


def build(cell: Cell, grounds: Grounds, world: World, proxy: str = "") -> Fence:
    """All of it, or Usage where what is to be shown is not there, or holds what must not be seen. `proxy` is the folder
    of the socket of this cell's proxy, "" if it has none."""
    shown: dict[str, Mount] = {}
    for path in SYSTEM:
        link = world.link(path)
        if link is not None:
            shown[path] = Mount("link", path, link)
        elif world.real(path) is not None:
            shown[path] = Mount("read_only", path)
    patterns = [f"/etc/{name}" for name in SETTINGS_LIKE]
    found = [path for pattern in patterns for path in world.matching(pattern)]
    for path in [*(f"/etc/{name}" for name in SETTINGS), *found]:
        if world.real(path) is not None:
            shown[path] = Mount("read_only", path)
    _show(shown, world.code, world)
    sockets = [path for path in (cell.actor_socket, proxy) if path]
    _check(cell, sockets, grounds, world)
    for path in cell.readable:
        _show(shown, [path], world)
    for path in sockets:
        shown[_real(world, path)] = Mount("read_only", _real(world, path))
    if cell.workspace:
        workspace = _real(world, cell.workspace)
        shown[workspace] = Mount("writable" if cell.workspace_writable else "read_only", workspace)
    own = [Mount("empty", SCRATCH, "0700", cell.scratch_bytes)]
    own.append(Mount("empty", "/dev/shm", "1777", SHARED_MEMORY_BYTES))  # noqa: S108 - its own
    # An outer mount hides inner ones that came before it: parents first.
    ordered = sorted([*shown.values(), *own], key=lambda mount: (mount.path.count("/"), mount.path))
    first = [Mount("root", "/"), Mount("devices", "/dev", DEVICES)]
    return Fence((*first, *ordered, Mount("seal", "/dev"), Mount("seal", "/")))


def shows(fence: Fence, path: str) -> bool:
    """Whether a file of the outside, named by its real path, is to be seen inside."""
    kept = [mount.path for mount in fence.mounts if mount.how in {"read_only", "writable"}]
    return any(inside(path, folder) for folder in kept)


def inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _show(shown: dict[str, Mount], paths: Iterable[str], world: World) -> None:
    """Under the name that was given, by which it may be called, and under its real one, to which links may lead."""
    for path in paths:
        real = world.real(path)
        if real is None:
            continue
        for name in dict.fromkeys((path, real)):
            if not any(inside(name, mount.path) and mount.how == "read_only" for mount in shown.values()):
                shown[name] = Mount("read_only", name)


def _check(cell: Cell, sockets: Sequence[str], grounds: Grounds, world: World) -> None:
    code = [path for path in world.code if world.real(path) is not None]
    for path in (*code, *filter(None, [cell.workspace]), *cell.readable, *sockets):
        real = world.real(path)
        if real is None:
            raise Usage(
                f"{path} is to be shown in a sandbox, and there is no such path here.",
                next="name what is there",
                code="not_there",
            )
        if cell.workspace and inside(path, cell.workspace) and not inside(real, _real(world, cell.workspace)):
            raise Usage(
                f"{path} is to be shown in a sandbox, and leads out of the workspace that it lies in.",
                next="keep what a task may read beside its workspace: what worked there before may have laid the link",
                code="behind_the_wall",
            )
        for secret in grounds.secrets:
            hidden = world.real(secret) or secret
            if inside(hidden, real) or (inside(real, hidden) and path not in sockets):
                raise Usage(
                    f"{path} is to be shown in a sandbox, and {secret} must be seen by nobody in there.",
                    next="name a folder in which that does not lie",
                    code="behind_the_wall",
                )


def _real(world: World, path: str) -> str:
    real = world.real(path)
    assert real is not None, f"{path} was looked at before"
    return real
