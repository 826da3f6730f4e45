"""Running one program in a strict sandbox: what the walls are made of here, and what came of it.

The one way into a cell, for tasks of workers, criteria of plans and programs that are started for an envelope. It goes
through the launcher of all programs: the processes seam with a fence in front and a keeper beside it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import trio
from netsky.node.actors import fence as fences
from netsky.node.actors.converse import converse, end
from netsky.node.actors.fence import Fence, Kind
from netsky.node.actors.launch import PROGRAMS, Offered
from netsky.node.actors.runtime import Run
from netsky.node.errors import NetskyError, Refused
from netsky.node.home import Home
from netsky.node.seams import Seams
from netsky.node.seams.files import HostileFile
from netsky.node.seams.processes import Bounds, CannotStart, Process
from netsky.node.work.cell import walls
from netsky.node.work.cell.cell import Cell, CellLimits, CellResult, Limit, Walled
from netsky.node.work.cell.gate import LEFT_MAX, open_gate, scope, sweep
from netsky.node.work.cell.limits import ERRORS_BYTES, FREE_FLOOR_BYTES, GRACE_SECONDS, LOG_BYTES

KEPT = frozenset({"PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH"})
"""Of the node's variables, beside LC_*: how programs are found and how they speak. No other is passed on, since secrets
stand in variables."""

WALLED: Mapping[Kind, Walled] = {"bubblewrap": "bubblewrap", "unshare": "namespaces"}
FOLDER = "cells"
"""In the home: the logs of programs that run now."""

EXCEEDED: Mapping[str, Limit] = {
    "processes": "processes", "memory": "memory", "growth": "growth", "free_space": "free_space",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """The node on which a cell stands, and what walls there are here."""

    home: Home
    seams: Seams
    environ: Mapping[str, str]
    offered: Offered

    @property
    def grounds(self) -> walls.Grounds:
        return walls.Grounds(self.home.path, self.home.runtime_folder)


@dataclass(frozen=True, slots=True)
class Started:
    process: Process
    walled: Walled
    refused: Mapping[str, str]
    """What its proxy refuses, while it runs."""


async def run_in(
    cell: Cell,
    argv: Sequence[str],
    *,
    stdin: bytes,
    env: Mapping[str, str],
    site: Site,
    unsandboxed: bool = False,
    log: str = "",
) -> CellResult:
    """Runs it to its end, by itself or by a limit; nothing of it is left when this returns or is cancelled.

    `log` is a file for what it says on stderr, if that is to be kept. The rest, and what it raises, is of `started_in`.
    """
    async with (
        _log_file(site, log) as log_path,
        started_in(cell, argv, env=env, site=site, unsandboxed=unsandboxed, log=log_path) as started,
    ):
        run = await _to_its_end(started.process, stdin, cell.limits)
        errors = _tail(site, log_path)
    return CellResult(run.exit, run.said, errors, started.walled, limit_of(run), started.refused)


@asynccontextmanager
async def started_in(
    cell: Cell,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    site: Site,
    unsandboxed: bool = False,
    log: str,
    log_bytes: int = LOG_BYTES,
) -> AsyncIterator[Started]:
    """A program that runs, with its way out, if it has one. Whoever enters this ends the program before leaving.

    `env` is all that it gets beside what every program needs. `unsandboxed` is the operator's word that it may run
    without walls where this system has none. Raises Refused where there are no walls, Usage where the cell shows what
    must not be seen, CannotStart with a sentence.
    """
    kind = site.offered.kind
    if kind is None and not unsandboxed:
        raise no_walls(site.offered.why_not)
    processes, world = site.seams.processes, site.seams.processes.world()
    hosts = () if kind is None else cell.hosts  # without walls there is nothing to get out of
    async with open_gate(hosts, site.home.runtime_folder, site.seams) as gate:
        fence = None if kind is None else walls.build(cell, site.grounds, world, gate.folder)
        program = find(cell, argv[0], site, fence)
        try:
            process = await processes.start(
                [*gate.before(world.python), program, *argv[1:]],
                env=_environment({**gate.variables, **env}, site, walled=fence is not None),
                cwd=cell.workspace or (walls.SCRATCH if fence is not None else "/"),
                stdin=True,
                stdout=True,
                log=log,
                log_bytes=log_bytes,
                fence=() if fence is None or kind is None else fences.argv(kind, fence, world),
                bounds=bounds_of(cell),
            )
        except CannotStart as refused:
            why = _tail(site, log).decode("utf-8", "replace").strip()
            raise CannotStart(f"{refused}: {why}" if why else str(refused)) from None
        yield Started(process, "unsandboxed" if kind is None else WALLED[kind], gate.refused)


def check(cell: Cell, program: str, site: Site) -> None:
    """Raises what `started_in` would, as far as that can be known before."""
    if site.offered.kind is None:
        raise no_walls(site.offered.why_not)
    scope(cell.hosts)
    find(cell, program, site, walls.build(cell, site.grounds, site.seams.processes.world()))


def no_walls(why_not: str) -> NetskyError:
    return Refused(
        f"there is no sandbox on this system, so nothing of a plan is run here: {why_not}.",
        next="install bubblewrap, or say that it may run without any wall: --unsandboxed",
        code="no_sandbox",
    )


def bounds_of(cell: Cell) -> Bounds:
    grows = cell.workspace if cell.workspace_writable else ""
    most = cell.limits
    return Bounds(most.processes, most.memory, most.file, grows, most.growth, FREE_FLOOR_BYTES)


def limit_of(run: Run) -> Limit:
    """The limit for which it was ended, as its keeper, its time and its signal tell."""
    if run.timed_out:
        return "time"
    if run.too_much:
        return "output"
    if run.exit.signal == signal.SIGXFSZ or run.exit.code == 128 + signal.SIGXFSZ:  # itself, or what its shell started
        return "file"
    return EXCEEDED.get(run.exit.exceeded, "")


async def _to_its_end(process: Process, stdin: bytes, limits: CellLimits) -> Run:
    run: Run | None = None
    try:
        run = await converse(process, stdin, seconds=limits.seconds, most=limits.output, grace_seconds=GRACE_SECONDS)
    finally:
        if run is None:
            with trio.CancelScope(shield=True):
                await end(process, 0)
    return run


def find(cell: Cell, program: str, site: Site, fence: Fence | None) -> str:
    """The program's whole path, by the node's PATH or from the workspace, and whether it is to be seen inside."""
    world = site.seams.processes.world()
    path = os.path.join(cell.workspace or "/", program) if "/" in program else site.seams.processes.which(program)
    real = None if path is None else world.real(path)
    if path is None or real is None:
        raise CannotStart(f"there is no program {program!r} here")
    if fence is not None and not walls.shows(fence, real):
        raise CannotStart(f"the program {program!r} is {real}, which the sandbox does not show")
    return path if fence is None or walls.shows(fence, path) else real


def _environment(env: Mapping[str, str], site: Site, *, walled: bool) -> dict[str, str]:
    kept = {name: value for name, value in site.environ.items() if name in KEPT or name.startswith("LC_")}
    own = {"HOME": walls.SCRATCH, "TMPDIR": walls.SCRATCH} if walled else {"HOME": site.environ.get("HOME", "/")}
    return kept | own | dict(env)


@asynccontextmanager
async def _log_file(site: Site, log: str) -> AsyncIterator[str]:
    if log:
        yield log
        return
    folder, name = site.home.at(FOLDER), site.seams.chance.token(8).hex()
    site.seams.files.make_folder(folder)
    try:
        yield os.path.join(folder, name)
    finally:
        opened = site.seams.files.open_folder(folder)
        site.seams.files.remove(opened, name)
        site.seams.files.close(opened)


def _sweep_logs(home: Home, seams: Seams) -> None:
    """Of programs that ran when an earlier life of the node ended."""
    seams.files.make_folder(home.at(FOLDER))
    folder = seams.files.open_folder(home.at(FOLDER))
    try:
        for name in seams.files.names(folder, LEFT_MAX, LEFT_MAX):
            seams.files.remove(folder, name)
    finally:
        seams.files.close(folder)


def _tail(site: Site, log: str) -> bytes:
    files = site.seams.files
    try:
        folder = files.open_folder(os.path.dirname(log))
        try:
            opened = files.open_file(folder, os.path.basename(log))
        finally:
            files.close(folder)
        try:
            size = files.size_of(opened)
            return files.read_at(opened, max(0, size - ERRORS_BYTES), ERRORS_BYTES)
        finally:
            files.close(opened)
    except (OSError, HostileFile):
        return b""


PROBE = """
import os, socket, sys
walled = os.getpid() < 9 and not os.path.exists(sys.argv[1]) and len(open("/proc/net/dev").readlines()) == 3
walled = walled and open("/proc/self/status").read().find("Seccomp:\\t2") > 0 and not os.access("/", os.W_OK)
try:
    socket.socket(40, socket.SOCK_STREAM)
