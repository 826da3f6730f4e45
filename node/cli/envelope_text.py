"""An envelope for a person's eyes. Each line of its text stands behind a bar: nothing in it can look like ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from netsky.node.cli.output import Output
from netsky.node.cli.text import age, local_time, visible

_SHOWN = ("id", "from", "to", "kind", "in_reply_to", "thread", "swarm", "parent", "idempotency_key")


def print_envelope(fields: Mapping[str, Any], out: Output) -> None:
    """`fields` are those of the readable file, parsed."""
    from netsky.envelope.file import read_time  # noqa: PLC0415
    from netsky.envelope.invalid import Invalid  # noqa: PLC0415

    for name in _SHOWN:
        if fields.get(name) is not None:
            out.line(f"{name:<16} {visible(str(fields[name]))}")
    for name in ("ts", "expires"):
        if fields.get(name) is None:
            continue
        try:
            when = read_time(str(fields[name]), name)
        except Invalid:
            out.line(f"{name:<16} {visible(str(fields[name]))}")
            continue
        out.line(f"{name:<16} {local_time(when)} ({age(when, out.wall())})")
    if fields.get("requires_ack"):
        out.line(f"{'requires_ack':<16} yes")
    proof = fields.get("netsky")
    if isinstance(proof, Mapping):
        out.line(f"{'origin':<16} {visible(str(proof.get('origin')))}")
        out.line(f"{'hash':<16} {visible(str(proof.get('leaf')))}")
    out.line()
    for line in visible(str(fields.get("text", "")), lines=True).split("\n"):
        out.line(f"| {line}".rstrip())
    if fields.get("data") is not None:
        out.line("data")
        for line in json.dumps(fields["data"], indent=1, ensure_ascii=False).split("\n"):
            out.line(f"| {visible(line)}")
    for attachment in fields.get("attachments") or ():
        out.line(f"attachment       {visible(json.dumps(attachment, ensure_ascii=False))}")
