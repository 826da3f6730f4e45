"""What the owner allows beyond the authority table: lines under `[routes]` in the root's config.

    [routes]
    review = "agent4@netsky1 -> agent2@netsky2: text reply"
    any = "*@netsky1 -> agent0@netsky3: *"

The name is for people. `*` stands for any actor of that node, or for all kinds. A line opens one direction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from netsky.envelope.address import Address, actor_invalid, node_invalid
from netsky.envelope.kinds import SENDABLE, kind_or_text
from netsky.relay.authority import ROOT

_matches_line = re.compile(r"\s*(\S+)\s*->\s*([^\s:]+)\s*:\s*(\S.*?)\s*").fullmatch
ANY = "*"


@dataclass(frozen=True, slots=True)
class RouteLine:
    name: str
    sender: Address
    recipient: Address
    kinds: frozenset[str]

    def allows(self, sender: Address, recipient: Address, kind: str | None) -> bool:
        return kind_or_text(kind) in self.kinds and self.names(sender, recipient)

    def names(self, sender: Address, recipient: Address) -> bool:
        """Whatever the kind."""
        return _covers(self.sender, sender) and _covers(self.recipient, recipient)


def parse_route(name: str, text: str) -> RouteLine | str:
    """The line, or the sentence of what is wrong with it."""
    found = _matches_line(text)
    if found is None:
        return 'must be "FROM -> TO: KINDS", like "agent4@netsky1 -> agent2@netsky2: text reply"'
    parties = [_party(part) for part in found.group(1, 2)]
    for party in parties:
        if isinstance(party, str):
            return party
    sender, recipient = parties
    assert isinstance(sender, Address)
    assert isinstance(recipient, Address)
    if sender.node == recipient.node:
        return f"both are on {sender.node}: what passes on one node is not the root's to route"
    if ROOT in {sender.node, recipient.node}:
        return f"names {ROOT}: what goes to and from the root stands in the authority table (netsky help trust)"
    kinds = SENDABLE if found[3] == ANY else frozenset(found[3].split())
    if not kinds <= SENDABLE:
        return f"names the kinds {', '.join(sorted(kinds - SENDABLE))}; there are {', '.join(sorted(SENDABLE))}"
    return RouteLine(name, sender, recipient, kinds)


def _party(text: str) -> Address | str:
    actor, at, node = text.partition("@")
    if not at:
        return f"{text!r} names no node; both ends do"
    wrong = node_invalid(node) or (None if actor == ANY else actor_invalid(actor))
    return wrong if wrong is not None else Address(actor, node)


def _covers(line: Address, address: Address) -> bool:
    return line.node == address.node and line.actor in (ANY, address.actor)
