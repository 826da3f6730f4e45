"""Real processes: each program under a keeper (`keeper.py`) that ends with us and ends all of it.

There is no zombie, since `wait` is always called, and no leaked descriptor, since everything here is opened
close-on-exec and handed over by number. PR_SET_PDEATHSIG is not used: the keeper's leash covers what it covers and
also what it does not (`keeper.py` says what).
"""

from __future__ import annotations

import glob
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import trio
from netsky.node.seams import groups
from netsky.node.seams.groups import Group, Groups
from netsky.node.seams.processes import Bounds, CannotStart, Exit, Process

KEEPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "keeper.py")
START_SECONDS = 10
"""From fork to exec: some 30 ms, more on a machine that swaps; beyond this something is wrong for good."""


@dataclass(frozen=True)
class RealWorld:
    """This machine as this process sees it."""

    uid: int
    python: str

    @property
    def code(self) -> tuple[str, ...]:
        ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        packages = [os.path.join(ours, name) for name in ("envelope", "mesh", "relay", "node")]
        return tuple(dict.fromkeys((sys.prefix, sys.base_prefix, *packages)))

    def real(self, path: str) -> str | None:
        try:
            return os.path.realpath(path, strict=True)
        except OSError:
            return None

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    def link(self, path: str) -> str | None:
        try:
            return os.readlink(path)
        except OSError:
            return None

    def writable(self, folder: str) -> bool:
        return os.access(folder, os.W_OK | os.X_OK)

    def matching(self, pattern: str) -> list[str]:
        return sorted(glob.glob(pattern))


class RealProcess:
    """One program and its keeper."""

    def __init__(
        self, process: trio.Process, leash: socket.socket, stdin: trio.lowlevel.FdStream | None,
        stdout: trio.lowlevel.FdStream | None, *, fenced: bool, group: Group | None = None,
    ) -> None:  # fmt: skip
        self.pid = process.pid
        self._process = process
        self._leash = leash
        self._stdin = stdin
        self._stdout = stdout
        self._said = b""
        self._last = ""
        self._fenced = fenced
        self._group = group
        self._program: int | None = None
        self._let_go = False
        self._waiting = trio.Lock()
        self._exit: Exit | None = None

    async def send(self, data: bytes) -> None:
        assert self._stdin is not None
        try:
            await self._stdin.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ConnectionResetError("the program no longer reads its input") from None

    def close_input(self) -> None:
        if self._stdin is not None:
            self._stdin.close()

    async def receive(self, limit: int) -> bytes:
        assert self._stdout is not None
        try:
            return bytes(await self._stdout.receive_some(limit))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def started(self) -> None:
        """Returns once the program itself runs; raises CannotStart if it does not come to that."""
        line = ""
        with trio.move_on_after(START_SECONDS):
            line = await self._line()
            if line.startswith("program "):
                if not self._fenced:  # inside a fence the number means something else
                    self._program = int(line.removeprefix("program "))
                line = await self._line()
        if line == "runs":
            return
        if line.startswith("cannot "):
            raise CannotStart(os.strerror(int(line.removeprefix("cannot "))))
        raise CannotStart("what runs it gave up; the reason stands in its log")

    async def wait(self) -> Exit:
        async with self._waiting:
            if self._exit is None:
                self._last = self._last or await self._line()
                await self._process.wait()
                self._exit = self._read_exit(self._last)
                if self._group is not None:
                    self._exit = replace(self._exit, exceeded=self._exit.exceeded or self._group.exceeded())
                self._tidy()
            return self._exit

    def signal_group(self, number: int) -> None:
        if self._exit is not None:
            return
        if number != signal.SIGKILL:
            with suppress(OSError):
                self._leash.send(bytes([number]))
            return
        if self._let_go:
            self._kill_by_force()
            return
        self._let_go = True
        with suppress(OSError):
            self._leash.shutdown(socket.SHUT_WR)  # the keeper reads the end of the leash, and we still hear it
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGCONT)  # an unfenced program can have stopped its keeper

    async def _line(self) -> str:
        """The next line of the keeper, "" when it is gone."""
        while b"\n" not in self._said:
            await trio.lowlevel.wait_readable(self._leash)
            try:
                said = self._leash.recv(256)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError:
                said = b""
            if not said:
                return ""
            self._said += said
        line, _, self._said = self._said.partition(b"\n")
        return line.decode("ascii", "replace")

    def _read_exit(self, line: str) -> Exit:
        word, *numbers = line.split() or [""]
        if word in {"exit", "signal"}:
            number, ended, left = map(int, numbers[:3])
            exceeded = "".join(numbers[3:])
            code, killer = (number, None) if word == "exit" else (None, number)
            return Exit(code, killer, ended, left, exceeded)
        status = self._process.returncode
        assert status is not None
        killed = status in {137, -signal.SIGKILL}
        return Exit(None, int(signal.SIGKILL), 1) if killed else Exit(status, None)

    def _kill_by_force(self) -> None:
        """For a keeper that hangs or was killed. Inside a fence all else dies with process 1, which is the keeper."""
        for group in (self.pid, self._program):
            if group is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)

    def _tidy(self) -> None:
        if not self._last:
            self._kill_by_force()
        if self._group is not None:
            self._group.remove()
        self._leash.close()
        for stream in (self._stdin, self._stdout):
            if stream is not None:
                stream.close()


