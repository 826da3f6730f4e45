"""The processes seam: programs in groups of their own, ended as a whole group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class CannotStart(Exception):
    """The program did not start: it is not there, may not be run, or what was put around it failed."""


@dataclass(frozen=True, slots=True)
class Exit:
    code: int | None
    signal: int | None
    ended: int = field(default=0, compare=False)
    """How many processes it was, with all that it started, when it was first told to end; 0 if it ended by itself."""
    left: int = field(default=0, compare=False)
    """How many of them could not be ended."""
    exceeded: str = field(default="", compare=False)
    """The bound for which it was ended: "processes", "memory", "growth", "free_space"; "" if it was not."""

    def sentence(self) -> str:
        return f"ended by signal {self.signal}" if self.signal is not None else f"ended with exit code {self.code}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a program, with all that it starts, may use; beyond that all of it is ended. Bytes, but for the tasks."""

    processes: int
    """Processes and their threads."""
    memory: int
    """Of all of it together, and not counting files that it maps."""
    file: int
    """Of a single file: no write goes further."""
    grows: str = ""
    """The folder that it may fill; "" if there is none."""
    growth: int = 0
    """By so much, a name counting as 4 KiB at least."""
    free_floor: int = 0
    """What stays free on the disk of that folder, whoever fills it; half of what is free, if that is less."""

    @property
    def word(self) -> str:
        """As a keeper reads it (`gauge.Bounds`), behind the number of its door to a control group."""
        return f"{self.processes},{self.memory},{self.file},{self.growth},{self.free_floor},{self.grows}"


class Process(Protocol):
    pid: int

    async def send(self, data: bytes) -> None:
        """Writes to its stdin; raises ConnectionError if it no longer reads."""

    def close_input(self) -> None: ...

    async def receive(self, limit: int) -> bytes:
        """From its stdout; b"" at the end."""

    async def wait(self) -> Exit:
        """How it ended, once nothing of it and of what it started is left. Call it always: it also tidies up."""

    def signal_group(self, number: int) -> None:
        """Signals the whole process group; nothing happens if it is gone.

        SIGKILL ends also what left the group; a second SIGKILL ends whatever stands in the way of that.
        """


class World(Protocol):
    """What a fence has to know about the machine: looked at, never changed."""

    @property
    def uid(self) -> int: ...

    @property
    def python(self) -> str:
        """The interpreter of the node."""

    @property
    def code(self) -> tuple[str, ...]:
        """The folders in which that interpreter and our own packages lie."""

    def real(self, path: str) -> str | None:
        """The path with all links followed, or None if there is nothing, or nothing that we may look at."""

    def is_folder(self, path: str) -> bool: ...

    def link(self, path: str) -> str | None:
        """Where a symbolic link points, as it is written; None for anything else."""

    def writable(self, folder: str) -> bool:
        """Whether this user may add, rename and remove names in it."""

    def matching(self, pattern: str) -> list[str]:
        """The paths that a shell's pattern stands for, sorted."""


class Processes(Protocol):
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
    ) -> Process:
        """In a session and process group of its own, dying with us, with all it started, however we die.

        `stdin`/`stdout` say whether these are pipes of ours; otherwise stdin is empty and stdout goes to the file
        `log`, as stderr always does; it is kept below `log_bytes` by dropping the oldest. `keep` are further
        descriptors that it inherits. `fence` is put in front of what runs it. With `bounds` it is ended when it
        exceeds one, and behind a fence the kernel takes from it the system calls that lead around one. Raises
        CannotStart with a sentence.
        """

    def which(self, program: str) -> str | None: ...

    def world(self) -> World: ...
