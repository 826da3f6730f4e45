"""Puts up the mounts of a fence where bubblewrap is missing, gives up every right to undo them, then runs the rest.

Run as a script, as process 1 of new user, mount and PID namespaces with all capabilities of the new user namespace:
`unshare ... python -I -S mounts.py PLAN... -- PROGRAM...`. PLAN are four words for each mount, kind, path, target and
size, as `fence.py` made them. It imports nothing of ours, and little else: it stands in front of every program.
"""

from __future__ import annotations

import _socket
import ctypes
import fcntl
import os
import struct
import sys

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_SLAVE = 2, 4, 8, 4096, 16384, 1 << 19
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY, SYS_MOUNT_SETATTR = -100, 0x8000, 1, 442
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
CAPABILITY_VERSION_3 = 0x20080522
CAPABILITIES_MAX = 64

MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
SIOCSIFFLAGS, IFF_UP_AND_RUNNING = 0x8914, 0x41
OLD_ROOT = "/.outside"
CHANGES_THE_MACHINE = ("sys", "sysrq-trigger", "irq", "bus")
"""Of /proc: who is root outside may write there without any capability, and so change the kernel for all."""

LIBC = ctypes.CDLL(None, use_errno=True)


def check(result: int, doing: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = [word.encode() for word in (source, target, kind, data)]
    check(LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount {kind} on {target}")


def read_only(path: str, flags: int = AT_RECURSIVE) -> None:
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
    check(LIBC.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, attributes, 32), f"make {path} read-only")


def make_target(path: str, folder: bool) -> None:
    """A place to mount on, inside one of our own empty folders; elsewhere it is there already."""
    if os.path.lexists(path):
        return
    os.makedirs(path if folder else os.path.dirname(path), mode=0o755, exist_ok=True)
    if not folder:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def bind(descriptor: int, path: str) -> None:
    source = f"/proc/self/fd/{descriptor}"
    make_target(path, os.path.isdir(source))
    mount(source, path, "none", MS_BIND | MS_REC)


def own_devices(path: str, sources: dict[str, int]) -> None:
    """A small /dev: no disk, no terminal of anybody else, shared memory and pseudo terminals of its own."""
    mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755")
    for name, descriptor in sources.items():
        bind(descriptor, f"{path}/{name}")
    os.mkdir(f"{path}/shm", 0o1777)
    mount("tmpfs", f"{path}/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    os.mkdir(f"{path}/pts", 0o755)
    mount("devpts", f"{path}/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    os.symlink("pts/ptmx", f"{path}/ptmx")
    os.symlink("/proc/self/fd", f"{path}/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{path}/{name}")


def own_processes(closed: bool) -> None:
    """A /proc of the new PID namespace, in which nothing can be set."""
    os.makedirs("/proc", mode=0o755, exist_ok=True)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if closed:
        nothing_further()
    for name in CHANGES_THE_MACHINE:
        path = f"/proc/{name}"
        if os.path.exists(path):
            mount(path, path, "none", MS_BIND | MS_REC)
            read_only(path)


def empty_root() -> None:
    """An empty folder in place of everything; the old root hangs in it until `forget_old_root`."""
    mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")  # /proc is there, whatever else is not
    os.mkdir("/proc" + OLD_ROOT)
    call = SYS_PIVOT_ROOT[os.uname().machine]
    check(LIBC.syscall(call, b"/proc", b"/proc" + OLD_ROOT.encode()), "begin with an empty root")
    os.chdir("/")


def forget_old_root() -> None:
    check(LIBC.umount2(OLD_ROOT.encode(), MNT_DETACH), "let go of the old root")
    os.rmdir(OLD_ROOT)


def nothing_further() -> None:
    """Whoever is inside can make no user namespace, and the loopback of its own network is up."""
    most = os.open("/proc/sys/user/max_user_namespaces", os.O_WRONLY)  # plain calls: a codec would be loaded by path
    os.write(most, b"0")
    os.close(most)
    plug = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    fcntl.ioctl(plug.fileno(), SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP_AND_RUNNING))
    plug.close()


def put_up(plan: list[tuple[str, str, str, int]]) -> None:
    closed = any(kind == "root" for kind, *_ in plan)
    mount("none", "/", "none", MS_SLAVE | MS_REC)
    # All sources are opened first: a later mount hides what an earlier one is made of.
    sources = {path: os.open(path, os.O_PATH) for kind, path, *_ in plan if kind in {"writable", "read_only"}}
    nothing = os.open("/dev/null", os.O_PATH)
    devices = {
        name: os.open(f"/dev/{name}", os.O_PATH)
        for kind, _, names, _ in plan
        if kind == "devices"
        for name in names.split()
        if os.path.exists(f"/dev/{name}")
    }
    if closed:
        empty_root()
        own_processes(closed)  # the kernel gives one only to whoever still sees the old one
    for kind, path, target, size in plan:
        if kind not in {"root", "seal"}:
            put_up_one(kind, path, target, size, (sources, nothing, devices))
    if closed:
        forget_old_root()  # not before: nothing can be bound from a root that was let go of
    else:
        own_processes(closed)
    for kind, path, *_ in plan:
        if kind == "seal":
            read_only(path, 0)
    for descriptor in (nothing, *sources.values(), *devices.values()):
        os.close(descriptor)


Opened = tuple[dict[str, int], int, dict[str, int]]


def put_up_one(kind: str, path: str, target: str, size: int, opened: Opened) -> None:
    sources, nothing, devices = opened
    if kind == "empty":
        make_target(path, folder=True)
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={target}" + (f",size={size}" if size else ""))
    elif kind == "masked":
        bind(nothing, path)
    elif kind == "link":
        os.symlink(target, path)
    elif kind == "devices":
        make_target(path, folder=True)
        own_devices(path, devices)
    else:
        bind(sources[path], path)
        if kind == "read_only":
            read_only(path)


def give_up_rights() -> None:
    """After this nothing here can mount or unmount, in this user namespace or by running a set-uid program."""
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")
    check(LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "drop ambient capabilities")
    for number in range(CAPABILITIES_MAX):
        LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)  # fails for numbers that this kernel does not know
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    check(LIBC.capset(header, (ctypes.c_uint32 * 6)()), "drop capabilities")


def main(arguments: list[str]) -> None:
    plan, at = [], 0
    while arguments[at] != "--":
        kind, path, target, size = arguments[at : at + 4]
        plan.append((kind, path, target, int(size)))
        at += 4
    argv = arguments[at + 1 :]
    assert argv
    here = os.getcwd()
    try:
        put_up(plan)
        give_up_rights()
        os.chdir(here)  # through the new mounts, not beneath them
        os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as e:
        sys.exit(f"the fence could not be put up: {e}")


if __name__ == "__main__":
    main(sys.argv[1:])
