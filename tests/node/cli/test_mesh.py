"""invite, join, approve, nodes, revoke: what people see and are asked."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from netsky.mesh.ticket import Ticket, ticket_text
from netsky.node.cli.join import _Shown
from netsky.node.cli.output import Output
from netsky.node.home import Home, take_lock
from netsky.node.identity import public_key, read_key
from netsky.node.init import init_home
from netsky.node.seams.real import RealChance, RealTime
from netsky.node.seams.real_files import RealFiles

from tests.node.cli.conftest import Run, StubNode

NOW = 1_700_000_000 * 10**9
TICKET = Ticket(b"m" * 16, b"o" * 32, b"c" * 32, b"r" * 32, ("127.0.0.1:9",), "", b"s" * 16, NOW)
LINE = ticket_text(TICKET)
HOSTILE = "x\x1b[2J"


def invited(**more: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    answer = {
        "label": "studio", "capabilities": [], "hold": False, "ticket": LINE, "ends": NOW, "replaced": False,
        "install": "pipx install netsky-mesh", "bound": "",
    }  # fmt: skip
    return lambda args: answer | more


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Somebody sits there and types this."""
    return lambda text: monkeypatch.setattr(sys, "stdin", Terminal(text))


# invite


def test_invite_prints_what_to_type_on_the_other_machine(run: Run, node: StubNode) -> None:
    node.verbs["invite"] = invited()
    ran = run("invite", "studio", "--capability", "gpu", "--capability", "docker", "--hold")
    assert ran.code == 0
    assert f"    pipx install netsky-mesh\n    netsky join {LINE}\n" in ran.out
    assert "password" in ran.out
    assert "netsky approve" in ran.err
    assert node.asked == [("invite", {"label": "studio", "capabilities": ["gpu", "docker"], "hold": True})]


def test_a_ticket_file_is_readable_by_its_owner_alone_and_the_ticket_is_shown_nowhere(
    run: Run, node: StubNode, tmp_path: Path
) -> None:
    node.verbs["invite"] = invited(replaced=True, bound="0.0.0.0:4433")
    path = tmp_path / "my ticket"
    ran = run("invite", "studio", "--ticket-file", str(path))
    assert path.read_text() == LINE + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert LINE not in ran.out + ran.err
    assert "netsky join --ticket-file 'my ticket'" in ran.out
    assert "withdrawn" in ran.err
    assert "0.0.0.0:4433" in ran.err
    asked = len(node.asked)
    again = run("--json", "invite", "studio", "--ticket-file", str(path))
    assert (again.code, again.json["error"]["code"]) == (7, "file_exists")
    assert len(node.asked) == asked, "no ticket is made that could not be written"
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert run("invite", "studio", "--ticket-file", str(link)).code == 7


def test_invite_as_json_has_ticket_or_file(run: Run, node: StubNode, tmp_path: Path) -> None:
    node.verbs["invite"] = invited()
    data = run("--json", "invite", "studio").json["data"]
    assert (data["ticket"], data["ticket_file"], data["lines"][-1]) == (LINE, None, f"netsky join {LINE}")
    path = str(tmp_path / "t")
    data = run("--json", "invite", "studio", "--ticket-file", path).json["data"]
    assert (data["ticket"], data["ticket_file"], data["lines"][-1]) == (None, path, "netsky join --ticket-file t")


# nodes, approve, revoke


def member(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "label": f"label of {name}", "root": False, "fingerprint": "aaaa-bbbb-cccc-dddd", "key": "ab",
        "capabilities": ["gpu"], "joined_at": NOW, "revoked_at": None, "state": "up", "program": "0.1.0",
        "last_seen": NOW,
    } | more  # fmt: skip


NODES = {
    "mesh": "ab", "reign": 1, "version": 3,
    "members": [
        member("netsky0", state="here"), member("netsky1", label=HOSTILE),
        member("netsky2", state="revoked", revoked_at=NOW), member("netsky3", state="unknown", last_seen=None),
        member("netsky4", state="down", program=""),
    ],
    "pending": [
        {"name": "netsky5", "label": HOSTILE, "fingerprint": "eeee-ffff-0000-1111", "words": "acid acorn actor",
         "program": HOSTILE, "asked_at": NOW, "ends": NOW, "capabilities": []}
    ],
    "invites": [{"label": "box", "hold": True, "made_at": NOW, "ends": NOW, "capabilities": []}],
    "strangers": [
        {"fingerprint": "2222-3333-4444-5555", "code": "ticket_used", "times": 3, "first_at": NOW, "last_at": NOW},
        {"fingerprint": "2222-3333-4444-6666", "code": HOSTILE, "times": 1, "first_at": NOW, "last_at": NOW},
    ],
}  # fmt: skip


