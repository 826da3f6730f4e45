"""A move of refs cut off anywhere, by a model of what git does: it updates in their order, then deletes."""

from __future__ import annotations

import pytest
from netsky.node.work.repo.commission import branch_ref, done_ref, pending_ref, review_ref
from netsky.node.work.repo.moves import CutOff, Move

P, C, OTHER, SHOWN = "1" * 40, "2" * 40, "3" * 40, "4" * 40
KEY = "k"
DONE, BRANCH, PENDING, REVIEW = done_ref(KEY), branch_ref("main"), pending_ref(KEY), review_ref(KEY)

Refs = dict[str, str]
Effect = tuple[str, str | None]


def effects(refs: Refs, text: str) -> list[Effect]:
    """What git does to these refs one after the other; checks what it checks before it begins with a transaction."""
    found: list[Effect] = []
    now = dict(refs)
    for part in text.split("start\n")[1:]:
        lines = [line.split(" ") for line in part.splitlines() if line not in {"prepare", "commit"}]
        for verb, name, *values in lines:
            old = values[-1] if verb in {"update", "delete"} else None
            assert now.get(name) == old, (verb, name)
        todo: list[Effect] = [(name, values[0]) for verb, name, *values in lines if verb != "delete"]
        todo += [(name, None) for verb, name, *_ in lines if verb == "delete"]
        found += todo
        now = apply(now, todo)
    return found


def apply(refs: Refs, some: list[Effect]) -> Refs:
    after = dict(refs)
    for name, value in some:
        if value is None:
            after.pop(name)
        else:
            after[name] = value
    return after


def cut_off(refs: Refs) -> CutOff:
    tip = refs.get(BRANCH)
    return CutOff(
        KEY, "main", C, P, tip, refs.get(DONE), in_branch=tip == C, begins=True, reviewed=refs.get(REVIEW, "")
    )  # fmt: skip


@pytest.mark.parametrize("reviewed", ["", SHOWN])
@pytest.mark.parametrize("tip", [None, P])
def test_a_move_that_is_cut_off_anywhere_is_finished(tip: str | None, reviewed: str) -> None:
    before: Refs = ({} if tip is None else {BRANCH: tip}) | ({REVIEW: reviewed} if reviewed else {})
    steps = effects(before, Move(KEY, "main", C, tip, reviewed).text())
    assert len(steps) == 4 + bool(reviewed)
    for cut in range(len(steps) + 1):
        refs = apply(before, steps[:cut])
        if PENDING in refs:
            more = effects(refs, cut_off(refs).text())
            for again in range(len(more) + 1):
                twice = apply(refs, more[:again])
                if PENDING in twice:
                    twice = apply(twice, effects(twice, cut_off(twice).text()))
                assert twice == {DONE: C, BRANCH: C}, (cut, again)
        else:
            assert refs == (before if cut == 0 else {DONE: C, BRANCH: C})


@pytest.mark.parametrize("tip", [None, P])
def test_a_move_is_taken_back_when_the_branch_went_another_way(tip: str | None) -> None:
    before: Refs = {} if tip is None else {BRANCH: tip}
    steps = effects(before, Move(KEY, "main", C, tip).text())
    for cut in range(1, len(steps)):
        refs = apply(before, steps[:cut])
        if refs.get(BRANCH) == C:
            continue  # then it is in the branch, and whoever went on went on from it
        refs[BRANCH] = OTHER
        assert apply(refs, effects(refs, cut_off(refs).text())) == {BRANCH: OTHER}
