"""What of the links a person has to hear of, for `netsky status`. Pure: it reads what status shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netsky.envelope.limits import SKEW_NS

DOWN_NS = 5 * 60 * 10**9
"""A machine that restarts is back by then."""

HELD_NS = 10 * 60 * 10**9
"""A queue that was merely busy has been drained by then."""

Fault = tuple[str, str, str]
"""Code, sentence, next step."""

_FROZEN = {
    "behind": "this home was put back to an earlier state",
    "peer_behind": "the other home was put back to an earlier state",
    "peer_rolled_back": "the other home was put back to an earlier state",
    "diverged": "one of the two homes was copied, or put back to an earlier state",
}
"""By the codes of mesh/streams.py."""


def troubles(
    links: Sequence[Mapping[str, Any]], holds: Sequence[Mapping[str, Any]], root: bool, now: int
) -> list[Fault]:
    found: list[Fault] = []
    for link in links:
        name = link["name"]
        for stream, code in link["frozen"].items():
            why = _FROZEN.get(code, f"its code is {code}")
            sentence = f"the stream {stream} of the link to {name} stands still: {why}"
            found.append(("frozen", sentence, "netsky help mesh, under *A stream stands still*"))
        revoked = not root and not link["up"] and "revoked: " in (link["trouble"] or "")
        if revoked:
            sentence = "this node was revoked: it no longer belongs to the mesh, and nothing leaves it or comes to it"
            found.append(
                ("revoked", sentence, "netsky down; to come back, a new home and a new ticket: netsky help mesh")
            )
        elif not root and link["down_since"] is not None and now - link["down_since"] > DOWN_NS:
            minutes = (now - link["down_since"]) // (60 * 10**9)
            sentence = f"no link to {name} for {minutes} min: {link['trouble']}"
            found.append(("link_down", sentence, f"is {name} up, and can this machine reach it? netsky doctor"))
        offset = link["clock_offset_ns"]
        if offset is not None and abs(offset) > SKEW_NS:
            way = "ahead of" if offset > 0 else "behind"
            sentence = f"the clock of {name} is {abs(offset) // 10**9} s {way} ours"
            found.append(("clock", sentence, "set the one that is wrong; what expires is judged by both"))
    for hold in holds:
        if now - hold["since"] > HELD_NS:
            minutes = (now - hold["since"]) // (60 * 10**9)
            full = "its inbox is full" if "@" in hold["name"] else "its queue at netsky0 is full"
            sentence = f"what is for {hold['name']} is held for {minutes} min: {full}"
            found.append(
                ("held", sentence, f"is {hold['name']} up? netsky nodes; if it never comes back: netsky revoke")
            )
    return found
