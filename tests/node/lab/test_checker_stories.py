"""How each violation is told: word by word, and with nothing that could be left out.

The stories of all planted faults stand in stories.txt; `NETSKY_REWRITE=1` writes down how they are told now.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from netsky.node.lab.checker.rules import Checker

from tests.node.lab.good_history import Event, good
from tests.node.lab.spoiled import PLANTED, judged

STORIES = Path(__file__).with_name("stories.txt")

ABOUT_WHAT_IS_MISSING = {
    "delivered, and its actor never saw it": "of others its actor said that it saw them",
    "an end that nobody was told of": "of others their senders said that they were told",
    "accepted without a proof": "for others there are proofs",
    "accepted without a route": "for others there are proofs",
    "a route of another life": "that its name belongs to another stream makes it none",
}
"""Their stories do not say alone that something is wrong: the rest of the history does."""

FOR_WHOEVER_SEARCHES = {
    "lost with its origin's disk, and the root had it": "as far as it came",
    "dead, and its sender was told delivered": "what became of it instead",
}
"""Their stories say more than they would have to."""


def test_every_story_is_told_word_by_word(tmp_path: Path) -> None:
    told = "".join(
        f"# {name}\n" + "".join(f"{story.text()}\n" for story in judged(tmp_path, spoil).stories) + "\n"
        for name, (_, spoil) in PLANTED.items()
    )
    if os.environ.get("NETSKY_REWRITE"):
        STORIES.write_text(told)
    assert told == STORIES.read_text()


def tells(events: list[Event]) -> set[str]:
    """Of these events alone; which key is whose is known."""
    checker = Checker()
    starts = [event for event in good() if event["ev"] == "start" and "key" in event and "reason" not in event]
    found = [violation for event in (*starts, *events) for violation in checker.feed(event)]
    return {violation.sentence for violation in (*found, *checker.end())}


@pytest.mark.parametrize("name", [name for name in PLANTED if name not in ABOUT_WHAT_IS_MISSING])
def test_a_story_alone_shows_the_break_and_does_not_without_any_of_its_events(name: str, tmp_path: Path) -> None:
    [story, *_] = judged(tmp_path, PLANTED[name][1]).stories
    events, sentence = [event for _, event in story.told], story.violation.sentence
    assert len(events) <= 5
    assert any(_same(sentence, one) for one in tells(events))
    if name not in FOR_WHOEVER_SEARCHES:
        for at in range(len(events)):
            assert not any(_same(sentence, one) for one in tells(events[:at] + events[at + 1 :])), events[at]


def _same(one: str, other: str) -> bool:
    """Figures beside: of many that came and were decided a story tells the last."""
    return re.sub(r"\b\d+\b", "", one) == re.sub(r"\b\d+\b", "", other)
