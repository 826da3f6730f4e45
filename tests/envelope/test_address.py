from __future__ import annotations

import pytest
from netsky.envelope.address import Address, actor_invalid, matches_address, node_invalid, parse_address
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import ADDRESS_BYTES_MAX

ACTORS = ("agent0", "agent1", "agent9999", "worker1", "worker9999", "agentinfinity", "agentcron", "agentloop", "owner")
NOT_ACTORS = (
    "", "agent", "agent00", "agent01", "agent10000", "agent-1", "agentx", "Agent1", "agent1 ", " agent1", "agent1\n",
    "agent\u0661", "worker", "worker0", "worker01", "worker10000", "manager0", "manager1", "agentInfinity", "owner1",
    "../agent1", "agent1/x", "netsky0", "agent1\x00", "a" * 97,
)  # fmt: skip
NOT_NODES = (
    "",
    "netsky",
    "netsky01",
    "netsky00",
    "netsky10000",
    "Netsky1",
    "studio-mac",
    "netsky1\n",
    "netsky1@netsky2",
)


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("node", [None, "netsky0", "netsky1", "netsky9999"])
def test_an_address_reads_back_as_it_was_written(actor: str, node: str | None) -> None:
    address = Address(actor, node)
    assert parse_address(str(address)) == address
    assert matches_address(str(address))


@pytest.mark.parametrize("actor", ACTORS)
def test_every_actor_of_the_table_is_one(actor: str) -> None:
    assert actor_invalid(actor) is None


@pytest.mark.parametrize("actor", NOT_ACTORS)
def test_nothing_else_is_an_actor(actor: str) -> None:
    sentence = actor_invalid(actor)
    assert sentence is not None
    assert sentence.isprintable()
    assert not matches_address(actor)


@pytest.mark.parametrize("node", NOT_NODES)
def test_nothing_else_is_a_node(node: str) -> None:
    sentence = node_invalid(node)
    assert sentence is not None
    assert sentence.isprintable()
    with pytest.raises(Invalid, match="node"):
        parse_address(f"agent1@{node}")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("manager0", "agent0"), ("manager12", "agent12"), ("manager3@netsky1", "agent3@netsky1")],
)
def test_a_manager_is_an_agent_on_input_and_nowhere_else(typed: str, meant: str) -> None:
    assert str(parse_address(typed)) == meant
    assert not matches_address(typed)


@pytest.mark.parametrize("typed", ["manager", "manager01", "manager10000", "managers1", "agent1@", "@netsky1", "@"])
def test_half_an_address_is_refused_with_a_sentence(typed: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_address(typed)
    assert caught.value.field == "address"
    assert caught.value.code == "address_invalid"
    assert caught.value.sentence == str(caught.value)


def test_a_long_address_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(Invalid) as caught:
        parse_address("agent" + "1" * ADDRESS_BYTES_MAX)
    assert caught.value.code == "address_too_long"
