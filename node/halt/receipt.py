"""Whether a control envelope is what it says: an order of the charter's root, or the answer of a node to one. Pure.

The link has verified the origin's seal and, on a sibling, the root's route; here it is asked who that origin is.
"""

from __future__ import annotations

import json

from netsky.envelope.fields import Body, Header
from netsky.mesh.charter import Charter
from netsky.mesh.roster import Roster
from netsky.node.halt.state import Answer, Order, read_answer, read_order
from netsky.relay.authority import ROOT, WATCHDOG

KIND = "control"


def order_in(header: Header, body: Body, charter: Charter, reign: int | None) -> Order | str:
    """On a sibling: the order, or the code of why this is none. `reign` is that of the route by which it came."""
    if header.origin != charter.root_key or header.sender != f"{WATCHDOG}@{ROOT}":
        return "not_the_root"
    order = read_order(_data(body))
    if order is None:
        return "not_an_order"
    if order.reign != charter.reign or reign != charter.reign:
        return "other_reign"
    return order


def answer_in(header: Header, body: Body, roster: Roster, newest: int) -> Answer | str:
    """On the root: the answer, or the code of why this is none. `newest` is the number of the newest order."""
    member = roster.by_key.get(header.origin)
    if member is None or member.revoked or header.sender != f"{WATCHDOG}@{member.name}":
        return "not_a_member"
    answer = read_answer(_data(body), newest)
    return "not_an_answer" if answer is None else answer


def _data(body: Body) -> object:
    return None if body.data is None else json.loads(body.data)
