"""A node is killed before what it stores and before what it starts while a patch becomes a commit: its next life goes
on, and each key has one commit. A few points are drawn; NETSKY_LANDING_POINTS=1-40 takes all of them."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from netsky.node.lab.interpose import writes

from tests.node.work.repo.world import git
from tests.node.work.yard import Project, bare, ended, keys, started, yard
from tests.node.work.yard import writes as ticket

POINTS = 40
"""More than there are from a plan to its commit."""
DRAWN = 3


def counted(call: str, args: tuple[Any, ...]) -> bool:
    return writes(call, args) or call == "processes.start"


def points() -> list[int]:
    first, _, last = os.environ.get("NETSKY_LANDING_POINTS", "").partition("-")
    if first:
        return list(range(int(first), int(last or first) + 1))
    return sorted(random.sample(range(1, POINTS + 1), DRAWN))


async def test_whatever_it_dies_before_each_key_is_committed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = points()
    with capsys.disabled():
        print(f"\nkilled before these calls: {chosen}")
    project = Project(tmp_path / "project")
    async with yard(tmp_path, seconds=30.0 * len(chosen) + 30) as mesh:
        root = mesh["netsky0"]
        for point in chosen:
            name = f"t{point}"
            run = await started(
                root, project.plan(ticket(name, f"echo {point} > src/{name}", success_criteria=[f"test -e src/{name}"]))
            )
            await root.crash(point, counted)
            await root.start(mesh.nursery)
            assert await ended(root, run) == {"state": "completed", "committed": 1}, point
        assert keys(root) == [f"key-t{point}" for point in chosen]
        assert git(bare(root), "for-each-ref", "refs/netsky/pending") == ""
        assert git(bare(root), "rev-list", "--count", "main") == str(1 + len(chosen))
