"""A program that is started for each envelope, in the sandbox of tasks."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from netsky.node.actors.runtime import AnyCommand, Run
from netsky.node.db.actors import ActorRow, Scope
from netsky.node.errors import Usage
from netsky.node.seams.processes import Exit
from netsky.node.verbs.actors import agent_add
from netsky.node.verbs.args import Args

from tests.node.actors.conftest import Running

Start = Callable[[], AbstractAsyncContextManager[Running]]
LOOK = (
    "import json, os, socket, sys\n"
    "text = json.load(sys.stdin)['text']\n"
    "try:\n    socket.create_connection(('127.0.0.1', int(text)), timeout=3); net = 'reached'\n"
    "except OSError: net = 'no network'\n"
    "home = os.path.dirname(os.path.dirname(os.path.dirname(os.environ['NETSKY_SOCKET'])))\n"
    "print(net, os.environ['HOME'], sorted(os.listdir(home)), 'NETSKY_CHANNEL' in os.environ, os.getcwd())\n"
    "open('made', 'w').close()\n"
)


@pytest.fixture(autouse=True)
def _walls() -> None:
    if sys.platform != "linux" or (shutil.which("bwrap") is None and shutil.which("unshare") is None):
        pytest.skip("there are no walls on this system")


async def test_it_gets_its_envelope_and_answers_and_reaches_nothing_else(start: Start) -> None:
    async with start() as it:
        await it.add_script("worker1", LOOK, unfenced=False, scope=Scope())
        sent = await it.send("worker1", "1")
        [(sender, kind, said)] = await it.answers(sent)
        assert (sender, kind) == ("worker1", "report")
        assert said == f"no network /tmp ['run'] False {it.folder}"
        await it.made("made")
        state = it.state("worker1")
        assert (state["sandboxed"], state["fenced"]) == (True, True)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"mode": "resident"}, "started for each envelope"),
        ({"unfenced": True}, "without a fence"),
        ({"cwd": ""}, "no folder"),
        ({"scope": Scope(readable=("/nowhere",))}, "no such path"),
        ({"scope": Scope(hosts=("example.org",))}, "port"),
    ],
)
async def test_what_cannot_be_in_a_sandbox_is_a_sentence_and_adds_nobody(
    start: Start, more: dict[str, Any], sentence: str
) -> None:
    async with start() as it:
        given: dict[str, Any] = {
            "mode": "per_envelope",
            "unfenced": False,
            "scope": Scope(),
            "confirm": "worker1",
        } | more
        with pytest.raises(Usage, match=sentence):
            await it.add("worker1", sys.executable, "-c", "pass", **given)
        assert all(state["name"] != "worker1" for state in it.node.actors.states())


async def test_a_folder_that_holds_the_nodes_secrets_is_no_place_to_work_in(start: Start, tmp_path: Path) -> None:
    async with start() as it:
        with pytest.raises(Usage, match="seen by nobody"):
            await it.add("worker1", "true", mode="per_envelope", unfenced=False, scope=Scope(), cwd=str(tmp_path))


async def test_the_scope_is_there_again_after_a_restart(start: Start) -> None:
    scope = Scope(("example.org:443",), ("/usr/share",))
    async with start() as it:
        await it.add("worker1", "true", mode="per_envelope", unfenced=False, scope=scope)
    async with start() as it:
        assert it.node.actors.row("worker1").scope == scope


async def test_hosts_without_a_sandbox_are_refused_since_it_would_have_the_whole_network(start: Start) -> None:
    async with start() as it:
        for wrong in ({"hosts": ["example.org:443"]}, {"sandbox": True, "readable": ["here"]}):
            args = Args("agent_add", {"actor": "worker1", "command": ["true"], "mode": "per_envelope", **wrong})
            with pytest.raises(Usage, match=r"for a sandbox|whole path"):
                await agent_add(it.node, None, args)  # type: ignore[arg-type]


def test_a_program_that_passed_a_bound_is_told_as_that() -> None:
    verdict = AnyCommand().judge(Run(Exit(None, 9, exceeded="memory"), b""))
    assert not verdict.taken
    assert verdict.reason == "the program used more memory than it may and was ended"


def test_a_row_without_a_scope_is_what_it_always_was() -> None:
    assert ActorRow("worker1", (), "none", None, True, True, {}, 1).scope is None
