"""What may be deleted, and in which order: pure, over what is known.

Only what is archived or pushed, or can be made again, and where nothing runs; what is cheap to make again goes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """In the order in which they go: caches before sources."""

    CHECK = 0
    """Files that criteria looked at."""
    BUNDLE = 1
    """A base for other machines, made from a repository that is here."""
    WORKSPACE = 2
    REPOSITORY = 3
    """Of this node's own: the source of the three above."""


@dataclass(frozen=True, slots=True)
class Thing:
    kind: Kind
    name: str
    size: int
    """Bytes on the disk."""
    used: int
    """ns, wall clock: when somebody last had to do with it."""
    running: bool = False
    """Somebody works in it, or it is held for one who is about to."""
    archived: bool = False
    """What came of it is stored elsewhere: a workspace's report and patch."""
    pushed: bool = False
    """All that is in it is in another repository as well, which was reachable then."""
    needed_by: tuple[str, ...] = ()
    """Names of workspaces that borrow its objects."""


@dataclass(frozen=True, slots=True)
class Decision:
    thing: Thing
    goes: bool
    why: str


def decide(things: Sequence[Thing], needed: int | None = None) -> list[Decision]:
    """One for each, in the order in which they go. With `needed`, no more goes than makes so many bytes free."""
    decisions: list[Decision] = []
    gone: set[str] = set()
    freed = 0
    for thing in sorted(things, key=lambda one: (one.kind, one.used, one.name)):
        why = _stays_because(thing, gone)
        if not why and needed is not None and freed >= needed:
            decisions.append(Decision(thing, False, "there is room enough"))
            continue
        decisions.append(Decision(thing, not why, why or _goes_because(thing)))
        if not why:
            freed += thing.size
            if thing.kind is Kind.WORKSPACE:
                gone.add(thing.name)
    return decisions


def _stays_because(thing: Thing, gone: set[str]) -> str:
    if thing.running:
        return "something runs in it"
    if thing.kind is Kind.WORKSPACE and not thing.archived:
        return "what came of it is not archived"
    if thing.kind is Kind.REPOSITORY:
        if not thing.pushed:
            return "it has commits that are nowhere else"
        left = [name for name in thing.needed_by if name not in gone]
        if left:
            return f"{left[0]} borrows from it"
    return ""


def _goes_because(thing: Thing) -> str:
    return {
        Kind.CHECK: "nobody looks at it any more",
        Kind.BUNDLE: "it can be made again",
        Kind.WORKSPACE: "its report and its patch are stored",
        Kind.REPOSITORY: "it can be fetched again",
    }[thing.kind]
