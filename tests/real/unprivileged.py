"""A throw-away user without any right, and an interpreter with our packages that this user can read.

Only root can make one. The interpreter of the tests may lie where nobody else may look, so a copy is made of hard
links, which costs no space and under a second.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("envelope", "mesh", "relay", "node")
NOT_NEEDED = frozenset(
    {
        *(
            "test",
            "tests",
            "idlelib",
            "tkinter",
            "turtledemo",
            "lib2to3",
            "ensurepip",
            "site-packages",
            "dist-packages",
        ),
        *("mypy", "mypyc", "ruff", "pip", "uv", "hypothesis", "_pytest", "pytest", "setuptools", "pkg_resources"),
        *("pygments", "rich", "hatchling", "pydoc_data", "netsky_mesh.pth", "a1_coverage.pth", "librt", "unittest"),
    }
)


@dataclass(frozen=True)
class Unprivileged:
    """The user, and how to run things as this user."""

    name: str
    uid: int
    gid: int
    home: Path
    python: Path
    environ: dict[str, str]

    def popen(self, argv: list[str], **more: Any) -> subprocess.Popen[Any]:
        environ = self.environ | more.pop("env", {})
        return subprocess.Popen(
            argv, user=self.uid, group=self.gid, extra_groups=[], env=environ, cwd=more.pop("cwd", self.home), **more
        )

    def run(self, argv: list[str], *, timeout: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
        process = self.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def processes(self) -> list[str]:
        """Command lines of all that runs as this user."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if folder.stat().st_uid == self.uid or f"\t{self.uid}\t" in (folder / "status").read_text():
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    if command:  # a zombie has none
                        found.append(f"{folder.name} {command}")
            except OSError:
                continue
        return found


@contextmanager
def unprivileged_user() -> Iterator[Unprivileged]:
    """Made by root, removed afterwards with all that runs as it. Skips, in CI fails, where that cannot be."""
    reason = None
    if sys.platform != "linux":
        reason = "there is no fence on this system"
    elif os.getuid() != 0:
        reason = "only root can make a user for this"
    elif shutil.which("useradd") is None:
        reason = "there is no useradd"
    if reason is not None:
        if os.environ.get("CI") == "true" and sys.platform == "linux":
            pytest.fail(f"in CI this test must run: {reason}")
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="netsky-user-", dir="/tmp"))
    name = f"netsky{os.getpid()}"
    home = Path("/home") / name
    subprocess.run(["useradd", "--create-home", "--home-dir", str(home), "--shell", "/bin/sh", name], check=True)
    uid, gid = (int(subprocess.check_output(["id", flag, name])) for flag in ("-u", "-g"))
    try:
        folder.chmod(0o755)
        python, environ = readable_interpreter(folder)
        environ |= {"HOME": str(home), "USER": name, "LOGNAME": name, "LANG": "C.UTF-8"}
        environ["PATH"] = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        yield Unprivileged(name, uid, gid, home, python, environ)
    finally:
        subprocess.run(["userdel", "--force", "--remove", name], check=False, capture_output=True)
        for path in (folder, Path(f"/tmp/tmux-{uid}"), Path(f"/run/user/{uid}")):
            shutil.rmtree(path, ignore_errors=True)


def readable_interpreter(folder: Path) -> tuple[Path, dict[str, str]]:
    """A copy of this interpreter with what we depend on and with our packages, and the variables that it needs."""
    base = Path(os.path.realpath(sys.executable))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / version
    python.parent.mkdir()
    _link(str(base), str(python))
    _copy(Path(sysconfig.get_path("stdlib")), folder / "lib" / version)
    for library in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
        _link(str(library), str(folder / "lib" / library.name))
    packages = folder / "packages"
    _copy(Path(sysconfig.get_path("purelib")), packages)
    if sysconfig.get_path("platlib") != sysconfig.get_path("purelib"):
        _copy(Path(sysconfig.get_path("platlib")), packages)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, packages / "netsky" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for above, _, names in os.walk(folder):
        os.chmod(above, 0o755)
        if above.startswith(f"{packages}/netsky"):  # copies; everything else shares its mode with the original
            for name in names:
                os.chmod(os.path.join(above, name), 0o644)
    return python, {"PYTHONPATH": str(packages), "LD_LIBRARY_PATH": str(folder / "lib"), "PYTHONNOUSERSITE": "1"}


def _copy(source: Path, target: Path) -> None:
    def ignore(_: str, names: list[str]) -> set[str]:
        return {name for name in names if name in NOT_NEEDED or name.startswith(("config-", "__editable__"))}

    shutil.copytree(source, target, ignore=ignore, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> str:
    try:
        os.link(os.path.realpath(source), target)
        if not os.stat(target).st_mode & 0o004:  # a link shares its mode with the original: that one is not ours
            os.unlink(target)
            shutil.copy2(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
