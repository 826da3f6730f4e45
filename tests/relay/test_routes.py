from __future__ import annotations

import pytest
from netsky.envelope.address import Address
from netsky.relay.routes import RouteLine, parse_route


def line(text: str) -> RouteLine:
    found = parse_route("x", text)
    assert isinstance(found, RouteLine), found
    return found


def test_a_line_opens_one_direction_for_the_kinds_it_names() -> None:
    found = line("agent4@netsky1 -> agent2@netsky2: text reply")
    four, two = Address("agent4", "netsky1"), Address("agent2", "netsky2")
    assert found.allows(four, two, None)
    assert found.allows(four, two, "reply")
    assert not found.allows(four, two, "ticket")
    assert not found.allows(two, four, None)
    assert not found.allows(Address("agent5", "netsky1"), two, None)
    assert not found.allows(four, Address("agent2", "netsky3"), None)


def test_a_star_is_any_actor_of_that_node_or_all_kinds_but_never_a_daemons() -> None:
    found = line("  *@netsky1->agent0@netsky2 :  * ")
    assert found.allows(Address("worker3", "netsky1"), Address("agent0", "netsky2"), "brief")
    assert not found.allows(Address("worker3", "netsky2"), Address("agent0", "netsky2"), "brief")
    assert not found.allows(Address("worker3", "netsky1"), Address("agent0", "netsky2"), "control")
    assert not found.allows(Address("worker3", "netsky1"), Address("agent0", "netsky2"), "outcome")


WRONG = {
    "must be": "agent4@netsky1 agent2@netsky2: text",
    "FROM -> TO": "agent4@netsky1 -> agent2@netsky2:",
    "names no node": "agent4 -> agent2@netsky2: text",
    "is no node": "agent4@laptop -> agent2@netsky2: text",
    "is no actor": "chief@netsky1 -> agent2@netsky2: text",
    "both are on": "agent4@netsky1 -> agent2@netsky1: text",
    "names netsky0": "agent4@netsky1 -> owner@netsky0: report",
    "the authority table": "agent4@netsky0 -> worker1@netsky1: brief",
    "names the kinds": "agent4@netsky1 -> agent2@netsky2: text control",
}


@pytest.mark.parametrize(("sentence", "text"), WRONG.items(), ids=WRONG)
def test_a_line_that_breaks_a_rule_gets_a_sentence(sentence: str, text: str) -> None:
    found = parse_route("x", text)
    assert isinstance(found, str)
    assert sentence in found
