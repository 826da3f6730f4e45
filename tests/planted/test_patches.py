"""Each planted mistake still fits the tree, and says what it is and how it is to be found."""

from __future__ import annotations

from pathlib import Path

import pytest
from netsky.node.lab.checker.rules import State

from tests.planted.patches import Patch, all_patches, matches_name, spoilt, wrong_with

PATCHES = all_patches()
MEDIA = (".py", ".sql")


def test_there_are_thirty_and_half_of_them_are_by_somebody_who_did_not_write_the_lab() -> None:
    assert len(PATCHES) >= 30
    assert 2 * sum(patch.by == "B" for patch in PATCHES) >= len(PATCHES)


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_a_patch_applies_and_touches_the_product_alone(patch: Patch) -> None:
    assert matches_name(patch.name)
    assert wrong_with(patch) is None, f"{patch.name} no longer fits: make it anew for the code as it is now"
    assert patch.files
    for file in patch.files:
        assert file.startswith(("envelope/", "mesh/", "relay/", "node/")), file
        assert not file.startswith("node/lab/"), "the lab is what is tried"
        assert file.endswith(MEDIA), file


def test_every_invariant_that_a_patch_names_is_one_of_the_checkers() -> None:
    known = {rule.id for rule in State(lambda *_: True).rules()}
    named = {name for patch in PATCHES for name in patch.named_by}
    assert named <= known, sorted(named - known)


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_what_is_spoilt_still_compiles(patch: Patch, tmp_path: Path) -> None:
    for path in spoilt(patch, tmp_path):
        if path.suffix == ".py":
            compile(path.read_text(), path.name, "exec")
