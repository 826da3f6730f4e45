"""The service for real: a systemd of an unprivileged user runs the unit as it was written, and is asked by the shipped
commands. Where no such systemd can be started (its cgroups need root) these are skipped and say so."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from netsky.node import up
from netsky.node.home import Home
from netsky.node.init import init_home
from netsky.node.seams.real import RealChance, RealTime
from netsky.node.seams.real_files import RealFiles
from netsky.node.service.here import recipe_here
from netsky.node.service.recipe import RESTARTS_MAX
from netsky.node.service.unit import unit_text

from tests.node.cli.test_real_node import validator
from tests.real.unprivileged import Unprivileged, unprivileged_user
from tests.real.user_manager import user_manager

pytestmark = pytest.mark.real

SCRIPT = "#!{python}\nimport sys\nfrom netsky.node.cli.main import main\nsys.exit(main())\n"


def until(told: Callable[[], Any], seconds: float = 20) -> Any:
    limit = time.monotonic() + seconds
    while not (found := told()):
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.05)
    return found


class Person:
    """A user with a shell, a systemd and netsky in ~/.local/bin."""

    def __init__(self, user: Unprivileged, environ: dict[str, str]) -> None:
        self.user = user
        self.environ = environ
        self.path = f"{user.home}/.local/bin:{user.environ['PATH']}"
        self.units = user.home / ".config/systemd/user"
        self.home = user.home / ".netsky"
        self.script(user.home / ".local/bin")

    def script(self, folder: Path) -> str:
        """netsky, as an installer would put it there."""
        file = folder / "netsky"
        self.run("mkdir", "-p", str(folder))
        file.write_text(SCRIPT.format(python=self.user.python))
        file.chmod(0o755)
        return str(file)

    def drop_in(self, unit: str) -> None:
        """What this copy of the interpreter needs, given the way in which a person gives more to a unit."""
        folder = self.units / f"{unit}.d"
        self.run("mkdir", "-p", str(folder))
        needs = [f"{name}={value}" for name, value in self.user.environ.items() if name.startswith(("PYTHON", "LD_"))]
        lines = "\n".join(f'Environment="{need}"' for need in needs)
        (folder / "interpreter.conf").write_text(f"[Service]\n{lines}\n")
        if unit.endswith(".service") and "-heart" not in unit:
            self.drop_in(unit.replace(".service", "-heart.service"))

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return self.user.run(list(argv), env=self.environ | {"PATH": self.path}, timeout=150)

    def netsky(self, *words: str, exit: int = 0) -> Any:  # noqa: A002
        done = self.run("netsky", "--json", *words)
        assert done.returncode == exit, done
        (line,) = [json.loads(line) for line in done.stdout.splitlines()]
        validator(line["schema"].removeprefix("netsky.").removesuffix("/1")).validate(line)
        return line["data" if line["ok"] else "error"]

    def shown(self, unit: str = "netsky.service") -> dict[str, str]:
        done = self.run("systemctl", "--user", "show", unit)
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def kill(self) -> int:
        """kill -9 on the node; gives its pid."""
        pid = int(self.shown()["MainPID"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_for_another(self, pid: int) -> None:
        """Until another node than this one serves."""
        until(lambda: self.shown()["ActiveState"] == "active" and int(self.shown()["MainPID"]) != pid)

    def findings(self) -> list[str]:
        return [finding["sentence"] for finding in self.netsky("service", "status")["findings"]]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    with (
        unprivileged_user() as user,
        user_manager(user, tmp_path_factory.mktemp("systemd") / "log") as environ,
    ):
        yield Person(user, environ)


@pytest.fixture
def service(person: Person) -> Iterator[Person]:
    """With a fresh home and its service."""
    person.netsky("init")
    person.drop_in("netsky.service")
    person.netsky("service", "install")
    yield person
    if (person.units / "netsky.service").exists():
        person.netsky("service", "uninstall")
    person.run("rm", "-rf", str(person.home), str(person.units))


def test_install_starts_a_node_that_serves_and_twice_is_the_same(person: Person) -> None:
    person.netsky("init")
    person.drop_in("netsky.service")
    first = person.netsky("service", "install")
    assert (first["change"], first["manager"], first["taken_over"]) == ("installed", "systemd", False)
    assert person.netsky("status")["pid"] == first["pid"] == int(person.shown()["MainPID"])
    assert person.shown()["StatusText"] == "serving netsky1"
    text = (person.units / "netsky.service").read_text()
    again = person.netsky("service", "install")
    assert (again["change"], again["pid"], again["restart_needed"]) == ("unchanged", first["pid"], False)
    assert (person.units / "netsky.service").read_text() == text
    status = person.netsky("service", "status")
    assert (status["state"], status["installed"], status["pid"]) == ("running", True, first["pid"])
    assert [finding["level"] for finding in status["findings"]] == ["ok"]
    assert person.run("systemctl", "--user", "is-enabled", "netsky.service").stdout.strip() == "enabled"
    assert person.netsky("service", "uninstall")["already"] is False
    assert not (person.units / "netsky.service").exists()
    assert person.netsky("service", "uninstall")["already"] is True
    assert person.shown()["LoadState"] == "not-found"
    person.netsky("status", exit=4)
    assert (person.home / "node.key").exists()
    assert not list(person.units.glob("*.wants/*"))


def test_up_down_and_restart_go_by_the_service(service: Person) -> None:
    down = service.netsky("down")
    assert (down["already"], down["service"]) == (False, "netsky.service")
    assert service.shown()["ActiveState"] == "inactive"
    assert service.netsky("down")["already"] is True
    started = service.netsky("up", "1")
    assert (started["service"], started["added"]) == ("netsky.service", ["agent1"])
    assert int(service.shown()["MainPID"]) == started["pid"]
    assert service.netsky("up")["already"] is True
    again = service.netsky("restart")
    assert again["pid"] != started["pid"]
    assert int(service.shown()["MainPID"]) == again["pid"]


def test_a_killed_node_comes_back_three_times_and_then_stays_down_until_asked(service: Person) -> None:
    for count in range(1, RESTARTS_MAX + 1):
        killed = service.kill()
        service.wait_for_another(killed)
        assert service.netsky("service", "status")["restarts"] == count
    service.kill()
    until(lambda: service.shown()["ActiveState"] == "failed")
    status = service.netsky("service", "status")
    assert (status["state"], status["pid"]) == ("failed", None)
    assert any("gave up" in sentence for sentence in service.findings())
    assert service.run("systemctl", "--user", "start", "netsky-heart.service").returncode != 0  # it can mend nothing
    assert "gave up" in service.netsky("service", "status")["given_up"]
    assert service.netsky("up")["service"] == "netsky.service"
    assert service.netsky("service", "status")["state"] == "running"
    until(lambda: service.netsky("service", "status")["given_up"] is None)


def test_the_second_heart_ends_a_node_that_hangs_and_the_service_runs_it_again(service: Person) -> None:
    assert service.shown("netsky-heart.timer")["ActiveState"] == "active"
    assert service.netsky("service", "status")["heart"] == "beats"
    assert service.netsky("service", "beat")["word"] == "well"
    pid = int(service.shown()["MainPID"])
    sign = service.home / "state" / "tick.json"
    old = json.loads(sign.read_text())
    os.kill(pid, signal.SIGSTOP)
    sign.write_text(json.dumps(old | {"monotonic": old["monotonic"] - 10**12}))
    done = service.run("systemctl", "--user", "start", "netsky-heart.service")
    assert done.returncode == 0, service.run("systemctl", "--user", "status", "netsky-heart.service").stdout
    assert service.shown()["ActiveState"] == "active"
    assert int(service.shown()["MainPID"]) != pid
    (row,) = until(lambda: service.netsky("handoffs")["handoffs"])
    assert (row["actor"], row["by"], row["state"]) == ("node", "the second heart", "proved")
    service.netsky("down")
    assert service.run("systemctl", "--user", "start", "netsky-heart.service").returncode == 0
    assert service.shown()["ActiveState"] == "inactive"  # never against a person


def test_down_is_final_while_a_restart_is_pending(service: Person) -> None:
    service.kill()
    until(lambda: service.shown()["SubState"] == "auto-restart")
    assert service.netsky("service", "status")["state"] == "waits"
    service.netsky("down")
    assert service.shown()["ActiveState"] == "inactive"


def test_an_orderly_end_and_a_database_that_cannot_be_used_are_not_restarted(service: Person) -> None:
    os.kill(int(service.shown()["MainPID"]), signal.SIGTERM)
    until(lambda: service.shown()["ActiveState"] == "inactive")
    for name in ("meta.db-wal", "meta.db-shm"):
        (service.home / name).unlink(missing_ok=True)
    (service.home / "meta.db").write_bytes(b"no database at all" * 1000)
    error = service.netsky("up", exit=1)
    assert error["code"] == "start_failed"
    assert "database" in error["message"]
    shown = service.shown()
    assert (shown["ActiveState"], shown["ExecMainStatus"], shown["NRestarts"]) == ("failed", "78", "0")


def test_a_node_that_runs_already_is_taken_over(person: Person) -> None:
    person.netsky("init")
    beside = person.netsky("up")
    assert beside["service"] is None
    person.drop_in("netsky.service")
    made = person.netsky("service", "install")
    assert made["taken_over"] is True
    assert made["pid"] != beside["pid"]
    person.netsky("service", "uninstall")
    person.run("rm", "-rf", str(person.home), str(person.units))


def test_what_changed_is_said_by_doctor_and_taken_over_by_install(service: Person) -> None:
    elsewhere = service.user.home / "opt"
    service.script(elsewhere)
    before, service.path = service.path, f"{elsewhere}:{service.path}"
    try:
        checks = {check["name"]: check for check in service.netsky("doctor")["checks"] if check["level"] == "warn"}
        assert checks["service"]["next"].startswith("netsky service install")
        assert any(str(elsewhere / "netsky") in sentence for sentence in service.findings())
        updated = service.netsky("service", "install")
        assert (updated["change"], updated["restart_needed"]) == ("updated", True)
        assert len(updated["differences"]) == 2  # netsky and PATH
        assert updated["pid"] == service.netsky("status")["pid"]
        service.netsky("restart")
        assert str(elsewhere / "netsky") in service.shown()["ExecStart"]
        (elsewhere / "netsky").rename(elsewhere / "gone")
    finally:
        service.path = before
    gone = [check for check in service.netsky("doctor", exit=1)["checks"] if check["level"] == "fail"]
    assert [check["name"] for check in gone] == ["service"]
    assert "gone" in gone[0]["sentence"]


def test_a_fence_stands_under_the_service(service: Person) -> None:
    assert service.netsky("status")["fence"] != "none"
    look = "import os; print(os.path.exists(os.path.expanduser('~/.netsky/node.key')), 'NOTIFY_SOCKET' in os.environ)"
    program = ("--mode", "per-envelope", "--cwd", "/", "--", str(service.user.python), "-c", look)
    service.netsky("agent", "add", "worker1", *program)
    sent = service.netsky("send", "worker1", "look", "--from", "agent0", "--kind", "brief")["id"]
    reply = service.netsky("wait", "reply", sent, "--timeout", "30")["reply"]
    assert reply["text"].split() == ["False", "False"], reply


def test_each_home_has_a_service_of_its_own(service: Person) -> None:
    second = str(service.user.home / "second home")
    service.netsky("--home", second, "init")
    name = service.netsky("--home", second, "service", "status")["service"]
    assert name.startswith("netsky-second-home-")
    service.drop_in(name)
    made = service.netsky("--home", second, "service", "install")
    assert made["pid"] == service.netsky("--home", second, "status")["pid"] != service.netsky("status")["pid"]
    service.netsky("--home", second, "service", "uninstall")
    service.netsky("status")


def test_a_file_of_somebody_else_is_left_alone(person: Person) -> None:
    person.netsky("init")
    person.run("mkdir", "-p", str(person.units))
    (person.units / "netsky.service").write_text("[Service]\nExecStart=/bin/true\n")
    assert person.netsky("service", "install", exit=7)["code"] == "foreign_service_file"
    assert person.netsky("service", "uninstall", exit=7)["code"] == "foreign_service_file"
    assert (person.units / "netsky.service").read_text() == "[Service]\nExecStart=/bin/true\n"
    person.run("rm", "-rf", str(person.home), str(person.units))


def test_without_a_user_manager_nothing_is_written_and_the_sentence_says_what_to_do(person: Person) -> None:
    person.netsky("init")
    kept, person.environ = person.environ, {"XDG_RUNTIME_DIR": "/nonexistent"}
    try:
        error = person.netsky("service", "install", exit=4)
        assert error["code"] == "no_service_manager"
        assert error["next"]
        assert not (person.units / "netsky.service").exists()
    finally:
        person.environ = kept
        person.run("rm", "-rf", str(person.home), str(person.units))


@contextmanager
def ended(node: subprocess.Popen[str]) -> Iterator[None]:
    """Whatever fails: waiting for a node that runs on would hide it for ever."""
    try:
        yield
    finally:
        node.kill()


def test_the_line_of_the_unit_makes_a_node_ready_in_an_empty_environment(tmp_path: Path) -> None:
    """Without systemd: what it would run, with nothing but what it would give."""
    home = Home.find(str(tmp_path / "home"))
    init_home(home, RealFiles(), RealChance(), RealTime(), root=True)
    config = Path(home.config)
    config.write_text(config.read_text().replace('# bind = ""', 'bind = "127.0.0.1:0"'))
    recipe = recipe_here(home, {"PATH": "/usr/bin:/bin"})
    (line,) = [line for line in unit_text(recipe, "netsky.service").splitlines() if line.startswith("ExecStart=")]
    address = str(tmp_path / "notify")
    environ = {"HOME": str(tmp_path), "PATH": recipe.path, "NOTIFY_SOCKET": address}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(20)
        argv = shlex.split(line.removeprefix("ExecStart=").replace("%%", "%"))
        assert argv[0] == sys.executable
        with subprocess.Popen(argv, env=environ, cwd=home.path, stderr=subprocess.PIPE, text=True) as node, ended(node):
            assert manager.recv(1000).startswith(b"READY=1")
            assert up.running_pid(home) == node.pid
            events = [json.loads(line)["event"] for line in Path(home.node_log).read_text().splitlines()]
            assert events.index("links.listening") < events.index("node.ready")
            node.terminate()
            assert manager.recv(1000) == b"STOPPING=1"
            assert node.wait(20) == 0
            assert node.stderr is not None
            assert node.stderr.read() == ""
