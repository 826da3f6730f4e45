"""deploy/install.sh with a wheel and an empty HOME: once, twice, over a broken one, and over what is not its own.

The packages that netsky needs are not fetched again: pip is told by its own variables to leave them out, and the
environment of the tests lends them where a node is started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "install.sh"

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=300)
    [found] = folder.glob("*.whl")
    return found


class Person:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.link = home / ".local/bin/netsky"
        self.prefix = home / ".local/share/netsky"
        self.environ = {
            "HOME": str(home),
            "PATH": f"{home}/.local/bin:/usr/local/bin:/usr/bin:/bin",
            "NETSKY_PYTHON": sys.executable,
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
        }

    def install(self, *words: str, exit: int = 0, **more: str) -> str:  # noqa: A002
        done = subprocess.run(
            ["/bin/sh", str(SCRIPT), *words], env=self.environ | more, cwd=self.home,
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == exit, done
        assert done.stdout == ""
        return done.stderr

    def netsky(self, *words: str) -> str:
        lent = {"PYTHONPATH": sysconfig.get_path("purelib")}
        done = subprocess.run(
            ["netsky", *words], env=self.environ | lent, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done
        return done.stdout

    @property
    def environments(self) -> list[str]:
        return sorted(path.name for path in self.prefix.glob("venv-*"))


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    home = tmp_path / "a home"
    home.mkdir()
    yield Person(home)
    shutil.rmtree(home)


def changed(wheel: Path, folder: Path, old: bytes, new: bytes, name: str = "netsky/node/cli/main.py") -> Path:
    """The same wheel with something else in one of its files."""
    folder.mkdir()
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(folder / wheel.name, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename == name:
                assert old in data
                data = data.replace(old, new)
            target.writestr(entry, data)
    return folder / wheel.name


def test_a_wheel_is_installed_into_an_empty_home_and_twice_is_once(person: Person, wheel: Path) -> None:
    said = person.install(str(wheel))
    assert "netsky init" in said
    assert "export PATH" not in said
    assert person.netsky("--version").startswith("netsky ")
    [environment] = person.environments
    again = person.install(os.path.relpath(wheel, person.home))
    assert "already" in again
    assert person.environments == [environment]
    person.netsky("init")
    person.netsky("up")
    try:
        assert '"ready": true' in person.netsky("--json", "status").replace('"ready":true', '"ready": true')
    finally:
        person.netsky("down")


def test_an_upgrade_moves_the_link_and_keeps_the_one_before(person: Person, wheel: Path, tmp_path: Path) -> None:
    person.install(str(wheel))
    seen = [os.readlink(person.link)]
    for turn in ("second", "third"):
        newer = changed(wheel, tmp_path / turn, b"The command `netsky`", f"The {turn} command `netsky`".encode())
        assert "netsky restart" in person.install(str(newer))
        seen.append(os.readlink(person.link))
    assert len(set(seen)) == 3
    assert person.environments == sorted(Path(path).parts[-3] for path in seen[1:])
    assert os.readlink(person.prefix / "before") == str(Path(seen[1]).parents[1])
    person.netsky("--version")


def test_a_new_one_that_does_not_start_changes_nothing(person: Person, wheel: Path, tmp_path: Path) -> None:
    person.install(str(wheel))
    before, environments = os.readlink(person.link), person.environments
    broken = changed(wheel, tmp_path / "broken", b"from __future__ import annotations", b"raise SystemExit(1)")
    assert "nothing was changed" in person.install(str(broken), exit=1)
    assert (os.readlink(person.link), person.environments) == (before, environments)
    no_wheel = tmp_path / "netsky_mesh-9-py3-none-any.whl"
    no_wheel.write_bytes(b"this is no wheel")
    assert "could not be installed" in person.install(str(no_wheel), exit=1)
    assert (os.readlink(person.link), person.environments) == (before, environments)
    person.netsky("--version")


def test_what_it_did_not_make_is_left_alone(person: Person, wheel: Path) -> None:
    person.link.parent.mkdir(parents=True)
    person.link.write_text("mine")
    assert "move it away" in person.install(str(wheel), exit=1)
    assert person.link.read_text() == "mine"
    person.link.unlink()
    person.link.symlink_to("/bin/true")
    assert "/bin/true" in person.install(str(wheel), exit=1)
    assert os.readlink(person.link) == "/bin/true"
    assert person.environments == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("/nowhere/netsky.whl",), "there is no file /nowhere/netsky.whl"),
        (("http://example.org/netsky.whl",), "https://"),
        (("--help",), "no option"),
        (("a", "b"), "one wheel"),
    ],
)
def test_what_was_typed_wrong_is_said(person: Person, words: tuple[str, ...], said: str) -> None:
    told = person.install(*words, exit=1)
    assert said in told
    assert "next: " in told
    assert not person.prefix.exists()


def test_a_python_that_is_too_old_is_said(person: Person, wheel: Path) -> None:
    """The only ones on this PATH answer as an old one would."""
    tools = person.home / "tools"
    tools.mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        (tools / name).write_text("#!/bin/sh\nexit 1\n")
        (tools / name).chmod(0o755)
    for name in ("dirname", "basename", "grep"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    told = person.install(str(wheel), exit=1, PATH=str(tools), NETSKY_PYTHON="")
    assert "no Python 3.11 or later" in told


def test_the_path_is_mentioned_where_it_lacks_the_folder(person: Person, wheel: Path) -> None:
    assert "export PATH" in person.install(str(wheel), PATH="/usr/local/bin:/usr/bin:/bin")
