"""Actors come, go, crash and are refused; each costs nobody but itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from netsky.node.actors.limits import CRASHES_MAX
from netsky.node.actors.manager import Actors
from netsky.node.backoff import Backoff
from netsky.node.daemon.caller import OPERATOR
from netsky.node.daemon.told import ROSTER_SIGNAL
from netsky.node.db import actors, observe
from netsky.node.errors import Conflict, NotFound, Refused, TryLater, Usage
from netsky.node.verbs.actors import agent_add, agent_logs, agent_ls, agent_rm
from netsky.node.verbs.args import Args

Start = Callable[[], AbstractAsyncContextManager[Any]]
WAIT = "import time; open('ran', 'a').write('x'); time.sleep(99)"


@pytest.fixture(autouse=True)
def _quick_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsky.node.actors.hands.RESTART", Backoff(1_000_000, 2_000_000))


async def sessions(it: Any, name: str) -> list[actors.SessionRow]:
    [found] = await it.node.group.write([actors.sessions(name, 10)])
    return actors.session_rows(found)


def exists(path: str) -> bool:
    return os.path.exists(path)


def put(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)


def length(path: Path) -> int:
    return len(path.read_text()) if path.exists() else 0


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_resident_program_runs_with_its_row_and_ends_when_the_actor_goes(start: Start) -> None:
    async with start() as it:
        await it.add_script("worker1", WAIT, mode="resident")
        await it.made("ran")
        state = await it.wait_state("worker1", "running")
        [session] = await sessions(it, "worker1")
        assert (session.pid, session.ended_at) == (state["pid"], None)
        assert exists(it.node.home.actor_socket("worker1"))
        await it.node.actors.remove("worker1")
        [session] = await sessions(it, "worker1")
        assert (session.reason, session.exit) == ("stopped", "ended by signal 15")
        assert not alive(session.pid)
        assert not exists(it.node.home.actor_socket("worker1"))
        assert exists(it.node.home.channel("worker1"))


async def test_a_program_that_ends_is_started_again(start: Start) -> None:
    script = "import os, time\nopen('ran', 'a').write('x')\ntime.sleep(99 if len(open('ran').read()) > 1 else 0)"
    async with start() as it:
        await it.add_script("worker1", script, mode="resident")
        await it.until(lambda: _length(it.folder / "ran", 2))
        assert (await it.wait_state("worker1", "running"))["restarts"] == 1


async def _length(path: Path, wanted: int) -> bool | None:
    return (length(path) >= wanted) or None


async def test_a_program_that_crashes_at_once_every_time_is_left_alone_and_visible(start: Start) -> None:
    async with start() as it:
        await it.add_script("worker1", "open('ran', 'a').write('x'); raise SystemExit(9)", mode="resident")
        await it.add_script("worker2", WAIT.replace("ran", "other"), mode="resident")
        state = await it.wait_state("worker1", "degraded")
        assert "ended with exit code 9" in state["reason"]
        assert len((it.folder / "ran").read_text()) == CRASHES_MAX + 1
        await it.made("other")
        assert it.state("worker2")["state"] == "running"
        [found] = await it.node.group.write([observe.crashes(10)])
        assert {crash.task for crash in observe.crash_rows(found)} >= {"actor worker1/program", "actor worker1"}
        same = it.node.actors.row("worker1")
        _, changed = await it.node.actors.add(same, None)  # the same words again: another chance
        assert changed
        await it.wait_state("worker1", "degraded")
        assert len((it.folder / "ran").read_text()) == 2 * (CRASHES_MAX + 1)


async def test_a_program_that_cannot_start_is_degraded_with_the_reason(start: Start) -> None:
    async with start() as it:
        await it.add("worker1", "/nonexistent")
        assert "No such file" in (await it.wait_state("worker1", "degraded"))["reason"]


async def test_a_stop_of_the_node_ends_every_program_and_the_next_life_starts_them_again(start: Start) -> None:
    async with start() as it:
        await it.add_script("worker1", WAIT, mode="resident")
        await it.made("ran")
        pid = it.state("worker1")["pid"]
    assert not alive(pid)
    async with start() as it:
        await it.until(lambda: _length(it.folder / "ran", 2))
        assert it.state("worker1")["pid"] != pid


async def test_a_session_whose_end_nobody_saw_is_marked_lost_and_nothing_is_adopted(start: Start) -> None:
    async with start() as it:
        await it.node.group.write([actors.start_session("worker1", 4_000_000, 1)])
    async with start() as it:
        [session] = await sessions(it, "worker1")
        assert (session.reason, session.exit) == ("lost", "unknown")
        assert [state["name"] for state in it.node.actors.states()] == ["agent0"]


async def test_adding_the_same_again_changes_nothing_and_other_words_are_a_conflict(start: Start) -> None:
    async with start() as it:
        row = await it.add("worker1", "sleep", "99")
        assert await it.node.actors.add(row, None) == (row, False)
        with pytest.raises(Conflict, match="worker1 is there already"):
            await it.add("worker1", "sleep", "98")


async def test_an_actor_without_a_program_can_be_given_one(start: Start) -> None:
    async with start() as it:
        await it.add("agent1")
        await it.add_script("agent1", WAIT, mode="resident")
        await it.made("ran")


async def test_there_are_only_so_many_programs_and_workers(start: Start) -> None:
    async with start() as it:
        for number in range(1, 7):
            await it.add(f"worker{number}", "sleep", "99")
        with pytest.raises(TryLater, match="6 workers"):
            await it.add("worker7", "sleep", "99")
        await it.add("worker7")
        for number in (1, 2):
            await it.add(f"agent{number}", "sleep", "99")
        with pytest.raises(TryLater, match="8 actors"):
            await it.add("agent3", "sleep", "99")


async def test_there_are_only_so_many_names(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs a socket: a node that was given more of them than it has descriptors would not start again."""
    monkeypatch.setattr("netsky.node.actors.manager.ACTORS_KNOWN_MAX", 3)
    async with start() as it:
        here = len(it.node.actors.states())
        for number in range(1, 4 - here):
            await it.add(f"agent{number}")
        with pytest.raises(TryLater, match="3 actors, at most 3"):
            await it.add("agent9")
        await it.add_script("agent1", WAIT, mode="resident")  # one that is here may still be given a program


