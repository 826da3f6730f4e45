"""The row of an actor that somebody asks for, and the sandbox that it describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netsky.node.db.actors import ActorRow, Scope
from netsky.node.errors import Usage
from netsky.node.home import Home
from netsky.node.work.cell.cell import Cell
from netsky.relay.authority import ROOT_MANAGER


def wanted_row(
    name: str,
    *,
    command: Sequence[str],
    mode: str,
    manager: str | None,
    unfenced: bool,
    environment: Mapping[str, str],
    cwd: str,
    timeout: int,
    now: int,
    scope: Scope | None = None,
) -> ActorRow:
    """The row that was asked for. A worker has a manager, agent0 if none was named; nobody else has one."""
    if name.startswith("worker"):
        manager = manager or ROOT_MANAGER
    elif manager is not None:
        raise Usage(f"{name} is no worker, and only workers have a manager", next="leave --manager away")
    return ActorRow(
        name=name,
        command=tuple(command),
        mode=mode,
        manager=manager,
        fenced=not unfenced and mode != "none",  # who reads a channel by hand stands behind no fence of ours
        enabled=True,
        environment=dict(environment),
        added_at=now,
        cwd=cwd,
        timeout=timeout,
        scope=scope,
    )


def cell_of(actor: ActorRow, home: Home) -> Cell:
    """Its working folder, its socket, and what its scope names."""
    assert actor.scope is not None
    own = home.actor_folder(actor.name)
    return Cell(actor.cwd, readable=actor.scope.readable, actor_socket=own, hosts=actor.scope.hosts)


def check_scope(wanted: ActorRow) -> None:
    """What a sandbox asks of an actor."""
    if wanted.scope is None:
        return
    retry = f"netsky agent add {wanted.name} --mode per-envelope --sandbox --cwd FOLDER -- PROGRAM"
    if wanted.mode != "per_envelope":
        said = f"{wanted.name} is to run in a sandbox, and only programs that are started for each envelope do"
        raise Usage(said, next=retry, code="bad_argument")
    if not wanted.fenced:
        raise Usage(f"{wanted.name} cannot be in a sandbox and without a fence", next=retry, code="bad_argument")
    if not wanted.cwd:
        raise Usage(f"{wanted.name} is to run in a sandbox and has no folder to work in", next=retry, code="no_folder")
