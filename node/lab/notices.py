"""What a node tells its operator, in the history: its rare events, which the checker counts as branches.

    machine.serves = lambda node: note_events(node.events, said)

A line is a `notice`: `key` = what happened, `reason` = its code. Nothing is judged by it.
"""

from __future__ import annotations

from typing import Any

from netsky.node.events import Events
from netsky.node.lab.history import Writer

_CODES = {
    "restored": "reason",
    "link_restored": "",
    "roster": "",
    "disk_low": "",
    "disk_recovered": "",
    "projection_failed": "",
    "folder_unusable": "",
    "folder_replaced": "",
    "not_deliverable": "",
    "lease_lapsed": "",
    "halted": "",
}
"""Kinds that are noted as they are, and the field that says why."""


def note_events(events: Events, said: Writer) -> None:
    """Those that it published before too."""
    publish = events.publish
    for event in events.latest():
        _note(said, event["kind"], event)

    def published(kind: str, **fields: Any) -> None:
        publish(kind, **fields)
        _note(said, kind, fields)

    events.publish = published  # type: ignore[method-assign]


def _note(said: Writer, kind: str, fields: dict[str, Any]) -> None:
    if kind in _CODES:
        if kind == "link_restored" and not fields["since"]:
            return  # the first memory of a peer, and no other before it
        why = fields.get(_CODES[kind])
        said.note("notice", key=kind, **({"reason": why} if why else {}))
    elif kind == "link_down" and fields["code"] == "unreachable":
        said.note("notice", key=kind, reason="unreachable")
    elif kind == "link_alarm" and "ender" in fields:
        said.note("notice", key="disbelieved", reason=fields["code"])
    elif kind == "quarantined":
        said.note("notice", key=kind, reason=fields["reason"])
