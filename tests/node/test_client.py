"""The plain client, against nodes that answer well, badly, late or not at all."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from netsky.node import errors
from netsky.node.client import Client
from netsky.node.home import Home
from netsky.node.limits import CONTROL_ANSWER_BYTES_MAX

Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Runs a function as the other side of the next connection; gives the path of the socket."""
    listener = socket.socket(socket.AF_UNIX)
    path = str(tmp_path / "s")
    listener.bind(path)
    listener.listen()
    threads: list[threading.Thread] = []

    def start(other: Callable[[socket.socket], None]) -> str:
        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                other(connection)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return path

    yield start
    for thread in threads:
        thread.join(10)
    listener.close()


def answering(*lines: bytes) -> Callable[[socket.socket], None]:
    def other(connection: socket.socket) -> None:
        connection.recv(65_536)
        for line in lines:
            connection.sendall(line)

    return other


def test_an_answer_is_its_data(serve: Serve) -> None:
    path = serve(answering(b'{"n": 1, "ok": ', b'true, "data": {"x": "\xc3\xa4"}}\n'))
    with Client.connect_path(path) as node:
        assert node.call("echo") == {"x": "ä"}


def test_what_is_asked_is_one_line_with_names_that_python_reserves(serve: Serve) -> None:
    got: list[bytes] = []

    def other(connection: socket.socket) -> None:
        got.append(connection.recv(65_536))
        connection.sendall(b'{"n": 1, "ok": true, "data": {}}\n')

    with Client.connect_path(serve(other)) as node:
        node.call("send", **{"from": "agent1", "text": "a\nb ü"})
    assert got[0].endswith(b"\n")
    assert json.loads(got[0]) == {"n": 1, "verb": "send", "args": {"from": "agent1", "text": "a\nb ü"}}


@pytest.mark.parametrize("number", sorted(errors.BY_EXIT))
def test_an_error_is_raised_as_the_kind_that_its_exit_code_names(serve: Serve, number: int) -> None:
    said = {"code": "c", "exit": number, "message": "m", "next": "t"}
    path = serve(answering(json.dumps({"n": 1, "ok": False, "error": said}).encode() + b"\n"))
    with Client.connect_path(path) as node, pytest.raises(errors.BY_EXIT[number]) as caught:
        node.call("x")
    assert (caught.value.code, caught.value.message, caught.value.next) == ("c", "m", "t")
    assert type(caught.value) is errors.BY_EXIT[number]


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"[]\n",
        b"\xff\n",
        b'{"n": 7, "ok": true}\n',
        b'{"n": 1, "event": {}}\n',
        b"x" * (CONTROL_ANSWER_BYTES_MAX + 100_000),
        b'{"n": 1, "ok": false, "error": 5}\n',
        b'{"n": 1}\n',
    ],
)
def test_a_node_that_answers_nonsense_is_an_error_with_a_next_step(serve: Serve, line: bytes) -> None:
    def other(connection: socket.socket) -> None:
        connection.recv(65_536)
        try:
            connection.sendall(line)
        except OSError:
            return

    with Client.connect_path(serve(other)) as node, pytest.raises(errors.NetskyError) as caught:
        node.call("x")
    assert caught.value.next


def test_a_node_that_hangs_up_or_is_late_is_told_apart(serve: Serve) -> None:
    with Client.connect_path(serve(answering(b'{"n": 1, "o'))) as node, pytest.raises(errors.Unreachable) as lost:
        node.call("x")
    assert lost.value.code == "connection_lost"
    held = threading.Event()
    path = serve(lambda _: held.wait(10) and None)
    with Client.connect_path(path, timeout=0.05) as node, pytest.raises(errors.TimedOut):
        node.call("x")
    held.set()


def test_half_a_character_is_refused_by_the_name_of_its_argument(serve: Serve) -> None:
    with (
        Client.connect_path(serve(lambda _: None)) as node,
        pytest.raises(errors.Usage, match="trace: 'id' is not valid UTF-8"),
    ):
        node.call("trace", actor="agent1", id="\udcff")


def test_a_stream_is_its_events(serve: Serve) -> None:
    lines = b'{"n": 1, "event": {"a": 1}}\n{"n": 1, "event": {"a": 2}}\n{"n": 1, "ok": true, "data": {}}\n'
    with Client.connect_path(serve(answering(lines))) as node:
        assert list(node.stream("events")) == [{"a": 1}, {"a": 2}]


def test_a_refusal_that_came_before_the_request_was_read_is_still_told(serve: Serve) -> None:
    refusal = b'{"n": null, "ok": false, "error": {"code": "too_many_connections", "exit": 8}}\n'
    path = serve(lambda connection: connection.sendall(refusal))
    with Client.connect_path(path) as node, pytest.raises(errors.TryLater) as caught:
        node.request("send", {"text": "x" * 1_000_000})
    assert caught.value.code == "too_many_connections"


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    for path in (str(tmp_path / "nothing"), str(tmp_path / ("long" * 50)), str(tmp_path)):
        with pytest.raises(errors.Unreachable):
            Client.connect_path(path)
    with pytest.raises(errors.Unreachable, match="inside"):
        Client.connect(environ={"NETSKY_SOCKET": str(tmp_path / "inside")})
    with pytest.raises(errors.Unreachable, match="operator"):
        Client.connect(Home(str(tmp_path)), environ={"NETSKY_SOCKET": str(tmp_path / "inside")})


def test_the_client_and_starting_a_node_need_no_heavy_library() -> None:
    heavy = {"trio", "iroh", "cryptography", "sqlite3", "asyncio", "msgpack"}
    # What measures coverage may be loaded before the first line: only what we add counts.
    code = (
        "import sys; before = set(sys.modules); import netsky.node.client, netsky.node.up; "
        f"print(sorted({heavy!r} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