class RealProcesses:
    def __init__(self) -> None:
        self._groups: Groups | None = None
        self._looked = False

    def _group_for(self, bounds: Bounds | None) -> Group | None:
        if bounds is not None and not self._looked:  # not before: it moves us
            self._looked, self._groups = True, groups.find()
        return None if bounds is None or self._groups is None else self._groups.make(bounds)

    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdin: bool,
        stdout: bool,
        log: str,
        log_bytes: int,
        keep: Sequence[int] = (),
        fence: Sequence[str] = (),
        bounds: Bounds | None = None,
    ) -> RealProcess:
        written = _open_log(log)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        group = self._group_for(bounds)
        door = -1 if group is None else group.door()
        given = [theirs.fileno(), written, *keep, *([] if group is None else [door])]
        keeper = [world_python(), "-I", "-S", KEEPER, str(theirs.fileno()), str(written), str(log_bytes)]
        keeper += ["pipe" if stdout else "log", ",".join(str(number) for number in keep)]
        keeper += ["" if bounds is None else f"{door},{bounds.word}", "--"]
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        in_read, in_write = os.pipe() if stdin else (nothing, -1)
        out_read, out_write = os.pipe() if stdout else (-1, nothing)
        try:
            process = await trio.lowlevel.open_process(
                [*fence, *keeper, *argv],
                stdin=in_read, stdout=out_write, stderr=written,
                env=dict(env), cwd=cwd, pass_fds=given, start_new_session=True,
            )  # fmt: skip
        except BaseException as error:
            ours.close()
            for descriptor in (in_write, out_read):
                if descriptor >= 0:
                    os.close(descriptor)
            if isinstance(error, OSError):
                raise CannotStart(f"{error.strerror}: {error.filename}") from None
            raise
        finally:
            theirs.close()
            for descriptor in {nothing, written, in_read, out_write, door} - {-1}:
                os.close(descriptor)
        started = RealProcess(
            process, ours,
            trio.lowlevel.FdStream(in_write) if stdin else None,
            trio.lowlevel.FdStream(out_read) if stdout else None,
            fenced=bool(fence), group=group,
        )  # fmt: skip
        try:
            await started.started()
        except BaseException:
            with trio.CancelScope(shield=True):
                await end(started, 0)
            raise
        return started

    def which(self, program: str) -> str | None:
        return shutil.which(program)

    def world(self) -> RealWorld:
        return RealWorld(os.getuid(), world_python())


def world_python() -> str:
    """The interpreter that runs keepers: a program's own environment has nothing to do with it."""
    return sys.executable


def _open_log(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CannotStart(f"its log {path} cannot be written: {error.strerror}") from None


async def end(process: Process, grace_seconds: float) -> Exit:
    """SIGTERM, the grace, SIGKILL: it returns when nothing is left. The caller shields it."""
    for number, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0), (signal.SIGKILL, 5.0)):
        if number == signal.SIGKILL or seconds > 0:
            process.signal_group(number)
            with trio.move_on_after(seconds):
                return await process.wait()
    return await process.wait()
