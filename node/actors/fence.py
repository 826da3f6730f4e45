"""The fence around an actor's program: which parts of the machine it does not see, or sees and cannot change.

Everything here is a pure function of what the `World` shows. The order of thought: `sights` says what is hidden,
masked, read-only or kept; `mounts` puts that into an order in which it holds; `argv` says it to bubblewrap or to
`unshare` with `mounts.py`. What the fence does not do stands in the folder's README and in `netsky help trust`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from netsky.node.errors import Usage
from netsky.node.seams.processes import World

Kind = Literal["bubblewrap", "unshare"]
How = Literal["root", "empty", "masked", "writable", "read_only", "link", "devices", "seal"]
"""A root is an empty one, in which only what comes after it is; a seal makes a folder of ours unchangeable."""

SHELL_STARTS = (
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".inputrc"),
    *(".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".mkshrc", ".cshrc", ".tcshrc", ".login"),
    *(".xprofile", ".xinitrc", ".xsession", ".xsessionrc", ".pam_environment", ".tmux.conf", ".screenrc"),
)
"""What a login, a new shell, a desktop or a terminal multiplexer runs by itself."""

START_FOLDERS = (".config/systemd", ".ssh")
"""Folders of which an empty one harms nobody: they are made, so that they can be made read-only."""

MULTIPLEXER = "tmux-{uid}"
"""Made as well, as tmux would make it: a server that is started later must not be seen either."""

CONFIG_STARTS = ("fish", "nushell", "zsh", "autostart", "environment.d", "plasma-workspace", "tmux")
DATA_STARTS = (".local/share/systemd", ".oh-my-zsh")

TEMPORARY_SOCKETS = (
    *("tmux-*", "screens", "uscreens", ".X11-unix", ".ICE-unix", "emacs{uid}", "nvim.*", "vscode-ipc-*", "kitty-*"),
    *("netsky-{uid}-*", "dbus-*", "podman-run-*", "docker*.sock"),
)
"""By name under /tmp: whoever talks to these runs programs outside the fence."""

TEMPORARY = "/tmp"  # noqa: S108 - looked at and hidden, nothing is written there
RUN_HIDDEN = frozenset(
    {
        *("user", "docker", "docker.sock", "containerd", "podman", "crio", "libvirt", "incus", "lxd", "buildkit"),
        *("snapd.socket", "snapd-snap.socket", "dbus", "systemd", "screen", "tmux", "credentials"),
    }
)
RUN_KEPT_INSIDE = ("systemd/resolve", "systemd/userdb", "systemd/timesync", "systemd/journal")
"""Name lookup and logging work as before."""

CONTAINER_SOCKETS = (
    *("/var/run/docker.sock", "/var/snap/lxd/common/lxd/unix.socket", "/var/lib/lxd/unix.socket"),
    *("/var/lib/incus/unix.socket", "/var/run/containerd", "/var/run/podman"),
)
HOME_CONTAINERS = (".docker/run", ".docker/desktop", ".colima", ".lima", ".rd")
CRONTABS = ("/var/spool/cron", "/var/spool/at", "/var/spool/anacron")
ROOTS_OWN = ("/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/boot", "/opt", "/var/lib/systemd")
"""Read-only where the node runs as root, who could otherwise change what the machine starts."""

DEVICES = "null zero full random urandom tty dri kfd kvm fuse snd net/tun nvidia0 nvidia1 nvidiactl nvidia-uvm"
CHANGES_THE_MACHINE = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus")
"""Where the node runs as root an actor is root as well, and needs no capability to write there: a program of its own
that the kernel starts, outside of every fence, whenever something crashes."""

DROPPED = ("TMUX", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "SSH_TTY", "STY", "XAUTHORITY")
"""Variables (by their beginning) that only lead to what is hidden."""
THE_NODES_OWN = ("NETSKY_", "NOTIFY_SOCKET")
"""Variables that speak of the node itself: no program of an actor is meant by them."""


@dataclass(frozen=True, slots=True)
class Room:
    """What one actor's fence is built for. All paths are absolute."""

    node_home: str
    runtime_folder: str
    own_folder: str
    channel: str
    user_home: str
    cwd: str
    program: str
    session_folder: str = ""
    """$XDG_RUNTIME_DIR, "" if there is none."""
    config_folder: str = ""
    """$XDG_CONFIG_HOME, "" if there is none."""
    shell_folder: str = ""
    """$ZDOTDIR, "" if there is none."""
    container_host: str = ""
    """$DOCKER_HOST, "" if there is none."""
    multiplexer_folder: str = ""
    """$TMUX_TMPDIR, "" if there is none."""


@dataclass(frozen=True, slots=True)
class Mount:
    how: How
    path: str
    target: str = ""
    """Of an empty folder its mode, of a link where it leads, of devices their names."""
    size: int = 0
    """Of an empty folder, the most that may be in it; 0: what the system allows."""


