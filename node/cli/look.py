"""`netsky trace` and `netsky events`."""

from __future__ import annotations

import json
from typing import Any

from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.text import age, length, local_time, plural, visible
from netsky.node.errors import EXIT_DONE


def trace(args: Any, out: Output) -> int:
    node: Dialer = args.node
    data = node.call("trace", id=node.full_id(args.id))
    # An answer is stored before its question is taken: people read in the order in which things happened.
    data["steps"].sort(key=lambda step: (step["at"] is None, step["at"] or 0))
    steps = data["steps"]

    def human() -> None:
        for name in ("id", "from", "to", "kind", "in_reply_to", "outcome"):
            if data.get(name):
                out.line(f"{name:<12} {visible(str(data[name]))}")
        first = next((step["at"] for step in steps if step.get("at") is not None), None)
        if first is not None:
            out.line(f"{'when':<12} {local_time(first)}, {age(first, out.wall())}")
        out.line()
        before = None
        for step in steps:
            at = step.get("at")
            passed = f"+{length((at - before) / 10**9)}" if at is not None and before is not None else ""
            when = local_time(at, millis=True) if at is not None else "not yet"
            if first is not None and when[:10] == local_time(first)[:10]:
                when = when[11:]
            told = visible(str(step.get("detail") or ""))
            out.line(f"{when:<13} {passed:<9} {visible(str(step['step'])):<12} {told}".rstrip())
            before = at if at is not None else before

    last = next((step["step"] for step in reversed(steps) if step.get("at") is not None), "unknown")
    out.answer("trace", f"{data.get('id', args.id)}: {last}, {plural(len(steps), 'step')}", data, human)
    return EXIT_DONE


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
