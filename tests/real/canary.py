"""Runs inside a fence and tries to get out: prints one JSON object, attempt -> [got through, what it got].

Standard library only: it is copied to where the unprivileged user can read it.
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


def connect(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as it:
        it.settimeout(3)
        it.connect(path)
        return "connected"


def ask(path: str, verb: str) -> str:
    with socket.socket(socket.AF_UNIX) as it:
        it.settimeout(10)
        it.connect(path)
        it.sendall(json.dumps({"n": 1, "verb": verb, "args": {}}).encode() + b"\n")
        return it.makefile().readline()[:300].strip()


def read(path: str) -> str:
    with open(path, "rb") as file:
        return f"{len(file.read(64))} bytes read"


def text(path: str) -> str:
    with open(path) as file:
        return file.read()


def listing(path: str, but: tuple[str, ...] = ()) -> str:
    found = [name for name in sorted(os.listdir(path)) if name not in but]
    if not found:
        raise FileNotFoundError("nothing but its own")
    return ", ".join(found)


def write(path: str) -> str:
    with open(path, "a") as file:
        file.write("# here\n")
    return "written"


def make(path: str) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return write(path)


def replace(path: str, by: str) -> str:
    """Moves a folder out of the way and makes another in its place."""
    os.rename(path, path + ".moved")
    try:
        return make(by)
    finally:
        subprocess.run(["rm", "-rf", path], check=False)
        os.rename(path + ".moved", path)


def another(path: str) -> str:
    """Another file in the place of one that is there."""
    os.rename(path, path + ".moved")
    return write(path)


def trace(pid: int) -> str:
    if LIBC.ptrace(PTRACE_ATTACH, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "attached"


def kill(pid: int) -> str:
    os.kill(pid, signal.SIGKILL)
    return "killed"


def others() -> str:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = text(f"/proc/{pid}/cmdline").replace("\0", " ")
        except OSError:
            continue
        if "node.daemon" in command or "netsky-watch" in command:
            found.append(command[:60])
    if not found:
        raise ProcessLookupError("only its own processes")
    return "; ".join(found)


def shell(command: str) -> str:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=5, check=False)
    said = (done.stdout + done.stderr).strip().replace("\n", " ")[:120]
    if done.returncode != 0:
        raise PermissionError(said or f"exit {done.returncode}")
    return said or "done"


def privileges() -> str:
    facts = dict(line.split(":\t", 1) for line in text("/proc/self/status").splitlines() if ":\t" in line)
    if int(facts["CapEff"], 16) == 0 and facts["NoNewPrivs"].strip() == "1":
        raise PermissionError("no capability, no new privileges")
    return f"CapEff {facts['CapEff']} NoNewPrivs {facts['NoNewPrivs']}"


def attempts(told: dict[str, str]) -> dict[str, Callable[[], str]]:
    home, run, daemon = told["home"], told["run"], int(told["daemon"])
    user, uid = os.environ["HOME"], os.getuid()
    above = os.path.dirname(home)
    nested = "unshare --user --map-root-user --mount sh -c "
    return {
        "another actor's socket": lambda: connect(f"{run}/worker2/actor.sock"),
        "operator.sock": lambda: connect(told["operator"]),
        "node.key": lambda: read(f"{home}/node.key"),
        "meta.db": lambda: read(f"{home}/meta.db"),
        "the home's other names": lambda: listing(home, ("channels", "run")),
        "another actor's inbox": lambda: listing(f"{home}/channels/worker2/inbox"),
        "other channels": lambda: listing(f"{home}/channels", (os.environ["NETSKY_ACTOR"],)),
        "replace its own socket": lambda: write(f"{run}/{os.environ['NETSKY_ACTOR']}/x"),
        "ptrace of the daemon": lambda: trace(daemon),
        "kill of the daemon": lambda: kill(daemon),
        "environ of the daemon": lambda: read(f"/proc/{daemon}/environ"),
        "home by the daemon's root": lambda: read(f"/proc/{daemon}/root{home}/node.key"),
        "processes of the node": others,
        "ptrace of process 1": lambda: trace(1),
        "environ of process 1": lambda: read("/proc/1/environ"),
        "descriptors of process 1": lambda: os.readlink("/proc/1/fd/2"),
        "undo the hiding in a namespace": lambda: shell(f"{nested}'umount {home} && cat {home}/node.key'"),
        "look beneath by a bind mount": lambda: shell(
            f"mkdir -p {user}/m && {nested}'mount --bind {above} {user}/m && cat {user}/m/node/node.key'"
        ),
        "look beneath by an overlay": lambda: shell(
            f"mkdir -p {user}/m {user}/u {user}/w && {nested}'mount -t overlay o -o lowerdir={above},"
            f"upperdir={user}/u,workdir={user}/w {user}/m && cat {user}/m/node/node.key'"
        ),
        "write ~/.bashrc": lambda: write(f"{user}/.bashrc"),
        "put another ~/.bashrc there": lambda: another(f"{user}/.bashrc"),
        "write ~/.ssh/authorized_keys": lambda: make(f"{user}/.ssh/authorized_keys"),
        "put another ~/.ssh there": lambda: replace(f"{user}/.ssh", f"{user}/.ssh/authorized_keys"),
        "write a user unit": lambda: make(f"{user}/.config/systemd/user/x.service"),
        "put another ~/.config there": lambda: replace(f"{user}/.config", f"{user}/.config/systemd/user/x.service"),
        "crontab": lambda: shell("echo '* * * * * true' | crontab -"),
        "write a crontab file": lambda: make(f"/var/spool/cron/crontabs/{os.environ['USER']}"),
        "tmux socket": lambda: connect(f"/tmp/tmux-{uid}/default"),
        "tmux": lambda: shell(f"tmux -S /tmp/tmux-{uid}/default run-shell true"),
        "session bus": lambda: connect(f"/run/user/{uid}/bus"),
        "systemd-run --user": lambda: shell("systemd-run --user --wait true"),
        "docker.sock": lambda: connect("/run/docker.sock"),
        "a socket made in /run later": lambda: connect(told["late"]),
        "rights": privileges,
        "an abstract socket outside": lambda: connect("\0netsky-test-" + str(uid)),
        "make ~/.zshenv (was not there)": lambda: write(f"{user}/.zshenv"),
        "its own socket": lambda: ask(os.environ["NETSKY_SOCKET"], "ping"),
        "its own channel": lambda: write(os.environ["NETSKY_CHANNEL"] + "/outbox/.canary"),
        "the user's files": lambda: write(f"{user}/work.txt"),
        "a pseudo terminal": lambda: str(os.openpty()),
    }


def main() -> None:
    with open(sys.argv[1]) as file:
        told = json.load(file)
    found: dict[str, list[object]] = {}
    for name, attempt in attempts(told).items():
        if name in told.get("skip", ""):
            continue
        try:
            found[name] = [True, attempt()]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the attempt got
            found[name] = [False, str(error) or type(error).__name__]
    with open(told["report"] + ".new", "w") as file:
        file.write(json.dumps(found))
    os.rename(told["report"] + ".new", told["report"])


if __name__ == "__main__":
    main()
