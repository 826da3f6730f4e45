"""The part of `netsky status` about other nodes: links, what waits for whom, what was refused."""

from __future__ import annotations

from typing import Any

from netsky.node.cli.output import Output
from netsky.node.cli.text import age, length, plural, size, visible

_CLOCK_NS = 10**9
"""A clock that is off by less is nobody's concern."""

_LINKS_SHOWN = 40
_REFUSED_SHOWN = 3


def print_delivery(data: dict[str, Any], out: Output) -> None:
    _print_links(data.get("links", ()), out)
    _print_outbox(data, out)
    for hold in data.get("holds", ()):
        out.wrapped(f"held   what is for {hold['name']}, since {age(hold['since'], out.wall())}", 7)
    dead = data.get("dead", {})
    if dead.get("listed"):
        new = f", {dead['unseen']} new" if dead["unseen"] else ""
        out.wrapped(f"dead   {plural(dead['listed'], 'letter')}{new}: netsky dead ls", 7)
    refused = data.get("refused", ())
    for row in refused[:_REFUSED_SHOWN]:
        times = plural(row["count"], "time")
        told = f"{visible(row['peer'])} was refused {times} for {visible(row['code'])}"
        out.wrapped(f"door   {told}, the last {age(row['last'], out.wall())}", 7)
    if len(refused) > _REFUSED_SHOWN:
        out.wrapped(f"       and {len(refused) - _REFUSED_SHOWN} more: netsky --json status", 7)
    strangers = data.get("turned_away", {})
    if strangers.get("keys"):
        last = age(strangers["last"], out.wall())
        out.wrapped(f"door   {plural(strangers['keys'], 'stranger')} turned away, the last {last}: netsky nodes", 7)


def _print_links(links: list[dict[str, Any]], out: Output) -> None:
    if not links:
        return
    out.line()
    first = sorted(links, key=lambda link: link["up"])[:_LINKS_SHOWN]  # what is down stands above
    rows = [
        (
            str(link["name"]),
            _state(link, out.wall()),
            length(link["round_trip_ns"] / 10**9) if link["round_trip_ns"] is not None and link["up"] else "",
            _clock(link["clock_offset_ns"]),
            str(link["queued"] or ""),
            " ".join(link["held"]),
        )
        for link in first
    ]
    out.table(("link", "state", "trip", "clock", "queued", "holds"), rows, spare=("trip", "queued", "holds", "clock"))
    for link in first:
        if link["trouble"] and not link["up"]:
            out.wrapped(f"  {link['name']}: {visible(str(link['trouble']))}", 4)
        for stream, code in link["frozen"].items():
            out.wrapped(f"  {link['name']}: {visible(stream)} stands still ({visible(str(code))})", 4)
    if len(links) > len(first):
        out.wrapped(f"  and {len(links) - len(first)} more: netsky --json status", 4)


def _state(link: dict[str, Any], now: int) -> str:
    if link["frozen"]:
        return "frozen"
    if link["up"]:
        return f"up {_ago(link['since'], now)}"
    return "down" if link["down_since"] is None else f"down {_ago(link['down_since'], now)}"


def _ago(then: int, now: int) -> str:
    return length(max(0, now - then) / 10**9)


def _clock(offset: int | None) -> str:
    """By how much theirs is ahead of ours."""
    if offset is None or abs(offset) < _CLOCK_NS:
        return ""
    return ("+" if offset > 0 else "-") + length(abs(offset) / 10**9)


def _print_outbox(data: dict[str, Any], out: Output) -> None:
    groups = data.get("outbox", ())
    if not groups:
        return
    now = out.wall()
    out.line()
    rows = [
        (
            str(group["to"]),
            str(group["envelopes"]),
            size(group["bytes"]),
            age(group["oldest"], now),
            _where(group),
        )
        for group in groups[:_LINKS_SHOWN]
    ]
    out.table(("outbox to", "envelopes", "size", "oldest", "state"), rows, spare=("size", "state"))
    if len(groups) > len(rows):
        out.wrapped(f"  and {len(groups) - len(rows)} more: netsky --json status", 4)
    if data.get("lag_ns") is not None:
        out.wrapped(f"  lag {length(data['lag_ns'] / 10**9)}: the oldest that has no outcome", 4)


def _where(group: dict[str, Any]) -> str:
    parts = [f"{group[name]} {said}" for name, said in _STATES if group.get(name)]
    return ", ".join(["held", *parts] if group["held"] else parts)


_STATES = (("open", "here"), ("numbered", "on the way"), ("acked", "passed on"), ("attaching", "behind attachments"))