@dataclass(frozen=True, slots=True)
class Fence:
    mounts: tuple[Mount, ...]
    unprotected: tuple[str, ...] = ()
    """Start files that are not there yet, or that are links: nothing can be mounted on these, so they are watched."""

    @property
    def closed(self) -> bool:
        """Whether it begins with nothing: then it has a network and System V objects of its own, and nobody inside can
        make a user namespace, in which there would be room without bounds."""
        return self.mounts[:1] == (Mount("root", "/"),)


def room(node_home: str, runtime: str, actor: str, *, cwd: str, program: str, environ: Mapping[str, str]) -> Room:
    return Room(
        node_home=node_home,
        runtime_folder=runtime,
        own_folder=os.path.join(runtime, actor),
        channel=os.path.join(node_home, "channels", actor),
        user_home=environ.get("HOME", "/"),
        cwd=cwd,
        program=program,
        session_folder=environ.get("XDG_RUNTIME_DIR", ""),
        config_folder=environ.get("XDG_CONFIG_HOME", ""),
        shell_folder=environ.get("ZDOTDIR", ""),
        container_host=environ.get("DOCKER_HOST", ""),
        multiplexer_folder=environ.get("TMUX_TMPDIR", ""),
    )


def folders_to_make(room: Room, world: World) -> list[str]:
    """What must be there before `build`, since nothing can be mounted on what is not there."""
    wanted = [os.path.join(room.user_home, name) for name in START_FOLDERS]
    wanted.append(os.path.join(room.multiplexer_folder or TEMPORARY, MULTIPLEXER.format(uid=world.uid)))
    return [path for path in wanted if world.real(path) is None and world.link(path) is None]


def build(room: Room, world: World) -> Fence:
    """The whole fence for this actor, or Usage where what it needs lies behind the fence."""
    hidden = _hidden(room, world)
    read_only, unprotected = _read_only(room, world)
    kept = [Mount("read_only", _real(world, room.own_folder)), Mount("writable", _real(world, room.channel))]
    sights = {mount.path: mount for mount in [*read_only, *_run(world), *hidden, *kept]}
    _check_reach(room, world, hidden)
    pins = _pins(list(sights.values()), world)
    everything = {**{pin.path: pin for pin in pins}, **sights}
    covered = [mount for mount in everything.values() if not _swallowed(mount, hidden, kept)]
    # An outer mount hides inner ones that came before it: parents first.
    ordered = sorted(covered, key=lambda mount: (mount.path.count("/") if mount.path != "/" else 0, mount.path))
    return Fence((Mount("devices", "/dev", DEVICES), *ordered), tuple(sorted(unprotected)))


def argv(kind: Kind, fence: Fence, world: World) -> list[str]:
    """What stands in front of the program. The program becomes process 1 of the fence's PID namespace."""
    if kind == "unshare":
        plan = [word for mount in fence.mounts for word in (mount.how, mount.path, mount.target, str(mount.size))]
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mounts.py")
        words = ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "--pid", "--fork"]
        words += ["--net", "--ipc", "--uts", "--cgroup"] if fence.closed else []
        return [*words, "--kill-child=KILL", "--", world.python, "-I", "-S", script, *plan, "--"]
    # Not --die-with-parent: the kernel ties that to the thread which started it, and trio lets an idle one go after
    # ten seconds. That it ends with us is the leash's business.
    words = ["bwrap", "--unshare-user", "--unshare-pid", "--as-pid-1", "--cap-drop", "ALL"]
    if fence.closed:
        words += ["--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--disable-userns"]
    else:
        words += ["--bind", "/", "/"]
    seals = [mount for mount in fence.mounts if mount.how == "seal"]  # /proc is put up before its root is sealed
    for mount in fence.mounts[: len(fence.mounts) - len(seals)]:
        words += _bubblewrap_words(mount, world)
    words += ["--proc", "/proc"]
    for path in CHANGES_THE_MACHINE:
        words += ["--ro-bind", path, path] if world.real(path) is not None else []
    return [*words, *(word for seal in seals for word in ("--remount-ro", seal.path)), "--"]


def environment(own: Mapping[str, str], outside: Mapping[str, str], *, fenced: bool) -> dict[str, str]:
    """The node's own environment without what leads to the node, or outside the fence, and then the actor's."""
    dropped = (*THE_NODES_OWN, *(DROPPED if fenced else ()))
    return {name: value for name, value in outside.items() if not name.startswith(dropped)} | dict(own)


def _bubblewrap_words(mount: Mount, world: World) -> list[str]:
    if mount.how == "root":
        return []  # what it begins with, where nothing is bound on it
    if mount.how == "empty":
        size = ["--size", str(mount.size)] if mount.size else []
        return ["--perms", mount.target, *size, "--tmpfs", mount.path]
    if mount.how == "masked":
        return ["--ro-bind", "/dev/null", mount.path]
    if mount.how == "link":
        return ["--symlink", mount.target, mount.path]
    if mount.how == "devices":
        more = [f"/dev/{name}" for name in mount.target.split()[6:]]  # bubblewrap brings the first six itself
        there = [path for path in more if world.real(path) is not None]
        return ["--dev", mount.path, *(word for path in there for word in ("--dev-bind", path, path))]
    return ["--bind" if mount.how == "writable" else "--ro-bind", mount.path, mount.path]


