"""Hostile patches given to the committer with real git: refused, and nothing anywhere is as it was not before.

Once as it ships, once with the first gate taken out, so that git and the second gate show that they hold by themselves.
"""

from __future__ import annotations

import collections
import hashlib
from pathlib import Path

import pytest
from netsky.node.work.repo import build as build_module
from netsky.node.work.repo import committer as committer_module
from netsky.node.work.repo.commission import Committed, Refused
from netsky.node.work.repo.gate import check

from tests.node.work.repo.hostile import CASES, DISAGREE, Hostile
from tests.node.work.repo.world import World

OUTSIDE = (Path("/tmp/netsky-out.txt"), Path("/tmp/out.txt"))
GITS = (
    *("patch_format", "patch_empty", "patch_files", "patch_too_large", "path_length"),
    *("mode", "path_twice"),  # it takes any mode of a file for one of the two, and two changes one after the other
    "path_control",  # it ends a name where it finds a NUL: src/a for src/a\\0b
    "file_too_large",  # it believes what is said of a size, and asks for so much memory
)
"""Over what git itself does not stumble, or not in time."""


def seen(folder: Path) -> dict[str, str]:
    """Every file below it with its content, but for the database, what nobody refers to, and what is written anew."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if "/objects/" in name or "meta.db" in name or name.endswith(("netsky-index", "git.log")):
            continue
        if path.is_symlink():
            found[name] = f"link {path.readlink()}"
        elif path.is_file():
            found[name] = f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


async def refuse_all(world: World, cases: tuple[Hostile, ...], *, codes: bool) -> dict[str, int]:
    said: collections.Counter[str] = collections.Counter()
    async with world.committer() as node:
        assert isinstance(await node.commit(world.commission("good")), Committed)
        base = world.tip()
        before = seen(world.folder)
        for number, case in enumerate(cases):
            key = f"k{number}"
            outcome = await node.commit(world.commission(key, patch=case.patch, base=base))
            assert isinstance(outcome, Refused), case.name
            assert not codes or outcome.code == case.code, (case.name, outcome)
            assert seen(world.folder) == before, case.name
            assert not any(path.exists() for path in OUTSIDE), case.name
            said[outcome.code] += 1
        assert isinstance(await node.commit(world.commission("after", base=base)), Committed)
    return dict(said)


async def test_no_hostile_patch_is_committed_or_leaves_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = tuple(case for case in (*CASES, *DISAGREE) if case.code not in {"patch_format", "patch_empty"})
    said = await refuse_all(World(tmp_path), cases, codes=True)
    with capsys.disabled():
        print(f"\n{len(cases)} hostile patches refused: {said}")


@pytest.mark.long
async def test_git_and_the_second_gate_hold_without_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer_module, "check_patch", lambda patch, scope: [])
    monkeypatch.setattr(build_module, "check_made", lambda said, made, scope: check(made, scope))
    cases = tuple(case for case in CASES if case.code not in GITS)
    said = await refuse_all(World(tmp_path), cases, codes=False)
    with capsys.disabled():
        print(f"\n{len(cases)} hostile patches refused without the first gate: {said}")
