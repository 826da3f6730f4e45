"""Restarts for real: a program with a handoff while envelopes stream, the node with its proof, a node that hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest
from netsky.node import up
from netsky.node.client import Client
from netsky.node.errors import NetskyError, TryLater
from netsky.node.handoff import whole
from netsky.node.handoff.intent import DOWN, GAVE_UP, RESTART_NODE, Wanted, write_intent
from netsky.node.home import Home
from netsky.node.markers import Marker, Markers
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles
from netsky.node.service.beat import beat, end_process
from netsky.node.service.heart import KILLS_MAX

from tests.node.cli.test_real_node import validator
from tests.real.test_daemon import alive, end, home, kill, log_events, make, until

pytestmark = pytest.mark.real
__all__ = ["home", "make"]

PROGRAM = str(Path(__file__).parent / "resident.py")


def netsky(home: Home, *words: str, exit: int = 0) -> Any:  # noqa: A002
    argv = [sys.executable, "-m", "netsky.node.cli.main", "--home", home.path, "--json", *words]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NETSKY_")}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == exit, done
    line = json.loads(done.stdout.splitlines()[-1])
    validator(line["schema"].removeprefix("netsky.").removesuffix("/1")).validate(line)
    return line["data" if line["ok"] else "error"]


class Agent:
    """agent1 with a resident program."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self.log = folder / "log"
        self.hold = folder / "hold"
        self.log.touch()
        with Client.connect(home) as node:
            node.call(
                "agent_add",
                actor="agent1",
                command=[sys.executable, PROGRAM, str(self.log), str(self.hold)],
                cwd=str(Path(__file__).parents[2]),
                unfenced=True,
                confirm="agent1",
            )

    def lines(self, what: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["what"] == what]

    def texts(self, what: str) -> list[str]:
        return [str(line["text"]) for line in self.lines(what)]

    def send(self, *texts: str) -> None:
        with Client.connect(self.home) as node:
            for text in texts:
                send(node, text)


def send(node: Client, text: str) -> None:
    key = text.replace(" ", "-")
    node.call("send", to="agent1", text=text, kind="brief", idempotency_key=key, **{"from": "agent0"})


