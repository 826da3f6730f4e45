"""Whole meshes with people around them under a seed: trouble, then peace, and nothing is lost or done twice."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from netsky.node.lab.books import unsent
from netsky.node.lab.checker.__main__ import text
from netsky.node.lab.clock import MachineTime
from netsky.node.lab.machine import Machine
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.sim import Plan, Result, run
from netsky.node.links import planner

SHORT = Plan(seed=3, nodes=3, seconds=60, every=2)
SEED_OF_A_REVOCATION = 29
"""One in which somebody has written to it just before."""


def held(result: Result) -> None:
    assert not result.wrong, "\n".join(f"{what}: {sentence}" for what, sentence in result.wrong)
    assert result.report is not None


@pytest.mark.parametrize("faults", ["none", "light", "medium"])
def test_a_mesh_in_trouble_loses_nothing_and_comes_to_rest(faults: str) -> None:
    result = run(replace(SHORT, faults=faults))
    held(result)
    assert result.report is not None
    kinds = result.report.tally.by_kind
    assert kinds["submit_ok"] >= 60, text(result.report)
    assert result.report.branches["roster adopted"] > 0, "what nodes publish stands in the history"
    assert kinds["notice"] > 0


def test_the_same_seed_is_the_same_history_byte_for_byte_in_another_process_too(tmp_path: Path) -> None:
    plan, there = replace(SHORT, seed=11), tmp_path / "there"
    here = run(plan)
    words = ["--seed", "11", "--nodes", "3", "--seconds", "60", "--every", "2", "--history", str(there)]
    subprocess.run(
        [sys.executable, "-m", "netsky.node.lab.sim", *words],
        check=False, env={**os.environ, "PYTHONHASHSEED": "77"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert here.history == there.read_bytes()


def test_an_outcome_that_gets_lost_in_a_node_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    really, lost = planner.packed_answers, 0

    def forgets(*args: object) -> list[tuple[bytes, bytes]]:
        nonlocal lost
        packed = really(*args)  # type: ignore[arg-type]
        lost += bool(packed)
        return [] if lost == 20 else packed

    monkeypatch.setattr(planner, "packed_answers", forgets)
    result = run(replace(SHORT, faults="none"))
    assert result.report is not None
    assert "I3" in result.report.violations
    assert result.classes == {"liveness"}


def test_a_run_that_is_over_before_its_end_is_not_judged() -> None:
    result = run(SHORT, over=lambda: True)
    assert (result.report, result.wrong) == (None, [])


def test_each_run_may_have_faults_of_given_classes_and_of_no_other() -> None:
    for seed in range(20):
        assert replace(SHORT, seed=seed, only=("loss", "power")).profile().classes() == ("power", "loss")


def test_a_machine_that_is_put_back_again_and_again_loses_nothing_that_anybody_is_not_told_of() -> None:
    """Its ways are in trouble meanwhile, half of the time."""
    result = run(replace(SHORT, seed=5, faults="heavy", only=("loss",)))
    held(result)
    assert result.report is not None
    assert result.report.branches["restored"] >= 3
    assert b'"key":"beside ' in result.history


def test_who_waits_for_the_end_waits_for_files_that_found_no_room_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path, MemoryNetwork(), 1, MachineTime())
    outbox = Path(machine.home.channel("agent1"), "outbox")
    outbox.mkdir(parents=True, exist_ok=True)
    assert unsent([machine], ["agent1"]) == []
    (outbox / "one.json").write_text("{}")
    assert unsent([machine], ["agent1"]) == ["netsky1: 1 files in the outbox of agent1"]


def test_a_member_that_is_revoked_while_it_speaks_is_cut_off_and_what_was_on_its_way_to_it_is_in_doubt() -> None:
    result = run(replace(SHORT, seed=SEED_OF_A_REVOCATION, faults="heavy", only=("hostile",)))
    held(result)
    assert result.report is not None
    for name in ("link ended: revoked", "in doubt: dest_revoked"):
        assert result.report.branches[name] > 0, name
