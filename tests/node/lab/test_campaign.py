"""Many seeds on all cores, each twice; a violation made smaller; and `netsky sim` as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from netsky.node.lab.campaign import Outcome, campaign
from netsky.node.lab.profile import CLASSES, LEVELS, draw
from netsky.node.lab.shrink import shrink
from netsky.node.lab.sim import Plan
from netsky.node.lab.totals import Totals

SMALL = {"nodes": 3, "seconds": 20.0, "every": 2.0}


def sim(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "netsky.node.cli.main", "sim", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


def test_each_seed_run_by_two_processes_gives_one_history() -> None:
    told: list[Outcome] = []
    trio.run(lambda: campaign([Plan(seed, **SMALL) for seed in (1, 2)], told.append, workers=2, twice=True))  # type: ignore[arg-type]
    assert sorted(one.plan.seed for one in told) == [1, 1, 2, 2]
    assert len({(one.plan.seed, one.digest) for one in told}) == 2
    assert [one.wrong for one in told] == [[]] * 4


def test_a_worker_that_dies_is_an_outcome_and_the_next_plan_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Outcome] = []
    deadly = Plan(1, faults="no such level")
    trio.run(lambda: campaign([deadly, Plan(2, **SMALL)], told.append, workers=1))  # type: ignore[arg-type]
    assert [one.violation for one in told] == ["crash", None]


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_two_seeds_draw_two_mixes_of_what_their_level_allows(level: str) -> None:
    mixes = {draw(seed, level).kinds for seed in range(40)}
    assert len(mixes) > 10 or level == "none"
    allowed = {kind for name in LEVELS[level].classes for kind in CLASSES[name]}
    assert {kind for mix in mixes for kind in mix} == allowed


def broken_if(wanted: Callable[[Plan], bool]) -> tuple[Plan, list[Plan]]:
    tried: list[Plan] = []

    def breaks(plan: Plan) -> bool:
        tried.append(plan)
        return wanted(plan)

    seed = next(seed for seed in range(100) if len(draw(seed, "heavy").classes()) > 3)
    return shrink(Plan(seed, nodes=5, seconds=600, faults="heavy"), breaks, lambda: False), tried


def test_a_violation_is_made_shorter_then_smaller_then_simpler_as_long_as_it_is_the_same() -> None:
    smallest, tried = broken_if(lambda plan: plan.seconds > 70 and plan.nodes >= 3)
    assert (smallest.seconds, smallest.nodes, smallest.profile().kinds) == (75.0, 3, ())
    assert tried[0].seconds == 300


def test_the_fault_class_that_it_takes_stays() -> None:
    smallest, _ = broken_if(lambda plan: "process" in plan.profile().classes() or plan.seconds > 600)
    assert smallest.profile().classes() in {("process",), ()}


def test_shrinking_ends_when_its_time_is_over() -> None:
    plan = Plan(3, seconds=600)
    assert shrink(plan, lambda _: True, lambda: True) == plan


def test_totals_tell_the_least_that_every_run_had() -> None:
    totals = Totals()
    for accepted in (7, 5):
        told = {
            "nodes": 3,
            "accepted": accepted,
            "delivered": 4,
            "open": 0,
            "dead": {"authority": 1},
            "in_doubt": {},
        }
        totals.add(Outcome(Plan(1), summary={**told, "faults": {"cut": accepted}}, simulated_seconds=9.0))
    assert totals.fewest == {"nodes": 3, "accepted": 5, "seconds": 9.0, "faults": 5}
    assert "dead       2 (authority 2)" in totals.lines()
    assert totals.class_ is None


def test_a_run_is_told_to_a_person_and_its_history_kept(tmp_path: Path) -> None:
    done = sim("--seed", "7", "--nodes", "3", "--hours", "0.005", "--every", "2", "--history", str(tmp_path / "h"))
    assert done.returncode == 0, done
    assert "everything held" in done.stdout
    assert all(json.loads(line)["ev"] for line in (tmp_path / "h").read_text().splitlines() if line)


def test_a_time_that_is_over_is_exit_6_and_no_verdict() -> None:
    done = sim("--seed", "7", "--hours", "10", "--within", "2s", "--json")
    assert done.returncode == 6, done
    assert json.loads(done.stdout)["data"]["class"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--hours", "-1"), "no number above 0"),
        (("--without", "weather"), "there is no class of faults"),
        (("--replay", "1", "--campaign", "2"), "--replay says itself"),
        (("--twice",), "--campaign 20 --twice"),
        (("--nodes", "1"), "less than 2"),
    ],
)
def test_what_makes_no_sense_is_said_with_what_to_type(words: tuple[str, ...], said: str) -> None:
    done = sim(*words)
    assert done.returncode == 2
    assert said in done.stderr
