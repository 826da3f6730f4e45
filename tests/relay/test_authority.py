"""The table a second time, written out: no row of it changes unnoticed."""

from __future__ import annotations

import itertools

import pytest
from netsky.envelope.address import Address
from netsky.envelope.kinds import KINDS, SENDABLE
from netsky.relay.authority import Relation, refusal, role_of

EVERY = "all"
ACTORS = ("owner", "agent0", "agent1", "agent2", "worker1", "agentinfinity", "agentcron", "agentloop")
NODES = ("netsky0", "netsky1", "netsky2")
RELATIONS: tuple[Relation, ...] = (
    "manages_recipient", "managed_by_recipient", "on_its_ticket", "on_its_envelope", "holds_its_lease",
)  # fmt: skip

# sender, recipient -> kinds; with a relation behind the slash where one is needed
HERE = {
    ("agent0", "agent1"): EVERY,
    ("agent1", "agent0"): EVERY,
    ("agent0", "agent0"): "text reply",
    ("agent0", "worker1"): "brief cancel reply / manages_recipient",
    ("agent1", "worker1"): "brief cancel reply / manages_recipient",
    ("worker1", "agent0"): "report question reply / managed_by_recipient",
    ("worker1", "agent1"): "report question reply / managed_by_recipient",
    ("agent1", "agent2"): "text reply",
    ("agent1", "agent1"): "text reply",
    ("agentcron", "agent0"): "cron",
    ("agentcron", "agent1"): "cron",
    ("agentloop", "agent0"): "loop",
    ("agentloop", "agent1"): "loop",
    ("agentinfinity", "agent0"): "escalation",
    ("agentinfinity", "agent1"): "escalation",
}
AT_THE_ROOT = {
    **HERE,
    **{(actor, "owner"): "report question escalation" for actor in ACTORS if actor != "owner"},
    **{("owner", actor): "reply / on_its_envelope" for actor in ACTORS},
    ("owner", "agent0"): EVERY,
    ("agent0", "owner"): EVERY,
}
DOWN = {
    **{("agent0", actor): EVERY for actor in ACTORS if actor != "owner"},
    ("agent1", "agent0"): "ticket cancel",
    ("agent1", "worker1"): "reply cancel / on_its_ticket",
    **{("owner", actor): "reply / on_its_envelope" for actor in ACTORS if actor != "owner"},
    ("agentcron", "agent0"): "cron",
    ("agentcron", "agent1"): "cron",
    ("agentloop", "agent0"): "loop",
    ("agentloop", "agent1"): "loop",
    ("agentinfinity", "agentinfinity"): "control",
}
UP = {
    **{(actor, "agent0"): EVERY for actor in ACTORS if actor != "owner"},
    ("agent0", "agent1"): "reply report error / on_its_ticket",
    ("worker1", "agent1"): "report question / holds_its_lease",
    **{(actor, "owner"): "report question escalation" for actor in ACTORS if actor != "owner"},
    ("agentcron", "agentcron"): "cron",
    ("agentloop", "agentloop"): "loop",
    ("agentinfinity", "agentinfinity"): "control",
}
TABLES = {
    ("netsky0", "netsky0"): AT_THE_ROOT,
    ("netsky1", "netsky1"): HERE,
    ("netsky0", "netsky1"): DOWN,
    ("netsky1", "netsky0"): UP,
    ("netsky1", "netsky2"): {},
}


def same(actor: str, other: str) -> tuple[str, str]:
    """The table above knows two managers only to tell "each other" from "itself"."""
    sender = "agent1" if actor == "agent2" else actor
    if other != "agent2":
        return sender, other if actor != "agent2" or other != "agent1" else "agent2"
    return sender, "agent1" if actor == "agent2" or sender != "agent1" else "agent2"


def allowed(places: tuple[str, str], sender: str, recipient: str, kind: str, relation: Relation | None) -> bool:
    said = TABLES[places].get(same(sender, recipient), "")
    kinds, _, needed = (part.strip() for part in said.partition("/"))
    if kinds == EVERY:
        return kind in SENDABLE
    return kind in kinds.split() and (not needed or needed == relation)


@pytest.mark.parametrize("places", TABLES, ids="-".join)
def test_the_table_says_exactly_what_is_written_out_here(places: tuple[str, str]) -> None:
    wrong = []
    for sender, recipient, kind, relation in itertools.product(ACTORS, ACTORS, KINDS, (None, *RELATIONS)):
        relations = frozenset[Relation]() if relation is None else frozenset((relation,))
        sentence = refusal(Address(sender, places[0]), Address(recipient, places[1]), kind, relations)
        if (sentence is None) != allowed(places, sender, recipient, kind, relation):
            wrong.append((sender, recipient, kind, relation, sentence))
    assert not wrong


def test_an_absent_kind_is_text() -> None:
    one, other = Address("agent1", "netsky1"), Address("agent2", "netsky1")
    assert refusal(one, other, None) is None
    assert refusal(one, Address("worker1", "netsky1"), None) is not None


def test_no_actor_sends_what_only_daemons_write() -> None:
    for kind in ("outcome", "control"):
        sentence = refusal(Address("agent0", "netsky0"), Address("agent1", "netsky0"), kind)
        assert sentence is not None
        assert "daemons" in sentence


def test_the_owner_is_at_the_root_alone() -> None:
    assert refusal(Address("owner", "netsky1"), Address("agent0", "netsky1"), "text") is not None


def test_a_refusal_says_what_would_have_been_allowed() -> None:
    worker, manager = Address("worker1", "netsky1"), Address("agent1", "netsky1")
    assert refusal(worker, manager, "text") == (
        "worker1@netsky1 may not send agent1@netsky1 the kind 'text'; it may send: question, reply, report."
    )
    assert refusal(worker, manager, "report") == (
        "worker1@netsky1 may send agent1@netsky1 the kind 'report' only when that one is its manager."
    )
    assert refusal(Address("agent0", "netsky1"), Address("agent0", "netsky2"), "text") == (
        "agent0@netsky1 may send nothing to agent0@netsky2: siblings reach each other through netsky0 alone."
    )


def test_every_actor_has_a_role() -> None:
    roles = [role_of(actor) for actor in ACTORS]
    assert roles == ["owner", "agent0", "manager", "manager", "worker", "watchdog", "cron", "loop"]
