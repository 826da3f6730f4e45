"""What one node knows of its being halted. Pure: times and words come in, values go out.

Two may halt a node, and each lifts only what it ordered itself: its own operator, and netsky0. Orders of netsky0 are
numbered by (reign, order); what is not newer than the newest that was taken changes nothing, so a halt that comes late
undoes no resume.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

KEY = "halt"
"""Its place in node_state."""

REASON_MAX = 200
"""Letters of a reason: it stands in every refusal."""

Do = Literal["halt", "resume"]


@dataclass(frozen=True, slots=True)
class Halt:
    """Somebody ordered it, and it holds."""

    who: str
    reason: str
    at: int
    """By the clock of this node, ns."""


@dataclass(frozen=True, slots=True)
class Order:
    """What netsky0 wants of a node."""

    do: Do
    reign: int
    order: int
    reason: str = ""

    @property
    def number(self) -> tuple[int, int]:
        return self.reign, self.order


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an order, as netsky0 is told."""

    done: Do
    order: int
    ended: int
    """Processes that were ended for it."""
    still: int
    """Processes that could not be ended."""
    at: int
    """When it was done, by the clock of the node that did it, ns."""
    halted: bool
    """Whether that node is halted now; after a resume it may be, by its own operator."""


@dataclass(frozen=True, slots=True)
class State:
    own: Halt | None = None
    """By the operator of this node."""
    root: Halt | None = None
    """By netsky0; on netsky0 itself never."""
    reign: int = 0
    order: int = 0
    """The newest order that was taken, in the reign in which it was given."""
    answer: Answer | None = None
    """To that order, once it was carried out."""

    @property
    def halt(self) -> Halt | None:
        """What holds this node, if anything does. netsky0's word comes first: it is the one that stays longest."""
        return self.root or self.own

    @property
    def number(self) -> tuple[int, int]:
        return self.reign, self.order


def halted_here(state: State, who: str, reason: str, now: int) -> State:
    """By this node's operator. Said again it keeps its time, and takes another reason if one is given."""
    if state.own is not None:
        return replace(state, own=replace(state.own, reason=reason or state.own.reason))
    return replace(state, own=Halt(who, reason, now))


def resumed_here(state: State) -> State:
    return replace(state, own=None)


def taken(state: State, order: Order, now: int) -> State | None:
    """After this order of netsky0; None if it is not newer than what was taken, and so changes nothing."""
    if order.number <= state.number:
        return None
    halt = None
    if order.do == "halt":
        since = now if state.root is None else state.root.at
        halt = Halt("netsky0", order.reason, since)
    return State(state.own, halt, order.reign, order.order)


def answered(state: State, order: Order, ended: int, still: int, now: int) -> State:
    """The order was carried out. If a newer one came meanwhile, that one is answered."""
    if order.number != state.number:
        return state
    answer = Answer(order.do, order.order, ended, still, now, state.halt is not None)
    return replace(state, answer=answer)


def said(state: State, done: Do, ended: int, still: int, now: int) -> Answer:
    """What this node tells netsky0 of what its own operator did: no answer to anything that is still to be done."""
    order = 0 if state.answer is None else state.answer.order
    return Answer(done, order, ended, still, now, state.halt is not None)


def owed(state: State) -> Order | None:
    """The order that was taken and has no answer yet: somebody must carry it out, perhaps once more."""
    if state.order == 0 or state.answer is not None:
        return None
    return Order("resume" if state.root is None else "halt", state.reign, state.order)


def read_order(data: object) -> Order | None:
    """From the data of a control envelope; None if it is not an order."""
    if not isinstance(data, dict) or data.get("do") not in get_args(Do):
        return None
    numbers, reason = _numbers(data, "reign", "order"), data.get("reason", "")
    if numbers is None or not isinstance(reason, str) or len(reason) > REASON_MAX:
        return None
    reign, order = numbers
    return Order(data["do"], reign, order, reason)


def read_answer(data: object, at_most: int) -> Answer | None:
    """From the data of a control envelope; None if it is no answer, or to an order that was never given. Order 0 is
    nobody's: a node says what its own operator did."""
    if not isinstance(data, dict) or data.get("done") not in get_args(Do):
        return None
    numbers = _numbers(data, "order", "ended", "still", "at")
    if numbers is None or numbers[0] > at_most or not isinstance(data.get("halted"), bool):
        return None
    order, ended, still, at = numbers
    return Answer(data["done"], order, ended, still, at, data["halted"])


def encode(state: State) -> str:
    return json.dumps(asdict(state))


def decode(text: str) -> State:
    found = json.loads(text)
    own, root, answer = found["own"], found["root"], found["answer"]
    return State(
        None if own is None else Halt(**own),
        None if root is None else Halt(**root),
        found["reign"],
        found["order"],
        None if answer is None else Answer(**answer),
    )


def _numbers(data: Mapping[str, object], *names: str) -> list[int] | None:
    """These, None if one is missing or none that could be stored."""
    found = [data.get(name) for name in names]
    good = [one for one in found if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < 1 << 63]
    return good if len(good) == len(found) else None
