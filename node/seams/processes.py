"""The processes seam: programs in groups of their own, ended as a whole group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Exit:
    code: int | None
    signal: int | None

    def sentence(self) -> str:
        return f"ended by signal {self.signal}" if self.signal is not None else f"ended with exit code {self.code}"


class Process(Protocol):
    pid: int

    async def send(self, data: bytes) -> None:
        """Writes to its stdin; raises ConnectionError if it no longer reads."""

    def close_input(self) -> None: ...

    async def receive(self, limit: int) -> bytes:
        """From its stdout; b"" at the end."""

    async def wait(self) -> Exit: ...

    def signal_group(self, number: int) -> None:
        """Signals the whole process group; nothing happens if it is gone."""


class Processes(Protocol):
    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdin: bool,
        stdout: bool,
        log: int,
        keep: Sequence[int] = (),
    ) -> Process:
        """In a session and process group of its own, dying with us where the system can do that.

        `stdin`/`stdout` say whether these are pipes of ours; otherwise stdin is empty and stdout goes to `log`, a
        descriptor, as stderr always does. `keep` are further descriptors that it inherits.
        """

    def which(self, program: str) -> str | None: ...
