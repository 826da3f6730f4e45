"""The wheel in an environment of its own: what somebody has who installed it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*argv: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done


def install_wheel(folder: Path) -> Path:
    """The folder of the programs of an environment in which only the wheel was installed."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"), cwd=ROOT)
    [wheel] = (folder / "dist").glob("netsky_mesh-*.whl")
    environment = folder / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", str(environment), cwd=folder)
    # Its dependencies come from this environment by a path line, which does not bring this checkout along.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (environment / "lib" / version / "site-packages" / "deps.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ("install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel))
    run(sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), *install, cwd=folder)
    return environment / "bin"


def own_packages(folder: Path) -> Path:
    """A project with packages of the names of ours."""
    for name in ("envelope", "mesh", "node", "relay"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text('OURS = "the project\'s own"\n')
    return folder
