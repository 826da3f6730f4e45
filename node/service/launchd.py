"""The driver of a launchd agent: `launchctl`, with deadlines, and its failures as sentences.

Made from Apple's manual pages and never run on a Mac so far: see the README of this folder.
"""

from __future__ import annotations

import os
import re
import select
from dataclasses import dataclass

from netsky.node.errors import NetskyError, TimedOut, Unreachable
from netsky.node.home import Home
from netsky.node.limits import STOP_SECONDS
from netsky.node.seams.real import RealTime
from netsky.node.service.manager import State, ask, failed
from netsky.node.service.plist import STOP_MARGIN_SECONDS, heart_plist_text, plist_text
from netsky.node.service.recipe import Recipe
from netsky.node.up import running_pid

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Launchd:
    label: str
    folder: str
    """Where the user's agents are."""
    uid: int
    home: Home

    kind = "launchd"

    @property
    def name(self) -> str:
        return self.label

    @property
    def file(self) -> str:
        return os.path.join(self.folder, f"{self.label}.plist")

    @property
    def domain(self) -> str:
        return f"gui/{self.uid}"

    @property
    def target(self) -> str:
        return f"{self.domain}/{self.label}"

    def text(self, recipe: Recipe) -> str:
        return plist_text(recipe, self.label, self.home.daemon_output)

    @property
    def heart_label(self) -> str:
        return f"{self.label}.heart"

    def heart(self, recipe: Recipe) -> dict[str, str]:
        text = heart_plist_text(recipe, self.heart_label, self.home.daemon_output)
        return {self._heart_file: text}

    def heart_state(self) -> str:
        return "not loaded" if ask(["launchctl", "print", f"{self.domain}/{self.heart_label}"]).code else ""

    @property
    def _heart_file(self) -> str:
        return os.path.join(self.folder, f"{self.heart_label}.plist")

    def reach(self) -> None:
        done = ask(["launchctl", "print", self.domain])
        if done.code:
            raise Unreachable(
                f"launchd has no session of this user on the screen (launchctl print {self.domain}: {done.said})",
                next="log in on the Mac's screen once, then the same command again; until then: netsky up",
                code="no_service_manager",
            )

    def load(self) -> None:
        """Of the node nothing is to say: launchd reads the folder at login, and `start` hands it the file until then.
        The second heart beats at once, by the file as it is now."""
        self._end_heart()
        self._run("bootstrap", self.domain, self._heart_file)

    def unload(self) -> None:
        self._end_heart()
        self.stop()

    def _end_heart(self) -> None:
        if not self.heart_state():
            self._run("bootout", f"{self.domain}/{self.heart_label}")

    def forget(self) -> None:
        """Nothing to say either."""

    def start(self, seconds: float) -> None:
        if self.state().running == "not loaded":
            self._run("bootstrap", self.domain, self.file)
        else:
            self._run("kickstart", self.target)
        time = RealTime()
        until = time.monotonic() + int(seconds * 1e9)
        while running_pid(self.home) is None:
            if time.monotonic() > until:
                raise NetskyError(
                    f"launchd started the node, and it did not serve within {seconds:g} s",
                    next=f"look into {self.home.node_log} and {self.home.daemon_output}; netsky doctor",
                    code="start_failed",
                )
            select.select([], [], [], _POLL_SECONDS)

    def stop(self) -> None:
        """Unloaded, so that no restart is pending; the file stays, and the next login loads it again."""
        if self.state().running == "not loaded":
            return
        seconds = STOP_SECONDS + STOP_MARGIN_SECONDS + 10
        self._run("bootout", self.target, seconds=seconds)
        time = RealTime()
        until = time.monotonic() + int(seconds * 1e9)
        while self.state().running != "not loaded":
            if time.monotonic() > until:
                raise TimedOut(f"launchd did not end {self.label} within {seconds:g} s", next="netsky service status")
            select.select([], [], [], _POLL_SECONDS)

    def state(self) -> State:
        done = ask(["launchctl", "print", self.target])
        return State("not loaded") if done.code else read_state(done.out)

    def _run(self, *words: str, seconds: float = 30.0) -> None:
        command = ["launchctl", *words]
        done = ask(command, seconds)
        if done.code:
            raise failed(command, done)


def read_state(printed: str) -> State:
    """What `launchctl print` tells, in our words."""
    told = dict(re.findall(r"^\t(state|last exit code) = (.+)$", printed, re.MULTILINE))
    if told.get("state") == "running":
        return State("running")
    code = told.get("last exit code", "").partition(":")[0]
    if code in ("", "0", "(never exited)"):
        return State("stopped")
    return State("failed", said=f"it ended with exit code {code}")
