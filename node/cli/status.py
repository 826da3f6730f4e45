"""`netsky status`: one screen, what is wrong last, where the eye ends."""

from __future__ import annotations

import select
from typing import Any

from netsky.node.cli.delivery import print_delivery
from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.text import age, length, listens_at, plural, visible
from netsky.node.cli.watch import quiet_line
from netsky.node.errors import EXIT_DONE, Unreachable

_CRASHES = "netsky query 'SELECT * FROM crashes'"
_REDRAW_SECONDS = 2.0
_SET_IN = 9
"""Where the facts about the node begin."""
_CLEAR = "\x1b[H\x1b[2J"


def status(args: Any, out: Output) -> int:
    node: Dialer = args.node
    if not args.watch:
        _once(node.call("status"), out)
        return EXIT_DONE
    node.client()  # a node that is down from the start is an error, one that goes down meanwhile is a sight
    while True:
        try:
            data = node.call("status")
        except Unreachable as down:
            node.close()
            if not out.json:
                _clear(out)
                out.line(down.message)
        else:
            if not out.json:
                _clear(out)
            _once(data, out)
        out.stdout.flush()
        select.select([], [], [], _REDRAW_SECONDS)


def _clear(out: Output) -> None:
    out.stdout.write(_CLEAR if out.terminal else "\n")


def _once(data: dict[str, Any], out: Output) -> None:
    found = data["faults"]
    wrong = len(found) if isinstance(found, list) else int(found)
    waiting = sum(actor.get("waiting", 0) for actor in data["actors"])
    word = "up" if data["ready"] else "starting"
    halted = ", halted" if data.get("halted") else ""
    summary = f"{data['name']} is {word}{halted}; {plural(waiting, 'message')} waiting; {_faults(wrong)}"
    out.answer("status", summary, data, lambda: _print(data, wrong, word, out))


def _faults(count: int) -> str:
    return "nothing is wrong" if not count else f"{plural(count, 'thing')} wrong"


def _print(data: dict[str, Any], wrong: int, word: str, out: Output) -> None:
    label = f" ({visible(data['label'])})" if data.get("label") else ""
    root = ", root" if data["root"] else ""
    out.wrapped(f"{data['name']}{label}{root}: {word} for {length(data['uptime_ns'] / 10**9)}", 2, out.bold)
    _print_halt(data, out)
    if "home" in data:
        _print_node(data, out)
    out.line()
    _print_actors(data["actors"], out)
    for quiet in data.get("quiet", ()):
        out.wrapped(f"  {quiet_line(quiet)}", 4)
    print_delivery(data, out)
    out.line()
    if not wrong:
        out.line("nothing is wrong")
    elif isinstance(data["faults"], list):
        for fault in data["faults"]:
            out.wrapped(f"wrong: {visible(fault['sentence'])}", 2, out.warn)
            step = f"  next: {visible(fault['next'])}"
            if fault["next"].startswith("netsky "):
                out.line(step)  # the terminal may break it, and copied it is one command all the same
            else:
                out.wrapped(step, 4)
    else:
        out.wrapped(f"{_faults(wrong)}; the operator sees what with netsky status", 2, out.warn)


def _print_halt(data: dict[str, Any], out: Output) -> None:
    halted, cut, now = data.get("halted"), data.get("cut_off"), out.wall()
    if halted is not None:
        why = f": {visible(halted['reason'])}" if halted["reason"] else ""
        said = f"  HALTED {age(halted['at'], now)} by {visible(halted['who'])}{why}. It runs nothing and takes no work"
        out.wrapped(said, 4, out.warn)
        out.line(
            f"    next: {'on netsky0: netsky resume --node ' + data['name'] if halted['by_root'] else 'netsky resume'}"
        )
    if cut is not None and cut["cut"]:
        since = "" if cut["since"] is None else f" since {age(cut['since'], now)}"
        said = f"  CUT OFF from netsky0{since}: nothing that came from there is handed out until the link is up"
        out.wrapped(said, 4, out.warn)


def _print_node(data: dict[str, Any], out: Output) -> None:
    ledger, commits = data["ledger"], data["commits"]
    mesh = f"mesh {data['mesh'][:16]}…" if data["mesh"] else "in no mesh"
    out.wrapped(f"  home   {visible(data['home'])}, pid {data['pid']}, version {data['version']}", _SET_IN)
    out.wrapped(f"  key    {data['fingerprint']}, {mesh}", _SET_IN)
    journal = f"{ledger.get('journal_mode')}, synchronous {_synchronous(ledger.get('synchronous'))}"
    slowest = f"slowest {commits['max_commit_ns'] / 10**6:.1f} ms" if "max_commit_ns" in commits else ""
    out.wrapped(f"  disk   {journal}, {plural(commits.get('groups', 0), 'commit')} {slowest}".rstrip(), _SET_IN)
    fence = data["fence"] if not data["fence_missing"] else f"none: {visible(data['fence_missing'])}"
    out.wrapped(f"  fence  {fence}", _SET_IN)
    if data.get("network") is not None:
        out.wrapped(f"  links  at {visible(listens_at(data['network']))}", _SET_IN)
    if data["crashes"]:
        count = plural(data["crashes"], "crash", "crashes")
        out.line(f"  {count} of tasks since the start: {_CRASHES}")


def _synchronous(value: object) -> str:
    return (
        {0: "off", 1: "normal", 2: "full", 3: "extra"}.get(value, str(value)) if isinstance(value, int) else str(value)
    )


def _state(actor: dict[str, Any]) -> str:
    if actor["mode"] == "none":
        return ""
    return str(actor["state"]) + (", unfenced" if actor.get("fenced") is False else "")


def _print_actors(actors: list[dict[str, Any]], out: Output) -> None:
    if not actors:
        out.line("no actors")
        return
    now = out.wall()
    rows = [
        (
            actor["name"],
            actor["mode"].replace("_", "-"),
            _state(actor),
            str(actor["waiting"]) if "waiting" in actor else "",
            str(actor["claimed"]) if "claimed" in actor else "",
            age(actor["oldest"], now) if actor.get("oldest") is not None else "",
            str(actor.get("quarantined") or ""),
        )
        for actor in actors
    ]
    head = ("actor", "mode", "state", "waiting", "claimed", "oldest", "refused")
    out.table(head, rows, spare=("mode", "claimed", "oldest", "refused"))
