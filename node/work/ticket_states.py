"""The states of a ticket: one table. What is not in it does not happen. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

State = Literal[
    "waiting", "offered", "leased", "reported", "verified", "committed", "parked", "blocked", "cancelled", "dead"
]
Event = Literal[
    "offer",  # placed on a node, under a new fence
    "take",  # that node has it
    "report",  # it says that it is done
    "again",  # it failed, or was lost, and is tried once more
    "stopped",  # its node was stopped in order, or refused it: as if it had never begun
    "park",  # a limit: goes on by itself at a time
    "wake",  # that time came
    "block",  # only a person can help
    "verify",  # schema, scope and criteria hold
    "commit",  # its effects are there, or it has none
    "cancel",
    "kill",  # nothing can bring it about any more
    "retry",  # a person wants it tried again
    "approve",  # a person has looked at its patch: it is landed after all
]

TABLE: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        ("waiting", "offer"): "offered",
        ("waiting", "cancel"): "cancelled",
        ("waiting", "block"): "blocked",
        ("waiting", "kill"): "dead",
        ("waiting", "report"): "reported",  # a lease that was over, and nobody else had got it yet
        ("waiting", "commit"): "committed",  # its key was used before for the same work
        ("offered", "take"): "leased",
        ("offered", "report"): "reported",  # the report was quicker than the word that it was taken
        ("offered", "again"): "waiting",
        ("offered", "stopped"): "waiting",
        ("offered", "park"): "parked",
        ("offered", "block"): "blocked",
        ("offered", "cancel"): "cancelled",
        ("leased", "report"): "reported",
        ("leased", "again"): "waiting",
        ("leased", "stopped"): "waiting",
        ("leased", "park"): "parked",
        ("leased", "block"): "blocked",
        ("leased", "cancel"): "cancelled",
        ("reported", "verify"): "verified",
        ("reported", "again"): "waiting",
        ("reported", "block"): "blocked",
        ("reported", "cancel"): "cancelled",
        ("verified", "commit"): "committed",
        ("verified", "again"): "waiting",
        ("verified", "block"): "blocked",
        ("parked", "wake"): "waiting",
        ("parked", "cancel"): "cancelled",
        ("blocked", "retry"): "waiting",
        ("blocked", "approve"): "reported",
        ("blocked", "cancel"): "cancelled",
        ("blocked", "kill"): "dead",
        ("cancelled", "retry"): "waiting",
        ("dead", "retry"): "waiting",
    }
)

STATES: tuple[State, ...] = get_args(State)
HELD: frozenset[State] = frozenset({"offered", "leased"})
"""Some node has it, or is about to: it takes a slot there."""
ENDED: frozenset[State] = frozenset({"committed", "cancelled", "dead"})
NOT_REPORTED: frozenset[State] = frozenset({"waiting", "offered", "leased", "parked", "blocked"})
NOT_VERIFIED: frozenset[State] = NOT_REPORTED | {"reported"}
OPEN: frozenset[State] = NOT_VERIFIED | {"verified"}


def after(state: State, event: Event) -> State | None:
    """None: this event means nothing in this state."""
    return TABLE.get((state, event))


class Counts(NamedTuple):
    """Of a run: how many of its tickets are still on this side of each line."""

    unreported: int
    unverified: int
    open: int
    failed: int
    """Dead: the run cannot end well without a person."""

    def moved(self, before: State, then: State) -> Counts:
        return Counts(
            self.unreported + (then in NOT_REPORTED) - (before in NOT_REPORTED),
            self.unverified + (then in NOT_VERIFIED) - (before in NOT_VERIFIED),
            self.open + (then in OPEN) - (before in OPEN),
            self.failed + (then == "dead") - (before == "dead"),
        )
