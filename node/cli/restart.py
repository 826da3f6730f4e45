"""`netsky restart` and `netsky handoffs`: a new life of the node or of one actor's program, and what proved it."""

from __future__ import annotations

import os
import sys
from typing import Any

from netsky.node.cli.dial import Dialer, local_actor
from netsky.node.cli.lifecycle import outside
from netsky.node.cli.output import Output
from netsky.node.cli.text import age, length, plural, visible
from netsky.node.errors import EXIT_DONE, EXIT_FAILED, NetskyError, NotFound, Usage
from netsky.node.handoff.limits import TEXT_BYTES_MAX

_MARGIN_SECONDS = 60.0
"""Beyond the time of each try: its end, and the pauses in between."""


def restart(args: Any, out: Output) -> int:
    return _actor(args, out) if args.actor else _node(args, out)


def _node(args: Any, out: Output) -> int:
    from netsky.node.handoff import whole  # noqa: PLC0415

    outside(args, "restart")
    for name in ("handoff", "handoff_file", "within", "detach"):
        if getattr(args, name):
            raise Usage(f"--{name.replace('_', '-')} is for the program of one actor", next="netsky restart agent0 -h")
    home = args.node.home
    renewed = whole.restart(home, by="operator", why=args.reason or "", timeout=args.timeout)
    up = renewed.started.up
    data = {
        "home": home.path, "pid": up.pid, "service": renewed.started.service,
        "state": renewed.state, "lines": renewed.lines,
    }  # fmt: skip
    by = f", run by {renewed.started.service}" if renewed.started.service else ""
    good = renewed.state == "proved"
    summary = f"the node is up again (pid {up.pid}{by})" + ("" if good else ", and not all is as before")

    def human() -> None:
        out.line(summary)
        for line in renewed.lines:
            mark = "  " if line["proved"] else "! "
            out.wrapped(f"{mark}{line['what']:<16} {visible(line['said'])}", 19)

    out.answer("restart", summary, data, human)
    out.notice(f"log: {home.node_log}")
    return EXIT_DONE if good else EXIT_FAILED


def _actor(args: Any, out: Output) -> int:
    node: Dialer = args.node
    actor = local_actor(args.actor)
    if args.timeout:
        raise Usage("--timeout is for the whole node", next=f"netsky restart {actor} --within DURATION")
    asked = node.call(
        "restart_actor", actor=actor, handoff=_handoff(args), reason=args.reason, within=args.within
    )  # fmt: skip
    if args.detach or node.inside_actor is not None:
        out.answer("restart", f"{actor} is being restarted (restart {asked['id']})", {"restart": asked})
        return EXIT_DONE
    found = wait_for(node, asked)
    good = found["state"] == "proved"
    summary = (
        f"{actor} was restarted: {found['said']}" if good else f"{actor} was restarted, not proved: {found['said']}"
    )

    def human() -> None:
        out.wrapped(visible(summary), 2)
        _print_more(found, out)

    out.answer("restart", summary, {"restart": found}, human)
    return EXIT_DONE if good else EXIT_FAILED


def wait_for(node: Dialer, asked: dict[str, Any]) -> dict[str, Any]:
    """The restart, once it is proved or given up."""
    from netsky.node.handoff.limits import TRIES_MAX  # noqa: PLC0415

    seconds = TRIES_MAX * (asked["within_ns"] / 10**9 + _MARGIN_SECONDS)
    return node.client().request("handoff_wait", {"id": asked["id"], "timeout": seconds}, timeout=seconds + 10)


def _handoff(args: Any) -> str | None:
    if args.handoff is not None and args.handoff_file is not None:
        raise Usage("--handoff and --handoff-file say the same thing twice", next="leave one of them out")
    if args.handoff_file is None:
        return None if args.handoff is None else str(args.handoff)
    try:
        if args.handoff_file == "-":
            raw = sys.stdin.buffer.read(TEXT_BYTES_MAX + 2)
        else:
            with open(args.handoff_file, "rb") as file:
                raw = file.read(TEXT_BYTES_MAX + 2)
    except FileNotFoundError:
        raise NotFound(
            f"there is no file {args.handoff_file}", next=f"ls {os.path.dirname(args.handoff_file) or '.'}"
        ) from None
    except OSError as error:
        raise NetskyError(f"{args.handoff_file}: {error.strerror}", next="name a file that can be read") from None
    try:
        return raw.decode("utf-8").rstrip("\n")
    except UnicodeDecodeError:
        if len(raw) > TEXT_BYTES_MAX:
            most = f"{args.handoff_file} has more than {TEXT_BYTES_MAX // 1024} KiB"
            raise Usage(most, next="hand on less, and name the file in it") from None
        raise Usage(f"{args.handoff_file} is no UTF-8", next="hand on text") from None


def handoffs(args: Any, out: Output) -> int:
    actor = None if args.actor is None else args.actor if args.actor == "node" else local_actor(args.actor)
    data = args.node.call("handoffs", actor=actor, limit=args.limit)
    found = data["handoffs"]
    opened = sum(one["open"] for one in found)
    summary = f"{plural(len(found), 'restart')}, {opened} open" if found else "no restarts"

    def human() -> None:
        if not found:
            out.line(summary)
            return
        now = out.wall()
        rows = [
            (
                str(one["id"]),
                one["actor"],
                one["state"] + (", open" if one["open"] else ""),
                age(one["ended_at"] or one["restarted_at"] or one["at"], now),
                one["by"] + (" (forced)" if one["forced"] else ""),
                "yes" if one["handoff"] else "",
                str(one["returned"] or ""),
                visible(one["said"] or one["why"]),
            )
            for one in found
        ]
        out.table(("id", "whose", "state", "since", "by", "handoff", "returned", "said"), rows, spare=("returned",))

    out.answer("handoffs", summary, data, human)
    return EXIT_DONE


def _print_more(found: dict[str, Any], out: Output) -> None:
    took = (found["ended_at"] - found["at"]) / 10**9
    out.line(f"  took      {length(took)}, {plural(found['tries'], 'life', 'lives')} begun")
    out.line(f"  returned  {plural(found['returned'], 'message')} that the old one had in hand")
    if found["envelope"]:
        out.line(f"  handoff   {found['envelope']}")
    if found["state"] != "proved":
        out.notice(f"next: netsky agent logs {found['actor']}, then: netsky restart {found['actor']}")
