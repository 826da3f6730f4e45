"""What a service manager can be asked to do, and the one way in which its program is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from netsky.node.errors import NetskyError, TimedOut, Unreachable
from netsky.node.service.recipe import Recipe

ASK_SECONDS = 10.0
"""For an answer that needs no work: a manager that takes longer is stuck."""

Running = Literal["running", "starting", "waits", "stopping", "stopped", "failed", "not loaded"]


@dataclass(frozen=True, slots=True)
class State:
    running: Running
    restarts: int = 0
    """How often it was started again after a failure, as far as the manager counts."""
    said: str = ""
    """Why it is not running, if it is not: the last words of the node or the manager."""


class Manager(Protocol):
    """One service of one home. What fails is a NetskyError with the next step."""

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str:
        """As the manager calls it."""

    @property
    def file(self) -> str: ...

    def text(self, recipe: Recipe) -> str: ...

    def heart(self, recipe: Recipe) -> Mapping[str, str]:
        """The files of the second heart: path → text."""

    def heart_state(self) -> str:
        """ "" if its timer runs, else what it is, in a word."""

    def reach(self) -> None:
        """Raises Unreachable if the manager does not answer from this shell; nothing is changed."""

    def load(self) -> None:
        """After its files were written: the manager knows it, starts it with the next login, and its timer runs."""

    def unload(self) -> None:
        """Before its files go away: timer and node are stopped, and not started by a login any more."""

    def forget(self) -> None:
        """After its file has gone."""

    def start(self, seconds: float) -> None:
        """The node runs and serves afterwards, or it is said why not."""

    def stop(self) -> None:
        """The node does not run afterwards, and no restart is pending."""

    def state(self) -> State: ...


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Its complaint in one line."""
        return " ".join((self.err or self.out).split())[:500]


def ask(argv: Sequence[str], seconds: float = ASK_SECONDS) -> Done:
    """Runs a program of the machine, never longer than this. TimedOut or Unreachable with a sentence."""
    environ = os.environ | {"LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(
            argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=seconds
        )
    except FileNotFoundError:
        raise Unreachable(
            f"this machine has no {argv[0]}, so it has no service manager that netsky knows",
            next=WITHOUT_MANAGER,
            code="no_service_manager",
        ) from None
    except subprocess.TimeoutExpired:
        command = " ".join(argv)
        raise TimedOut(f"`{command}` gave no answer within {seconds:g} s", next=f"try it by hand: {command}") from None
    return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def failed(argv: Sequence[str], done: Done) -> NetskyError:
    command = " ".join(argv)
    said = done.said or f"exit code {done.code}"
    return NetskyError(f"`{command}` failed: {said}", next=f"try it by hand: {command}", code="service_manager")


WITHOUT_MANAGER = "netsky up; to have it at every start, let what starts programs here run: netsky up --foreground"