except OSError:
    sys.exit(0 if walled else 1)
sys.exit(1)
"""
"""Run inside: own process numbers and network, nothing of the home, no line to the host of a virtual machine."""


async def offered_here(home: Home, seams: Seams, environ: Mapping[str, str]) -> Offered:
    """Puts the walls up and asks from inside whether they stand: not believed, tried, once in each life of a node."""
    sweep(home.runtime_folder, seams)
    _sweep_logs(home, seams)
    reasons = []
    for kind, program in PROGRAMS.items():
        if seams.processes.which(program) is None:
            reasons.append(f"{program} is not installed")
            continue
        reason = await _try(Site(home, seams, environ, Offered(kind)))
        if reason is None:
            return Offered(kind)
        reasons.append(f"{program}: {reason}")
    return Offered(None, "; ".join(reasons))


async def _try(site: Site) -> str | None:
    cell = Cell("", limits=replace(CellLimits(), seconds=10.0))
    argv = (site.seams.processes.world().python, "-I", "-S", "-c", PROBE, site.home.path)
    try:
        result = await run_in(cell, argv, stdin=b"", env={}, site=site)
    except CannotStart as refused:
        return str(refused)
    except NetskyError as refused:
        return refused.message
    return None if result.ok else f"it does not hold what it should ({result.sentence()})"
