"""Due times and faults of schedules, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from netsky.node.cli.output import Output
from netsky.node.cli.text import age, plural, visible


def fire_in_words(fire: dict[str, Any], now: int) -> str:
    """`Mon 30 Mar 03:30 Europe/Berlin, in 2h 10m`; the year where it is another one than that of now."""
    local = datetime.fromisoformat(fire["local"])
    year = "" if abs(fire["at"] - now) < 300 * 86_400 * 10**9 else f" {local.year}"
    return f"{local:%a} {local.day} {local:%b}{year} {local:%H:%M} {visible(fire['tz'])}, {age(fire['at'], now)}"


def first_fire(one: dict[str, Any], now: int) -> str:
    return fire_in_words(one["next"][0], now) if one["next"] else "never"


def print_faults(faults: Sequence[dict[str, Any]], so: str, out: Output) -> None:
    for fault in faults:
        out.wrapped(out.warn(f"{visible(fault['path'])}, line {fault['line']}: {visible(fault['sentence'])}; {so}"), 2)


def round_in_words(data: dict[str, Any], one: str, many: str) -> str:
    """The summary of what one part of a round did."""
    said = [f"{plural(data[many], one, many)}: {data['fired']} fired"]
    said += [f"{data[name]} {name}" for name in ("late", "missed", "refused", "waiting") if data.get(name)]
    return ", ".join(said)