def test_nodes_shows_members_then_who_waits_then_who_was_turned_away(
    run: Run, node: StubNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    node.verbs["nodes"] = lambda args: NODES
    ran = run("nodes")
    assert ran.code == 0
    assert all(letter.isprintable() or letter == "\n" for letter in ran.out)
    lines = ran.out.splitlines()
    assert lines[0].split() == ["node", "label", "state", "seen", "version", "key", "joined", "can"]
    assert "words  acid acorn actor" in ran.out
    assert "netsky approve netsky5 --refuse" in ran.out
    assert "one machine may join as box, to be approved" in ran.out
    assert "2222-3333-4444-5555" in lines[-2]
    assert "3 times: its ticket was used by another machine" in lines[-2]
    assert run("--json", "nodes").json["summary"] == "4 nodes, 1 join waiting"


def test_nodes_of_an_actor_and_without_a_mesh(run: Run, node: StubNode) -> None:
    shown = {"name": "netsky0", "label": "desk", "root": True, "capabilities": ["gpu"], "state": "up"}
    node.verbs["nodes"] = lambda args: {"version": 1, "members": [shown]}
    assert run("nodes").out.splitlines()[1].split() == ["netsky0", "desk", "up", "gpu"]
    node.verbs["nodes"] = lambda args: {"version": 0, "members": [], "pending": [], "invites": [], "strangers": []}
    assert run("nodes").out == "this node belongs to no mesh: netsky help mesh\n"


def test_approve_says_whom(run: Run, node: StubNode) -> None:
    row = {"name": "netsky5", "label": "box", "fingerprint": "eeee", "words": "acid", "refused": False}
    node.verbs["approve"] = lambda args: row | {"refused": args.get("refuse", False)}
    assert run("approve", "box").out == "netsky5 (box, key eeee) belongs to the mesh\n"
    assert run("approve", "box", "--refuse").out == "box is refused\n"


def test_revoke_asks_for_the_name_again(run: Run, node: StubNode, typed: Callable[[str], None]) -> None:
    node.verbs["nodes"] = lambda args: NODES
    node.verbs["revoke"] = lambda args: {
        "name": "netsky1", "label": "box", "fingerprint": "a", "already": False, "version": 4
    }  # fmt: skip
    for said, code in (("netsky1\n", 0), ("netsky2\n", 7), ("\n", 7), ("", 7)):
        typed(said)
        ran = run("revoke", "netsky1")
        assert ran.code == code
        assert "cut off at once" in ran.err
    assert [verb for verb, _ in node.asked].count("revoke") == 1
    typed("x\n")
    assert run("revoke", "netsky9").code == 3


def test_revoke_without_a_terminal_needs_yes(run: Run, node: StubNode) -> None:
    node.verbs["revoke"] = lambda args: {
        "name": "netsky1", "label": "box", "fingerprint": "a", "already": True, "version": 4
    }  # fmt: skip
    ran = run("revoke", "netsky1")
    assert (ran.code, "netsky revoke netsky1 --yes" in ran.err) == (2, True)
    assert node.asked == []
    assert run("revoke", "netsky1", "--yes").out == "netsky1 (box) was revoked before\n"


# join


@pytest.mark.parametrize(
    ("words", "code", "exit_"),
    [
        ((), "bad_argument", 2),
        ((LINE, "--ticket-file", "x"), "bad_argument", 2),
        (("--ticket-file", "/nowhere/t"), "no_file", 3),
        (("nonsense",), "ticket_form", 2),
        ((LINE[:-3],), "ticket_damaged", 2),
        ((LINE,), "not_confirmed", 2),
    ],
)
def test_a_join_that_cannot_be_meant_changes_nothing(
    words: tuple[str, ...], code: str, exit_: int, run: Run, home: Path
) -> None:
    os.rmdir(home / "logs")
    os.rmdir(home)
    ran = run("--json", "join", *words)
    assert (ran.code, ran.json["error"]["code"]) == (exit_, code)
    assert ran.json["error"]["next"]
    assert not home.exists()


def test_join_says_whose_mesh_it_is_and_what_it_means_and_asks(
    run: Run, home: Path, typed: Callable[[str], None]
) -> None:
    for said in ("\n", "n\n", "yes please\n", ""):
        typed(said)
        ran = run("join", LINE)
        assert ran.code == 7
        assert "6d" * 16 in ran.err
        assert "may start programs on this machine" in ran.err
        assert "the ticket ended" in ran.err
        assert not (home / "node.key").exists()


@pytest.fixture
def finished(home: Path) -> Home:
    os.rmdir(home / "logs")
    made = Home(str(home))
    init_home(made, RealFiles(), RealChance(), RealTime(), root=False)
    return made


def test_a_node_that_runs_is_stopped_first(run: Run, finished: Home) -> None:
    lock = take_lock(finished, RealFiles())
    assert lock is not None
    ran = run("--json", "join", LINE, "--yes")
    assert (ran.code, ran.json["error"]["code"]) == (7, "home_in_use")
    assert "netsky down" in ran.json["error"]["next"]
    lock.release()


def test_the_roots_own_home_takes_no_ticket_of_its_own(run: Run, finished: Home) -> None:
    key = public_key(read_key(finished, RealFiles()))
    ran = run("--json", "join", ticket_text(replace(TICKET, root_key=key)), "--yes")
    assert (ran.code, ran.json["error"]["code"]) == (7, "own_ticket")


def test_waiting_is_told_once_in_a_pipe_and_the_clock_only_when_it_is_off(capsys: pytest.CaptureFixture[str]) -> None:
    shown = _Shown(Output("join", wall=lambda: NOW))
    for _ in range(3):
        shown.pending()
        shown.trouble("no answer")
        shown.trouble("no answer")
    for off in (0, 10 * 10**9, -200 * 10**9):
        shown.clock(off)
    shown.clock(3_600 * 10**9)
    shown.clock(-3_600 * 10**9)
    shown.words(("acid", "acorn"))
    said = capsys.readouterr().err
    assert said.count("waiting for netsky approve") == 1
    assert said.count("no answer; trying again") == 3
    assert said.count("clock") == 2
    assert "1h behind the root's" in said
    assert "1h ahead of the root's" in said
    assert "acid acorn" in said
    assert shown.compared == ("acid", "acorn")


def test_waiting_on_a_terminal_is_one_line_that_is_written_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _Shown(Output("join", wall=lambda: NOW))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    shown.pending()
    shown.pending()
    assert capsys.readouterr().err.count("\r") == 2
