"""The daemon as a process: started, asked, stopped, killed, and given homes that it must refuse."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.node import up
from netsky.node.api import connect
from netsky.node.client import Client
from netsky.node.db.limits import QUERY_SECONDS
from netsky.node.doctor import examine
from netsky.node.errors import Conflict, NetskyError, NotFound, Refused, TimedOut, TryLater, Unreachable, Usage
from netsky.node.home import Home, take_lock
from netsky.node.init import init_home
from netsky.node.limits import CONTROL_LINE_BYTES_MAX
from netsky.node.seams.real import RealChance, RealTime
from netsky.node.seams.real_files import RealFiles

pytestmark = pytest.mark.real


def make(path: Path, *, root: bool = False) -> Home:
    home = Home.find(str(path))
    init_home(home, RealFiles(), RealChance(), RealTime(), root=root)
    return home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = make(tmp_path / "home")
    yield made
    end(made)


def end(home: Home) -> None:
    """Whatever the test left running is ended; a stopped one is continued first."""
    pid = up.holder_pid(home)
    if pid is not None and take_lock(home, RealFiles()) is None:
        os.kill(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGCONT)


def until(told: Callable[[], Any], seconds: float = 10) -> Any:
    limit = time.monotonic() + seconds
    while not (found := told()):
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)
    return found


def kill(home: Home, number: int = signal.SIGKILL) -> None:
    pid = up.running_pid(home)
    assert pid is not None
    os.kill(pid, number)
    until(lambda: not alive(pid) and up.is_free(home))


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:3]
    except FileNotFoundError:
        return False


def log_events(home: Home) -> list[str]:
    return [json.loads(line)["event"] for line in Path(home.node_log).read_text().splitlines()]


# Up, down and in between.


def test_a_node_starts_takes_a_message_says_what_became_of_it_and_stops(home: Home) -> None:
    started = up.up(home, 2)
    assert (started.already, started.added) == (False, ("agent1", "agent2"))
    with Client.connect(home) as node:
        sent = node.call("send", to="agent1", text="hello")
        until(lambda: node.call("inbox", actor="agent1")["waiting"][0]["projected_at"])
        assert node.call("claim", actor="agent1", files=[sent["file"], "nope"])["files"] == {
            sent["file"]: "ok",
            "nope": "unknown",
        }
        assert node.call("ack", actor="agent1", ids=[sent["id"], "x"])["unknown"] == ["x"]
        steps = [step["step"] for step in node.call("trace", id=sent["id"])["steps"]]
        assert steps == ["accepted", "stored", "projected", "claimed", "taken"]
        status = node.call("status")
        assert (status["name"], status["pid"], status["ready"], status["faults"]) == ("netsky1", started.pid, True, [])
        assert (status["ledger"]["journal_mode"], status["ledger"]["synchronous"]) == ("wal", 2)
        assert {actor["name"] for actor in status["actors"]} == {"agent0", "agent1", "agent2"}
    assert up.down(home) == up.Down(already=False, pid=started.pid)
    until(lambda: not alive(started.pid))
    assert up.down(home).already
    assert log_events(home)[-1] == "node.stopped"
    assert not Path(home.operator_socket).exists()


def test_a_second_up_leaves_the_first_alone(home: Home) -> None:
    first = up.up(home, 1)
    again = up.up(home, 2)
    assert (again.pid, again.already, again.added) == (first.pid, True, ("agent2",))


def test_two_ups_at_once_are_one_node(home: Home) -> None:
    found: list[up.Up] = []
    threads = [threading.Thread(target=lambda: found.append(up.up(home))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({one.pid for one in found}) == 1


@pytest.mark.parametrize("when", ["at once", "when it serves"])
def test_an_up_that_is_interrupted_leaves_no_node_behind(
    home: Home, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    real = up._report

    def interrupted(reading: int, timeout: float) -> bytes | None:
        if when != "at once":
            real(reading, timeout)
        raise KeyboardInterrupt

    monkeypatch.setattr(up, "_report", interrupted)
    with pytest.raises(KeyboardInterrupt):
        up.up(home)
    lock = take_lock(home, RealFiles())
    assert lock is not None
    lock.release()
    monkeypatch.undo()
    assert not up.up(home).already


def test_a_killed_node_comes_back_with_all_that_it_accepted(home: Home) -> None:
    up.up(home, 1)
    with Client.connect(home) as node:
        drafts = [{"to": "agent1", "text": f"number {n}"} for n in range(200)]
        answer = node.call("send", drafts=drafts)
    kill(home)
    assert Path(home.operator_socket).exists()  # a stale one, which the next start replaces
    up.up(home)
    with Client.connect(home) as node:
        assert node.call("status")["after_crash"]
        waiting = {item["id"] for item in node.call("inbox", actor="agent1", limit=1000)["waiting"]}
        assert waiting == {one["data"]["id"] for one in answer["results"]}
        inbox = Path(home.channel("agent1")) / "inbox"
        until(lambda: len(list(inbox.glob("*.json"))) == 200)


def test_sigterm_stops_in_order_and_restart_brings_it_back(home: Home) -> None:
    first = up.up(home)
    kill(home, signal.SIGTERM)
    assert log_events(home)[-1] == "node.stopped"
    second = up.up(home)
    third = up.restart(home)
    assert len({first.pid, second.pid, third.pid}) == 3
    with Client.connect(home) as node:
        assert not node.call("status")["after_crash"]


def test_a_node_that_does_not_answer_is_named_with_its_pid(home: Home) -> None:
    pid = up.up(home).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimedOut) as hangs:
            up.down(home, timeout=0.5)
        assert f"kill -9 {pid}" in hangs.value.next
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_service_manager_is_told(home: Home, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(10)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NOTIFY_SOCKET", address)
            up.up(home)
        assert manager.recv(1000) == b"READY=1\nSTATUS=serving netsky1"
        kill(home, signal.SIGTERM)
        assert manager.recv(1000) == b"STOPPING=1"


def test_what_the_service_manager_is_told_is_one_line_whatever_a_path_holds(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(10)
        argv = [sys.executable, "-m", "netsky.node.daemon", "--home", f"{tmp_path}/no\nMAINPID=1"]
        environ = os.environ | {"NOTIFY_SOCKET": address}
        done = subprocess.run(argv, env=environ, capture_output=True, check=False, timeout=30)
        assert done.returncode == NotFound.exit
        assert manager.recv(1000) == f"STATUS=there is no home at {tmp_path}/no MAINPID=1".encode()


# Homes that are refused.


def refused(home: Home) -> NetskyError:
    with pytest.raises(NetskyError) as caught:
        up.up(home)
    assert caught.value.next
    assert up.running_pid(home) is None
    said = [(check.sentence, check.next) for check in examine(home, RealFiles(), RealTime()) if check.level == "fail"]
    assert said == [(caught.value.message, caught.value.next)], "doctor says what up says"
    return caught.value


def test_looking_at_a_database_changes_nothing_of_it(home: Home) -> None:
    up.up(home)
    kill(home)
    files = {name: (Path(home.path) / name).read_bytes() for name in ("meta.db", "meta.db-wal")}
    assert files["meta.db-wal"]
    checks = {check.name: check for check in examine(home, RealFiles(), RealTime())}
    assert (checks["database"].level, checks["node"].next) == ("ok", "netsky up")
    assert {name: (Path(home.path) / name).read_bytes() for name in files} == files


def test_no_home_is_not_made_by_up(tmp_path: Path) -> None:
    error = refused(Home.find(str(tmp_path / "nothing")))
    assert isinstance(error, NotFound)
    assert error.next == "netsky init"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(("name", "mode"), [("", 0o755), ("node.key", 0o644)])
def test_looser_permissions_are_refused_with_the_command_that_mends_them(home: Home, name: str, mode: int) -> None:
    path = home.at(name) if name else home.path
    os.chmod(path, mode)
    error = refused(home)
    assert isinstance(error, Refused)
    assert error.next.startswith(f"chmod 0{'7' if not name else '6'}00 {path}")
    os.chmod(path, 0o700 if not name else 0o600)
    assert not up.up(home).already


def test_a_damaged_database_is_refused_and_left_as_it_is(home: Home) -> None:
    up.up(home)
    up.down(home)
    database = Path(home.database)
    damaged = b"not a database" * 1000
    database.write_bytes(damaged)
    error = refused(home)
    assert error.code == "database_unusable"
    assert database.read_bytes() == damaged


def test_a_database_damaged_in_the_middle_is_found_after_a_crash(home: Home) -> None:
    up.up(home, 1)
    with Client.connect(home) as node:
        node.call("send", drafts=[{"to": "agent1", "text": "x" * 2000} for _ in range(200)])
    up.down(home)
    with sqlite3.connect(home.database) as connection:
        connection.execute("UPDATE node_state SET value = 1 WHERE key = 'running_since'")
    connection.close()
    with open(home.database, "r+b") as file:
        file.seek(4096 * 20)
        file.write(os.urandom(4096 * 10))
    assert refused(home).code == "database_unusable"


def test_a_newer_database_is_refused(home: Home) -> None:
    up.up(home)
    up.down(home)
    with sqlite3.connect(home.database) as connection:
        connection.execute("INSERT INTO schema_version VALUES (9999, 0, 'a later one')")
    connection.close()
    error = refused(home)
    assert error.code == "database_unusable"
    assert "9999" in error.message


def test_the_database_of_another_node_is_refused(home: Home, tmp_path: Path) -> None:
    up.up(home)
    up.down(home)
    other = make(tmp_path / "other")
    os.replace(other.node_key, home.node_key)
    error = refused(home)
    assert isinstance(error, Refused)
    assert error.code == "foreign_database"


def test_a_database_of_another_program_is_refused(home: Home) -> None:
    with sqlite3.connect(home.database) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    assert refused(home).code == "database_unusable"


def test_a_broken_config_is_refused_at_the_start(home: Home) -> None:
    Path(home.config).write_text("[node]\nnmae = 'x'\n")
    error = refused(home)
    assert isinstance(error, Usage)
    assert "unknown key 'nmae' in [node]" in error.message


def test_a_home_that_somebody_else_holds_is_refused(home: Home) -> None:
    lock = take_lock(home, RealFiles())
    assert lock is not None
    with pytest.raises(Conflict):
        up.up(home, timeout=10)  # first for a start, which takes long on a busy machine, then for whoever holds it
    lock.release()


def test_something_that_is_no_socket_in_its_place_is_not_removed(home: Home) -> None:
    Path(home.operator_socket).write_text("notes")
    with pytest.raises(NetskyError) as caught:
        up.up(home)
    error = caught.value
    assert Path(home.operator_socket).read_text() == "notes"
    assert (error.code, error.exit) == ("socket_taken", 7)
    assert "is a file, and the node's socket belongs there" in error.message
    assert f"mv {home.operator_socket}" in error.next


# While it runs.


def test_a_config_that_breaks_while_it_runs_changes_nothing_and_shows_until_it_is_mended(home: Home) -> None:
    up.up(home, 1)
    config = Path(home.config)
    good = config.read_text()
    config.write_text(good.replace("# inbox_max = 1000", "inbox_max = 'many'"))
    with Client.connect(home) as node:
        [fault] = until(lambda: node.call("status")["faults"])
        assert fault["code"] == "config"
        assert "inbox_max: must be a whole number" in fault["sentence"]
        node.call("send", to="agent1", text="still here")
        config.write_text(good.replace("# inbox_max = 1000", "inbox_max = 1"))
        until(lambda: not node.call("status")["faults"])
        with pytest.raises(TryLater) as full:
            node.call("send", to="agent1", text="one too many")
        assert full.value.code == "inbox_full"
        with pytest.raises(TimedOut, match="waited"):
            node.request("send", {"to": "agent1", "text": "patience", "wait_s": 0.5})


def test_an_actor_is_who_its_socket_says_and_sees_only_its_own(home: Home) -> None:
    up.up(home, 2)
    with Client.connect(home) as operator, Client.connect_path(home.actor_socket("agent1")) as agent:
        other = operator.call("send", to="agent2", text="not for agent1")
        assert agent.call("ping")["you"] == "agent1"
        sent = agent.call("send", to="agent0", text="hello")
        assert operator.call("trace", id=sent["id"])["from"] == "agent1"
        for verb, args in (
            ("send", {"to": "agent0", "text": "x", "from": "agent2"}),
            ("inbox", {"actor": "agent2"}),
            ("claim", {"actor": "agent2", "files": [other["file"]]}),
            ("ack", {"actor": "agent2", "ids": [other["id"]]}),
            ("query", {"sql": "SELECT 1"}),
            ("stop", {}),
            ("events", {}),
            ("agent_add", {"actor": "agent9", "mode": "none"}),
        ):
            with pytest.raises(Refused) as refusal:
                agent.call(verb, **args)
            assert refusal.value.exit == 5
        for verb in ("trace", "proof"):
            with pytest.raises(NotFound):
                agent.call(verb, id=other["id"])
        assert "key" not in agent.call("status")
        operator.call("send", **{"to": "agent0", "text": "x", "from": "agent2"})
        with pytest.raises(NotFound):
            operator.call("send", **{"to": "agent0", "text": "x", "from": "agent7"})


def test_an_endless_query_ends_and_delays_nobody(home: Home) -> None:
    up.up(home, 1)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    error: list[NetskyError] = []

    def ask() -> None:
        with Client.connect(home) as node:
            try:
                node.call("query", sql=endless)
            except NetskyError as ended:
                error.append(ended)

    asking = threading.Thread(target=ask)
    asking.start()
    slowest = 0.0
    with Client.connect(home) as node:
        while asking.is_alive():
            began = time.monotonic()
            node.call("send", to="agent1", text="quick")
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.01)
            node.call("ack", actor="agent1", ids=[i["id"] for i in node.call("inbox", actor="agent1")["waiting"]])
    asking.join()
    assert error[0].exit == 6
    assert slowest < QUERY_SECONDS / 2  # whoever waits for the query waits for all of it


def test_a_line_without_end_costs_its_own_connection(home: Home) -> None:
    up.up(home)
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(home.operator_socket)
        raw.settimeout(10)
        with suppress(OSError):
            raw.sendall(b"x" * (CONTROL_LINE_BYTES_MAX + 70_000))
        assert b"line_too_long" in raw.recv(10_000)
    with Client.connect(home) as node:
        assert node.call("ping")["ready"]


def test_the_api_sends_follows_acknowledges_and_waits(home: Home) -> None:
    up.up(home, 1)

    async def consumer() -> list[str]:
        got = []
        async with connect(home.path) as node, node.inbox("agent1") as inbox:
            async for item in inbox:
                got.append(item.envelope.text)
                await item.ack()
                async with connect(environ={"NETSKY_SOCKET": home.actor_socket("agent1")}) as me:
                    await me.send("agent0", f"done: {item.envelope.text}", kind="reply", in_reply_to=item.id)
                if len(got) == 2:
                    return got
        raise AssertionError("an inbox does not end")

    async def main() -> None:
        found: list[list[str]] = []
        async with connect(home.path) as node:
            first = await node.send("agent1", "one")
            async with trio.open_nursery() as nursery:

                async def consume() -> None:
                    found.append(await consumer())

                nursery.start_soon(consume)
                assert (await node.wait_taken(first.id, 10))["actor"] == "agent1"
                outcome = await node.wait_outcome(first.id, 10)
                assert (outcome.id, outcome.delivered, outcome.code) == (first.id, True, None)
                second = await node.send("agent1", "two", idempotency_key="k", data={"n": 2})
                reply = await node.wait_reply(second.id, 10)
                assert reply["text"] == "done: two"
                assert reply["from"] == "agent1"
            again = await node.send("agent1", "two", idempotency_key="k", data={"n": 2})
            assert (again.id, again.duplicate) == (second.id, True)
            with pytest.raises(Conflict):
                await node.send("agent1", "three", idempotency_key="k")
            assert found == [["one", "two"]]
            assert (await node.query("SELECT count(*) FROM inbox WHERE state = 'taken' AND actor = 'agent1'")) == [[2]]
        with pytest.raises(Unreachable):
            async with connect(home.path + "/nowhere"):
                pass

    trio.run(main)


def test_a_home_with_a_long_path_works_all_the_same(tmp_path: Path) -> None:
    home = make(tmp_path / ("long" * 25))
    try:
        up.up(home, 1)
        assert len(home.operator_socket) < 100
        with Client.connect(home) as node, Client.connect_path(home.actor_socket("agent1")) as agent:
            assert node.call("ping")["ready"]
            assert agent.call("ping")["you"] == "agent1"
        elsewhere = home.runtime_folder
        assert Path(elsewhere).is_dir()
        assert not up.restart(home).already
        up.down(home)
        assert not Path(elsewhere).exists()
        assert not os.path.lexists(home.at("run"))
        up.up(home)
        stranger = Path(home.runtime_folder) / "stranger"
        stranger.touch()
        up.down(home)
        assert stranger.exists()
        assert home.runtime_folder == elsewhere
        stranger.unlink()
        os.rmdir(elsewhere)
    finally:
        end(home)


def test_a_full_disk_refuses_with_a_sentence_and_heals_without_a_restart(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("it mounts a small disk, which only root may")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "none", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    home = Home.find(str(disk / "home"))
    try:
        make(disk / "home")
        config = Path(home.config)
        config.write_text(config.read_text().replace("# free_mib_floor = 1024", "free_mib_floor = 16"))
        up.up(home, 1)
        with Client.connect(home) as node:
            kept = node.call("send", to="agent1", text="before")
            ballast = disk / "ballast"
            with suppress(OSError), open(ballast, "wb") as file:
                while True:
                    file.write(b"\0" * 65_536)
                    file.flush()
            until(lambda: node.call("status")["faults"])
            with pytest.raises(TryLater) as full:
                node.call("send", to="agent1", text="during")
            assert full.value.code in {"disk_low", "disk_full"}
            ballast.unlink()
            until(lambda: not node.call("status")["faults"])
            after = node.call("send", to="agent1", text="after")
            ids = [item["id"] for item in node.call("inbox", actor="agent1")["waiting"]]
            assert ids == [kept["id"], after["id"]]
        assert not up.down(home).already
    finally:
        end(home)
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_what_is_refused_in_the_foreground_ends_with_its_number(home: Home) -> None:
    os.chmod(home.node_key, 0o644)
    command = [sys.executable, "-m", "netsky.node.daemon", "--home", home.path, "--foreground"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5
    assert "next: chmod 0600" in done.stderr
    assert "Traceback" not in done.stderr
