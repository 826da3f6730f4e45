"""One run of the owner's command: bounded in time and output, and ended whole, with all that it started.

It runs under the keeper of the processes seam, which ends everything as soon as this process lets go of it or dies.
No shell, no word of anybody in its arguments: subject and body come on its input.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from netsky.node.escalate.limits import GRACE_SECONDS, OUTPUT_BYTES_KEPT, OUTPUT_BYTES_MAX, TRY_SECONDS

KEEPER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "seams", "keeper.py")
_CHUNK = 64 * 1024
_DYING_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Tried:
    ok: bool
    reason: str
    """Why not, as the rest of a sentence."""
    output: str
    again: bool = True
    """Whether another try could end otherwise."""


@dataclass(slots=True)
class _Output:
    kept: bytearray = field(default_factory=bytearray)
    seen: int = 0

    def take(self, data: bytes) -> None:
        self.seen += len(data)
        self.kept += data
        del self.kept[:-OUTPUT_BYTES_KEPT]

    def text(self) -> str:
        return self.kept.decode("utf-8", "replace")


def run_once(command: Sequence[str], text: str, environ: Mapping[str, str], cwd: str) -> Tried:
    """Exit code 0 within the time is success, and nothing else: a command that did half of it says so by its code."""
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    argv = [
        sys.executable,
        "-I",
        "-S",
        KEEPER,
        str(theirs.fileno()),
        str(writing),
        str(OUTPUT_BYTES_MAX),
        "log",
        "",
        "",
    ]
    try:
        keeper = subprocess.Popen(
            [*argv, "--", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=writing,
            env=dict(environ),
            cwd=cwd,
            pass_fds=(theirs.fileno(), writing),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        for descriptor in (ours.detach(), reading):
            os.close(descriptor)
        return Tried(False, f"nothing can be started: {error}", "", again=False)
    finally:
        theirs.close()
        os.close(writing)
    return _Run(keeper, ours, reading, text).watch()


class _Run:
    def __init__(self, keeper: subprocess.Popen[bytes], leash: socket.socket, reading: int, text: str) -> None:
        assert keeper.stdin is not None
        self._keeper = keeper
        self._stdin = keeper.stdin
        self._input = keeper.stdin.fileno()
        self._leash = leash
        self._reading = reading
        self._unsaid = text.encode()
        self._output = _Output()
        self._said = b""
        self._program: int | None = None
        self._stopped = ""  # why it is being ended

    def watch(self) -> Tried:
        try:
            for descriptor in (self._input, self._leash.fileno(), self._reading):
                os.set_blocking(descriptor, False)
            self._until_it_ends()
        finally:
            self._let_go()
        return self._judged()

    def _until_it_ends(self) -> None:
        """Everything at once: its input, its output, what the keeper says of it, and the time."""
        steps: list[tuple[float, Callable[[], None]]] = [
            (TRY_SECONDS, self._ask_to_end),
            (GRACE_SECONDS, self._end),
            (_DYING_SECONDS, self._kill),
        ]
        due = time.monotonic() + steps[0][0]
        poll = select.poll()
        poll.register(self._leash, select.POLLIN)
        poll.register(self._reading, select.POLLIN)
        poll.register(self._input, select.POLLOUT)
        while steps:
            ready = {descriptor for descriptor, _ in poll.poll(max(0.0, due - time.monotonic()) * 1000)}
            if self._input in ready and not self._write():
                poll.unregister(self._input)
                self._stdin.close()
            if self._reading in ready and not self._read():
                poll.unregister(self._reading)
            if self._leash.fileno() in ready and not self._listen():
                return
            if self._output.seen > OUTPUT_BYTES_MAX and not self._stopped:
                self._stopped = f"it wrote more than {OUTPUT_BYTES_MAX >> 10} KiB"
                steps, due = steps[1:], time.monotonic()
            if time.monotonic() >= due:
                steps.pop(0)[1]()
                due = time.monotonic() + (steps[0][0] if steps else 0)

    def _ask_to_end(self) -> None:
        self._stopped = self._stopped or f"it did not end within {TRY_SECONDS:g} s"
        with suppress(OSError):
            self._leash.send(bytes([signal.SIGTERM]))

    def _end(self) -> None:
        with suppress(OSError):
            self._leash.shutdown(socket.SHUT_WR)

    def _kill(self) -> None:
        """The keeper does not do its work: a stopped one, or one that the system starves."""
        for group in (self._program, self._keeper.pid):
            if group is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)

    def _write(self) -> bool:
        """Whether there is more to write."""
        try:
            self._unsaid = self._unsaid[os.write(self._input, self._unsaid) :]
        except BlockingIOError:
            return True
        except OSError:  # it reads no further, which is its own affair
            return False
        return bool(self._unsaid)

    def _read(self) -> bool:
        try:
            data = os.read(self._reading, _CHUNK)
        except BlockingIOError:
            return True
        self._output.take(data)
        return bool(data)

    def _listen(self) -> bool:
        """What the keeper says; False once it is gone."""
        try:
            data = self._leash.recv(256)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        self._said += data
        if self._program is None and self._said.startswith(b"program ") and b"\n" in self._said:
            self._program = int(self._said.split()[1])
        return bool(data)

    def _let_go(self) -> None:
        self._leash.close()
        self._stdin.close()
        try:
            self._keeper.wait(_DYING_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            self._keeper.wait()
        for _ in range(64):  # its last words; all that could still write has ended
            try:
                if not self._read():
                    break
            except OSError:
                break
        os.close(self._reading)

    def _judged(self) -> Tried:
        lines = [line.split() for line in self._said.decode("ascii", "replace").splitlines()]
        last = lines[-1] if lines and len(lines[-1]) >= 2 else ["", "0"]
        output = self._output.text()
        if self._stopped:
            return Tried(False, f"{self._stopped} and was ended", output)
        if last[0] == "exit":
            return Tried(last[1] == "0", "" if last[1] == "0" else f"it ended with exit code {last[1]}", output)
        if last[0] == "signal":
            return Tried(False, f"it was ended by signal {last[1]}", output)
        if last[0] == "cannot":
            number = int(last[1])
            again = number not in (errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR)
            return Tried(False, f"it cannot be started: {os.strerror(number)}", output, again=again)
        return Tried(False, "what runs it gave up", output)
