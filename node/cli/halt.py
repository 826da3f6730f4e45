"""`netsky halt` and `netsky resume`: one line for each node, when all that can be reached have answered."""

from __future__ import annotations

from typing import Any

from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.text import age, local_time, plural, visible
from netsky.node.errors import EXIT_DONE, EXIT_TIMED_OUT
from netsky.node.seams.real import RealTime

_DEFAULT_SECONDS = 30.0
"""A node ends its programs within 12 s."""

_SLICE_SECONDS = 2.0
_GRACE_SECONDS = 15.0
_DONE = {"halt": "halted", "resume": "goes on"}


def halt(args: Any, out: Output) -> int:
    return _order("halt", args, out, {"reason": args.reason})


def resume(args: Any, out: Output) -> int:
    return _order("resume", args, out, {})


def _order(do: str, args: Any, out: Output, more: dict[str, Any]) -> int:
    node: Dialer = args.node
    asked = {"nodes": args.nodes or None, "all": args.all or None, **more}
    given = {name: value for name, value in asked.items() if value is not None}
    data = node.client().request(do, given, timeout=_DEFAULT_SECONDS + _GRACE_SECONDS)
    if data["nodes"]:
        limit = _DEFAULT_SECONDS if args.timeout is None else args.timeout
        data["nodes"] = _answers(node, data["nodes"], limit, out)
    here, nodes = data["here"], data["nodes"]
    waiting = [one for one in nodes if not one["answered"]]
    done = len(nodes) - len(waiting) + (here is not None)
    ended = sum(one["ended"] or 0 for one in nodes if one["answered"]) + (here["ended"] if here else 0)
    said = f"{plural(done, 'node')} {'halted' if do == 'halt' else 'resumed'}"
    said += f", {plural(ended, 'process', 'processes')} ended" if do == "halt" else ""
    summary = said + (f"; {len(waiting)} not yet" if waiting else "")
    out.answer(do, summary, data | {"done": done, "waiting": len(waiting), "ended": ended}, lambda: _print(data, out))
    return EXIT_TIMED_OUT if waiting else EXIT_DONE


def _answers(node: Dialer, nodes: list[dict[str, Any]], limit: float, out: Output) -> list[dict[str, Any]]:
    """How they stand once each that is linked has answered, or the time is over."""
    time, names = RealTime(), [one["name"] for one in nodes]
    until = time.monotonic() + int(limit * 1e9)
    try:
        while any(one["linked"] and not one["answered"] for one in nodes):
            left = (until - time.monotonic()) / 1e9
            if left <= 0:
                break
            out.progress(f"{sum(one['answered'] for one in nodes)} of {len(nodes)} have answered …")
            asked = {"nodes": names, "wait_s": min(left, _SLICE_SECONDS)}
            nodes = node.client().request("halted", asked, timeout=left + _GRACE_SECONDS)["nodes"]
    finally:
        out.progress("")
    return nodes


def _print(data: dict[str, Any], out: Output) -> None:
    do, here, now = data["do"], data["here"], out.wall()
    rows = []
    if here is not None:
        ended = f"{plural(here['ended'], 'process', 'processes')} ended" if do == "halt" else ""
        rows.append((here["name"], _here(do, here), ended + _still(here), local_time(here["at"])))
    for one in data["nodes"]:
        if one["answered"]:
            state = _DONE[do] if one["halted"] == (do == "halt") else "still halted, by its own operator"
            ended = f"{plural(one['ended'], 'process', 'processes')} ended" if do == "halt" else ""
            rows.append((one["name"], state, ended + _still(one), f"{local_time(one['at'])} by its clock"))
    if rows:
        room = [max(len(row[at]) for row in rows) for at in range(3)]
        for row in rows:
            out.line("  ".join(cell.ljust(wide) for cell, wide in zip(row, [*room, 0], strict=True)).rstrip())
    if here is not None and not here["stored"]:
        out.notice(f"{here['name']} has no room on its disk to store this: until it has, a restart would undo it")
    for one in data["nodes"]:
        if not one["answered"]:
            out.wrapped(_unanswered(do, one, now), 2, out.warn)


def _here(do: str, here: dict[str, Any]) -> str:
    if here["halted"] == (do == "halt"):
        return _DONE[do]
    return f"still halted, by {visible(here['by'])}"


def _still(one: dict[str, Any]) -> str:
    return f", {one['still']} still there" if one["still"] else ""


def _unanswered(do: str, one: dict[str, Any], now: int) -> str:
    name = visible(one["name"])
    if one["linked"]:
        return f"{name} has not answered yet; it is linked, and has the order or gets it"
    seen = "" if one["last_seen"] is None else f", seen {age(one['last_seen'], now)}"
    if do == "resume":
        return f"{name} was not reached{seen}: the order waits for it"
    alone = f"it ends routed work by itself within {one['lease_s']} s of silence"
    return f"{name} was not reached{seen}: {alone}; the order waits for it"
