"""Two processes, real iroh, SIGKILL beside a commit: each envelope arrives exactly once, whatever died when."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.real


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Process:
    def __init__(self, folder: Path, number: int, *more: str) -> None:
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.real.link_node", str(folder / str(number)), str(number), *more],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def wait_for(self, event: str, code: str | None = None) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event and code in (None, said.get("code")):
                return said
        raise AssertionError(f"it ended with {self._process.wait()} without saying {event}")

    def died(self) -> int:
        return self._process.wait(timeout=20)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(timeout=20)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def process(folder: Path, number: int, *more: str) -> Iterator[Process]:
    made = Process(folder, number, *more)
    try:
        yield made
    finally:
        made.kill()


def rows(folder: Path, number: int, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{folder / str(number) / 'meta.db'}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


INBOX = "SELECT messages.id, life, number FROM inbox JOIN messages USING (seq) ORDER BY seq"


def test_the_receiver_is_killed_between_its_commit_and_its_ack(tmp_path: Path) -> None:
    at = f"127.0.0.1:{free_port()}"
    with process(tmp_path, 1, "127.0.0.1:0", at, "--send", "3") as sender:
        with process(tmp_path, 0, at, "--die-at", "Arrived", "after") as receiver:
            ids = sender.wait_for("sent")["ids"]
            assert receiver.died() == -signal.SIGKILL
            killed = time.monotonic()
        # It has all three, and the sender has heard of none.
        assert [id_ for id_, _, _ in rows(tmp_path, 0, INBOX)] == ids
        assert rows(tmp_path, 1, "SELECT DISTINCT state FROM outbox") == [("numbered",)]
        with process(tmp_path, 0, at):
            sender.wait_for("link_down", "silent")
            down = time.monotonic()
            sender.wait_for("link_up")
            up = time.monotonic()
            assert sender.wait_for("done")["count"] == 3
    print(f"silence noticed after {down - killed:.2f} s, linked again {up - down:.2f} s later")
    assert down - killed < 5
    assert up - down < 1
    assert rows(tmp_path, 0, INBOX) == [(id_, 1, number) for number, id_ in enumerate(ids, 1)]
    assert rows(tmp_path, 0, "SELECT count(*) FROM outcomes") == [(3,)]
    assert rows(tmp_path, 0, "SELECT first, last FROM link_window WHERE lane = 'work'") == [(1, 3)]


def test_the_sender_is_killed_between_the_commit_of_its_numbers_and_its_data(tmp_path: Path) -> None:
    at = f"127.0.0.1:{free_port()}"
    with process(tmp_path, 0, at) as receiver:
        receiver.wait_for("serving")
        with process(tmp_path, 1, "127.0.0.1:0", at, "--send", "3", "--die-at", "Numbered", "after") as sender:
            assert sender.died() == -signal.SIGKILL
        assert rows(tmp_path, 0, INBOX) == []
        assert rows(tmp_path, 1, "SELECT number FROM outbox ORDER BY seq") == [(1,), (2,), (3,)]
        with process(tmp_path, 1, "127.0.0.1:0", at) as sender:
            assert sender.wait_for("done")["count"] == 3
    assert [number for _, _, number in rows(tmp_path, 0, INBOX)] == [1, 2, 3]


@pytest.mark.parametrize(("record", "after"), [("Arrived", "after"), ("Answered", "after")])
def test_the_root_is_killed_beside_a_commit_and_each_envelope_has_one_fate(
    tmp_path: Path, record: str, after: str
) -> None:
    at = f"127.0.0.1:{free_port()}"
    sending = ("--send", "3", "--to", "agent0@netsky2")
    with process(tmp_path, 2, "127.0.0.1:0", at), process(tmp_path, 1, "127.0.0.1:0", at, *sending) as sender:
        with process(tmp_path, 0, at, "--die-at", record, after) as root:
            ids = sender.wait_for("sent")["ids"]
            assert root.died() == -signal.SIGKILL
        with process(tmp_path, 0, at):
            assert sender.wait_for("done")["count"] == 3
    assert [id_ for id_, _, _ in rows(tmp_path, 2, INBOX)] == ids
    assert rows(tmp_path, 1, "SELECT DISTINCT fate FROM outcomes") == [("delivered",)]
    assert rows(tmp_path, 0, "SELECT count(*) FROM forward") == [(0,)]
