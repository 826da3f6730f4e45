"""A home with a stub node behind its socket, and a way to run commands in this process or in one of their own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from netsky.node.cli.main import main

Answer = dict[str, Any]


@dataclass
class StubNode:
    """Answers each verb with what the test put in, and remembers what was asked."""

    path: str
    verbs: dict[str, Callable[[Answer], Answer]] = field(default_factory=dict)
    asked: list[tuple[str, Answer]] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    listener: socket.socket | None = None

    def start(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self) -> None:
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
            Path(self.path).unlink(missing_ok=True)
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.connections.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in connection.makefile("rb"):
                request = json.loads(line)
                verb, args = request["verb"], request["args"]
                if verb == "follow":
                    continue  # it never ends
                self.asked.append((verb, args))
                answer: Answer = {"n": request["n"]}
                if verb not in self.verbs:
                    error = {"code": "no_verb", "exit": 2, "message": f"the stub has no {verb}", "next": "add it"}
                    answer |= {"ok": False, "error": error}
                else:
                    said = self.verbs[verb](args)
                    for event in said.pop("__events__", ()):
                        connection.sendall(json.dumps({"n": request["n"], "event": event}).encode() + b"\n")
                    answer |= {"ok": False, **said} if "error" in said else {"ok": True, "data": said}
                connection.sendall(json.dumps(answer).encode() + b"\n")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    (path / "logs").mkdir()
    for name in [name for name in os.environ if name.startswith("NETSKY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETSKY_HOME", str(path))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("COLUMNS", raising=False)
    return path


@pytest.fixture
def node(home: Path) -> Iterator[StubNode]:
    from netsky.node.home import Home

    stub = StubNode(Home(str(home)).operator_socket)
    Path(stub.path).parent.mkdir(exist_ok=True, parents=True)
    stub.start()
    yield stub
    stub.stop()


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Answer:
        """The one answer of --json."""
        (line,) = self.out.splitlines()
        found: Answer = json.loads(line)
        return found

    @property
    def lines(self) -> list[Answer]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command in this process."""

    def call(*words: str) -> Ran:
        capsys.readouterr()
        code = main(words)
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return call


@pytest.fixture
def spawn(home: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A command in a process of its own, which ends with the test: one left behind would fail a later test."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, **more: Any) -> subprocess.Popen[str]:
        streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-m", "netsky.node.cli.main", *words]
        started.append(subprocess.Popen(command, text=True, env=os.environ.copy(), **(streams | more)))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        with process:  # closes what it was spoken to by, and waits for it
            pass


@pytest.fixture(autouse=True)
def _keeps_the_signal_handlers() -> Iterator[None]:
    import signal

    kept = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, kept)