async def test_a_manager_with_workers_stays_and_agent0_loses_only_its_program(start: Start) -> None:
    async with start() as it:
        await it.add("agent1")
        await it.add("worker1", manager="agent1")
        with pytest.raises(Conflict, match="agent1 is the manager of worker1"):
            await it.node.actors.remove("agent1")
        await it.add("agent0", "sleep", "99")
        await it.node.actors.remove("agent0")
        assert it.state("agent0")["mode"] == "none"


async def test_names_and_managers_that_cannot_be_are_refused(start: Start) -> None:
    async with start() as it:
        for name, kind in (("owner", Refused), ("agentcron", Refused), ("bob", Usage), ("worker01", Usage)):
            with pytest.raises(kind):
                await it.add(name)
        with pytest.raises(NotFound, match="no manager agent9"):
            await it.add("worker1", manager="agent9")
        with pytest.raises(Usage, match="only workers have a manager"):
            await it.add("agent1", manager="agent0")
        with pytest.raises(NotFound, match="no actor worker9"):
            await it.node.actors.remove("worker9")


async def test_unfenced_on_the_root_must_be_confirmed_by_name(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsky.node.actors.manager.ROOT_NODE", "netsky1")
    async with start() as it:
        for confirm in (None, "worker2"):
            with pytest.raises(Refused, match="can do what you can do") as refused:
                await it.add("worker1", "sleep", "99", confirm=confirm)
            assert refused.value.code == "unfenced_on_root"
        await it.add("worker1", "sleep", "99", confirm="worker1")


async def test_where_there_is_no_fence_a_fenced_actor_is_refused_and_never_run_without(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.seams.real_processes.RealProcesses.which", lambda *_: None)
    async with start() as it:
        assert it.node.actors.fence == "none"
        assert it.node.actors.fence_missing == "bwrap is not installed; unshare is not installed"
        with pytest.raises(Refused, match="offers no fence"):
            await it.add("worker1", "/bin/sleep", "99", unfenced=False)
        row = actors.ActorRow("worker1", ("/bin/sleep", "99"), "resident", "agent0", True, True, {}, 1)
        await it.node.group.write([actors.put(row)])
    async with start() as it:  # it was added where there was one
        assert "there is no fence" in (await it.wait_state("worker1", "degraded"))["reason"]


async def test_the_verbs_speak_of_all_this(start: Start) -> None:
    async with start() as it:

        async def ask(verb: Any, **args: Any) -> Any:
            return await verb(it.node, OPERATOR, Args(verb.__name__, args))

        # One write: where PYTHONUNBUFFERED is set, print makes one of each of its words.
        script = "import os, time; print('{X} {NETSKY_MANAGER}'.format(**os.environ), flush=True); time.sleep(9)"
        command = ["python3", "-c", script]
        more = {"environment": {"X": "1"}, "cwd": str(it.folder), "unfenced": True}
        added = await ask(agent_add, actor="worker1", command=command, **more)
        assert added == {
            "actor": "worker1", "mode": "resident", "manager": "agent0", "fenced": False, "changed": True,
        }  # fmt: skip
        listed = (await ask(agent_ls))["actors"]
        assert [state["name"] for state in listed] == ["agent0", "worker1"]

        async def logged() -> list[str] | None:
            return (await ask(agent_logs, actor="worker1"))["lines"] or None

        assert await it.until(logged) == ["1 agent0"]
        assert (await ask(agent_rm, actor="worker1"))["channel"] == it.node.home.channel("worker1")
        for wrong in (
            {"command": ["x"], "mode": "none"},
            {"mode": "resident"},
            {"mode": "often"},
            {"command": ["x"], "cwd": "here"},
            {"environment": {"NETSKY_HOME": "x"}},
            {"environment": {"A=B": "x"}},
            {"command": ["x\0y"]},
        ):
            with pytest.raises(Usage):
                await ask(agent_add, actor="worker1", **wrong)


async def test_a_start_file_that_appears_while_a_fenced_program_runs_is_told(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as it:
        if it.node.actors.fence == "none":
            pytest.skip(f"no fence here: {it.node.actors.fence_missing}")
        script = "open('.zshenv', 'w').close(); import time; time.sleep(99)"
        await it.add("worker1", "python3", "-c", script, unfenced=False)
        await it.made(".zshenv")
        with it.node.events.subscribe(frozenset({"start_files_changed"})) as heard:
            await it.node.actors.remove("worker1")
            assert (await heard.next())["files"] == [str(it.folder / ".zshenv")]


def test_nothing_is_known_of_a_fence_before_it_was_tried() -> None:
    made = Actors(None, {})  # type: ignore[arg-type]
    assert (made.fence, made.fence_missing, made.states()) == ("none", "", [])


async def test_a_fenced_program_that_is_not_there_is_told_when_it_is_added(start: Start) -> None:
    async with start() as it:
        with pytest.raises(NotFound, match=r"there is no program at /nonexistent/count\.sh"):
            await it.add("worker1", "/nonexistent/count.sh", unfenced=False)


async def test_the_copies_that_actors_check_against_follow_what_is_in_force(start: Start) -> None:
    async with start() as it:
        await it.add("agent1")
        copies = [Path(it.node.home.actor_folder(name), "roster") for name in ("agent0", "agent1")]
        assert not any(copy.exists() for copy in copies)
        for roster in (b"first", b"second"):
            put(it.node.home.roster, roster)
            it.node.signals.ring(ROSTER_SIGNAL)

            async def look(now: bytes = roster) -> bool | None:
                return all(copy.exists() and copy.read_bytes() == now for copy in copies) or None

            await it.until(look)
