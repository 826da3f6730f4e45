"""What people and strangers write, damaged: the TOML readers and the sockets answer with a sentence, and go on.

The decoders of envelopes have theirs in tests/envelope/test_fuzz.py.
"""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from netsky.node.config import parse_config
from netsky.node.daemon.lines import parse_request
from netsky.node.errors import NetskyError
from netsky.node.lab.virtual import MemorySockets
from netsky.node.verbs import TABLE

from tests.node.crash_world import World

TOML_CASES = 5_000
LINE_CASES = 20_000
REQUESTS = 3_000
MEMORY_MAX = 8 << 20

CONFIG = b"""# a config
name = "netsky0"
label = "desk"
inbox_envelopes_max = 1000
[link]
bind = "127.0.0.1:4433"
"""
ROUTES = b"""[node]
name = "netsky0"

[routes]
review = "agent4@netsky1 -> agent2@netsky2: text reply"
any = "*@netsky1 -> agent0@netsky3: *"
"""
LINES = (
    b'{"n": 1, "verb": "send", "args": {"to": "agent1", "text": "hello", "data": {"a": [1, 2.5, null]}}}',
    b'{"n": "x", "verb": "claim", "args": {"actor": "agent1", "files": ["a", "b"]}}',
    b'{"n": null, "verb": "query", "args": {"sql": "SELECT 1"}}',
)
VALUES: tuple[Any, ...] = (
    None, True, -1, 2**63, 2**70, 1.5, float("1e308"), "", "agent1", "agent0", "worker1", "owner", "\ud800", "\x00",
    "\x1b[2J", "a" * 70_000, "'; --", "../../etc", "</channel>", [], ["a"], [None], [[]], {}, {"a": {"b": []}},
    {"\ud800": 1}, [1] * 300,
)  # fmt: skip
PIECES = (b"[" * 3000, b'"', b"\\ud800", b"\x00", b"= ", b"{", b"1e999", b"'''", b"\xff")
NAMES = (
    *("to", "text", "from", "kind", "data", "drafts", "actor", "files", "ids", "id", "sql", "limit", "wait_s"),
    *("command", "mode", "cwd", "environment", "expires_in", "in_reply_to", "idempotency_key", "what", "requires_ack"),
    *("label", "schedule", "target", "prompt", "tz", "here", "missed", "every", "in", "count"),
)
ENDLESS = {"events", "follow", "wait", "stop", "query"}
"""They wait or stop the node, which is their task; a query runs on a thread, which a virtual clock outruns."""


def damaged(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(5):
            case 0 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                del changed[at : at + chance.randrange(1, 12)]
            case 2:
                changed[at:at] = chance.choice(
                    (b"[" * 3000, b'"', b"\\ud800", b"\x00", b"= ", b"{", b"1e999", b"'''", b"\xff")
                )
            case 3:
                changed[at:at] = data[chance.randrange(len(data)) :]
            case _:
                changed[at:at] = chance.randbytes(chance.randrange(6))
    return bytes(changed)


def bear(reader: Callable[[bytes], object], sound: tuple[bytes, ...], cases: int) -> int:
    """Every damaged form is read or refused with a sentence. Says how many were refused."""
    chance = random.Random(20261121)
    refused, mute = 0, 0
    tracemalloc.start()
    try:
        for _ in range(cases):
            try:
                reader(damaged(chance.choice(sound), chance))
            except NetskyError as error:
                refused += 1
                mute += not (error.message and error.next)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert mute == 0
    assert peak < MEMORY_MAX
    return refused


def test_a_damaged_config_is_read_or_refused_with_a_sentence() -> None:
    assert bear(lambda data: parse_config(data, "config.toml"), (CONFIG,), TOML_CASES) > TOML_CASES / 2


def test_damaged_lines_of_routes_are_read_or_refused_with_a_sentence() -> None:
    assert len(parse_config(ROUTES, "config.toml").routes) == 2
    assert bear(lambda data: parse_config(data, "config.toml"), (ROUTES,), TOML_CASES) > TOML_CASES / 2


def test_a_damaged_request_is_read_or_refused_with_a_sentence() -> None:
    assert bear(parse_request, LINES, LINE_CASES) > LINE_CASES / 4


def request(chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return damaged(chance.choice(LINES), chance).replace(b"\n", b" ")
    verb = chance.choice([name for name in sorted(TABLE) if name not in ENDLESS])
    args = {chance.choice(NAMES): chance.choice(VALUES) for _ in range(chance.randrange(5))}
    return json.dumps({"n": chance.randrange(9), "verb": verb, "args": args}).encode()


async def ask(world: World, sockets: MemorySockets, line: bytes) -> dict[str, Any]:
    stream = await sockets.connect(world.home.operator_socket)
    await stream.send(line + b"\n")
    data = b""
    while b"\n" not in data:
        more = b""
        with trio.move_on_after(20):
            more = await stream.receive(65_536)
        assert more, f"no answer to {line[:300]!r}"
        data += more
    stream.close()
    answer: dict[str, Any] = json.loads(data.split(b"\n")[0])
    return answer


async def storm(world: World, sockets: MemorySockets) -> None:
    chance = random.Random(20261121)
    for _ in range(REQUESTS):
        line = request(chance)
        if any(f'"{name}"'.encode() in line for name in ENDLESS):
            continue  # damage may have made one of them
        answer = await ask(world, sockets, line)
        assert answer.get("ok") or "event" in answer or answer["error"]["code"] != "internal", (line[:300], answer)
    assert (await ask(world, sockets, b'{"n": 1, "verb": "ping"}'))["ok"]


def test_a_node_answers_every_request_that_makes_no_sense_and_lives(tmp_path: Path) -> None:
    async def lives() -> None:
        await World(str(tmp_path / "home")).live(storm, None)

    trio.run(lives, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b'"x"', b'{"verb": 1}', b"\xff\xfe", b'{"n": 1, "verb": "nothing"}']
)
def test_a_line_that_is_no_request_gets_an_error(tmp_path: Path, line: bytes) -> None:
    async def story(world: World, sockets: MemorySockets) -> None:
        answer = await ask(world, sockets, line)
        assert answer["ok"] is False
        assert answer["error"]["next"]

    async def lives() -> None:
        await World(str(tmp_path / "home")).live(story, None)

    trio.run(lives, clock=trio.testing.MockClock(autojump_threshold=0))
