"""Each invariant on a good history, and on that history spoiled in one place, which it alone notices."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import netsky.node.lab.checker as package
import pytest
from netsky.node.lab.checker.__main__ import main
from netsky.node.lab.checker.branches import BY_FAULTS
from netsky.node.lab.checker.lines import VoidHistory
from netsky.node.lab.checker.rules import check

from tests.node.lab.good_history import DOWN, EPOCH, NAMES, UP, good
from tests.node.lab.spoiled import (
    PLANTED,
    Spoil,
    add,
    again,
    both,
    change,
    drop,
    everything_later,
    forgetful,
    judged,
    later_life,
    nothing,
    untold,
    word,
    written,
)


def test_a_good_history_is_good(tmp_path: Path) -> None:
    report = judged(tmp_path, nothing)
    assert report.violations == {}
    assert report.stories == []
    assert report.blind == []
    assert (report.exempt, report.without_proof, report.tally.torn) == (1, 0, 0)


@pytest.mark.parametrize(("invariant", "spoil"), PLANTED.values(), ids=PLANTED)
def test_planted(invariant: str, spoil: Spoil, tmp_path: Path) -> None:
    """It alone notices, and its story holds what was planted."""
    report = judged(tmp_path, spoil)
    assert set(report.violations) == {invariant}, [story.text() for story in report.stories]
    for story in report.stories:
        assert story.told
        assert story.text().startswith(f"{invariant}: ")


def restored(node: str, key: str) -> Spoil:
    return both(
        add(ev="crash", node=node, by="test"), add(ev="start", node=node, by="test", reason="restored", key=key)
    )


LATE = {"node": "netsky1", "id": "c1", "origin": "netsky1", "hash": "66" * 32}
CUT_OFF = {"node": "network", "by": "network", "key": "part 1", "reason": "part", "link": "netsky0>netsky1"}
STORM = {"node": "netsky1", "by": "network", "key": "storm"}
HONEST: dict[str, Spoil] = {
    "received by a process that died before it could decide": both(
        again(at_end=True, but={"id": "y", "n": 9, "hash": "33" * 32}, ev="link_rx", id="a1"),
        add(ev="crash", node="netsky0", by="test"),
        add(ev="start", node="netsky0", by="test")),
    "submitted by a client that did not hear the answer": add(
        ev="deliver", node="netsky0", id="x1", origin="netsky1"),
    "a head that stands still in bad weather": both(
        everything_later(60, ev="deliver", id="a4"),
        add({"ev": "submit_ok", "id": "a4"}, ev="fault", **STORM),
        add({"ev": "deliver", "id": "a4"}, ev="heal", **STORM)),
    "healed, and in trouble again before all had to be drained": both(
        add({"ev": "submit_ok", "id": "a4"}, ev="heal", node="netsky1", by="network", value=0.5),
        add({"ev": "heal", "value": 0.5}, ev="fault", **STORM),
        add({"ev": "fault", "key": "storm"}, ev="heal", **STORM)),
    "a sender whose node forgot that it sent, and is told nothing": both(
        add(ev="backup", node="netsky1", by="test", key="early"),
        add(ev="submit_ok", **LATE | {"by": "client", "dest": "agent0@netsky2"}),
        add(ev="deliver", **LATE | {"node": "netsky2"}),
        restored("netsky1", "early")),
    "ended as in doubt on its way, and told to a node that forgot that it sent": both(
        add(ev="backup", node="netsky1", by="test", key="early"),
        add(ev="submit_ok", **LATE | {"by": "client", "dest": "agent0@netsky3"}),
        add(ev="accept", **LATE | {"node": "netsky0"}),
        restored("netsky1", "early"),
        add(ev="outcome", node="netsky1", id="c1", origin="netsky1", link="netsky0>netsky1", ln="reply", epoch=2, n=1,
            reason="in_doubt(dest_revoked)")),
    "taken in from an outbox after the backup, and forgotten by a sender that had the file before": both(
        add(ev="submit_ok", **LATE | {"by": "client", "dest": "agent0@netsky2", "reason": "outbox"}),
        add(ev="backup", node="netsky1", by="test", key="early"),
        add(ev="accept", **LATE | {"node": "netsky0"}),
        add(ev="deliver", **LATE | {"node": "netsky2"}),
        restored("netsky1", "early")),
    "for a member that never ran, until that is taken out of the mesh": both(
        add(ev="start", node="netsky3", by="test", reason="absent", key="03" * 32),
        add(ev="submit_ok", **LATE | {"by": "client", "dest": "agent0@netsky3"}),
        add(ev="dead_letter", **LATE | {"node": "netsky0", "reason": "dest_revoked"}),
        add(ev="outcome", node="netsky1", by="client", id="c1", origin="netsky1", reason="dead(dest_revoked)"),
        everything_later(60, ev="dead_letter", id="c1")),
    "crashed once more before anybody was told that it was put back": both(
        add({"ev": "start", "reason": "restored"}, ev="start", node="netsky2"),
        add({"ev": "start", "reason": "restored"}, ev="crash", node="netsky2", by="test")),
    "delivered to one that forgot it, by one that forgot it too": both(
        *(add(ev="backup", node=node, by="test", key="early") for node in ("netsky1", "netsky2")),
        add(ev="submit_ok", **LATE | {"by": "client", "dest": "agent0@netsky2"}),
        add(ev="deliver", **LATE | {"node": "netsky2"}),
        restored("netsky2", "early"), restored("netsky1", "early")),
    "asked again of a node that forgot the first time, and had passed it on": both(
        drop(ev="submit_call", key="lost answer"), drop(ev="submit_unknown", key="lost answer"),
        add(ev="submit_call", node="netsky1", by="client", key="again", dest="agent0@netsky2"),
        add(ev="deliver", **LATE | {"node": "netsky2"}),
        add(ev="backup", node="netsky1", by="test", key="none of it"),
        restored("netsky1", "none of it"),
        add(ev="submit_ok", **LATE | {"id": "c2", "by": "client", "key": "again", "dest": "agent0@netsky2"}),
        add(ev="deliver", **LATE | {"id": "c2", "node": "netsky2"}),
        add(ev="outcome", node="netsky1", by="client", id="c2", origin="netsky1", reason="delivered")),
    "a node that says again what it had said, and the fate of what it speaks of more carefully": both(
        add(ev="backup", node="netsky1", by="test", key="early"),
        add(ev="outcome", node="netsky1", by="client", id="a2", origin="netsky1", reason="dead(no_actor)"),
        add(ev="submit_ok", **LATE | {"reason": "daemon", "dest": "agent0@netsky1"}),
        add(ev="deliver", **LATE),
        restored("netsky1", "early"),
        add(ev="outcome", node="netsky1", by="client", id="a2", origin="netsky1", reason="in_doubt(no_actor)"),
        add(ev="submit_ok", **LATE | {"reason": "daemon", "dest": "agent0@netsky1", "hash": "67" * 32}),
        add(ev="deliver", **LATE | {"hash": "67" * 32}),
        add(ev="outcome", node="netsky1", by="client", id="c1", origin="netsky1", reason="delivered")),
    "sent before the way was parted, and come after": both(
        add({"ev": "link_tx", "id": "a4"}, ev="fault", **CUT_OFF),
        add({"ev": "deliver", "id": "a4"}, ev="heal", **CUT_OFF)),
    "sent over a way that is parted the other way": both(
        add({"ev": "submit_ok", "id": "a4"}, ev="fault", **CUT_OFF | {"reason": "one_way", "link": "netsky0>netsky1"}),
        add({"ev": "deliver", "id": "a4"}, ev="heal", **CUT_OFF)),
    "parted, healed, and sent": both(
        add({"ev": "submit_ok", "id": "a4"}, ev="heal", **CUT_OFF),
        add({"ev": "submit_ok", "id": "a4"}, ev="fault", **CUT_OFF)),
    "a second life that says its start": both(
        add({"ev": "submit_ok", "id": "a1"}, ev="start", node="netsky0", boot=2),
        add({"ev": "submit_ok", "id": "a1"}, ev="crash", node="netsky0", by="test"),
        add({"ev": "submit_ok", "id": "a1"}, ev="start", node="netsky0"),
        later_life("netsky0")),
    "in doubt by what the node of its sender decided itself": both(forgetful,
        word("a2", "delivered"), change({"reason": "in_doubt(restored)"}, ev="outcome", id="a2", by="client")),
    "asked again with one key, of a node that forgot the first time": both(
        add(ev="backup", node="netsky1", by="test", key="early"),
        add(ev="submit_ok", **LATE | {"by": "client", "key": "again", "dest": "agent0@netsky2"}),
        restored("netsky1", "early"),
        add(ev="submit_ok", **LATE | {"id": "c2", "by": "client", "key": "again", "dest": "agent0@netsky2"}),
        add(ev="deliver", **LATE | {"id": "c2", "node": "netsky2"}),
        add(ev="outcome", node="netsky1", by="client", id="c2", origin="netsky1", reason="delivered")),
    "told by a clock that was behind, before its node was named": lambda events: events.insert(
        0, {"t": EPOCH, "boot": 1, "by": "client", "node": "netsky1", "ev": "submit_ok", "id": "a1",
            "origin": NAMES[1].hex(), "dest": "agent0@netsky0"}),
    "nothing for a node but what its sender forgot, for a minute, and then one that comes at once": both(
        add(ev="backup", node="netsky1", by="test", key="early"),
        add(ev="submit_ok", **LATE | {"by": "client", "dest": "agent0@netsky2"}),
        restored("netsky1", "early"),
        add(ev="submit_ok", **LATE | {"id": "c2", "by": "client", "dest": "agent0@netsky2"}),
        everything_later(60, ev="submit_ok", id="c2"),
        add(ev="deliver", **LATE | {"id": "c2", "node": "netsky2"}),
        add(ev="outcome", node="netsky1", by="client", id="c2", origin="netsky1", reason="delivered")),
    "a stream of which not every number is told": lambda events: untold(events, 2),
    "a sender put back to where the other end knows no more than it, which goes on": both(
        add(ev="backup", node="netsky1", by="test", key="late"),
        add(ev="link_tx", node="netsky1", link=UP, ln="work", epoch=1, n=7, hash="77" * 32),
        restored("netsky1", "late"),
        add(ev="link_tx", node="netsky1", link=UP, ln="work", epoch=1, n=7, hash="78" * 32)),
    "a life that both ends forgot": both(
        *(add(ev="backup", node=node, by="test", key="early") for node in ("netsky0", "netsky2")),
        add(ev="link_tx", node="netsky0", link=DOWN, ln="work", epoch=3, n=1, hash="44" * 32),
        *(add(ev="start", node=node, by="test", reason="restored", key="early") for node in ("netsky0", "netsky2")),
        add(ev="link_tx", node="netsky0", link=DOWN, ln="work", epoch=3, n=1, hash="55" * 32)),
}  # fmt: skip


@pytest.mark.parametrize("spoil", HONEST.values(), ids=HONEST)
def test_no_false_alarm(spoil: Spoil, tmp_path: Path) -> None:
    report = judged(tmp_path, spoil)
    assert report.violations == {}, [story.text() for story in report.stories]


def test_every_invariant_has_something_planted() -> None:
    wanted = [f"I{number}" for number in (*range(1, 13), *range(17, 23), 31)]
    assert {invariant for invariant, _ in PLANTED.values()} == {*wanted, "I12b"}


def test_a_flood_of_violations_is_told_in_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = [
        {"t": at, "node": "n", "by": "client", "ev": "submit_ok", "id": f"e{at}", "origin": "n", "dest": "a"}
        for at in range(30)
    ]
    assert main([written(tmp_path, lost)]) == 1
    out = capsys.readouterr().out
    assert out.count("never ended") == 10
    assert "and 20 more of the same" in out


def test_several_files_are_one_history_by_time(tmp_path: Path) -> None:
    events = good()
    paths = []
    for by in ("client", "actor", "network", "test", "node"):
        folder = tmp_path / by
        folder.mkdir()
        paths.append(written(folder, [event for event in events if event["by"] == by]))
    assert check(paths).violations == {}


def test_the_command_says_what_it_saw_and_ends_with_a_code(tmp_path: Path) -> None:
    path = written(tmp_path, good())
    with open(path, "a") as history:
        history.write('{"t": 1, "no')

    def run(*arguments: str) -> tuple[int, str]:
        argv = [sys.executable, "-m", "netsky.node.lab.checker", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr

    code, said = run(path)
    assert code == 0
    assert said.endswith("everything held\n")
    assert "1 lines were cut off" in said
    assert (
        "3 nodes, 257 s: 7 accepted, 5 delivered, 1 dead of no_actor, 1 without an end; faults: 2 crash, 1 cut" in said
    )
    assert f"3 of {len(BY_FAULTS)} rare branches reached" in said
    assert "1 envelopes were known to a destroyed disk alone" in said
    spoiled = good()
    PLANTED["an accepted envelope that goes nowhere"][1](spoiled)
    code, said = run(written(tmp_path, spoiled))
    assert (code, said.splitlines()[-1]) == (1, "violated: I1")
    assert "I1: netsky1 lost was accepted and never ended" in said
    assert run(str(tmp_path / "none"))[0] == 2
    assert run()[0] == 2


def test_what_had_nothing_to_judge_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event = {"t": 1, "node": "n", "by": "node", "ev": "accept", "id": "a", "origin": "n", "link": "m>n", "n": 1}
    assert main([written(tmp_path, [event])]) == 0
    out = capsys.readouterr().out
    assert "1 came by a link without proof" in out
    assert "saw nothing to judge: I1 no loss, I2 no duplicate" in out


@pytest.mark.parametrize(
    "line",
    [
        {"t": 1, "node": "n", "by": "node", "ev": "submit_ok", "id": "a", "origin": "n"},
        {"t": 1, "node": "n", "by": "client", "ev": "sumbit_ok"},
        {"node": "n", "ev": "start"},
        [1],
    ],
    ids=["a node as its client's witness", "no such event", "no time", "no object"],
)
def test_what_is_no_history_is_not_judged(line: object, tmp_path: Path) -> None:
    with pytest.raises(VoidHistory):
        check([written(tmp_path, [line])])  # type: ignore[list-item]


def test_it_imports_nothing_of_ours() -> None:
    folder = os.path.dirname(package.__file__)
    names = {
        f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
        for path in Path(folder).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    ours = {name for name in names if name.startswith("netsky.")}
    assert {name for name in ours if not name.startswith("netsky.node.lab.checker")} == set()
    foreign = {name.split(".")[0] for name in names - ours} - set(sys.stdlib_module_names)
    assert foreign == {"cryptography", "msgpack"}
