"""Whole meshes with people around them under a seed: trouble, then peace, and nothing is lost or done twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from netsky.node.lab.checker.__main__ import text
from netsky.node.lab.sim import Plan, Result, run

SHORT = Plan(seed=0, nodes=3, seconds=60, every=2)


def held(result: Result) -> None:
    assert not result.wrong, "\n".join(f"{what}: {sentence}" for what, sentence in result.wrong)
    assert result.report is not None


@pytest.mark.parametrize("faults", ["none", "light", "medium"])
def test_a_mesh_in_trouble_loses_nothing_and_comes_to_rest(faults: str) -> None:
    result = run(Plan(seed=3, nodes=3, seconds=60, every=2, faults=faults))
    held(result)
    assert result.report is not None
    kinds = result.report.tally.by_kind
    assert kinds["submit_ok"] >= 60, text(result.report)
    assert kinds["archive"] <= kinds["deliver"]


def test_the_same_seed_is_the_same_history_byte_for_byte_in_another_process_too(tmp_path: Path) -> None:
    plan, there = Plan(seed=11, nodes=3, seconds=60, every=2), tmp_path / "there"
    here = run(plan)
    words = ["--seed", "11", "--nodes", "3", "--seconds", "60", "--every", "2", "--history", str(there)]
    subprocess.run(
        [sys.executable, "-m", "netsky.node.lab.sim", *words],
        check=False, env={**os.environ, "PYTHONHASHSEED": "77"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert here.history == there.read_bytes()
