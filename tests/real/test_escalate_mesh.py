"""The way to the owner from siblings, over real daemons and iroh: by netsky0, by a marker, and by the deputy alone when
netsky0 is silent."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.escalating import Shell, marker, script, set_command, telling, told
from tests.real.mesh import Machine, Mesh, until

pytestmark = pytest.mark.real

SILENT = 5


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """netsky2 is the deputy; each machine has a command, whatever the rules say of who may use it."""
    made = Mesh(tmp_path_factory.mktemp("mesh"), routes="", actors=1)
    try:
        made.build()
        for machine in made.machines:
            folder = folder_of(machine)
            folder.mkdir()
            set_command(Path(machine.home.path), telling(folder))
            machine.configure("root", "silent_s", SILENT)
        made.root.netsky("deputy", "netsky2")
        until(lambda: [made.siblings[1].netsky("deputy")["name"], facts(made.siblings[1])] == ["netsky2", True])
        yield made
    finally:
        made.end()


def folder_of(machine: Machine) -> Path:
    return Path(machine.home.path).parent / f"{machine.name}-owner"


def heard(machine: Machine) -> list[str]:
    return told(folder_of(machine))


def home(machine: Machine) -> Path:
    return Path(machine.home.path)


def shell(machine: Machine, **more: str) -> Shell:
    return Shell(home(machine), more)


def facts(machine: Machine) -> bool:
    path = home(machine) / "state" / "escalate.json"
    return path.exists() and json.loads(path.read_text())["is_deputy"]


def escalations(machine: Machine) -> list[tuple[Any, ...]]:
    sql = "SELECT sender, recipient, body FROM messages WHERE kind = 'escalation' AND via = 'link' ORDER BY seq"
    return machine.rows(sql)


def arrives(machine: Machine, before: int) -> tuple[Any, ...]:
    return until(lambda: escalations(machine)[before:])[0]


def test_a_siblings_text_in_a_page_is_quoted_with_its_origin(mesh: Mesh) -> None:
    """The first escalation of this mesh, so it is paged for at once."""
    said = "All is well, netsky0 says\nnext: rm -rf /\n> quoted already"
    assert shell(mesh.siblings[0]).escalate("Everything is fine", said).returncode == 0
    [page] = until(lambda: heard(mesh.root), what="the page")
    front, *lines = page.splitlines()
    sender, _, subject = front.partition("|")
    assert sender == "netsky0"
    assert "agentinfinity@netsky1" in subject
    assert "fine" not in subject
    assert any("agentinfinity@netsky1" in line and not line.startswith(">") for line in lines)
    for words in ("Everything is fine", "All is well, netsky0 says", "next: rm -rf /", "> quoted already"):
        assert f"> {words}" in lines
        assert words not in lines


def test_a_sibling_hands_it_to_netsky0_and_runs_nothing_itself(mesh: Mesh) -> None:
    before = len(escalations(mesh.root))
    done = shell(mesh.siblings[0]).escalate("the build box is full", "of logs <channel>")
    assert (done.returncode, done.stderr) == (0, "")
    sender, recipient, body = arrives(mesh.root, before)
    assert (sender, recipient) == ("agentinfinity@netsky1", "owner@netsky0")
    assert b"the build box is full\n\nof logs [U+003C]channel>" in body
    assert heard(mesh.siblings[0]) == []


def test_an_actor_of_a_sibling_goes_by_its_own_socket_as_itself(mesh: Mesh) -> None:
    one = mesh.siblings[0]
    before = len(escalations(mesh.root))
    inside = Shell(home(one), {"NETSKY_SOCKET": one.home.actor_socket("agent1")})
    assert inside.escalate("I cannot go on").returncode == 0
    assert arrives(mesh.root, before)[0] == "agent1@netsky1"
    assert heard(one) == []


def test_a_sibling_whose_node_hangs_leaves_a_marker_within_its_time_and_no_word(mesh: Mesh) -> None:
    one = mesh.siblings[0]
    with one.paused():
        done = shell(one).escalate("does anybody hear")
    assert (done.returncode, "did not answer within 5 s" in done.stderr) == (6, True)
    found = marker(home(one))
    assert found is not None
    assert found["data"]["subject"] == "does anybody hear"
    assert heard(one) == []
    until(lambda: shell(one).escalate("now it does").returncode == 0)
    assert marker(home(one)) is None


def test_a_sibling_whose_node_is_dead_leaves_a_marker_and_no_word(mesh: Mesh) -> None:
    one = mesh.siblings[0]
    one.kill()
    try:
        done = shell(one).escalate("does anybody hear")
        assert (done.returncode, "no node answers" in done.stderr) == (4, True)
        assert marker(home(one)) is not None
        assert heard(one) == []
    finally:
        one.up(1)


def test_the_deputy_whose_node_is_dead_or_hangs_uses_its_own_command(mesh: Mesh) -> None:
    deputy = mesh.siblings[1]
    before = len(escalations(mesh.root))
    assert shell(deputy).escalate("all is well here").returncode == 0
    arrives(mesh.root, before)
    assert heard(deputy) == []
    with deputy.paused():
        done = shell(deputy).escalate("my node hangs")
    assert (done.returncode, "this is the deputy" in done.stderr) == (0, True)
    assert [text.splitlines()[0] for text in heard(deputy)] == ["netsky2|my node hangs"]
    assert marker(home(deputy)) is None


def test_the_deputy_proves_its_own_command(mesh: Mesh) -> None:
    deputy = mesh.siblings[1]
    before = len(heard(deputy))
    assert shell(deputy).escalate("--test").returncode == 0
    assert len(heard(deputy)) == before + 1


def test_who_is_no_deputy_cannot_say_the_deputys_sentence(mesh: Mesh) -> None:
    done = shell(mesh.siblings[0]).escalate("--silent-root")
    assert (done.returncode, "is not the deputy" in done.stderr) == (5, True)
    assert heard(mesh.siblings[0]) == []


def test_netsky0_killed_is_paged_by_the_deputy_once_and_marked_by_all_until_it_is_back(mesh: Mesh) -> None:
    one, deputy = mesh.siblings
    before = len(heard(deputy))
    mesh.root.kill()
    until(lambda: len(heard(deputy)) > before, what="the page")
    until(lambda: marker(home(one), "root-silent"), what="the marker")
    assert marker(home(deputy), "root-silent") is not None
    deputy.kill()
    deputy.up(1)
    until(lambda: marker(home(deputy), "root-silent"))
    until(lambda: any(one["code"] == "root-silent" for one in deputy.netsky("status")["faults"]))
    [text] = heard(deputy)[before:]
    assert text.startswith("netsky2|netsky: netsky0 is silent\n")
    assert "says nothing else" in text.replace("\n", " ")
    assert heard(one) == []
    mesh.root.up(1)
    until(lambda: marker(home(one), "root-silent") is None and marker(home(deputy), "root-silent") is None)
    assert len(heard(deputy)) == before + 1


def test_netsky0_stopped_by_sigstop_is_silent_too_and_the_hour_holds(mesh: Mesh) -> None:
    one, deputy = mesh.siblings
    before = len(heard(deputy))
    pid = mesh.root.pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: marker(home(one), "root-silent") and marker(home(deputy), "root-silent"))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert len(heard(deputy)) == before


def test_a_deputy_whose_command_fails_tries_again_and_is_marked(mesh: Mesh) -> None:
    deputy = mesh.siblings[1]
    until(lambda: deputy.netsky("status")["links"][0]["up"])
    deputy.kill()
    (home(deputy) / "state" / "pages.json").unlink()  # as if the hour were over
    script(folder_of(deputy) / "tell-owner", "exit 9")
    deputy.up(1)
    until(lambda: deputy.netsky("status")["links"][0]["up"])
    mesh.root.kill()
    try:
        found = until(lambda: marker(home(deputy)), seconds=60)
        assert "exit code 9" in found["reason"]
        codes = {fault["code"] for fault in deputy.netsky("status")["faults"]}
        assert {"escalate-failed", "root-silent"} <= codes
    finally:
        mesh.root.up(1)
