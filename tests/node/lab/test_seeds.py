"""Seeds of five nodes in trouble, each run by two processes: everything holds, and both tell one history.

NETSKY_SEEDS=1-200 for others than those of every day: some four seconds of a core each, twice.
"""

from __future__ import annotations

import os

import pytest
import trio
from netsky.node.lab.campaign import Outcome, campaign
from netsky.node.lab.sim import Plan
from netsky.node.lab.totals import Totals

EVERY_DAY = "1-3"
NODES, SECONDS, ACCEPTED, FAULTS = 5, 600, 200, 10


def seeds() -> list[int]:
    first, _, last = os.environ.get("NETSKY_SEEDS", EVERY_DAY).partition("-")
    return list(range(int(first), int(last or first) + 1))


def test_meshes_in_trouble_lose_nothing_do_nothing_twice_and_are_the_same_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    totals, outcomes = Totals(), []

    def told(outcome: Outcome) -> None:
        outcomes.append(outcome)
        totals.add(outcome)

    plans = [Plan(seed, nodes=NODES, seconds=SECONDS, every=12.0) for seed in seeds()]
    trio.run(lambda: campaign(plans, told, workers=2, twice=True))
    with capsys.disabled():
        print("\n" + "\n".join(totals.lines()))
    broken = [f"seed {one.plan.seed}: {what}: {sentence}" for one in outcomes for what, sentence in one.wrong]
    assert not broken, "\n".join(broken)
    assert len(outcomes) == 2 * len(plans)
    least = totals.fewest
    assert (least["nodes"], least["seconds"] >= SECONDS, least["accepted"] >= ACCEPTED) == (NODES, True, True), least
    assert sum(totals.faults.values()) >= FAULTS * len(outcomes)
