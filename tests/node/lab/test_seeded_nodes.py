"""Whole nodes under a seed: trouble on the network, then peace, and the one checker over what everybody saw."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from netsky.node.lab.checker.__main__ import text
from netsky.node.links import planner

from tests.node.lab.seeded_nodes import history_of, judged


def seeds() -> list[int]:
    first, _, last = os.environ.get("NETSKY_SEEDS", "1-2").partition("-")
    return list(range(int(first), int(last or first) + 1))


@pytest.mark.parametrize("seed", seeds())
def test_three_nodes_in_trouble_lose_nothing_and_do_nothing_twice(tmp_path: Path, seed: int) -> None:
    report = judged(seed, tmp_path, tmp_path / "history")
    assert not report.violations, text(report)
    kinds = report.tally.by_kind
    assert kinds["fault"] >= 3
    assert kinds["deliver"] == kinds["archive"] == kinds["submit_ok"] >= 100
    assert report.without_proof == 0
    assert report.branches["link ended: stream"] > 0, "how connections ended stands in the history"


def test_the_same_seed_is_the_same_history_byte_for_byte_in_another_process_too(tmp_path: Path) -> None:
    here, there = history_of(4, tmp_path), tmp_path / "there"
    subprocess.run(
        [sys.executable, "-m", "tests.node.lab.seeded_nodes", "4", str(there)],
        check=True, env={**os.environ, "PYTHONHASHSEED": "77"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert here == there.read_bytes()


def test_an_outcome_that_gets_lost_in_a_node_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really, lost = planner.packed_answers, 0

    def forgets(*args: object) -> list[tuple[bytes, bytes]]:
        nonlocal lost
        packed = really(*args)  # type: ignore[arg-type]
        lost += bool(packed)
        return [] if lost == 20 else packed

    monkeypatch.setattr(planner, "packed_answers", forgets)
    report = judged(5, tmp_path, tmp_path / "history")
    assert "I3" in report.violations
