"""The states of a run: one table, and what its tickets mean for it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from netsky.node.work.ticket_states import Counts
from netsky.node.work.ticket_states import State as TicketState

State = Literal["created", "planned", "dispatched", "collecting", "verifying", "committing", "completed", "blocked"]
Event = Literal[
    "plan",  # all its tickets are stored
    "offered",  # the first is on its way to a node
    "reported",  # the first came back
    "all_reported",
    "all_verified",
    "all_ended",
    "stuck",  # nothing moves without a person
    "moves",  # a person helped
]

TABLE: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        ("created", "plan"): "planned",
        ("created", "stuck"): "blocked",  # its plan is no plan for the program that runs now
        ("planned", "offered"): "dispatched",
        ("planned", "all_ended"): "completed",
        ("planned", "stuck"): "blocked",
        ("dispatched", "reported"): "collecting",
        ("dispatched", "all_ended"): "completed",
        ("dispatched", "stuck"): "blocked",
        ("collecting", "all_reported"): "verifying",
        ("collecting", "all_ended"): "completed",
        ("collecting", "stuck"): "blocked",
        ("verifying", "moves"): "collecting",
        ("verifying", "all_verified"): "committing",
        ("verifying", "all_ended"): "completed",
        ("verifying", "stuck"): "blocked",
        ("committing", "moves"): "collecting",
        ("committing", "all_ended"): "completed",
        ("committing", "stuck"): "blocked",
        ("completed", "moves"): "collecting",
        ("blocked", "moves"): "collecting",
        ("blocked", "all_ended"): "completed",
    }
)

OPEN: frozenset[State] = frozenset(state for (state, _) in TABLE) - {"completed"}


def steps(state: State, counts: Counts, entered: Iterable[TicketState], *, stuck: bool) -> list[tuple[Event, State]]:
    """What follows for a run from the states that its tickets have just entered, and from how many are where. Each
    step is a checkpoint of its own."""
    states = set(entered)
    events: list[Event] = []
    if states & {"waiting", "parked"} and counts.unreported:
        events.append("moves")
    if states & {"offered", "leased"}:
        events.append("offered")
    if states & {"reported", "verified", "committed"}:
        events.append("reported")
    if not counts.unreported:
        events.append("all_reported")
    if not counts.unverified:
        events.append("all_verified")
    if not counts.open and not counts.failed:
        events.append("all_ended")
    if stuck:
        events.append("stuck")
    found: list[tuple[Event, State]] = []
    for event in events:
        then = TABLE.get((state, event))
        if then is not None and not (event == "moves" and stuck):
            state = then
            found.append((event, state))
    return found