def _hidden(room: Room, world: World) -> list[Mount]:
    """The node's home and its sockets, other homes in the usual place, and sockets that start programs elsewhere."""
    names = [room.node_home, room.runtime_folder, os.path.join(room.user_home, ".netsky"), room.session_folder]
    names += [os.path.join(room.user_home, name) for name in HOME_CONTAINERS]
    names += CONTAINER_SOCKETS
    names += [path for name in _temporary(world) for path in world.matching(f"{TEMPORARY}/{name}")]
    names.append(os.path.join(room.multiplexer_folder, MULTIPLEXER.format(uid=world.uid)))
    if room.container_host.startswith("unix://"):
        names.append(room.container_host.removeprefix("unix://"))
    found = dict.fromkeys(real for name in names if name.startswith("/") and (real := world.real(name)))
    return [Mount("empty", path, "0700") if world.is_folder(path) else Mount("masked", path) for path in found]


def _temporary(world: World) -> list[str]:
    return [name.format(uid=world.uid) for name in TEMPORARY_SOCKETS]


def _run(world: World) -> list[Mount]:
    """/run holds what it holds now and is not hidden: a socket that is made there later is not seen at all."""
    if world.real("/run") != "/run" or not world.is_folder("/run"):
        return []
    mounts = [Mount("empty", "/run", "0755"), Mount("empty", "/run/user", "0755")]
    mounts.append(Mount("empty", f"/run/user/{world.uid}", "0700"))
    for path in world.matching("/run/*"):
        name = os.path.basename(path)
        if name in RUN_HIDDEN or name.startswith(("docker", "netsky-")):
            continue
        link = world.link(path)
        if link is not None:
            mounts.append(Mount("link", path, link))
        elif world.real(path) is not None:
            mounts.append(Mount("writable", path))
    return mounts + [Mount("writable", f"/run/{name}") for name in RUN_KEPT_INSIDE if world.real(f"/run/{name}")]


def _read_only(room: Room, world: World) -> tuple[list[Mount], list[str]]:
    """What starts by itself, as far as it is there; and what of it nothing can be mounted on."""
    config = room.config_folder or os.path.join(room.user_home, ".config")
    starts = [os.path.join(room.user_home, name) for name in (*SHELL_STARTS, *START_FOLDERS, *DATA_STARTS)]
    starts += [os.path.join(config, name) for name in ("systemd", *CONFIG_STARTS)]
    if room.shell_folder:
        starts += [os.path.join(room.shell_folder, name) for name in SHELL_STARTS if name.startswith(".z")]
    starts += CRONTABS
    if world.uid == 0:
        starts += ROOTS_OWN
    protected, left = [], []
    for path in dict.fromkeys(starts):
        real = world.real(path)
        if real is not None:
            protected.append(Mount("read_only", real))
        if (real is None or world.link(path) is not None) and path.startswith((room.user_home, config)):
            left.append(path)
    return protected, left


def _pins(sights: Sequence[Mount], world: World) -> list[Mount]:
    """Folders above what is protected, mounted on themselves: a mount point cannot be renamed out of the way.

    Without this `mv ~/.config x; mkdir -p ~/.config/systemd/user` would go around the read-only folder.
    """
    above = {ancestor for mount in sights if mount.how != "link" for ancestor in _ancestors(mount.path)}
    return [
        Mount("writable", folder)
        for folder in above
        if folder != "/" and not folder.startswith("/run") and world.writable(os.path.dirname(folder))
    ]


def _ancestors(path: str) -> list[str]:
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))]


def _swallowed(mount: Mount, hidden: Sequence[Mount], kept: Sequence[Mount]) -> bool:
    """Whether it lies inside something hidden, where only what is kept belongs."""
    return mount not in kept and any(_inside(mount.path, outer.path) for outer in hidden if outer.path != mount.path)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _real(world: World, path: str) -> str:
    real = world.real(path)
    assert real is not None, f"{path} is made before its fence"
    return real


def _check_reach(room: Room, world: World, hidden: Sequence[Mount]) -> None:
    """What the program needs must not be hidden from it, and where it is, the operator must hear which and why."""
    own = [_real(world, room.own_folder), _real(world, room.channel)]
    needed = {"The working folder": room.cwd, "The program": room.program}
    needed |= {"The interpreter of the node": world.python, "The node's own code": os.path.abspath(__file__)}
    for what, path in needed.items():
        for name in dict.fromkeys((path, world.real(path))):
            outer = next((h.path for h in hidden if name and _inside(name, h.path)), None)
            if outer is not None and not any(_inside(str(name), folder) for folder in own):
                raise Usage(
                    f"{what} {path} lies in {outer}, which the fence hides from every actor.",
                    next="move it elsewhere, or name another folder: netsky agent add NAME --cwd FOLDER -- PROGRAM",
                    code="behind_the_fence",
                )
