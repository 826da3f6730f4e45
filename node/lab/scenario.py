"""Scenario files: a short script with what is expected to come of each of its steps, in one text that people review.

    # An envelope crosses.
    $ up 0 1 2
    $ send 1 a agent0@netsky2
      netsky1 > netsky0  work 1: a
      netsky2: inbox a

A line that begins with `$` is a step: a verb and its words, for the stage to do. The indented lines below it are what
was seen from that step to the next: what was said and what changed, in the stage's words. `play` does the steps and
gives back the text as it happened, comments and blank lines kept; where nothing has changed it is the same text. So a
test compares the two, and a person who has changed something on purpose writes the new one and reads the difference.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Sequence
from typing import Protocol


class Stage(Protocol):
    """What a scenario is played on."""

    async def do(self, verb: str, words: Sequence[str]) -> None:
        """One step. Raises ValueError if there is no such step."""

    async def news(self) -> list[str]:
        """What was seen since the last time, a line each."""


async def play(text: str, stage: Stage) -> str:
    played: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("  "):
            continue  # as it was expected
        played.append(line)
        if line.startswith("$"):
            verb, *words = shlex.split(line[1:])
            try:
                await stage.do(verb, words)
            except ValueError as error:
                raise ValueError(f"line {number}: {line}: {error}") from None
            played += [f"  {news}" for news in await stage.news()]
    return "\n".join(played) + "\n"


def difference(expected: str, played: str) -> str:
    """Empty, or what to look at."""
    lines = difflib.unified_diff(expected.splitlines(), played.splitlines(), "expected", "played", lineterm="")
    return "\n".join(lines)
