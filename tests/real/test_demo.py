"""`netsky demo` as a person runs it: what it finds, and that nothing of it stays, wherever it is interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

pytestmark = pytest.mark.real

NETSKY = (sys.executable, "-m", "netsky.node.cli.main")
SCHEMA = json.loads((Path(str(resources.files("netsky.node"))) / "schemas" / "demo.json").read_text())
SECONDS = 120
"""A loaded machine takes twice as long as an idle one, and is no fault of the demo's."""


class Place:
    """A TMPDIR of its own, and a folder for the sockets of homes whose paths are too long for them."""

    def __init__(self, tmp: Path, runtime: Path) -> None:
        self.tmp = tmp
        self.runtime = runtime
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NETSKY_")}
        self.user = tmp.parent / "user"
        self.user.mkdir()
        self.environ = kept | {"TMPDIR": str(tmp), "XDG_RUNTIME_DIR": str(runtime), "HOME": str(self.user)}

    def run(self, *words: str) -> Any:
        """The data of a command that succeeds."""
        done = subprocess.run(
            [*NETSKY, "--json", *words], env=self.environ, capture_output=True, text=True, check=False, timeout=SECONDS
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        answer = json.loads(done.stdout)
        if words[0] == "demo":
            jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(answer)
        return answer["data"]

    def interrupted(self, number: signal.Signals, *, says: str, runs: str = "", group: bool) -> tuple[int, str]:
        """The demo, told to end once it said this and a command of it runs: its exit code, and what is on stderr."""
        with tempfile.TemporaryFile("w+") as stderr:
            demo = subprocess.Popen(
                [*NETSKY, "demo"],
                env=self.environ, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True,
            )  # fmt: skip
            with demo:
                assert demo.stdout is not None
                try:
                    assert any(says in line for line in demo.stdout), "the demo ended before it came so far"
                    while not any(runs in command for command in self.processes().values()):
                        assert demo.poll() is None, "the demo ended before it came so far"
                    (os.killpg if group else os.kill)(demo.pid, number)
                    demo.stdout.read()
                    code = demo.wait(timeout=SECONDS)
                finally:
                    demo.kill()
            stderr.seek(0)
            return code, stderr.read()

    def processes(self) -> dict[int, str]:
        """Whoever was started by the demo, or works in its folder, and still runs."""
        inherited, folder = f"TMPDIR={self.tmp}\0", f"{self.tmp}/netsky-demo-"
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
                environ = (entry / "environ").read_bytes().decode(errors="replace")
                works_in = os.readlink(entry / "cwd")
            except OSError:
                continue  # it ended, or is not ours
            if inherited in environ or folder in command or works_in.startswith(folder):
                found[int(entry.name)] = command
        return found

    def left(self) -> tuple[list[str], list[str], dict[int, str]]:
        """What is still there. A daemon lets go of its home a moment before it ends: that moment is waited for."""
        limit = time.monotonic() + 5
        while (running := self.processes()) and time.monotonic() < limit:
            time.sleep(0.02)
        made = [name for folder in (self.runtime, self.user) for name in sorted(os.listdir(folder))]
        return sorted(os.listdir(self.tmp)), made, running


NOTHING: tuple[list[str], list[str], dict[int, str]] = ([], [], {})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    runtime = Path(tempfile.mkdtemp(prefix="demo-", dir="/tmp"))  # short: it is not used if it is not
    (tmp_path / "tmp").mkdir()
    made = Place(tmp_path / "tmp", runtime)
    yield made
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(runtime)


def test_the_demo_counts_every_word_though_a_node_is_killed_and_leaves_nothing(place: Place) -> None:
    place.tmp /= "long" * 25  # so that sockets had to lie elsewhere: they are removed too
    place.tmp.mkdir()
    place.environ["TMPDIR"] = str(place.tmp)
    found = place.run("demo")
    assert (found["words"], found["homes"]) == (found["expected"], None)
    assert 0 < found["open_when_killed"] < 4, "it is killed in the middle of its four briefs"
    assert found["plan"]["commits"] == 6
    assert found["plan"]["again"] == {"gulls": ["exit_1"], "shore": ["node_died"]}
    assert found["plan"]["said"] == "60 words"
    assert place.left() == NOTHING


@pytest.mark.parametrize(
    ("says", "runs", "number"),
    [
        ("netsky0$ netsky up", "", signal.SIGINT),
        # It serves nobody yet: whoever started it must not die now.
        ("netsky0$ netsky up", "netsky.node.daemon --home", signal.SIGTERM),
        ("netsky1$ netsky join", "/netsky1 join", signal.SIGINT),
        ("hands a brief for each file", "", signal.SIGTERM),
        ("$ kill -9", "", signal.SIGINT),
        ("netsky0$ netsky wait reply", "wait reply", signal.SIGTERM),
        ("netsky0$ netsky nodes", "/netsky1 down", signal.SIGINT),
    ],
    ids=["before a daemon", "as one starts", "joining", "at work", "one killed", "waiting", "cleaning up"],
)
def test_a_demo_that_is_interrupted_leaves_nothing(place: Place, says: str, runs: str, number: signal.Signals) -> None:
    # A terminal's Ctrl-C goes to everybody in its foreground, a service manager's SIGTERM to the process it knows.
    code, stderr = place.interrupted(number, says=says, runs=runs, group=number == signal.SIGINT)
    assert (code, stderr) == (128 + number, "")
    assert place.left() == NOTHING


def test_a_kept_demo_is_a_mesh_like_any_other(place: Place) -> None:
    found = place.run("demo", "--keep")
    homes: dict[str, str] = found["homes"]
    assert list(homes) == ["netsky0", "netsky1", "netsky2"]
    try:
        for name, home in homes.items():
            assert Path(home).is_relative_to(place.tmp)
            status = place.run("--home", home, "status")
            assert (status["name"], status["home"], status["ready"]) == (name, home, True)
            assert "agent0" in {actor["name"] for actor in status["actors"]}
        assert place.run("--home", homes["netsky0"], "trace", found["request"])["id"] == found["request"]
        assert place.run("--home", homes["netsky2"], "trace", found["traced"])["outcome"] == "delivered"
    finally:
        for home in homes.values():
            place.run("--home", home, "down")
        shutil.rmtree(Path(homes["netsky0"]).parent)
    assert place.left()[2] == {}