class Stream:
    """Sends one envelope after the other, whatever happens to the node; each once."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.sent: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            text = f"piece {number}"
            with suppress(NetskyError), Client.connect(self.home, timeout=5) as node:
                send(node, text)
                self.sent.append(text)
                number += 1
            time.sleep(0.01)


@pytest.fixture
def agent(home: Home, tmp_path: Path) -> Agent:
    up.up(home)
    found = Agent(home, tmp_path)
    until(lambda: found.lines("begun"), 30)
    return found


def nothing_waits(home: Home) -> bool:
    with Client.connect(home) as node:
        return not node.call("inbox", actor="agent1")["waiting"]


def lives_apart(agent: Agent) -> None:
    """No line of a life stands behind the first line of a later one: never two at once."""
    seen: list[int] = []
    for line in map(json.loads, agent.log.read_text().splitlines()):
        if line["pid"] not in seen:
            seen.append(line["pid"])
        assert line["pid"] == seen[-1], f"{line['pid']} wrote after {seen[-1]} had begun"


def handoffs_come_first(agent: Agent, texts: list[str]) -> None:
    """The first thing that a life is shown after a restart is its handoff."""
    first: dict[int, str] = {}
    for line in agent.lines("shown"):
        first.setdefault(line["pid"], line["text"])
    handed = [text.partition("\n\n")[2] for text in first.values() if text.startswith("Handoff")]
    assert handed == texts


def test_a_restart_with_a_handoff_while_envelopes_stream_loses_nothing(agent: Agent) -> None:
    agent.hold.touch()
    with Stream(agent.home) as stream:
        until(lambda: len(agent.lines("held")) >= 3, 30)
        agent.hold.unlink()
        found = netsky(agent.home, "restart", "agent1", "--handoff", "the third is half done", "--reason", "full")
        row = found["restart"]
        assert (row["state"], row["open"], row["tries"], row["by"]) == ("proved", False, 1, "operator")
        assert row["returned"] >= 1
        until(lambda: len(stream.sent) >= 30, 30)
    until(lambda: nothing_waits(agent.home), 30)
    assert set(stream.sent) <= set(agent.texts("shown"))  # one may be taken by a life that had no time to write it down
    assert len(agent.texts("taken")) == len(set(agent.texts("taken")))
    handoffs_come_first(agent, ["the third is half done"])
    lives_apart(agent)
    listed = netsky(agent.home, "handoffs")["handoffs"]
    assert [one["state"] for one in listed] == ["proved"]


def test_a_node_that_is_killed_in_the_middle_of_restarts_finishes_each(agent: Agent) -> None:
    """At whatever point the kill falls: each restart that was answered is proved in the end, its text seen first."""
    texts = []
    with Stream(agent.home) as stream:
        for count, seconds in enumerate((0.0, 0.02, 0.06, 0.15, 0.4)):
            with Client.connect(agent.home) as node:
                texts.append(f"handoff {count}")
                node.call("restart_actor", actor="agent1", handoff=texts[-1])
            time.sleep(seconds)
            kill(agent.home)
            up.up(agent.home)
            until(lambda: not any(one["open"] for one in rows(agent.home)), 40)
    found = rows(agent.home)
    assert [one["state"] for one in found] == ["proved"] * 5
    until(lambda: nothing_waits(agent.home), 30)
    assert set(stream.sent) <= set(agent.texts("shown"))  # one may be taken by a life that had no time to write it down
    shown = {text.partition("\n\n")[2] for text in agent.texts("shown") if text.startswith("Handoff")}
    assert sorted(shown) == texts
    lives_apart(agent)


def rows(home: Home) -> list[dict[str, Any]]:
    try:
        with Client.connect(home, timeout=5) as node:
            found: list[dict[str, Any]] = node.call("handoffs")["handoffs"]
            return found
    except TryLater:
        return [{"open": True}]


def test_a_stopped_program_is_restarted_all_the_same(agent: Agent) -> None:
    with Client.connect(agent.home) as node:
        pid = agent.lines("begun")[0]["pid"]
        os.kill(pid, signal.SIGSTOP)
        agent.send("while it was stopped")
        asked = node.call("restart_actor", actor="agent1", handoff="you were stopped")
        found = node.request("handoff_wait", {"id": asked["id"], "timeout": 60}, timeout=70)
    assert found["state"] == "proved"
    assert not alive(pid)
    until(lambda: "while it was stopped" in agent.texts("taken"), 20)
    lives_apart(agent)


def test_an_actor_asks_for_its_own_restart_with_the_command(agent: Agent) -> None:
    environ = {"NETSKY_SOCKET": agent.home.actor_socket("agent1"), "NETSKY_ACTOR": "agent1"}
    argv = [sys.executable, "-m", "netsky.node.cli.main", "--json", "restart", "agent1", "--handoff-file", "-"]
    done = subprocess.run(
        argv, env=os.environ | environ, input="my notes\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done
    until(lambda: any("my notes" in text for text in agent.texts("taken")), 30)
    (row,) = until(lambda: [one for one in rows(agent.home) if not one["open"]], 30)
    assert (row["by"], row["handoff"]) == ("agent1", "my notes")
    refused = [*argv[:-2], "--handoff", "x"]
    refused[refused.index("agent1")] = "agent0"
    done = subprocess.run(refused, env=os.environ | environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5


# The node.


def test_the_node_is_restarted_and_proves_what_ran_before(agent: Agent) -> None:
    pid = up.running_pid(agent.home)
    agent.hold.touch()
    agent.send("in hand")
    until(lambda: "in hand" in agent.texts("held"))
    agent.hold.unlink()
    found = netsky(agent.home, "restart", "--reason", "an upgrade")
    assert found["state"] == "proved"
    said = {line["what"]: line["said"] for line in found["lines"]}
    assert list(said) == ["serves", "ticker", "program agent1", "inputs"]
    assert said["program agent1"] == "running"
    assert "1 of them came back" in said["inputs"]
    assert found["pid"] != pid
    (row,) = rows(agent.home)
    assert (row["actor"], row["by"], row["why"], row["state"], row["open"]) == (
        *("node", "operator", "an upgrade", "proved"),
        False,
    )
    assert row["ran"]["pid"] == pid
    assert markers(agent.home, RESTART_NODE) is None
    until(lambda: "in hand" in agent.texts("taken"))


def markers(home: Home, name: str) -> Marker | None:
    return Markers(home, RealFiles()).get(name, RealTime().wall())


@pytest.mark.parametrize("how", ["down", "killed"])
def test_a_restart_that_was_cut_off_after_the_end_is_finished_by_the_next_start(home: Home, how: str) -> None:
    up.up(home)
    with Client.connect(home) as node:
        ran = whole.ran_of(node.call("status"))
    write_intent(home, RealFiles(), Wanted("operator", "an upgrade", RealTime().wall(), ran["pid"], False, ran))
    if how == "down":
        up.down(home)
    else:
        kill(home)
    argv = [sys.executable, "-m", "netsky.node.cli.main", "--home", home.path, "up"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert "finishes the restart that operator asked for" in done.stderr
    assert whole.proof(home)[0] == "proved"
    assert [(one["actor"], one["state"]) for one in rows(home)] == [("node", "proved")]
    assert markers(home, RESTART_NODE) is None


def test_a_restart_that_was_asked_for_and_is_then_not_wanted_goes_with_down(home: Home) -> None:
    up.up(home)
    write_intent(home, RealFiles(), Wanted("operator", "", RealTime().wall(), up.running_pid(home), False, {}))
    netsky(home, "down")
    assert markers(home, RESTART_NODE) is None
    up.up(home)
    assert rows(home) == []


# The second heart.


@contextmanager
def old_tick(home: Home, seconds: int = 1_000) -> Iterator[None]:
    """Its last tick is older than it is: nobody has to wait for three minutes."""
    path, pid = Path(home.at("state", "tick.json")), up.holder_pid(home)

    def left() -> dict[str, Any] | None:
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found if found.get("pid") == pid else None

    sign = until(left)
    sign["monotonic"] -= seconds * 10**9
    path.write_text(json.dumps(sign))
    yield


def test_a_node_that_hangs_is_ended_by_the_second_heart_and_started_again(agent: Agent) -> None:
    home = agent.home
    pid = up.running_pid(home)
    assert pid is not None
    assert netsky(home, "service", "beat")["word"] == "well"
    with old_tick(home):
        assert netsky(home, "service", "beat")["word"] == "end"  # it answers, and its ticker does not tick
    assert up.running_pid(home) != pid
    assert whole.proof(home)[0] == "proved"
    pid = up.running_pid(home)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    agent_pid = agent.lines("begun")[-1]["pid"]
    with old_tick(home):
        found = beat(home, end_seconds=1)
    assert (found.decision.word, found.failed) == ("end", "")
    assert f"process {pid} did not end within 1 s and was killed" in found.done
    assert not alive(pid)
    until(lambda: not alive(agent_pid), 20)
    assert whole.proof(home)[0] == "proved"
    found_rows = rows(home)
    assert [(one["by"], one["forced"]) for one in found_rows] == [("the second heart", True)] * 2
    assert "its last tick is" in found_rows[0]["why"]
    agent.send("afterwards")
    until(lambda: "afterwards" in agent.texts("taken"), 30)
    lives_apart(agent)


def test_it_is_ended_three_times_within_an_hour_and_then_left_alone(home: Home) -> None:
    up.up(home)
    for _ in range(KILLS_MAX):
        with old_tick(home):
            assert beat(home).decision.word == "end"
    pid = up.running_pid(home)
    with old_tick(home):
        found = beat(home)
    assert found.decision.word == "hangs_again"
    assert "the owner" in found.failed
    assert up.running_pid(home) == pid
    assert "the owner was told" in beat(home).failed  # once for one cause
    up.down(home)


def test_a_node_that_a_person_stopped_stays_down(home: Home) -> None:
    up.up(home)
    netsky(home, "down")
    assert beat(home).decision.word == "down"
    assert up.running_pid(home) is None


@pytest.mark.long
def test_a_node_that_hangs_while_a_person_stops_it_is_ended_and_not_started_again(home: Home) -> None:
    up.up(home)
    pid = up.running_pid(home)
    assert pid is not None
    until(lambda: beat(home).decision.word == "well")
    os.kill(pid, signal.SIGSTOP)
    netsky(home, "down", "--timeout", "1", exit=6)
    with old_tick(home):
        found = beat(home, end_seconds=1)
    assert "no other one was started" in found.done
    assert up.is_free(home)
    assert beat(home).decision.word == "down"
    netsky(home, "up")
    assert markers(home, DOWN) is None


def test_a_restart_that_was_cut_off_is_finished_by_the_second_heart(home: Home) -> None:
    up.up(home)
    pid = up.running_pid(home)
    up.down(home)
    write_intent(home, RealFiles(), Wanted("operator", "", RealTime().wall() - 61 * 10**9, pid, False, {"pid": pid}))
    assert beat(home).decision.word == "finish"
    assert whole.proof(home)[0] == "proved"


def test_no_other_process_than_the_one_that_has_the_home_is_ended(home: Home) -> None:
    up.up(home)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        try:
            assert end_process(home, RealTime(), stranger.pid, 0.1) == "had ended by itself"
            assert stranger.poll() is None
        finally:
            stranger.kill()
    kill(home)
    assert up.is_free(home)


def test_what_the_service_gave_up_is_said_by_the_next_up_and_forgotten_once_it_serves(home: Home) -> None:
    Markers(home, RealFiles()).put(Marker(GAVE_UP, "the second heart", "the disk failed", 1, None, "it serves"))
    argv = [sys.executable, "-m", "netsky.node.cli.main", "--home", home.path, "up"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert "it had been given up: the disk failed" in done.stderr
    until(lambda: markers(home, GAVE_UP) is None)


def test_a_node_that_crashes_again_and_again_says_so(home: Home) -> None:
    for _ in range(3):
        up.up(home)
        kill(home)
    up.up(home)
    with Client.connect(home) as node:
        faults = {fault["code"]: fault["sentence"] for fault in node.call("status")["faults"]}
    assert "ended without order 3 times within 10 min" in faults["crash_loop"]
    assert "node.crash_loop" in log_events(home)
    found = netsky(home, "restart")
    assert found["state"] == "proved"
    with Client.connect(home) as node:
        assert node.call("status")["faults"] == []


# Drills.


def test_the_drills_of_a_program_prove_what_they_say(agent: Agent) -> None:
    agent.send("one")
    until(lambda: "one" in agent.texts("taken"))
    for which in ("restart", "crash"):
        lines = netsky(agent.home, "drill", which, "--actor", "agent1")["lines"]
        assert {line["word"] for line in lines} == {"will", "proved"}, lines
    assert any("DRILL" in text for text in agent.texts("taken"))
    lives_apart(agent)


@pytest.mark.long
def test_a_drill_asks_before_it_interrupts_work_and_fails_where_something_is_not_so(agent: Agent) -> None:
    agent.hold.touch()
    agent.send("in hand")
    until(lambda: "in hand" in agent.texts("held"))
    error = netsky(agent.home, "drill", "crash", "--actor", "agent1", exit=7)
    assert error["code"] == "work_in_hand"
    lines = netsky(agent.home, "drill", "crash", "--actor", "agent1", "--yes")["lines"]
    assert "what waited is still there or was taken since (1)" in [line["said"] for line in lines]
    until(lambda: agent.texts("shown").count("in hand") == 2)
    with Client.connect(agent.home) as node:
        node.call("agent_rm", actor="agent1")
        node.call("agent_add", actor="agent1", command=["sleep", "99"], cwd="/", unfenced=True, confirm="agent1")
    found = netsky(agent.home, "drill", "restart", "--actor", "agent1", "--within", "1", "--yes", exit=1)
    assert [line["said"] for line in found["lines"] if line["word"] == "not proved"]


def test_ending_a_home_that_nobody_has_is_nothing(tmp_path: Path) -> None:
    made = make(tmp_path / "home")
    assert beat(made).decision.word == "down"
    end(made)
