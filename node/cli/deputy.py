"""`netsky deputy`: who it is, and who is to be."""

from __future__ import annotations

from typing import Any

from netsky.node.cli.output import Output
from netsky.node.cli.text import visible
from netsky.node.errors import EXIT_DONE, Usage


def deputy(args: Any, out: Output) -> int:
    if args.none and args.name is not None:
        raise Usage("netsky deputy: name a machine or say --none, not both", next="netsky deputy -h")
    data = args.node.call("deputy", who=args.name, none=args.none or None)
    if data["name"] is None:
        summary = "no machine tells the owner when netsky0 falls silent"
    else:
        summary = f"{data['name']} ({visible(data['label'])}) tells the owner when netsky0 falls silent"
    out.answer("deputy", summary, data)
    if data["name"] is not None and data["changed"]:
        out.notice("it needs a command under [owner] in its own config.toml; on it: netsky doctor says whether it has")
    return EXIT_DONE
