"""Starting and stopping a node, whoever runs it: the service of its home if there is one, else nobody but itself."""

from __future__ import annotations

from dataclasses import dataclass

from netsky.node import up as plain
from netsky.node.errors import NetskyError, Unreachable
from netsky.node.home import Home, check_permissions
from netsky.node.limits import STOP_SECONDS
from netsky.node.seams.real_files import RealFiles
from netsky.node.service.here import installed
from netsky.node.service.manager import Manager
from netsky.node.service.recipe import START_SECONDS_MAX


@dataclass(frozen=True, slots=True)
class Started:
    up: plain.Up
    service: str | None
    """The service that runs it, None if none does."""


@dataclass(frozen=True, slots=True)
class Stopped:
    down: plain.Down
    service: str | None
    """The service that would start it again, with the next login."""
    unheard: str = ""
    """Why the service manager could not be told, if it could not."""


def up(home: Home, managers: int = 0, *, timeout: float | None = None) -> Started:
    """The node runs afterwards, by its service if it has one; one that runs already is left alone."""
    manager = installed(home)
    if manager is None:
        return Started(plain.up(home, managers, timeout=timeout or plain.START_SECONDS), None)
    already = plain.running_pid(home) is not None
    if not already:
        start_service(home, manager, timeout or START_SECONDS_MAX)
    return Started(plain.Up(pid_of(home), already, plain.register(home, managers)), runs_it(manager))


def down(home: Home, *, timeout: float = STOP_SECONDS + 5) -> Stopped:
    """The node does not run afterwards and nobody starts it again by itself before the next login."""
    manager = installed(home)
    if manager is None:
        return Stopped(plain.down(home, timeout=timeout), None)
    pid = plain.running_pid(home)
    try:
        manager.reach()
        manager.stop()  # also one that has failed and waits for its next start
        unheard = ""
    except Unreachable as error:
        unheard = error.message  # an orderly end is no failure: the manager does not start it again
    rest = plain.down(home, timeout=timeout)  # one that ran beside the service
    return Stopped(plain.Down(rest.already and pid is None, rest.pid or pid), manager.name, unheard)


def check(home: Home) -> None:
    """Raises what would keep a node from being started here: before one is stopped for that."""
    manager = installed(home)
    if manager is not None:
        manager.reach()


def restart(home: Home, *, timeout: float | None = None) -> Started:
    check(home)
    down(home)
    return up(home, timeout=timeout)


def start_service(home: Home, manager: Manager, seconds: float = START_SECONDS_MAX) -> None:
    """What a person can act upon is said before the manager tries, in the node's own words."""
    check_permissions(home, RealFiles())
    manager.reach()
    manager.start(seconds)


def pid_of(home: Home) -> int:
    """Of a node that serves by now."""
    pid = plain.running_pid(home)
    if pid is None:
        raise NetskyError(
            "the node was started and ended again",
            next=f"look into {home.node_log}; netsky doctor",
            code="start_failed",
        )
    return pid


def runs_it(manager: Manager) -> str | None:
    """The name of the service if it is what runs the node, as far as that can be seen from here."""
    try:
        manager.reach()
        return manager.name if manager.state().running in ("running", "starting") else None
    except NetskyError:
        return None
