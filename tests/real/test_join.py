"""Machines join as their people would do it: two processes, real iroh on loopback, and nobody copies a key."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from netsky.node import up
from netsky.node.client import Client
from netsky.node.errors import Refused
from netsky.node.home import Home

pytestmark = pytest.mark.real


class Machine:
    """One home, and the shell of whoever has it."""

    def __init__(self, path: Path) -> None:
        self.home = Home(str(path))
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("NETSKY_")}
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *words: str) -> subprocess.Popen[str]:
        started = subprocess.Popen(
            [sys.executable, "-m", "netsky.node.cli.main", "--home", self.home.path, *words],
            env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(self.home.path).parent,
        )  # fmt: skip
        self.running.append(started)
        return started

    def netsky(self, *words: str, exit: int = 0) -> Any:  # noqa: A002
        process = self.start("--json", *words)
        out, err = process.communicate(timeout=60)
        assert process.returncode == exit, (words, out, err)
        answer = json.loads(out.splitlines()[-1])
        return answer["data" if exit == 0 else "error"]

    def kill(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate()
        pid = up.holder_pid(self.home) if os.path.isdir(self.home.path) else None
        if pid is not None and not up.is_free(self.home):
            os.kill(pid, signal.SIGKILL)
            until(lambda: up.is_free(self.home))


def until(told: Callable[[], Any], seconds: float = 20) -> Any:
    limit = time.monotonic() + seconds
    while not (found := told()):
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.05)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "root")
    machine.netsky("init", "--root", "--label", "desk")
    config = Path(machine.home.config)
    config.write_text(config.read_text().replace('# bind = ""', 'bind = "127.0.0.1:0"'))
    machine.netsky("up")
    yield machine
    machine.kill()


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "studio")
    yield machine
    machine.kill()


def test_a_machine_joins_by_a_file_and_is_a_node_of_the_mesh(root: Machine, studio: Machine, tmp_path: Path) -> None:
    ticket = str(tmp_path / "t")
    invited = root.netsky("invite", "studio", "--capability", "gpu", "--ticket-file", ticket)
    assert invited["bound"].startswith("127.0.0.1:"), "the port stays, so that the ticket and its sibling find it again"
    assert invited["bound"] in Path(root.home.config).read_text()
    process = studio.start("join", "--ticket-file", ticket, "--yes")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "may start programs on this machine" in err
    assert re.search(r"^this machine is netsky1 \(studio\)", out)
    words = re.search(r"words: ((?:\w+ ){5}\w+) ", err)
    assert words is not None
    [[kept]] = root.netsky("query", "SELECT words FROM invites")["rows"]
    assert kept == words[1]

    studio.netsky("up")
    status = studio.netsky("status")
    assert (status["name"], status["label"], status["root"], status["faults"]) == ("netsky1", "studio", False, [])
    until(lambda: [one["state"] for one in root.netsky("nodes")["members"]] == ["here", "up"])
    assert root.netsky("nodes")["members"][1]["program"] == status["version"]
    for machine in (root, studio):
        shown = machine.netsky("nodes")["members"]
        assert [(one["name"], one["label"]) for one in shown] == [("netsky0", "desk"), ("netsky1", "studio")]
        assert (machine.netsky("status")["faults"], machine.netsky("query", "SELECT * FROM crashes")["rows"]) == (
            [],
            [],
        )
    with Client.connect_path(root.home.actor_socket("agent0")) as actor:
        seen = actor.call("nodes")
        assert set(seen) == {"version", "members"}
        assert set(seen["members"][1]) == {"name", "label", "root", "capabilities", "state"}
        for verb, args in (("invite", {"label": "x"}), ("approve", {"who": "x"}), ("revoke", {"who": "netsky1"})):
            with pytest.raises(Refused):
                actor.call(verb, **args)
    assert studio.netsky("invite", "x", exit=5)["code"] == "not_the_root"
    assert studio.netsky("join", "--ticket-file", ticket, "--yes", exit=7)["code"] == "home_in_use"
    studio.netsky("down")
    assert studio.netsky("join", "--ticket-file", ticket, "--yes")["name"] == "netsky1"


def test_a_held_machine_waits_through_the_death_of_its_root_until_it_is_approved(
    root: Machine, studio: Machine, tmp_path: Path
) -> None:
    ticket = root.netsky("invite", "studio", "--hold")["ticket"]
    waiting = studio.start("join", ticket, "--yes")
    until(lambda: root.netsky("nodes")["pending"])
    pid = up.running_pid(root.home)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: up.is_free(root.home))
    root.netsky("up")
    first = until(lambda: root.netsky("nodes")["pending"])[0]
    assert first["name"] == "netsky1"
    root.netsky("approve", first["fingerprint"])
    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, err
    assert out.startswith("this machine is netsky1 (studio)")

    other = Machine(tmp_path / "other")
    assert other.netsky("join", ticket, "--yes", exit=5)["code"] == "door_closed"
    root.netsky("revoke", "studio", "--yes")
    assert studio.netsky("join", ticket, "--yes", exit=5)["code"] == "revoked"
    codes = {one["code"] for one in root.netsky("nodes")["strangers"]}
    assert codes == {"door_closed", "revoked"}


def test_ctrl_c_while_waiting_leaves_a_join_that_goes_on(root: Machine, studio: Machine) -> None:
    ticket = root.netsky("invite", "studio", "--hold")["ticket"]
    waiting = studio.start("join", ticket, "--yes")
    until(lambda: root.netsky("nodes")["pending"])
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, "Traceback" in err) == (130, False)
    root.netsky("approve", "studio")
    assert studio.netsky("join", ticket, "--yes")["name"] == "netsky1"
