"""What a node publishes for its operator, and how it stands in the history."""

from __future__ import annotations

import json

import pytest
from netsky.node.events import Events
from netsky.node.lab.history import Writer
from netsky.node.lab.notices import note_events
from netsky.node.lab.virtual import VirtualTime


def noted(lines: list[bytes]) -> list[tuple[str, str | None]]:
    events = [json.loads(line) for line in lines]
    assert all((event["ev"], event["by"], event["node"]) == ("notice", "node", "netsky1") for event in events)
    return [(event["key"], event.get("reason")) for event in events]


@pytest.fixture
def events() -> Events:
    return Events(VirtualTime())


async def test_rare_events_are_noted_with_their_code_and_all_others_are_not(
    events: Events, autojump_clock: object
) -> None:
    lines: list[bytes] = []
    note_events(events, Writer(lines.append, lambda: 7, node="netsky1", by="node"))
    events.publish("accepted", id="x")
    events.publish("restored", life=2, reason="proof")
    events.publish("disk_low", free=1, floor=2)
    events.publish("link_down", peer="netsky0", code="silent", sentence="nothing came")
    events.publish("link_down", peer="netsky0", code="unreachable", sentence="127.0.0.1:7000 does not answer")
    events.publish("link_alarm", peer="netsky0", code="diverged", lane="work", direction="in", sentence="two leaves")
    events.publish("link_alarm", id="x", code="not_its_to_end", ender="abcd")
    events.publish("link_restored", peer="netsky0", since=0)
    events.publish("link_restored", peer="netsky0", since=5)
    events.publish("quarantined", actor="agent0", name="evil", reason="link", sentence="a link")
    assert noted(lines) == [
        ("restored", "proof"),
        ("disk_low", None),
        ("link_down", "unreachable"),
        ("disbelieved", "not_its_to_end"),
        ("link_restored", None),
        ("quarantined", "link"),
    ]
    assert len(events.latest()) == 10, "whoever else listens hears all"


async def test_what_a_node_published_before_somebody_listened_is_noted_too(
    events: Events, autojump_clock: object
) -> None:
    lines: list[bytes] = []
    events.publish("restored", life=2, reason="restore")
    note_events(events, Writer(lines.append, lambda: 7, node="netsky1", by="node"))
    assert noted(lines) == [("restored", "restore")]
