"""`netsky invite`: what to type on the other machine."""

from __future__ import annotations

import os
import shlex
from typing import Any

from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.text import age, local_time, visible
from netsky.node.errors import EXIT_DONE, Conflict


def invite(args: Any, out: Output) -> int:
    node: Dialer = args.node
    path = None if args.ticket_file is None else os.path.abspath(args.ticket_file)
    if path is not None and os.path.lexists(path):
        raise Conflict(f"{path} is there already", next="name a new file: --ticket-file FILE", code="file_exists")
    data = node.call("invite", label=args.label, capabilities=args.capability, hold=args.hold or None)
    ticket = data.pop("ticket")
    if path is not None:
        _write(path, ticket)
    said = ticket if path is None else f"--ticket-file {shlex.quote(os.path.basename(path))}"
    lines = [*data["install"].splitlines(), f"netsky join {said}"]
    data |= {"ticket": ticket if path is None else None, "ticket_file": path, "lines": lines}

    def human() -> None:
        if path is not None:
            out.line(f"The ticket is in {visible(path)}. Bring that file to the other machine, and type there:")
        else:
            out.line("Type on the other machine:")
        out.line()
        for line in lines:
            out.line(f"    {visible(line)}")
        out.line()
        out.line(f"The ticket lets one machine join as {visible(args.label)}, and ends {_when(data['ends'], out)}.")
        out.line(out.warn("Whoever has it can join instead: send it as you would send a password."))
        if args.hold:
            out.notice("then compare the six words there with those of netsky nodes, and: netsky approve NAME")
        if data["replaced"]:
            out.notice("the older ticket of this label is withdrawn")
        if data["bound"]:
            out.notice(f'this node keeps its port: bind = "{data["bound"]}" now stands in config.toml')

    out.answer("invite", f"one machine may join as {args.label} until {local_time(data['ends'])}", data, human)
    return EXIT_DONE


def _when(ends: int, out: Output) -> str:
    return f"{age(ends, out.wall())}, at {local_time(ends)[11:16]}"


def _write(path: str, ticket: str) -> None:
    """Readable by its owner alone from the first moment; never over something, never through a link."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(ticket + "\n")
