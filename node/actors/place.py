"""One actor at work: its program kept running, or started for each envelope, under a supervisor of its own."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trio
from netsky.node.actors.converse import converse, end
from netsky.node.actors.give_back import give_back
from netsky.node.actors.handover import Handed
from netsky.node.actors.hands import Hands
from netsky.node.actors.launch import Launched, Launcher
from netsky.node.actors.limits import CRASHES_MAX, CRASHES_NS, GRACE_SECONDS, LOG_BYTES_MAX
from netsky.node.actors.runtime import ANSWER_BYTES_MAX, AnyCommand, Run, Runtime, Verdict
from netsky.node.actors.wanted import cell_of
from netsky.node.backoff import RESTART
from netsky.node.db import actors as rows
from netsky.node.db.actors import ActorRow
from netsky.node.errors import Refused, TryLater, Usage
from netsky.node.handoff.trouble import put_marker
from netsky.node.seams.processes import CannotStart, Exit, Process
from netsky.node.supervise import Child, GaveUp, Supervisor
from netsky.node.work.cell.run import started_in

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

STOP_SECONDS = GRACE_SECONDS + 4.0


class ProgramEnded(Exception):
    """A resident program ended by itself. The message says how."""


class Place:
    """What runs for one actor. `run` returns when its supervisor gave up, or is cancelled."""

    def __init__(self, node: Node, actor: ActorRow, launcher: Launcher, runtime: Runtime | None = None) -> None:
        self.actor = actor
        self.state = "none" if actor.mode == "none" else "starting"
        """none, starting, running (a program runs), idle (no work), waits (for room or a restart), degraded, halted."""
        self.reason = ""
        self.pid: int | None = None
        self.started_at: int | None = None
        self.ended = 0
        """Processes of its programs that were ended from here and not by themselves, so far."""
        self.left = 0
        """Those of the latest that could not be ended."""
        self._up_since: int | None = None
        self._process: Process | None = None
        self._node = node
        self._launcher = launcher
        self._runtime = runtime or AnyCommand()
        self._hands = Hands(node, actor, self._try, self)
        self._child = Child("program", self._resident, stop_seconds=STOP_SECONDS)
        if actor.mode == "per_envelope":
            self._child = Child("envelopes", self._per_envelope, stop_seconds=STOP_SECONDS)
        self._supervisor: Supervisor | None = None

    @property
    def restarts(self) -> int:
        return 0 if self._supervisor is None else self._supervisor.restarts

    @property
    def up_ns(self) -> int | None:
        """How long its program runs without an end; how long one could be started for each envelope."""
        return None if self._up_since is None else self._node.seams.time.monotonic() - self._up_since

    def kill(self) -> int | None:
        """SIGKILL to whatever runs for it now, as a crash would have it; the process, None if nothing runs."""
        if self._process is None:
            return None
        self._process.signal_group(signal.SIGKILL)
        return self._process.pid

    async def run(self) -> None:
        """This is where a crash-looping actor stops being anybody else's trouble."""
        if self.actor.mode == "none":
            return
        node = self._node
        self._supervisor = Supervisor(
            f"actor {self.actor.name}",
            [self._child],
            time=node.seams.time,
            chance=node.seams.chance,
            report=node.crashes.report,
            hung=lambda task: node.request_stop(f"{task} cannot be stopped"),
            intensity=CRASHES_MAX,
            period_ns=CRASHES_NS,
            backoff=RESTART,
        )
        try:
            await self._supervisor.run()
        except GaveUp as given_up:
            self._degrade(str(given_up))

    def drop_routed(self) -> trio.Event | None:
        """Ends the program that has work in hand which came by a route; that goes back into the inbox, and the place
        goes on. Set when that is done; None if there is none."""
        return None if self.pid is None or self.actor.mode != "per_envelope" else self._hands.drop_routed()

    def _degrade(self, reason: str) -> None:
        self.state, self.reason = "degraded", reason
        self._node.log.error("actor.degraded", actor=self.actor.name, reason=reason)
        self._node.events.publish("actor_degraded", actor=self.actor.name, reason=reason)
        put_marker(self._node, self.actor.name, reason, {"restarts": CRASHES_MAX, "seconds": CRASHES_NS // 10**9})

    async def _resident(self) -> None:
        """What an earlier life of it had in hand waits again: whoever reads the inbox alone would not see it."""
        await give_back(self._node, self.actor.name)
        try:
            exit = await self._session(None)  # noqa: A001 - the type's own word
        except CannotStart as refused:
            self.reason = str(refused)
            raise
        self.reason = f"its program {exit.exit.sentence()}"
        raise ProgramEnded(self.reason)

    async def _per_envelope(self) -> None:
        self._up_since = self._node.seams.time.monotonic()
        try:
            await self._hands.run()
        finally:
            self._up_since = None

    async def _try(self, handed: Handed) -> Verdict:
        try:
            return self._runtime.judge(await self._session(handed.file))
        except CannotStart as refused:
            self.reason = str(refused)
            return Verdict(False, reason=f"its program cannot start: {refused}", code="cannot_start")

    async def _session(self, envelope: bytes | None) -> Run:
        """One program from start to end, with its row; nothing of it is left when this returns or is cancelled."""
        async with self._launched(piped=envelope is not None) as launched:
            return await self._to_its_end(launched, envelope)

    @asynccontextmanager
    async def _launched(self, *, piped: bool) -> AsyncIterator[Launched]:
        """Behind its fence, without one, or in the sandbox of tasks."""
        actor, argv = self.actor, self._runtime.argv(self.actor)
        if actor.scope is None:
            yield await self._launcher.start(actor, argv, stdin=piped, stdout=piped)
            return
        site = await self._node.actors.cells.site()
        cell, log = cell_of(actor, self._node.home), self._launcher.log_path(actor.name)
        variables = self._launcher.variables(actor)
        del variables["NETSKY_CHANNEL"]  # what it is given comes on stdin, and the folder is not there
        try:
            async with started_in(cell, argv, env=variables, site=site, log=log, log_bytes=LOG_BYTES_MAX) as started:
                yield Launched(started.process, {})
        except (Refused, Usage) as refused:
            raise CannotStart(refused.message) from None

    async def _to_its_end(self, launched: Launched, envelope: bytes | None) -> Run:
        process, node = launched.process, self._node
        self._process = process
        self.state, self.pid, self.started_at = "running", process.pid, node.now()
        if envelope is None:
            self._up_since = node.seams.time.monotonic()
        run: Run | None = None
        session: int | None = None
        try:
            session = await self._begin_row(process.pid)
            run = Run(await process.wait(), b"") if envelope is None else await self._converse(process, envelope)
        finally:
            with trio.CancelScope(shield=True):
                if run is None:
                    exit = await end(process, GRACE_SECONDS)  # noqa: A001
                    self.ended += exit.ended
                    self.left = exit.left
                else:
                    exit = run.exit  # noqa: A001
                self.pid = self._process = None
                self.state = "waits"
                if envelope is None:
                    self._up_since = None
                self._look_at_start_files(launched)
                with trio.move_on_after(1.0):
                    await self._end_row(session, exit, "stopped" if run is None else "exited")
        return run

    async def _converse(self, process: Process, envelope: bytes) -> Run:
        """The envelope in, the answer out, within the actor's time."""
        seconds = self.actor.timeout
        return await converse(process, envelope, seconds=seconds, most=ANSWER_BYTES_MAX, grace_seconds=GRACE_SECONDS)

    async def _begin_row(self, pid: int) -> int | None:
        """A session is an observation: where there is no room for its row, the program runs without one."""
        node = self._node
        node.events.publish("actor_started", actor=self.actor.name, pid=pid)
        try:
            [[(session,)]] = await node.group.write([rows.start_session(self.actor.name, pid, node.now())])
        except TryLater:
            return None
        assert isinstance(session, int)
        return session

    async def _end_row(self, session: int | None, exit: Exit, reason: str) -> None:  # noqa: A002 - the column's word
        if session is None:
            return
        node = self._node
        node.events.publish("actor_ended", actor=self.actor.name, exit=exit.sentence(), reason=reason)
        with suppress(TryLater):
            await node.group.write([rows.end_session(session, node.now(), exit.sentence(), reason)])

    def _look_at_start_files(self, launched: Launched) -> None:
        """The fence cannot keep a file from being made; that it was made must be seen."""
        changed = self._launcher.changed(launched.watched)
        if changed:
            self._node.log.error("actor.start_files_changed", actor=self.actor.name, files=changed)
            self._node.events.publish("start_files_changed", actor=self.actor.name, files=changed)
