"""All actors of a node: their rows, their sockets, their programs.

Each runs under a supervisor of its own, so that a program that ends again and again costs that actor alone. Nothing
is taken over from an earlier life of the node: what that one started died with it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import trio
from netsky.envelope.address import actor_invalid
from netsky.node.actors.handover import settle_open
from netsky.node.actors.here import Ended, Here, all_of, counted, ended
from netsky.node.actors.launch import Launcher, offered
from netsky.node.actors.limits import KNOWN_SECONDS, OPEN_SECONDS
from netsky.node.actors.place import Place
from netsky.node.actors.wanted import cell_of, check_scope
from netsky.node.bus.folders import open_channel
from netsky.node.daemon.caller import Caller
from netsky.node.daemon.told import ROSTER_SIGNAL
from netsky.node.db import actors as rows
from netsky.node.db import handovers
from netsky.node.db.actors import ActorRow
from netsky.node.errors import Conflict, NotFound, Refused, TryLater, Usage
from netsky.node.limits import ACTORS_KNOWN_MAX, ACTORS_MAX, WORKERS_MAX
from netsky.node.seams.processes import CannotStart
from netsky.node.work.cell.cells import Cells
from netsky.node.work.cell.run import check
from netsky.relay.authority import ROOT_MANAGER, VOICES

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

ROOT_NODE = "netsky0"
_RESERVED = VOICES | {"owner"}


class Actors:
    def __init__(self, node: Node, environ: Mapping[str, str] = os.environ) -> None:
        self._node = node
        self._environ = environ
        self._here: dict[str, Here] = {}
        self._launcher: Launcher | None = None
        self._nursery: trio.Nursery | None = None
        self._changing = trio.Lock()
        self._serving = trio.Event()

    @cached_property
    def cells(self) -> Cells:
        """Where programs run in the sandbox of tasks, of actors and of tasks themselves."""
        return Cells(self._node.home, self._node.seams, self._environ)

    @property
    def fence(self) -> str:
        """ "bubblewrap", "unshare" or "none", as it was found at the start."""
        found = None if self._launcher is None else self._launcher.offered.kind
        return found or "none"

    @property
    def fence_missing(self) -> str:
        """Why there is no fence, "" if there is one."""
        return "" if self._launcher is None else self._launcher.offered.why_not

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Until cancelled; then every program is ended, all at once, within the grace."""
        node = self._node
        now = node.now()
        lost, _, found = await node.group.write([rows.lose_sessions(now), handovers.forget_taken(), rows.all()])
        for session in rows.session_rows(lost):
            self._warn("actor.session_lost", actor=session.actor, pid=session.pid)
        halted = node.halt.is_halted
        await settle_open(node.group, node.seams.files, node.home.channels, node.log, halted=halted)
        await node.restarts.prepare()
        fence = await offered(node.home, node.seams, self._environ)
        self._launcher = Launcher(node.home, node.identity.name, node.seams, self._environ, fence)
        if fence.kind is None:
            self._warn("actors.no_fence", reason=fence.why_not)
        self._here = {}
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                for row in rows.rows(found):
                    await self._open(row)
                nursery.start_soon(self._copy_rosters)
                self._serving.set()
                ready()
                await trio.sleep_forever()
            finally:
                self._serving = trio.Event()
                self._nursery = None

    async def _copy_rosters(self) -> None:
        """What actors check against behind their fence follows what is in force."""
        signals, rung = self._node.signals, 0
        while True:
            rung = signals.count(ROSTER_SIGNAL)
            for name in sorted(self._here):
                assert self._launcher is not None
                try:
                    self._launcher.copy_trust(name)
                except OSError as error:
                    self._warn("actor.roster_not_copied", actor=name, error=str(error))
            await signals.wait_beyond(ROSTER_SIGNAL, rung)

    @property
    def serving(self) -> bool:
        """All of them are read and open, and none is just being changed."""
        return self._serving.is_set() and not self._changing.locked()

    async def known(self) -> None:
        """Returns once all actors are read and open; TryLater if that takes longer than a start may take."""
        with trio.move_on_after(KNOWN_SECONDS):
            await self._serving.wait()
            return
        raise TryLater("the node is starting and does not know its actors yet", next="netsky wait ready, then again")

    def states(self) -> list[dict[str, Any]]:
        """For `agent ls` and `status`."""
        return [self._state(here.place) for _, here in sorted(self._here.items())]

    async def add(self, wanted: ActorRow, confirm: str | None) -> tuple[ActorRow, bool]:
        """The actor, and whether that changed anything. An actor without a program may be given one this way."""
        await self._serving.wait()
        async with self._changing:
            here = self._here.get(wanted.name)
            known = None if here is None else here.place.actor
            if known is not None:
                same = replace(wanted, added_at=known.added_at) == known
                if same and here is not None and here.place.state != "degraded":
                    return known, False
                if not same and known.mode != "none":
                    raise Conflict(
                        f"{wanted.name} is there already, with another program or other settings",
                        next=f"netsky agent rm {wanted.name}, then add it again",
                        code="actor_exists",
                    )
            self._check(wanted, confirm)
            if wanted.scope is not None:
                await self._check_cell(wanted)
            await self._node.group.write([rows.put(wanted)])
            await self._close(wanted.name)
            await self._open(wanted)
            self._node.events.publish("actor_added", actor=wanted.name, mode=wanted.mode, fenced=wanted.fenced)
            return wanted, True

    async def remove(self, name: str) -> ActorRow:
        """Ends its program and forgets it; its channel folder stays. agent0 itself stays, without a program."""
        await self._serving.wait()
        async with self._changing:
            row = self.row(name)
            led = [here.place.actor.name for here in self._here.values() if here.place.actor.manager == name]
            if led and name != ROOT_MANAGER:
                raise Conflict(
                    f"{name} is the manager of {', '.join(sorted(led))}",
                    next=f"netsky agent rm {min(led)}",
                    code="has_workers",
                )
            bare = replace(row, command=(), mode="none", environment={}, fenced=False)
            await self._node.group.write([rows.put(bare) if name == ROOT_MANAGER else rows.remove(name)])
            await self._close(name)
            if name == ROOT_MANAGER:
                await self._open(bare)
            self._node.events.publish("actor_removed", actor=name)
            return row

    async def rest(self, names: Collection[str] | None = None) -> Ended:
        """Ends the programs of these, or of all, and starts none for them until `wake`. Their mailboxes stay."""
        chosen = [
            here
            for name, here in sorted(self._here.items())
            if (names is None or name in names) and here.place.actor.mode != "none"
        ]
        running = [here for here in chosen if not here.ended.is_set()]
        before = counted(running)
        for here in running:
            here.scope.cancel()
        slow = await all_of([here.ended for here in running])
        for here in chosen:
            if here.place.state != "degraded":
                here.rests(self._node.halt.why_not(here.place.actor.name))
        return ended(running, before, slow)

    async def drop_routed(self) -> Ended:
        """The same for the one program of each whose program is started for each envelope, if that came by a route and
        is work: it goes back, and its actor goes on with what else there is."""
        running, over = [], []
        for _, here in sorted(self._here.items()):
            event = here.place.drop_routed()
            if event is not None:
                running.append(here)
                over.append(event)
        before = counted(running)
        slow = await all_of(over)
        return ended(running, before, slow)

    async def wake(self) -> list[str]:
        """Starts what rests and may run again."""
        woken = []
        async with self._changing:
            for name, here in sorted(self._here.items()):
                if here.resting and not self._node.halt.why_not(name):
                    await here.ended.wait()
                    self._begin(here.place.actor)
                    woken.append(name)
        return woken

    async def renew(self, name: str, between: Callable[[], Awaitable[None]]) -> None:
        """Its program is ended in order; what belongs between two lives is done; a new one is started, whatever comes
        of that. NotFound if there is no such actor, TryLater while all of them are being started anew."""
        await self._serving.wait()
        async with self._changing:
            row = self.row(name)
            if self._nursery is None:
                raise TryLater("the actors are being started again just now", next="netsky agent ls, in a moment")
            await self._close(name)
            try:
                await between()
            finally:
                if not self._node.stopping.is_set():
                    with trio.CancelScope(shield=True), trio.move_on_after(OPEN_SECONDS):
                        await self._open(row)

    def kill(self, name: str) -> int | None:
        """For a drill: the process that was killed, None if none ran."""
        self.row(name)
        return self._here[name].place.kill()

    def _warn(self, event: str, **fields: object) -> None:
        self._node.log.event(event, level="warn", **fields)

    def row(self, name: str) -> ActorRow:
        here = self._here.get(name)
        if here is None:
            raise NotFound(f"there is no actor {name} on this node", next="netsky agent ls", code="unknown_actor")
        return here.place.actor

    def log_path(self, name: str) -> str:
        assert self._launcher is not None
        return self._launcher.log_path(name)

    def _check(self, wanted: ActorRow, confirm: str | None) -> None:
        name = wanted.name
        sentence = actor_invalid(name)
        if sentence is not None:
            raise Usage(sentence, next="netsky help actors", code="actor_invalid")
        if name in _RESERVED:
            raise Refused(f"{name} is a part of the node itself", next="netsky help actors", code="reserved_actor")
        if wanted.manager is not None and wanted.manager not in {ROOT_MANAGER, *self._here}:
            raise NotFound(
                f"there is no manager {wanted.manager}", next=f"netsky agent add {wanted.manager}", code="unknown_actor"
            )
        if name not in self._here and len(self._here) >= ACTORS_KNOWN_MAX:
            raise TryLater(
                f"this node has {len(self._here)} actors, at most {ACTORS_KNOWN_MAX}",
                next="netsky agent ls, then netsky agent rm one of them",
                code="too_many_actors",
            )
        if wanted.mode == "none":
            return
        self._check_caps(name)
        check_scope(wanted)
        self._check_fence(wanted, confirm)

    def _check_caps(self, name: str) -> None:
        others = [
            here.place.actor.name
            for here in self._here.values()
            if here.place.actor.mode != "none" and here.place.actor.name != name
        ]
        workers = [other for other in others if other.startswith("worker")]
        if len(others) >= ACTORS_MAX:
            raise TryLater(
                f"this node runs {len(others)} actors with a program, at most {ACTORS_MAX}",
                next="netsky agent ls, then netsky agent rm one of them",
                code="too_many_actors",
            )
        if name.startswith("worker") and len(workers) >= WORKERS_MAX:
            raise TryLater(
                f"this node runs {len(workers)} workers, at most {WORKERS_MAX}",
                next="netsky agent ls, then netsky agent rm one of them",
                code="too_many_workers",
            )

    def _check_fence(self, wanted: ActorRow, confirm: str | None) -> None:
        name, launcher = wanted.name, self._launcher
        assert launcher is not None
        if not wanted.fenced:
            if self._node.identity.name == ROOT_NODE and confirm != name:
                raise Refused(
                    f"{name} without a fence can do what you can do, on the machine through which all work goes",
                    next=f"netsky agent add {name} --unfenced --confirm {name} …, if that is what you want",
                    code="unfenced_on_root",
                )
            return
        if launcher.offered.kind is None:
            raise Refused(
                f"this system offers no fence ({launcher.offered.why_not}), so {name} would run as you",
                next=f"install bubblewrap, or: netsky agent add {name} --unfenced --confirm {name} … (see help trust)",
                code="no_fence",
            )
        if wanted.cwd and not self._node.seams.processes.world().is_folder(wanted.cwd):
            raise Usage(f"there is no folder {wanted.cwd}", next="name another: --cwd FOLDER", code="no_folder")
        self._make_folders(name)
        try:
            program = launcher.find(wanted.command[0], wanted)
        except CannotStart as missing:
            raise NotFound(str(missing), next="name it with its whole path", code="no_program") from None
        if self._node.seams.processes.which(program) is None:
            said = f"there is no program at {program}, or it may not be executed"
            raise NotFound(said, next="name one that is there, or another folder: --cwd FOLDER", code="no_program")
        if wanted.scope is None:
            launcher.fence(wanted, program)

    async def _check_cell(self, wanted: ActorRow) -> None:
        try:
            check(cell_of(wanted, self._node.home), wanted.command[0], await self.cells.site())
        except CannotStart as refused:
            raise Usage(f"{refused}.", next="show it: --readable FOLDER", code="behind_the_wall") from None

    async def _open(self, row: ActorRow) -> None:
        """Folders, socket, program."""
        if self._nursery is None:  # this task ended while we waited; its next life opens what the rows name
            raise TryLater("the actors are being started again just now", next="netsky agent ls, in a moment")
        self._make_folders(row.name)
        path = self._node.home.actor_socket(row.name)
        if path not in self._node.control.paths:
            await self._node.control.open(path, Caller("actor", row.name, row.fenced))
        self._begin(row)

    def _begin(self, row: ActorRow) -> None:
        assert self._launcher is not None
        assert self._nursery is not None
        here = self._here[row.name] = Here(Place(self._node, row, self._launcher))
        reason = "" if row.mode == "none" else self._node.halt.why_not(row.name)
        if reason or not row.enabled:
            here.place.state = "stopped"
            here.ended.set()
            if reason:
                here.rests(reason)
        else:
            self._nursery.start_soon(self._live, here, name=f"actor {row.name}")

    async def _live(self, here: Here) -> None:
        try:
            with here.scope:
                await here.place.run()
        finally:
            here.ended.set()

    async def _close(self, name: str) -> None:
        here = self._here.pop(name, None)
        if here is None:
            return
        here.scope.cancel()
        with trio.CancelScope(shield=True):
            await here.ended.wait()
        self._node.control.close(self._node.home.actor_socket(name))

    def _make_folders(self, name: str) -> None:
        assert self._launcher is not None
        self._launcher.prepare(name)
        open_channel(self._node.seams.files, self._node.home.channels, name).close()

    def _state(self, place: Place) -> dict[str, Any]:
        actor = place.actor
        return {
            "name": actor.name,
            "mode": actor.mode,
            "state": place.state,
            "reason": place.reason,
            "pid": place.pid,
            "started_at": place.started_at,
            "up_ns": place.up_ns,
            "restarts": place.restarts,
            "manager": actor.manager,
            "fenced": actor.fenced,
            "sandboxed": actor.scope is not None,
            "command": list(actor.command),
            "cwd": actor.cwd,
        }
