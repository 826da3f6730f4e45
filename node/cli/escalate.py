"""`netsky escalate` where it comes through the table of commands, which is how its help is shown."""

from __future__ import annotations

from typing import Any

from netsky.node.cli.output import Output
from netsky.node.escalate import program


def escalate(args: Any, out: Output) -> int:
    words = [word for word in (args.subject, args.body) if word is not None]
    front = [flag for flag, given in (("--test", args.test), ("--json", out.json), ("--quiet", out.quiet)) if given]
    home = [] if args.home is None else ["--home", args.home]
    return program.main([*front, *home, "--", *words])
