"""install, status, uninstall, up, down, restart and doctor with a service manager that starts real nodes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from netsky.node import up as plain
from netsky.node.errors import NetskyError, Unreachable
from netsky.node.home import Home
from netsky.node.init import init_home
from netsky.node.seams.real import RealChance, RealTime
from netsky.node.seams.real_files import RealFiles
from netsky.node.service import here
from netsky.node.service.check import findings
from netsky.node.service.manager import Manager, Running, State
from netsky.node.service.recipe import Recipe
from netsky.node.service.unit import heart_timer_text, unit_text

from tests.node.cli.conftest import Ran, Run
from tests.node.cli.test_real_node import validator

pytestmark = pytest.mark.real


@dataclass
class Keeper:
    """Knows the file and starts nodes as `netsky up` would; the rest of a service manager is a few words."""

    file: str
    home: Home
    kind: str = "systemd"
    name: str = "netsky.service"
    loaded: bool = False
    away: bool = False
    verdict: State | None = None
    heard: list[str] = field(default_factory=list)
    timer: str = "inactive"

    def heart(self, recipe: Recipe) -> dict[str, str]:
        return {self.file.replace(".service", "-heart.timer"): heart_timer_text(recipe, "netsky-heart.timer")}

    def heart_state(self) -> str:
        return "" if self.timer == "active" else self.timer

    def text(self, recipe: Recipe) -> str:
        return unit_text(recipe, self.name)

    def reach(self) -> None:
        if self.away:
            raise Unreachable("no systemd of ada runs", next="log in", code="no_service_manager")

    def load(self) -> None:
        self.heard.append("load")
        self.loaded = True
        self.timer = "active"

    def unload(self) -> None:
        self.timer = "inactive"
        self.stop()
        self.loaded = False

    def forget(self) -> None:
        assert not os.path.exists(self.file)
        self.heard.append("forget")

    def start(self, seconds: float) -> None:
        self.heard.append("start")
        self.verdict = None
        plain.up(self.home, timeout=seconds)

    def stop(self) -> None:
        self.heard.append("stop")
        plain.down(self.home)

    def state(self) -> State:
        if self.verdict is not None:
            return self.verdict
        serves: Running = "running" if "start" in self.heard and plain.running_pid(self.home) else "stopped"
        return State(serves if self.loaded else "not loaded")


@pytest.fixture
def keeper(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    shutil.rmtree(home)
    made = Home.find(str(home))
    init_home(made, RealFiles(), RealChance(), RealTime(), root=False)
    found = Keeper(str(tmp_path / "units" / "netsky.service"), made)

    def manager_of(_: Home) -> Manager:
        return found

    started: list[int] = []
    really_start = plain._start

    def start(home: Home, timeout: float) -> int:
        started.append(really_start(home, timeout))
        return started[-1]

    monkeypatch.setattr(here, "manager_of", manager_of)
    monkeypatch.setattr(plain, "_start", start)
    yield found
    plain.down(made)
    for pid in started:  # children of this process: nobody else takes their last word
        os.waitpid(pid, 0)


def answer(ran: Ran) -> dict[str, object]:
    assert ran.code == 0, ran
    validator(ran.json["schema"].removeprefix("netsky.").removesuffix("/1")).validate(ran.json)
    found: dict[str, object] = ran.json["data"]
    return found


def test_the_life_of_a_service(keeper: Keeper, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = answer(run("--json", "up"))
    assert beside["service"] is None
    first = answer(run("--json", "service", "install"))
    assert (first["change"], first["taken_over"], first["differences"]) == ("installed", True, [])
    assert first["pid"] != beside["pid"]
    again = run("service", "install")
    assert "as it was" in again.out
    assert [finding.level for finding in findings(keeper.home)] == ["ok"]
    said = run("service", "status").out
    assert "running; the node answers" in said
    assert "second heart: beats" in said
    assert answer(run("--json", "service", "beat"))["word"] == "well"

    monkeypatch.setenv("PATH", f"{keeper.home.path}:{os.environ['PATH']}")
    warned = run("doctor")
    assert f"PATH: this shell looks into {keeper.home.path}, the service does not" in warned.out
    updated = run("service", "install")
    assert "updated" in updated.out
    assert "  new    PATH: this shell looks into" in updated.out
    assert "netsky restart" in updated.err
    assert keeper.heard.count("start") == 1

    assert "run by netsky.service)\n" in run("restart").out
    assert keeper.heard[-2:] == ["stop", "start"]
    down = run("down")
    assert "netsky service uninstall" in down.err
    assert answer(run("--json", "up", "1"))["added"] == ["agent1"]
    assert run("up").out.startswith("the node runs already")

    gone = run("service", "uninstall")
    assert (gone.code, keeper.heard[-1]) == (0, "forget")
    assert os.listdir(os.path.dirname(keeper.file)) == []
    assert os.path.exists(keeper.home.node_key)
    assert answer(run("--json", "service", "status"))["installed"] is False
    assert answer(run("--json", "service", "uninstall"))["already"] is True


def test_a_manager_that_cannot_be_reached_changes_nothing_and_is_said(keeper: Keeper, run: Run) -> None:
    keeper.away = True
    ran = run("service", "install")
    assert ran.code == 4
    assert "next: log in" in ran.err
    assert not os.path.exists(keeper.file)
    keeper.away = False
    run("service", "install")
    keeper.away = True
    assert "cannot be seen" in run("service", "status").out
    assert run("restart").code == 4
    assert plain.running_pid(keeper.home) is not None
    assert answer(run("--json", "up"))["service"] is None
    down = run("down")
    assert down.code == 0
    assert "was not told: no systemd of ada runs" in down.err
    assert run("up").code == 4


@pytest.mark.parametrize(
    ("verdict", "level", "said"),
    [
        (State("failed", 3, "the disk failed"), "fail", "gave up: the disk failed"),
        (State("not loaded"), "fail", "does not know"),
        (State("waits", 1, "it was killed"), "warn", "will be started again: it was killed"),
        (State("stopped"), "warn", "runs beside its service"),
    ],
)
def test_what_the_manager_says_becomes_a_finding(
    keeper: Keeper,
    run: Run,
    verdict: State,
    level: str,
    said: str,
) -> None:
    run("service", "install")
    keeper.verdict = verdict
    (found,) = findings(keeper.home)
    assert found.level == level
    assert said in found.sentence
    assert found.next.startswith("netsky ")


def test_a_file_that_a_hand_or_another_version_changed_is_noticed(keeper: Keeper, run: Run) -> None:
    run("service", "install")
    file = Path(keeper.file)
    file.write_text(file.read_text().replace("KillMode=mixed", "KillMode=process"))
    assert any("changed by hand" in finding.sentence for finding in findings(keeper.home))
    assert answer(run("--json", "service", "install"))["change"] == "updated"
    assert "KillMode=mixed" in file.read_text()
    file.write_text("[Service]\n")
    assert [finding.level for finding in findings(keeper.home)] == ["warn"]
    assert run("service", "install").code == run("service", "uninstall").code == 7
    file.unlink()
    file.symlink_to("nowhere")
    assert [finding.level for finding in findings(keeper.home)] == ["fail"]


def test_a_second_heart_that_is_missing_or_does_not_beat_is_noticed_and_put_right(keeper: Keeper, run: Run) -> None:
    run("service", "install")
    (timer,) = keeper.heart(here.recipe_here(keeper.home))
    Path(timer).unlink()
    assert ["second heart is missing" in found.sentence for found in findings(keeper.home)] == [True]
    made = answer(run("--json", "service", "install"))
    assert (made["change"], made["restart_needed"], made["heart"]) == ("updated", False, [timer])
    keeper.timer = "failed"
    assert ["does not run (failed)" in found.sentence for found in findings(keeper.home)] == [True]
    Path(timer).write_text("[Timer]\n")
    assert run("service", "install").code == 7  # somebody else's: it is not ours to replace


def test_a_program_that_is_gone_is_named(keeper: Keeper, run: Run, tmp_path: Path) -> None:
    run("service", "install")
    recipe = here.recipe_here(keeper.home)
    programs = {**recipe.programs, "git": str(tmp_path / "git"), "python": str(tmp_path / "python")}
    older = Recipe(recipe.home, (str(tmp_path / "python"), *recipe.command[1:]), recipe.path, programs)
    here.write_file(keeper, keeper.text(older))
    found = {finding.sentence.partition(":")[0]: finding for finding in findings(keeper.home)}
    assert (found["git"].level, found["python"].level) == ("warn", "fail")
    assert {found["git"].next, found["python"].next} == {"netsky service install"}


def test_install_wants_a_home(keeper: Keeper, run: Run) -> None:
    ran = run("--home", "/nonexistent/home", "service", "install")
    assert ran.code == 3
    assert "netsky" in ran.err


def test_inside_an_actor_the_service_is_refused(
    keeper: Keeper,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NETSKY_SOCKET", "/x")
    monkeypatch.setenv("NETSKY_ACTOR", "worker1")
    for word in ("install", "status", "uninstall"):
        assert "is for the operator" in run("service", word).err


def test_a_shell_bakes_in_absolute_folders_and_what_it_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bwrap, netsky = tmp_path / "bwrap", tmp_path / "netsky"
    for program in (bwrap, netsky):
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    home = Home(str(tmp_path / "home"))
    recipe = here.recipe_here(home, {"PATH": f".:{tmp_path}::{tmp_path}:bin"})
    assert (recipe.path, recipe.programs["bwrap"]) == (str(tmp_path), str(bwrap))
    assert "git" not in recipe.programs
    assert (recipe.command[1:], recipe.no_new_privileges) == (("-m", "netsky.node.cli.main"), True)
    bwrap.chmod(0o4755)
    monkeypatch.setattr("sys.argv", [str(netsky)])
    recipe = here.recipe_here(home, {"PATH": str(tmp_path)})
    assert (recipe.command, recipe.no_new_privileges) == ((str(netsky),), False)
    with pytest.raises(NetskyError):
        here.recipe_here(home, {"PATH": "bin:."})


def test_the_manager_is_that_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    linux = here.manager_of(home, {"XDG_CONFIG_HOME": "/etc/x"})
    assert linux.file == f"/etc/x/systemd/user/{linux.name}"
    assert (
        here.manager_of(Home(str(tmp_path / ".netsky")), {}).file == f"{tmp_path}/.config/systemd/user/netsky.service"
    )
    monkeypatch.setattr("sys.platform", "darwin")
    mac = here.manager_of(home, {})
    assert mac.kind == "launchd"
    assert mac.file == f"{tmp_path}/Library/LaunchAgents/{mac.name}.plist"
    assert here.lingers("ada") is None
    monkeypatch.setattr("sys.platform", "plan9")
    with pytest.raises(NetskyError, match="plan9"):
        here.manager_of(home, {})
    assert here.installed(home) is None
