"""Words between the nodes' own parts, which travel as envelopes of ordinary kinds: tickets and their reports, cancels,
signs of life, and what was typed on one node and is answered on another.

The node itself takes them when they arrive, in the transaction that stores them: no file, no actor and no program
comes between. Only daemons write them; an actor that tries is refused at the door of its own node.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from netsky.envelope.kinds import kind_or_text

TICKET = "netsky.ticket/1"
CANCEL = "netsky.cancel/1"
REPORT = "netsky.report/1"
BEAT = "netsky.beat/1"
WANT = "netsky.want/1"
ASK = "netsky.ask/1"
ANSWER = "netsky.answer/1"

_KIND: Mapping[str, str] = MappingProxyType(
    {
        TICKET: "ticket",
        CANCEL: "cancel",
        REPORT: "report",
        BEAT: "control",
        WANT: "control",
        ASK: "brief",
        ANSWER: "reply",
    }
)
_MARK = b'"schema":"netsky.'

SPEAKERS = frozenset({"agent0", "agentinfinity"})
"""In whose names the nodes say them."""


def schema_of(kind: str | None, data: bytes | None) -> str:
    """Which of these words it is; "" if none."""
    if data is None or _MARK not in data:
        return ""
    try:
        found = json.loads(data).get("schema")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return found if isinstance(found, str) and _KIND.get(found) == kind_or_text(kind) else ""


def kind_of(schema: str) -> str:
    return _KIND[schema]


def data_of(data: bytes | None) -> dict[str, Any]:
    found = {} if data is None else json.loads(data)
    return found if isinstance(found, dict) else {}
