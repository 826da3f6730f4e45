"""`netsky envelope show`: of a file, or of an id."""

from __future__ import annotations

import json
from typing import Any

from netsky.envelope.file import Proof, to_file
from netsky.node.cli.envelope_text import print_envelope
from netsky.node.cli.found import fetch, find
from netsky.node.cli.output import Output
from netsky.node.cli.sealed import NotProven
from netsky.node.errors import EXIT_DONE, Refused


def show(args: Any, out: Output) -> int:
    found = find(args.file, args.node)
    raw = found.raw
    if raw is None:
        try:
            _, sealed = fetch(found, args.node)
        except NotProven as why:
            raise Refused(f"not genuine: {found.id}: {why}", next="netsky doctor", code="not_proven") from None
        raw = to_file(sealed.header, sealed.body, Proof(sealed.header.origin, sealed.header.id, sealed.leaf))
    fields = json.loads(raw)
    out.answer(
        "envelope-show",
        f"{fields.get('kind') or 'text'} from {fields.get('from')}",
        {"envelope": fields, "file": found.path, "bytes": len(raw)},
        lambda: print_envelope(fields, out),
    )
    return EXIT_DONE
