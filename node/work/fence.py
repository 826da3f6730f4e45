"""What tells an old lease from the one in force: reign, root life and a counter, compared in this order."""

from __future__ import annotations

import re
from typing import NamedTuple

_FORM = re.compile(r"(\d{1,18})\.(\d{1,18})\.(\d{1,18})", re.ASCII)


class Fence(NamedTuple):
    reign: int
    """Of the charter; 0 in a home without a mesh."""
    life: int
    """Of netsky0's memory: one that was put back from a backup counts on above all that it may have given out."""
    counter: int

    def __str__(self) -> str:
        return f"{self.reign}.{self.life}.{self.counter}"


def read_fence(text: object) -> Fence | None:
    """From its text; None if it is none."""
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else Fence(*map(int, found.groups()))
