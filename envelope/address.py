"""Who an envelope is from and to: `agent4@netsky1`, or `agent4` for an actor of one's own node."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import ADDRESS_BYTES_MAX

# No leading zeros and a highest number: two spellings of one actor would be two folders, and two rows of the table.
_NUMBER = r"(?:0|[1-9][0-9]{0,3}+)"
_ACTOR = rf"(?:agent(?:{_NUMBER}|infinity|cron|loop)|worker[1-9][0-9]{{0,3}}+|owner)"
_NODE = rf"netsky{_NUMBER}"
_ACTOR_FORM = re.compile(_ACTOR)
_NODE_FORM = re.compile(_NODE)
ADDRESS = rf"{_ACTOR}(?:@{_NODE})?+"
matches_address = re.compile(ADDRESS).fullmatch
"""Finds an address in its one canonical spelling, or None."""

_MANAGER_FORM = re.compile(rf"manager({_NUMBER})")

ACTORS = "agent0, agent1 to agent9999, worker1 to worker9999, agentinfinity, agentcron, agentloop or owner"


class Address(NamedTuple):
    """An actor and the name of its node; without a node it is local."""

    actor: str
    node: str | None = None

    def __str__(self) -> str:
        return self.actor if self.node is None else f"{self.actor}@{self.node}"


def actor_invalid(name: str) -> str | None:
    """What is wrong with the canonical name of an actor (`manager0` is an input form, not a name)."""
    if _ACTOR_FORM.fullmatch(name) is None:
        return f"{_shown(name)} is no actor: an actor is {ACTORS}."
    return None


def node_invalid(name: str) -> str | None:
    if _NODE_FORM.fullmatch(name) is None:
        return f"{_shown(name)} is no node: a node is netsky0 to netsky9999."
    return None


@lru_cache(maxsize=256)
def parse_address(text: str) -> Address:
    """Reads what a person or a program typed; `manager4` becomes `agent4`. Raises Invalid.

    Remembered: a constellation has few addresses, and each envelope names two. What is refused is not kept.
    """
    if len(text) > ADDRESS_BYTES_MAX:
        raise Invalid("address", f"An address has at most {ADDRESS_BYTES_MAX} characters.", "address_too_long")
    actor, at, node = text.partition("@")
    manager = _MANAGER_FORM.fullmatch(actor)
    if manager is not None:
        actor = f"agent{manager.group(1)}"
    sentence = actor_invalid(actor)
    if sentence is None and at:
        sentence = node_invalid(node)
    if sentence is not None:
        raise Invalid("address", sentence, "address_invalid")
    return Address(actor, node if at else None)


def whole(address: str, node: str) -> str:
    """With its node: one that names none is of this one."""
    return address if "@" in address else f"{address}@{node}"


def _shown(text: str) -> str:
    # Errors are printed to terminals: ascii() leaves no control character in them.
    return ascii(text if len(text) <= ADDRESS_BYTES_MAX else text[:ADDRESS_BYTES_MAX] + "...")
