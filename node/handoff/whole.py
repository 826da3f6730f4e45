"""Restarting the node from outside: the intent first, then the end and the start. The proof is the new life's own.

Whoever does this may be killed at any point. Before the end the running node tells that nobody carried it out; after
it the next start, whoever brings it about, finds the intent and proves itself all the same.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from netsky.node.client import CALL_SECONDS, Client
from netsky.node.errors import NetskyError, TimedOut, Unreachable
from netsky.node.handoff.intent import DOWN, RESTART_NODE, Wanted, ran_of, read_intent, write_intent
from netsky.node.handoff.limits import NODE_PROVE_SECONDS
from netsky.node.home import Home, check_permissions
from netsky.node.markers import Marker, Markers
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles
from netsky.node.service import power


@dataclass(frozen=True, slots=True)
class Renewed:
    started: power.Started
    state: str
    """proved, wanting, or starting (it took longer than anybody waits here)"""
    lines: list[dict[str, Any]]


def restart(home: Home, *, by: str, why: str, forced: bool = False, timeout: float | None = None) -> Renewed:
    files = RealFiles()
    check_permissions(home, files)
    power.check(home)
    status = status_of(home)
    ran = ran_of(status)
    write_intent(home, files, Wanted(by, why, RealTime().wall(), ran.get("pid"), forced, ran))
    started = power.restart(home, timeout=timeout)
    return Renewed(started, *proof(home))


def proof(home: Home) -> tuple[str, list[dict[str, Any]]]:
    """What the life that runs now has proved, once that is decided."""
    try:
        with Client.connect(home, timeout=NODE_PROVE_SECONDS + CALL_SECONDS) as node:
            found = node.call("new_life", timeout=NODE_PROVE_SECONDS + 5)
    except (Unreachable, TimedOut) as error:
        return "wanting", [{"what": "serves", "proved": False, "said": error.message}]
    return str(found["state"]), list(found["lines"])


def forget(home: Home) -> Wanted | None:
    """Somebody wants the node down: what was asked for before is not wanted any more, and whoever else finds that this
    node hangs does not start another one."""
    markers, now = Markers(home, RealFiles()), RealTime().wall()
    wanted = read_intent(markers, now)
    markers.clear(RESTART_NODE)
    with suppress(OSError):  # a full disk: it is only about a node that hangs
        if os.path.exists(home.config):
            markers.put(Marker(DOWN, "operator", "netsky down", now, None, "a node serves again: netsky up"))
    return wanted


def status_of(home: Home) -> dict[str, Any] | None:
    try:
        with Client.connect(home, timeout=5) as node:
            return node.call("status")
    except NetskyError:
        return None
