"""What is said of a halt, to people and programs. Pure."""

from __future__ import annotations

from netsky.node.errors import TryLater
from netsky.node.halt.state import Halt

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def length(then: int, now: int) -> str:
    seconds = max(0, now - then) // 10**9
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    return f"{seconds // size} {unit}"


def sentence(name: str, halt: Halt, now: int) -> str:
    """`netsky2 was halted 5 min ago by netsky0: the build box is on fire`."""
    return f"{name} was halted {length(halt.at, now)} ago by {halt.who}" + (f": {halt.reason}" if halt.reason else "")


def step(name: str, *, by_root: bool) -> str:
    return f"on netsky0: netsky resume --node {name}" if by_root else "netsky resume"


def refusal(name: str, halt: Halt, now: int, *, by_root: bool) -> TryLater:
    return TryLater(
        f"{sentence(name, halt, now)}. It takes no new work; replies and what the owner is to know still pass",
        next=step(name, by_root=by_root),
        code="halted",
    )
