"""At the root: what a sibling's schedule fired goes back as the root's word, to an actor of that sibling alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from netsky.envelope.address import parse_address
from netsky.envelope.invalid import Invalid
from netsky.node.bus.draft import Draft
from netsky.node.errors import Refused
from netsky.relay.authority import ROOT

if TYPE_CHECKING:
    from netsky.node.actors.handover import Handed
    from netsky.node.daemon.node import Node
    from netsky.node.db.schedules import Kind


class Routed:
    def __init__(self, node: Node, kind: Kind, voice: str) -> None:
        self._node, self._kind, self._voice = node, kind, voice

    async def __call__(self, handed: Handed) -> None:
        """Handed at least once; the key follows from the envelope."""
        header, sender = handed.header, parse_address(handed.header.sender)
        about = _about(handed.body.data)
        if not self._node.identity.root or sender.node is None or sender.actor != self._voice:
            raise _refused(f"{header.sender} sends schedules to {ROOT}, which sends them on")
        key = f"{self._kind}/{header.origin.hex()[:16]}/{header.id}"
        await self._node.voices.say(
            self._voice,
            Draft(
                to=f"{_target(about, sender.node)}@{sender.node}",
                text=handed.body.text,
                kind=self._kind,
                idempotency_key=key[:64],
                parent=header.id,
                data={"schedule": {name: about[name] for name in ("id", "due") if name in about}},
            ),
        )


def _about(data: bytes | None) -> dict[str, Any]:
    found = {} if data is None else json.loads(data)
    about = found.get("schedule")
    return about if isinstance(about, dict) else {}


def _target(about: dict[str, Any], node: str) -> str:
    """The actor, without its node; one of another machine than the schedule's is refused."""
    said = about.get("target")
    try:
        found = parse_address(said if isinstance(said, str) else "")
    except Invalid as invalid:
        raise _refused(f"a schedule has to say for whom it is: {invalid.sentence}") from None
    if found.node not in {None, node}:
        raise _refused(f"a schedule of {node} reaches actors of {node} alone, not {found}")
    return found.actor


def _refused(sentence: str) -> Refused:
    return Refused(sentence, next="netsky help time", code="authority")
