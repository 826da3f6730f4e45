"""From an actor's row to a running program: its folders, its variables, its fence."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netsky.node.actors import fence as fences
from netsky.node.actors.fence import Fence, Kind
from netsky.node.actors.limits import LOG_BYTES_MAX
from netsky.node.db.actors import ActorRow
from netsky.node.errors import Usage
from netsky.node.home import ACTOR_COPIES, Home
from netsky.node.seams import Seams
from netsky.node.seams.files import FileFacts, HostileFile
from netsky.node.seams.processes import CannotStart, Process


@dataclass(frozen=True, slots=True)
class Offered:
    """Which fence this system offers, found out by putting one up."""

    kind: Kind | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Launched:
    process: Process
    watched: Mapping[str, FileFacts | None]


class Launcher:
    def __init__(self, home: Home, node: str, seams: Seams, environ: Mapping[str, str], offered: Offered) -> None:
        self._home = home
        self._node = node
        self._files = seams.files
        self._processes = seams.processes
        self._environ = environ
        self.offered = offered

    def log_path(self, actor: str) -> str:
        return os.path.join(self._home.logs, f"{actor}.log")

    def prepare(self, actor: str) -> None:
        """The folder of its socket, with copies of what it may check envelopes against."""
        self._files.make_folder(self._home.actor_folder(actor))
        self._files.make_folder(self._home.logs)
        self.copy_trust(actor)

    def copy_trust(self, actor: str) -> None:
        """Charter and roster as they are now. A fence shows the folder, so whoever is inside sees the new ones."""
        folder = self._home.actor_folder(actor)
        from_home, to = self._files.open_folder(self._home.path), self._files.open_folder(folder)
        try:
            for name in ACTOR_COPIES:
                try:
                    self._files.replace(to, name, self._files.read(from_home, name, 1 << 20))
                except FileNotFoundError:
                    self._files.remove(to, name)
        finally:
            self._files.close(from_home)
            self._files.close(to)

    def find(self, program: str, actor: ActorRow) -> str:
        """The program's whole path: by the node's PATH, or from the actor's working folder."""
        if "/" in program:
            return os.path.join(self._cwd(actor), program)
        found = self._processes.which(program)
        if found is None:
            raise CannotStart(f"there is no program {program!r} on the node's PATH")
        return found

    def fence(self, actor: ActorRow, program: str, *, trial: bool = False) -> Fence:
        """The fence for this actor. Raises Usage if what it needs is hidden by it."""
        room = self._room(actor.name, self._cwd(actor), program)
        world = self._processes.world()
        for folder in () if trial else fences.folders_to_make(room, world):
            self._files.make_folder(folder)
        return fences.build(room, world)

    async def start(
        self, actor: ActorRow, argv: Sequence[str], *, stdin: bool, stdout: bool, trial: bool = False
    ) -> Launched:
        """Raises CannotStart with a sentence. A trial leaves nothing behind in the user's home."""
        program = self.find(argv[0], actor)
        prefix: list[str] = []
        watched: dict[str, FileFacts | None] = {}
        if actor.fenced:
            if self.offered.kind is None:
                raise CannotStart(f"there is no fence on this system: {self.offered.why_not}")
            try:
                fence = self.fence(actor, program, trial=trial)
            except Usage as refused:
                raise CannotStart(refused.message) from None
            prefix = fences.argv(self.offered.kind, fence, self._processes.world())
            watched = self.look_at(fence.unprotected)
        process = await self._processes.start(
            [program, *argv[1:]],
            env=fences.environment(self.variables(actor), self._environ, fenced=actor.fenced),
            cwd=self._cwd(actor),
            stdin=stdin,
            stdout=stdout,
            log=self.log_path(actor.name),
            log_bytes=LOG_BYTES_MAX,
            fence=prefix,
        )
        return Launched(process, watched)

    def variables(self, actor: ActorRow) -> dict[str, str]:
        """What every program gets, and what was set for this one."""
        path = self._environ.get("PATH", os.defpath)
        own = {
            "PATH": f"{path}:{os.path.dirname(self._processes.world().python)}",  # last: `netsky` itself is found
            **actor.environment,
            "NETSKY_ACTOR": actor.name,
            "NETSKY_NODE": self._node,
            "NETSKY_SOCKET": self._home.actor_socket(actor.name),
            "NETSKY_CHANNEL": self._home.channel(actor.name),
        }
        return own if actor.manager is None else own | {"NETSKY_MANAGER": actor.manager}

    def look_at(self, paths: Sequence[str]) -> dict[str, FileFacts | None]:
        """What stands at these paths now: compared later, for those on which nothing could be mounted."""
        return {path: self._facts(path) for path in paths}

    def changed(self, watched: Mapping[str, FileFacts | None]) -> list[str]:
        return [path for path, before in watched.items() if self._facts(path) != before]

    def _facts(self, path: str) -> FileFacts | None:
        try:
            folder = self._files.open_folder(os.path.dirname(path))
        except (OSError, HostileFile):
            return None
        try:
            return self._files.facts(folder, os.path.basename(path))
        finally:
            self._files.close(folder)

    def _room(self, actor: str, cwd: str, program: str) -> fences.Room:
        runtime = self._home.runtime_folder
        return fences.room(self._home.path, runtime, actor, cwd=cwd, program=program, environ=self._environ)

    def _cwd(self, actor: ActorRow) -> str:
        return actor.cwd or self._environ.get("HOME", "/")


async def offered(home: Home, seams: Seams, environ: Mapping[str, str]) -> Offered:
    """Puts a fence up and looks from inside whether it hides the node: asked once in each life of a node.

    What `which` finds may still be forbidden by the kernel, a container or a security module.
    """
    probe = ActorRow("agent0", (), "resident", None, True, True, {}, 0, cwd="/")
    reasons = []
    for kind, program in PROGRAMS.items():
        if seams.processes.which(program) is None:
            reasons.append(f"{program} is not installed")
            continue
        reason = await _try(Launcher(home, "", seams, environ, Offered(kind)), probe, home, seams)
        if reason is None:
            return Offered(kind)
        reasons.append(f"{program}: {reason}")
    return Offered(None, "; ".join(reasons))


PROGRAMS: Mapping[Kind, str] = {"bubblewrap": "bwrap", "unshare": "unshare"}
"""In the order of preference."""

PROBE = "import os, sys; sys.exit(0 if os.getpid() < 9 and os.listdir(sys.argv[1]) == sys.argv[2:] else 1)"
"""Run inside: own process numbers, and of the home nothing but what belongs to this actor."""


async def _try(launcher: Launcher, probe: ActorRow, home: Home, seams: Seams) -> str | None:
    launcher.prepare(probe.name)
    seams.files.make_folder(home.channel(probe.name))
    argv = (seams.processes.world().python, "-I", "-S", "-c", PROBE, home.channels, probe.name)
    try:
        launched = await launcher.start(probe, argv, stdin=False, stdout=False, trial=True)
    except CannotStart as refused:
        return str(refused)
    exit = await launched.process.wait()  # noqa: A001 - the type's own word
    return None if exit.code == 0 else "it does not hide what it should"
