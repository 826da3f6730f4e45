"""Three of the planted mistakes that are found soon are found, by their name; and the tree without them is clean where
they were found. All of them: `python -m tests.planted.run`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planted.patches import HERE, copied, read_patch
from tests.planted.run import SMALL, campaign, judged, words_for

SEEDS_MAX = 12
SOON = ("03-arrivals-wait-for-company", "10-synchronous-normal", "41-dead-letter-without-outcome")


@pytest.mark.parametrize("name", SOON)
def test_a_planted_mistake_is_named(name: str, tmp_path: Path) -> None:
    patch = read_patch(HERE / f"{name}.patch")
    said: list[str] = []
    found = campaign(copied(tmp_path, patch), patch, 1, SEEDS_MAX, lambda one: said.append(one.said), words_for(patch))
    assert set(found.by) & set(patch.named_by), said[-1]


def test_the_same_seeds_without_a_mistake_are_clean(tmp_path: Path) -> None:
    for one in judged(copied(tmp_path, None), (), "1-3", SMALL.split()):
        assert one.verdict == "clean", one.said
