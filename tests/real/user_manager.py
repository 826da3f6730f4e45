"""A real systemd of an unprivileged user, on a machine that was not started by systemd.

Root gives it what logind would: a folder under /run/user and a cgroup of its own. That the machine runs systemd is
pretended in a mount namespace of its own (an empty /run/systemd/system), so nobody else sees any of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.real.unprivileged import Unprivileged

START = """
set -e
mount --make-rprivate /
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
mkdir /run/systemd/system
for folder in {cgroups}; do echo $$ > "$folder/cgroup.procs"; done
exec setpriv --reuid {uid} --regid {gid} --clear-groups env -i HOME={home} USER={name} LOGNAME={name} \
    XDG_RUNTIME_DIR=/run/user/{uid} PATH=/usr/bin:/bin SYSTEMD_LOG_TARGET=console {systemd} --user --unit=basic.target
"""


def program() -> str | None:
    return next((path for path in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if os.path.exists(path)), None)


def _cgroups() -> list[Path]:
    """Where systemd looks for its own: one tree, or two on a machine with both versions."""
    top = Path("/sys/fs/cgroup")
    trees = [top] if (top / "cgroup.controllers").exists() else [top / "unified", top / "systemd"]
    return [tree / f"netsky-test-{os.getpid()}" for tree in trees]


@contextmanager
def user_manager(user: Unprivileged, log: Path) -> Iterator[dict[str, str]]:
    """The variables with which the user's `systemctl --user` finds it. Skips, with the reason, where it cannot run."""
    systemd = program()
    if systemd is None or shutil.which("setpriv") is None or shutil.which("unshare") is None:
        pytest.skip("there is no systemd, setpriv or unshare here")
    runtime = Path(f"/run/user/{user.uid}")
    cgroups = _cgroups()
    process = None
    try:
        try:
            for folder in cgroups:
                folder.mkdir()
                os.chown(folder, user.uid, user.gid)
                for name in ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
                    with suppress(FileNotFoundError):
                        os.chown(folder / name, user.uid, user.gid)
        except OSError as error:
            pytest.skip(f"no cgroup can be made here for a systemd of its own: {error}")
        runtime.mkdir(parents=True, mode=0o700)
        os.chown(runtime, user.uid, user.gid)
        facts = {"uid": user.uid, "gid": user.gid, "home": user.home, "name": user.name, "systemd": systemd}
        script = START.format(cgroups=" ".join(map(str, cgroups)), **facts)
        with log.open("wb") as output:
            process = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=output, stderr=output)
        found = {"XDG_RUNTIME_DIR": str(runtime)}
        if not _answers(user, found, process):
            pytest.skip(f"a systemd of its own does not run here: {log.read_text()[-500:]}")
        yield found
    finally:
        if process is not None:
            process.terminate()  # it stops what it runs
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        _remove(cgroups)


def _answers(user: Unprivileged, env: dict[str, str], process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        if user.run(["systemctl", "--user", "show", "--property=Version"], env=env).returncode == 0:
            return True
        time.sleep(0.1)
    return False


def _remove(cgroups: list[Path]) -> None:
    until = time.monotonic() + 5
    for folder in cgroups:
        for above, _, _ in os.walk(folder, topdown=False):
            while Path(above).exists() and time.monotonic() < until:
                try:
                    os.rmdir(above)
                except OSError:  # a process of it is still ending
                    time.sleep(0.05)
