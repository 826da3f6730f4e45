"""Runs in a strict sandbox and tries to get out: prints one JSON object, attempt -> [got through, what it got].

Standard library only: it is copied into the workspace.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH = 16
KEYCTL = {"x86_64": 250}.get(os.uname().machine, 219)
IO_URING_SETUP = 425
AF_VSOCK = 40


def tcp(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=3):
        return "connected"


def udp(host: str, port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.settimeout(1)
        it.sendto(b"anybody?", (host, port))
        return f"answered: {it.recv(64)!r}"


def unix(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as it:
        it.settimeout(3)
        it.connect(path)
        return "connected"


def name_lookup() -> str:
    with open("/etc/resolv.conf") as file:
        servers = [line.split()[1] for line in file if line.startswith("nameserver")]
    return f"knows whom to ask: {servers}"


def read(path: str) -> str:
    with open(path, "rb") as file:
        return f"{len(file.read(64))} bytes read"


def listing(path: str) -> str:
    return ", ".join(sorted(os.listdir(path))) or "an empty folder"


def write(path: str) -> str:
    with open(path, "a") as file:
        file.write("# here\n")
    return "written"


def shell(command: str) -> str:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=5, check=False)
    said = (done.stdout + done.stderr).strip().replace("\n", " ")[:120]
    if done.returncode != 0:
        raise PermissionError(said or f"exit {done.returncode}")
    return said or "done"


def call(number: int, *words: int) -> str:
    if LIBC.syscall(number, *words) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "the kernel obeyed"


def trace(pid: int) -> str:
    if LIBC.ptrace(PTRACE_ATTACH, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "attached"


def kill(pid: int) -> str:
    os.kill(pid, signal.SIGUSR2)
    return "signalled"


def virtual_line() -> str:
    with socket.socket(AF_VSOCK, socket.SOCK_STREAM):
        return "a socket to the host"


def strange_names() -> str:
    """Of the paths to what is shown, the first parts are there."""
    usual = {"bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "tmp", "usr", "gnu", "nix"}
    found = set(os.listdir("/")) - usual
    if not found:
        raise FileNotFoundError("nothing")
    return ", ".join(sorted(found))


def others() -> str:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with open(f"/proc/{pid}/cmdline") as file:
            command = file.read().replace("\0", " ")
        if "cell_driver" in command:
            found.append(command[:60])
    if not found:
        raise ProcessLookupError("only its own processes")
    return "; ".join(found)


def variables() -> str:
    if "NETSKY_TEST_SECRET" in os.environ:
        return os.environ["NETSKY_TEST_SECRET"]
    raise KeyError("only its own variables")


def privileges() -> str:
    with open("/proc/self/status") as file:
        facts = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    if int(facts["CapEff"], 16) == 0 and facts["NoNewPrivs"].strip() == "1" and facts["Seccomp"].strip() == "2":
        raise PermissionError("no capability, no new privileges, fewer system calls")
    return f"CapEff {facts['CapEff'].strip()} NoNewPrivs {facts['NoNewPrivs'].strip()}"


def loopback() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        return tcp("127.0.0.1", server.getsockname()[1])


def attempts(told: dict[str, str]) -> dict[str, Callable[[], str]]:
    home, outside, port = told["home"], int(told["outside"]), int(told["port"])
    nested = "unshare --user --map-root-user "
    return {
        "TCP to a server of this machine": lambda: tcp("127.0.0.1", port),
        "TCP to this machine's address": lambda: tcp(told["address"], port),
        "UDP": lambda: udp("127.0.0.1", port),
        "DNS": name_lookup,
        "a unix socket in /tmp": lambda: unix(told["unix"]),
        "an abstract socket": lambda: unix("\0" + told["abstract"]),
        "AF_VSOCK, to the host of a virtual machine": virtual_line,
        "operator.sock": lambda: unix(f"{home}/operator.sock"),
        "another actor's socket": lambda: unix(f"{home}/run/worker2/actor.sock"),
        "node.key": lambda: read(f"{home}/node.key"),
        "meta.db": lambda: read(f"{home}/meta.db"),
        "config.toml": lambda: read(f"{home}/config.toml"),
        "channels": lambda: listing(f"{home}/channels"),
        "another workspace": lambda: listing(f"{home}/workspaces/other/repo"),
        "all workspaces": lambda: listing(f"{home}/workspaces/other"),
        "node.key by a root of before": lambda: read(f"/.outside{home}/node.key"),
        "node.key by its keeper's root": lambda: read(f"/proc/1/root{home}/node.key"),
        "more in / than there should be": strange_names,
        "the user's home": lambda: read(f"{told['user_home']}/.ssh/id_test"),
        "variables of the node": variables,
        "`.git` of the base, read": lambda: read(f"{told['base']}/HEAD"),
        "`.git` of the base, write": lambda: write(f"{told['base']}/refs/heads/main"),
        "write beside the workspace": lambda: write(f"{os.path.dirname(os.getcwd())}/x"),
        "write into the user's home": lambda: write(f"{told['user_home']}/x"),
        "write into /usr": lambda: write("/usr/x"),
        "write into /etc": lambda: write("/etc/x"),
        "write into /": lambda: write("/x"),
        "write into /dev": lambda: write("/dev/x"),
        "write what it may read": lambda: write(f"{told['readable']}/pointer.txt"),
        "replace its own socket": lambda: write(f"{told['socket']}/x"),
        "ptrace of the node": lambda: trace(outside),
        "environ of the node": lambda: read(f"/proc/{outside}/environ"),
        "processes of the node": others,
        "signal to the node": lambda: kill(outside),
        "ptrace of its keeper": lambda: trace(1),
        "environ of its keeper": lambda: read("/proc/1/environ"),
        "descriptors of its keeper": lambda: os.readlink("/proc/1/fd/2"),
        "a user namespace": lambda: shell(f"{nested} true"),
        "a mount": lambda: shell("mount -t tmpfs none /tmp"),
        "undo a mount": lambda: shell("umount /proc || umount /tmp"),
        "a set-uid program": lambda: shell("echo '* * * * * true' | crontab -"),
        "rights": privileges,
        "keys of the kernel": lambda: call(KEYCTL, 0, -4, 1),
        "io_uring": lambda: call(IO_URING_SETUP, 1, 0),
        "core_pattern": lambda: write("/proc/sys/kernel/core_pattern"),
        "its own workspace": lambda: write("made.txt"),
        "its own scratch": lambda: write(os.environ["TMPDIR"] + "/x"),
        "its own socket": lambda: unix(f"{told['socket']}/actor.sock"),
        "what it may read": lambda: read(f"{told['readable']}/pointer.txt"),
        "its own loopback": loopback,
        "a pseudo terminal": lambda: str(os.openpty()),
        "a child": lambda: shell("true"),
    }


def main() -> None:
    told = json.loads(sys.argv[1])
    found: dict[str, list[object]] = {}
    for name, attempt in attempts(told).items():
        try:
            found[name] = [True, attempt()]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the attempt got
            found[name] = [False, str(error) or type(error).__name__]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
