"""What the root decides about an envelope that came in for another node: it passes, or why it ends here.

The link has checked what is about bytes and keys; here the checks are about meaning, in a fixed order, cheap first,
each with its code. Whatever passes is stored before it is acknowledged; whatever does not is ended by the root with an
outcome that its sender gets to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from netsky.envelope.address import Address, parse_address
from netsky.envelope.fields import Header
from netsky.envelope.kinds import lane_of
from netsky.envelope.limits import EXPIRES_MAX_NS, SKEW_NS
from netsky.mesh.roster import Roster
from netsky.relay.authority import could_reach, refusal
from netsky.relay.holds import Queues
from netsky.relay.routes import RouteLine

CODES = (
    "expired", "expires_range", "dest_unknown", "dest_revoked", "address", "authority", "dest_full",
)  # fmt: skip
"""In the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class Border:
    """What the root decides by at one moment."""

    roster: Roster
    routes: Sequence[RouteLine]
    queues: Queues
    now: int  # wall clock, ns
    verdicts: dict[tuple[str, str, str | None, bool], bool] = field(default_factory=dict)
    """What the authority table and the owner's lines said at this moment: a batch asks the same for each envelope."""


def refusal_code(header: Header, border: Border, *, is_ack: bool = False) -> str | None:
    """Why this envelope may not pass, or None. Its origin's seal and name were verified; `is_ack`: it has the form of
    an acknowledgement (acks.py)."""
    if header.expires < border.now:
        return "expired"
    if header.expires > border.now + EXPIRES_MAX_NS + SKEW_NS:
        return "expires_range"  # remembered until it expires, so that has to be soon enough, whatever its clock says
    destination = border.roster.by_key.get(header.destination)
    if destination is None:
        return "dest_unknown"
    if destination.revoked:
        return "dest_revoked"
    if parse_address(header.to).node != destination.name:
        return "address"
    asked = (header.sender, header.to, header.kind, is_ack)
    if asked not in border.verdicts:
        sender, recipient = parse_address(header.sender), parse_address(header.to)
        border.verdicts[asked] = (
            _answers(sender, recipient, border) if is_ack else _allowed(sender, recipient, header.kind, border)
        )
    if not border.verdicts[asked]:
        return "authority"
    return "dest_full" if border.queues.is_over(header.destination, header.origin, lane_of(header.kind)) else None


def _allowed(sender: Address, recipient: Address, kind: str | None, border: Border) -> bool:
    return refusal(sender, recipient, kind) is None or any(
        line.allows(sender, recipient, kind) for line in border.routes
    )


def _answers(sender: Address, recipient: Address, border: Border) -> bool:
    """Whether there is a way from the recipient to the sender, by which what is acknowledged can have come."""
    return could_reach(recipient, sender) or any(line.names(recipient, sender) for line in border.routes)
