"""Two nodes as shipped, linked as their READMEs say: what crosses arrives once, though the receiver is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from netsky.node import up
from netsky.node.client import Client
from netsky.node.home import Home, take_lock
from netsky.node.seams.real_files import RealFiles

pytestmark = pytest.mark.real

STREAMED = 200
TOGETHER = 5
KILL_AT = 20
AFTER_THE_KILL = 50  # so many wait for it, however fast the others were
INBOX = (
    "SELECT messages.id, life, number, state FROM inbox JOIN messages USING (seq) WHERE actor = 'agent1' ORDER BY seq"
)


class Machine:
    """One node and the shell of the person who has it."""

    def __init__(self, path: Path) -> None:
        self.home = Home(str(path))
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("NETSKY_")}

    def netsky(self, *words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "netsky.node.cli.main", "--home", self.home.path, "--json", *words],
            env=self.environ, capture_output=True, text=True, check=False, timeout=40,
        )  # fmt: skip
        assert done.returncode == 0, done
        return json.loads(done.stdout)["data"]

    def link(self, port: int, name: str, key: str, address: int | None = None) -> None:
        """Edits the two files as a person would."""
        config = Path(self.home.config)
        text = config.read_text()
        assert '# bind = ""' in text
        config.write_text(text.replace('# bind = ""', f'bind = "127.0.0.1:{port}"'))
        where = "" if address is None else f'address = "127.0.0.1:{address}"\n'
        Path(self.home.peers).write_text(f'[{name}]\nkey = "{key}"\n{where}')

    def rows(self, sql: str) -> list[list[Any]]:
        rows: list[list[Any]] = self.netsky("query", sql)["rows"]
        return rows

    def files(self, actor: str) -> list[str]:
        inbox = Path(self.home.channel(actor)) / "inbox"
        return sorted(json.loads(file.read_text())["id"] for file in inbox.glob("*.json"))

    def kill(self) -> None:
        pid = up.holder_pid(self.home)
        if pid is not None and take_lock(self.home, RealFiles()) is None:
            os.kill(pid, signal.SIGKILL)
            until(lambda: is_free(self.home))


def is_free(home: Home) -> bool:
    lock = take_lock(home, RealFiles())
    if lock is not None:
        lock.release()
    return lock is not None


def until(told: Callable[[], Any], seconds: float = 15) -> Any:
    limit = time.monotonic() + seconds
    while not (found := told()):
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)
    return found


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    """The root and a sibling, up and linked."""
    root, sibling = Machine(tmp_path / "0"), Machine(tmp_path / "1")
    try:
        root.netsky("init", "--root")
        sibling.netsky("init")
        shutil.copy(root.home.charter, sibling.home.charter)  # the same mesh
        for machine in (root, sibling):
            machine.netsky("up")
        keys = [machine.netsky("status")["key"] for machine in (root, sibling)]
        port = free_port()
        root.link(port, "netsky1", keys[1])
        sibling.link(free_port(), "netsky0", keys[0], address=port)
        for machine in (root, sibling):
            machine.netsky("restart")
        sibling.netsky("up", "1")
        yield root, sibling
    finally:
        root.kill()
        sibling.kill()


def test_what_was_accepted_arrives_once_though_the_receiver_is_killed(machines: tuple[Machine, Machine]) -> None:
    root, sibling = machines
    began = time.monotonic()
    first = root.netsky("send", "agent1@netsky1", "across the border", "--from", "agent0")["id"]
    waiting = until(lambda: sibling.netsky("channel", "ls", "agent1")["waiting"])
    assert [(item["id"], item["from"]) for item in waiting] == [(first, "agent0@netsky0")]
    until(lambda: sibling.files("agent1") == [first])
    crossed = time.monotonic() - began
    pid = up.running_pid(root.home)

    sent: list[str] = []
    killed = threading.Event()
    sender = threading.Thread(target=lambda: stream(root, sent, killed))
    sender.start()
    with Client.connect(sibling.home) as node:
        until(lambda: node.call("query", sql="SELECT count(*) FROM inbox")["rows"][0][0] > KILL_AT)
    sibling.kill()
    killed.set()
    died = time.monotonic()
    sender.join(30)
    assert len(sent) == STREAMED
    expected = [first, *sent]
    there = [row[0] for row in sibling.rows(INBOX)]
    assert KILL_AT < len(there) < len(expected), "it was to be killed in the middle"
    assert there == expected[: len(there)]

    sibling.netsky("up")
    restarted = time.monotonic()
    with Client.connect(sibling.home) as node:
        until(lambda: node.call("query", sql="SELECT count(*) FROM inbox")["rows"][0][0] >= len(expected))
    arrived = time.monotonic()
    until(lambda: len(sibling.files("agent1")) >= len(expected))
    until(lambda: root.rows("SELECT DISTINCT state FROM outbox") == [["acked"]])

    rows = sibling.rows(INBOX)
    assert [row[:3] for row in rows] == [[id_, 1, number] for number, id_ in enumerate(expected, 1)]
    assert sibling.files("agent1") == sorted(expected)
    for machine in machines:
        status = machine.netsky("status")
        assert (status["faults"], machine.rows("SELECT * FROM crashes")) == ([], [])
        assert [(link["up"], link["frozen"]) for link in status["links"]] == [(True, {})]
    assert up.running_pid(root.home) == pid
    print(
        f"one across, seen by commands: {crossed:.2f} s; {len(there)} of {len(expected)} stored when killed; ", end=""
    )
    print(f"up again {restarted - died:.2f} s later, all there {arrived - restarted:.2f} s after that")


def stream(root: Machine, sent: list[str], killed: threading.Event) -> None:
    with Client.connect(root.home) as node:
        for turn in range(0, STREAMED, TOGETHER):
            if turn == STREAMED - AFTER_THE_KILL:
                assert killed.wait(20)
            drafts = [{"to": "agent1@netsky1", "text": f"{turn + at}"} for at in range(TOGETHER)]
            results = node.call("send", drafts=drafts)["results"]
            assert all(result["ok"] for result in results), results
            sent += [result["data"]["id"] for result in results]
