"""What a strict sandbox is, and what came of a program in it. Nothing here does anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from netsky.node.seams.processes import Exit
from netsky.node.work.cell import limits

Walled = Literal["bubblewrap", "namespaces", "unsandboxed"]
Limit = Literal["", "time", "output", "memory", "processes", "growth", "free_space", "file"]


@dataclass(frozen=True, slots=True)
class CellLimits:
    seconds: float = limits.SECONDS
    memory: int = limits.MEMORY_BYTES
    processes: int = limits.PROCESSES
    output: int = limits.OUTPUT_BYTES
    file: int = limits.FILE_BYTES
    growth: int = limits.GROWTH_BYTES


@dataclass(frozen=True, slots=True)
class Cell:
    """All paths are absolute, and are the same inside as outside."""

    workspace: str
    """"" for none (managers)."""
    workspace_writable: bool = True
    """False for criteria."""
    scratch_bytes: int = limits.SCRATCH_BYTES
    """An empty folder in memory, HOME and TMPDIR, gone with the program."""
    readable: tuple[str, ...] = ()
    """What else is there, read-only."""
    actor_socket: str = ""
    """The folder that holds its actor.sock, or ""."""
    hosts: tuple[str, ...] = ()
    """"example.org:443": reached through the node's CONNECT proxy alone; () for no network at all."""
    limits: CellLimits = field(default_factory=CellLimits)

    def __post_init__(self) -> None:
        for path in (self.workspace, self.actor_socket, *self.readable):
            assert path == "" or (os.path.isabs(path) and "\0" not in path), path
        assert "" not in self.readable


@dataclass(frozen=True, slots=True)
class CellResult:
    exit: Exit
    said: bytes
    """Its stdout, as much of it as it may say."""
    errors: bytes
    """The end of its stderr."""
    walled: Walled
    limit: Limit = ""
    """For what it was ended; "" if it ended by itself."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """What it asked its proxy for and did not get, each with the reason; the first few."""

    @property
    def timed_out(self) -> bool:
        return self.limit == "time"

    @property
    def too_much(self) -> bool:
        return self.limit == "output"

    @property
    def ok(self) -> bool:
        return self.exit.code == 0 and self.limit == ""

    def sentence(self) -> str:
        """How it ended, for a person; without a subject."""
        return ENDED_FOR.get(self.limit) or self.exit.sentence()


ENDED_FOR: dict[str, str] = {
    "time": "took longer than its time limit and was ended",
    "output": "said more than it may and was ended",
    "memory": "used more memory than it may and was ended",
    "processes": "started more processes than it may and was ended",
    "growth": "filled its workspace further than it may and was ended",
    "free_space": "left less free space on the disk than it must and was ended",
    "file": "wrote a file that is larger than it may be and was ended",
}
