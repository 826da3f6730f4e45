"""Who may send what to whom: the one table, and the one function that reads it.

Anything that is not in the table is refused. The rows speak of roles, so that a new worker needs no new row. A row
may ask for a *relation* between the two ("it is his worker", "it answers his ticket"); the caller looks relations up
in its rows and passes those that hold. Nothing here trusts a word of the envelope's body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netsky.envelope.address import Address
from netsky.envelope.kinds import KINDS, SENDABLE, kind_or_text

ROOT = "netsky0"
"""The name of the root constellation. It moves with the charter; no other node ever bears it."""

Role = Literal["owner", "agent0", "manager", "worker", "watchdog", "cron", "loop"]
Relation = Literal["manages_recipient", "managed_by_recipient", "on_its_ticket", "on_its_envelope", "holds_its_lease"]

ALL = SENDABLE

ROOT_MANAGER = "agent0"
"""The manager whom everybody else of a constellation answers to."""

WATCHDOG = "agentinfinity"
VOICES = frozenset({WATCHDOG, "agentcron", "agentloop"})
"""Actors that are code of the node: they speak, and are spoken to, without having a row or a program."""


@dataclass(frozen=True, slots=True)
class Row:
    """`sender` may send `kinds` to `recipient`, if `relation` holds (when one is named)."""

    sender: Role | Literal["any"]
    recipient: Role | Literal["any"]
    kinds: frozenset[str]
    relation: Relation | None = None


def _rows(
    sender: str, recipient: str, kinds: str | frozenset[str], relation: Relation | None = None
) -> tuple[Row, ...]:
    allowed = kinds if isinstance(kinds, frozenset) else frozenset(kinds.split())
    assert allowed <= KINDS.keys() - {"outcome"}
    return tuple(Row(s, r, allowed, relation) for s in sender.split() for r in recipient.split())  # type: ignore[arg-type]


AT_THE_ROOT = (
    *_rows("owner", "agent0", ALL),
    *_rows("agent0", "owner", ALL),
    *_rows("manager worker watchdog cron loop", "owner", "report question escalation"),
    *_rows("owner", "any", "reply", "on_its_envelope"),
)
"""All at netsky0: the owner speaks with one actor alone, and answers whoever asked; a stuck agent0 silences nobody."""

ON_ONE_NODE = (
    *_rows("agent0", "manager", ALL),
    *_rows("manager", "agent0", ALL),
    *_rows("agent0 manager", "worker", "brief cancel reply", "manages_recipient"),
    *_rows("worker", "agent0 manager", "report question reply", "managed_by_recipient"),
    *_rows("agent0", "agent0", "text reply"),  # agent0 is a manager too: a note to oneself
    *_rows("manager", "manager", "text reply"),
    *_rows("cron", "agent0 manager", "cron"),
    *_rows("loop", "agent0 manager", "loop"),
    *_rows("watchdog", "agent0 manager", "escalation"),
)

ROOT_TO_SIBLING = (
    *_rows("agent0", "any", ALL),
    *_rows("manager", "agent0", "ticket cancel"),
    *_rows("manager agent0", "worker", "reply cancel", "on_its_ticket"),
    *_rows("owner", "any", "reply", "on_its_envelope"),
    *_rows("cron", "agent0 manager", "cron"),
    *_rows("loop", "agent0 manager", "loop"),
    *_rows("watchdog", "watchdog", "control"),
)

SIBLING_TO_ROOT = (
    *_rows("any", "agent0", ALL),
    *_rows("agent0", "manager", "reply report error", "on_its_ticket"),
    *_rows("worker", "manager agent0", "report question", "holds_its_lease"),
    *_rows("any", "owner", "report question escalation"),
    *_rows("cron", "cron", "cron"),
    *_rows("loop", "loop", "loop"),
    *_rows("watchdog", "watchdog", "control"),
)


def role_of(actor: str) -> Role:
    """The role of a canonical actor name."""
    fixed: dict[str, Role] = {
        "owner": "owner",
        "agent0": "agent0",
        "agentinfinity": "watchdog",
        "agentcron": "cron",
        "agentloop": "loop",
    }
    if actor in fixed:
        return fixed[actor]
    return "worker" if actor.startswith("worker") else "manager"


def rows_between(sender_node: str, recipient_node: str) -> tuple[Row, ...]:
    """The part of the table that speaks of these two places. Between two siblings there is none."""
    if sender_node == recipient_node:
        return (*AT_THE_ROOT, *ON_ONE_NODE) if sender_node == ROOT else ON_ONE_NODE
    if sender_node == ROOT:
        return ROOT_TO_SIBLING
    if recipient_node == ROOT:
        return SIBLING_TO_ROOT
    return ()


def could_reach(sender: Address, recipient: Address) -> bool:
    """Whether any row names the two, whatever the kind and the relation that it asks for."""
    assert sender.node is not None
    assert recipient.node is not None
    roles = role_of(sender.actor), role_of(recipient.actor)
    return any(
        row.sender in ("any", roles[0]) and row.recipient in ("any", roles[1])
        for row in rows_between(sender.node, recipient.node)
    )


def refusal(
    sender: Address, recipient: Address, kind: str | None, relations: frozenset[Relation] = frozenset()
) -> str | None:
    """Why this sender may not send this kind to this recipient, as a sentence, or None if it may.

    Both addresses name their node.
    """
    assert sender.node is not None
    assert recipient.node is not None
    word = kind_or_text(kind)
    if any(party.actor == "owner" and party.node != ROOT for party in (sender, recipient)):
        return f"The owner is at {ROOT} alone."
    roles = role_of(sender.actor), role_of(recipient.actor)
    named = [
        row
        for row in rows_between(sender.node, recipient.node)
        if row.sender in ("any", roles[0]) and row.recipient in ("any", roles[1])
    ]
    fitting = [row for row in named if word in row.kinds]
    if any(row.relation is None or row.relation in relations for row in fitting):
        return None
    if word not in SENDABLE:
        return f"No actor sends the kind {word!r}: daemons alone write it."
    if fitting:
        return f"{sender} may send {recipient} the kind {word!r} only {_CONDITION[fitting[0].relation]}."
    if named:
        kinds = sorted(frozenset().union(*(row.kinds for row in named)))
        return f"{sender} may not send {recipient} the kind {word!r}; it may send: {', '.join(kinds)}."
    if not rows_between(sender.node, recipient.node):
        return f"{sender} may send nothing to {recipient}: siblings reach each other through {ROOT} alone."
    return f"{sender} may send nothing to {recipient}: no row of the authority table names them together."


_CONDITION: dict[Relation | None, str] = {
    "manages_recipient": "when it is that worker's manager",
    "managed_by_recipient": "when that one is its manager",
    "on_its_ticket": "on a ticket that passed between them",
    "on_its_envelope": "in answer to that one's envelope",
    "holds_its_lease": "when that one holds the lease of its ticket",
}
