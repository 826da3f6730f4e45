"""A smaller run with the same violation: half as long, then fewer nodes, then fewer fault classes, then all that again.

Pure but for the runs it asks for: `tries` yields plans, and is told whether each still breaks in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

from netsky.node.lab.sim import Plan

SECONDS_MIN = 10.0
NODES_MIN = 2


def tries(plan: Plan) -> Generator[Plan, bool, Plan]:
    """Yields what to try, is sent whether it still breaks; returns the smallest that did."""
    smaller = True
    while smaller:
        smaller = False
        for step in (_shorter, _fewer_nodes):
            while (tried := step(plan)) is not None and (yield tried):
                plan, smaller = tried, True
        for name in plan.profile().classes():
            tried = replace(plan, without=(*plan.without, name))
            if (yield tried):
                plan, smaller = tried, True
    return plan


def shrink(plan: Plan, breaks: Callable[[Plan], bool], over: Callable[[], bool]) -> Plan:
    """The smallest found until it is `over`."""
    asked = tries(plan)
    smallest = plan
    try:
        tried = next(asked)
        while not over():
            same = breaks(tried)
            smallest = tried if same else smallest
            tried = asked.send(same)
    except StopIteration as ended:
        found: Plan = ended.value
        return found
    return smallest


def _shorter(plan: Plan) -> Plan | None:
    return replace(plan, seconds=plan.seconds / 2) if plan.seconds / 2 >= SECONDS_MIN else None


def _fewer_nodes(plan: Plan) -> Plan | None:
    return replace(plan, nodes=plan.nodes - 1) if plan.nodes > NODES_MIN else None
