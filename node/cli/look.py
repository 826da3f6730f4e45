"""`netsky trace` and `netsky events`."""

from __future__ import annotations

import json
from typing import Any

from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.text import age, length, local_time, plural, visible
from netsky.node.errors import EXIT_DONE

_OFFSET_SHOWN_NS = 500_000
"""What would be 0 ms."""


def trace(args: Any, out: Output) -> int:
    node: Dialer = args.node
    data = node.call("trace", id=node.full_id(args.id))
    steps = data["steps"]  # in causal order

    def human() -> None:
        for name in ("id", "from", "to", "kind", "in_reply_to", "outcome"):
            if data.get(name):
                out.line(f"{name:<12} {visible(str(data[name]))}")
        first = next((step["here"] for step in steps if step["here"] is not None), None)
        if first is not None:
            out.line(f"{'when':<12} {local_time(first)}, {age(first, out.wall())}")
        out.line()
        clocks = {str(step["clock"]) for step in steps if step["at"] is not None}
        before = None
        for step in steps:
            out.line(_line(step, first, before, clocks))
            before = step["here"] if step["here"] is not None else before
        for other in data.get("elsewhere", ()):
            what = other["next"].replace("ID", str(data["id"]))
            out.wrapped(f"{other['knows']}: on {visible(other['node'])}: {what}", 2)

    last = next((step["step"] for step in reversed(steps) if step["at"] is not None), "unknown")
    out.answer("trace", f"{data['id']}: {last}, {plural(len(steps), 'step')}", data, human)
    return EXIT_DONE


def _line(step: dict[str, Any], first: int | None, before: int | None, clocks: set[str]) -> str:
    """The time as the clock of its node said it; where that cannot be, the bound by our clock, and the skew."""
    at, here, bound = step["at"], step["here"], step["bound"]
    shown, passed = "not yet", ""
    if at is not None and first is not None:
        shown = local_time(here if bound else at, millis=True)
        if shown[:10] == local_time(first)[:10]:
            shown = shown[11:]
        shown = {">=": "≥ ", "<=": "≤ "}.get(bound, "") + shown
        passed = "" if before is None else f"+{length((here - before) / 10**9)}"
    clock = f"{visible(str(step['clock'])):<9} " if len(clocks) > 1 else ""
    told = [visible(str(step["detail"])), _clock_words(step)]
    return f"{shown:<15} {passed:<9} {visible(str(step['step'])):<12} {clock}{'; '.join(filter(None, told))}".rstrip()


def _clock_words(step: dict[str, Any]) -> str:
    if step["at"] is None:
        return ""
    if step["skew_ns"]:
        way = "ahead" if step["skew_ns"] > 0 else "behind"
        beyond = " beyond what was measured" if step["offset_ns"] else ""
        return f"its clock is at least {length(abs(step['skew_ns']) / 10**9)} {way}{beyond}"
    if step["offset_ns"] is None:
        return "its clock was not measured"
    if abs(step["offset_ns"]) >= _OFFSET_SHOWN_NS:
        way = "ahead" if step["offset_ns"] > 0 else "behind"
        return f"its clock is {length(abs(step['offset_ns']) / 10**9)} {way}"
    return ""


def events(args: Any, out: Output) -> int:
    node: Dialer = args.node
    kinds = [args.kind] if args.kind else None
    asked = {"follow": args.follow} | ({"kinds": kinds} if kinds else {})
    seen = 0
    for event in node.client().stream("events", **asked):
        seen += 1
        _show(event, out)
    if not seen:
        out.notice("nothing has happened yet that is kept")
    return EXIT_DONE


def _show(event: dict[str, Any], out: Output) -> None:
    kind, at = str(event.get("kind")), event.get("at")
    if out.json:
        out.answer("events", kind, {"event": event})
        return
    rest = {name: value for name, value in event.items() if name not in ("kind", "at")}
    told = " ".join(f"{name}={_plain(value)}" for name, value in rest.items())
    when = local_time(at, millis=True)[11:] if isinstance(at, int) else ""
    out.line(f"{when:<13} {visible(kind):<18} {told}".rstrip())
    out.stdout.flush()


def _plain(value: object) -> str:
    return visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
