"""The driver of a systemd user unit: `systemctl --user`, with deadlines, and its failures as sentences."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from netsky.node.daemon.exits import REASONS
from netsky.node.errors import NetskyError, Unreachable
from netsky.node.limits import STOP_SECONDS
from netsky.node.service.manager import WITHOUT_MANAGER, Running, State, ask, failed
from netsky.node.service.recipe import Recipe
from netsky.node.service.unit import STOP_MARGIN_SECONDS, heart_timer_text, heart_unit_text, unit_text

_MARGIN_SECONDS = 10
"""systemd gives up first, and says why."""

_SHOWN = "ActiveState,SubState,NRestarts,StatusText,Result,ExecMainStatus,LoadState,FragmentPath"

_STATES: Mapping[str, Running] = {
    "active": "running",
    "reloading": "running",
    "activating": "starting",
    "deactivating": "stopping",
    "inactive": "stopped",
    "failed": "failed",
}

_RESULTS = {
    "start-limit-hit": "it failed again and again, so systemd stopped trying",
    "timeout": "it did not serve, or did not stop, in time",
    "oom-kill": "the machine ran out of memory",
    "signal": "it was killed",
    "core-dump": "it was killed",
    "exit-code": "it failed",
    "resources": "systemd could not make what it needs",
}


@dataclass(frozen=True, slots=True)
class Systemd:
    unit: str
    """Without `.service`."""
    folder: str
    """Where the user's units are."""
    user: str
    uid: int

    kind = "systemd"

    @property
    def name(self) -> str:
        return f"{self.unit}.service"

    @property
    def file(self) -> str:
        return os.path.join(self.folder, self.name)

    def text(self, recipe: Recipe) -> str:
        return unit_text(recipe, self.name)

    @property
    def timer(self) -> str:
        return f"{self.unit}-heart.timer"

    def heart(self, recipe: Recipe) -> dict[str, str]:
        service = f"{self.unit}-heart.service"
        return {
            os.path.join(self.folder, service): heart_unit_text(recipe, service, self.name),
            os.path.join(self.folder, self.timer): heart_timer_text(recipe, self.timer),
        }

    def heart_state(self) -> str:
        done = ask(_systemctl("is-active", self.timer))
        said = done.out.strip() or done.said
        return "" if said == "active" else said

    def reach(self) -> None:
        done = ask(_systemctl("show", "--property=Version"))
        if done.code:
            runtime = f"/run/user/{self.uid}"
            raise unreachable(
                done.said,
                user=self.user,
                booted=os.path.isdir("/run/systemd/system"),
                runtime="" if os.environ.get("XDG_RUNTIME_DIR") or not os.path.isdir(runtime) else runtime,
            )

    def load(self) -> None:
        self._run("daemon-reload")
        self._run("enable", self.name)
        self._run("enable", "--now", self.timer)
        found = self._show()
        if found.get("LoadState") != "loaded" or not _same(found.get("FragmentPath", ""), self.file):
            raise NetskyError(
                f"systemd does not take {self.name} from {self.file}: {found.get('LoadState', 'unknown')}, "
                f"from {found.get('FragmentPath') or 'nowhere'}",
                next=f"systemctl --user status {self.name}; XDG_CONFIG_HOME may differ between systemd and this shell",
                code="service_manager",
            )

    def unload(self) -> None:
        self._run("disable", "--now", self.timer, must=False)  # an installation from before has none
        self.stop()
        self._run("disable", self.name)

    def forget(self) -> None:
        self._run("daemon-reload")

    def start(self, seconds: float) -> None:
        self._run("reset-failed", self.name, must=False)  # a person asks: earlier failures do not count
        command = _systemctl("start", self.name)
        done = ask(command, seconds + _MARGIN_SECONDS)
        if done.code:
            state = self.state()
            raise NetskyError(
                f"systemd could not start the node: {state.said or done.said}",
                next=f"journalctl --user -u {self.name} -n 20; netsky doctor",
                code="start_failed",
            )

    def stop(self) -> None:
        self._run("stop", self.name, seconds=STOP_SECONDS + STOP_MARGIN_SECONDS + _MARGIN_SECONDS)
        self._run("reset-failed", self.name, must=False)

    def state(self) -> State:
        return read_state(self._show())

    def _show(self) -> dict[str, str]:
        command = _systemctl("show", self.name, f"--property={_SHOWN}")
        done = ask(command)
        if done.code:
            raise failed(command, done)
        return dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)

    def _run(self, *words: str, seconds: float = 30.0, must: bool = True) -> None:
        command = _systemctl(*words)
        done = ask(command, seconds)
        if done.code and must:
            raise failed(command, done)


def read_state(shown: Mapping[str, str]) -> State:
    """What `systemctl show` tells, in our words."""
    running = _STATES.get(shown.get("ActiveState", ""), "not loaded")
    if shown.get("LoadState") == "not-found":
        running = "not loaded"
    if shown.get("SubState") == "auto-restart":
        running = "waits"
    return State(running, int(shown.get("NRestarts") or 0), "" if running == "running" else _why(shown))


def _why(shown: Mapping[str, str]) -> str:
    """The node's own words where there are any; an exit number says more than that it failed."""
    result = shown.get("Result", "success")
    if result == "success":
        return ""
    code = int(shown.get("ExecMainStatus") or 0)
    told = _RESULTS.get(result, result)
    if result == "exit-code":
        told = REASONS.get(code, f"it ended with exit code {code}")
    return f"{text} ({told})" if (text := shown.get("StatusText", "")) and text != told else told


def unreachable(said: str, *, user: str, booted: bool, runtime: str) -> Unreachable:
    """Why `systemctl --user` does not answer here, and what helps. `runtime`: the folder that the shell forgot."""
    if not booted:
        message, step = "this machine does not run systemd", WITHOUT_MANAGER
    elif runtime:
        message = "this shell does not know the user's systemd"
        step = f"export XDG_RUNTIME_DIR={runtime}, then the same command again"
    else:
        message = f"no systemd of {user} runs"
        step = (
            f"log in as {user} by console or ssh (su and sudo make no session), or: sudo loginctl enable-linger {user}"
        )
    return Unreachable(f"{message} (systemctl --user: {said})", next=step, code="no_service_manager")


def _systemctl(*words: str) -> list[str]:
    return ["systemctl", "--user", "--no-ask-password", *words]


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
