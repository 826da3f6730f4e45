"""The control sockets: framing, order, bounds, and what bad input gets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from netsky.envelope.invalid import Invalid
from netsky.node.daemon.caller import OPERATOR, Caller
from netsky.node.daemon.control import Called, ControlServer, Desk
from netsky.node.daemon.lines import encode, parse_request
from netsky.node.errors import NetskyError, Usage
from netsky.node.lab.virtual import MemorySockets, VirtualTime
from netsky.node.limits import (
    CONTROL_ANSWER_BYTES_MAX,
    CONTROL_CONNECTIONS_MAX,
    CONTROL_LINE_BYTES_MAX,
    CONTROL_PIPELINE_MAX,
    CONTROL_WRITE_SECONDS,
)
from netsky.node.seams.ledger import LedgerBroken
from netsky.node.verbs.args import Args
from netsky.node.verbs.verb import Emit, Verb

AGENT = Caller("actor", "agent1", fenced=True)


class NarrowStream:
    """A stream that holds four pieces of 4 KiB, like a socket whose other side reads nothing."""

    def __init__(self, out: trio.MemorySendChannel[bytes], into: trio.MemoryReceiveChannel[bytes]) -> None:
        self._out = out
        self._into = into

    async def receive(self, limit: int) -> bytes:
        try:
            return await self._into.receive()
        except trio.EndOfChannel:
            return b""

    async def send(self, data: bytes) -> None:
        for at in range(0, len(data), 4096):
            await self._out.send(data[at : at + 4096])

    def close(self) -> None:
        self._out.close()


class NarrowSockets(MemorySockets):
    async def connect(self, path: str) -> NarrowStream:
        there, here = (trio.open_memory_channel[bytes](4) for _ in range(2))
        await self._listeners[path].arrived.send(NarrowStream(here[0], there[1]))
        return NarrowStream(there[0], here[1])


class Room:
    """A control server with a few verbs of its own, and what it told."""

    def __init__(self, sockets: MemorySockets) -> None:
        self.sockets = sockets
        self.called: list[Called] = []
        self.crashed: list[str] = []
        self.hung_up: list[tuple[str, str]] = []
        self.done: list[Any] = []
        self.gate = trio.Event()
        table = {
            "echo": Verb(self.echo, actors=True),
            "held": Verb(self.held, actors=True),
            "wait": Verb(self.held, actors=True, waits=True),
            "broken": Verb(self.broken),
            "invalid": Verb(self.invalid),
            "huge": Verb(self.huge),
            "disk": Verb(self.disk),
            "ticks": Verb(stream=self.ticks, actors=True),
        }
        self.desk = Desk(
            table,
            self.run,
            self.in_verb,
            self.called.append,
            lambda caller, why: self.hung_up.append((caller.name, why)),
            lambda: VirtualTime().monotonic(),
        )
        self.server = ControlServer(self.sockets, self.desk)

    async def run(self, verb: Verb, caller: Caller, args: Args, emit: Emit) -> dict[str, Any]:
        if verb.stream is not None:
            return await verb.stream(None, caller, args, emit)  # type: ignore[arg-type]
        assert verb.handler is not None
        return await verb.handler(None, caller, args)  # type: ignore[arg-type]

    def in_verb(self, verb: str, error: Exception) -> NetskyError:
        self.crashed.append(f"{verb}: {error!r}")
        return NetskyError("a mistake of ours", next="look into the log", code="internal")

    async def echo(self, node: object, caller: Caller, args: Args) -> dict[str, Any]:
        said = args.text("say")
        args.nothing_else()
        self.done.append(said)
        return {"said": said, "by": caller.name}

    async def held(self, node: object, caller: Caller, args: Args) -> dict[str, Any]:
        await self.gate.wait()
        self.done.append("held")
        return {}

    async def broken(self, node: object, caller: Caller, args: Args) -> dict[str, Any]:
        raise AssertionError("this cannot be")

    async def invalid(self, node: object, caller: Caller, args: Args) -> dict[str, Any]:
        raise Invalid("to", "An address has one @.", "address_form")

    async def huge(self, node: object, caller: Caller, args: Args) -> dict[str, Any]:
        return {"data": "x" * CONTROL_ANSWER_BYTES_MAX}

    async def disk(self, node: object, caller: Caller, args: Args) -> dict[str, Any]:
        raise LedgerBroken("the disk failed")

    async def ticks(self, node: object, caller: Caller, args: Args, emit: Emit) -> dict[str, Any]:
        count = args.whole("count", 3, 0, 10**9)
        for number in range(count):
            await emit({"tick": number, "pad": "p" * args.whole("pad", 0, 0, 10**6)})
        return {"count": count}


class Talk:
    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.buffer = b""

    async def say(self, *requests: object) -> None:
        data = b"".join(r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in requests)
        await self.stream.send(data)

    async def hear(self) -> dict[str, Any]:
        while b"\n" not in self.buffer:
            data = await self.stream.receive(65_536)
            if not data:
                raise EOFError
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        return found

    async def ask(self, verb: str, **args: object) -> dict[str, Any]:
        await self.say({"n": 1, "verb": verb, "args": args})
        return await self.hear()


@asynccontextmanager
async def served(sockets: MemorySockets | None = None) -> AsyncIterator[Room]:
    room = Room(sockets or MemorySockets())
    async with trio.open_nursery() as nursery:
        ready = trio.Event()
        nursery.start_soon(room.server.run, ready.set, [("op", OPERATOR), ("agent1", AGENT)])
        await ready.wait()
        yield room
        nursery.cancel_scope.cancel()


async def test_the_socket_decides_who_asks() -> None:
    async with served() as room:
        for path, name in (("op", "operator"), ("agent1", "agent1")):
            talk = Talk(await room.sockets.connect(path))
            assert await talk.ask("echo", say="hi") == {"n": 1, "ok": True, "data": {"said": "hi", "by": name}}


async def test_an_actor_may_call_only_what_the_table_gives_it() -> None:
    async with served() as room:
        talk = Talk(await room.sockets.connect("agent1"))
        error = (await talk.ask("broken"))["error"]
        assert (error["code"], error["exit"]) == ("not_for_actors", 5)
        assert room.crashed == []


async def test_answers_come_in_the_order_of_the_requests() -> None:
    async with served() as room:
        talk = Talk(await room.sockets.connect("op"))
        await talk.say(*({"n": n, "verb": "echo", "args": {"say": str(n)}} for n in range(700)))
        assert [(await talk.hear())["n"] for _ in range(700)] == list(range(700))
        assert room.done == [str(n) for n in range(700)]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"hello\n", "is not JSON"),
        (b"\xff\xfe{\n", "is not UTF-8"),
        (b"[1]\n", "is not an object"),
        (b"[" * 100_000 + b"\n", "is not JSON"),
        (b'{"n": NaN, "verb": "echo"}\n', "is not JSON"),
        (b'{"n": 1.5, "verb": "echo"}\n', "has an `n`"),
        (b'{"n": 1}\n', "has no `verb`"),
        (b'{"n": 1, "verb": "echo", "args": []}\n', "`args` that are not an object"),
        (b'{"n": 1, "verb": "echo", "from": "agent0"}\n', "has 'from' beside"),
        (b'{"n": ' + b"9" * 5000 + b', "verb": "echo"}\n', "is not JSON"),
        (b'{"n": 1, "verb": "nope"}\n', "there is no verb 'nope'"),
        (b'{"n": 1, "verb": "echo"}\n', "echo: 'say' is needed"),
        (b'{"n": 1, "verb": "echo", "args": {"say": 7}}\n', "echo: 'say' must be text"),
        (b'{"n": 1, "verb": "echo", "args": {"say": "x", "loud": true}}\n', "echo: 'loud' is not an argument"),
        (b'{"n": 1, "verb": "echo", "args": {"say": "a\\ud800"}}\n', "echo: 'say' must not hold a lone surrogate"),
        (b'{"n": 1, "verb": "echo", "args": {"say": [{"\\udc00": 1}]}}\n', "echo: 'say' must not hold a lone"),
        (b'{"n": 1, "verb": "echo", "args": {"say": "x", "say": "y"}}\n', "names 'say' twice in one object"),
        (b'{"n": 1, "verb": "invalid"}\n', "An address has one @."),
    ],
)
async def test_a_bad_request_gets_a_sentence_and_the_next_one_is_served(line: bytes, sentence: str) -> None:
    async with served() as room:
        talk = Talk(await room.sockets.connect("op"))
        await talk.say(line)
        answer = await talk.hear()
        assert not answer["ok"]
        assert sentence in answer["error"]["message"]
        assert answer["error"]["next"]
        assert (await talk.ask("echo", say="still here"))["ok"]
        assert room.crashed == []


@given(st.binary(max_size=200))
def test_no_line_makes_the_parser_fail_in_another_way(line: bytes) -> None:
    try:
        parse_request(line)
    except Usage:
        return


async def test_a_line_without_end_is_answered_and_the_connection_closed() -> None:
    async with served() as room:
        talk = Talk(await room.sockets.connect("op"))
        await talk.say(b"x" * (CONTROL_LINE_BYTES_MAX + 1))
        answer = await talk.hear()
        assert answer["error"]["code"] == "line_too_long"
        with pytest.raises(EOFError):
            await talk.hear()


async def test_a_line_at_the_cap_is_served() -> None:
    async with served() as room:
        talk = Talk(await room.sockets.connect("op"))
        frame = len(json.dumps({"n": 1, "verb": "echo", "args": {"say": ""}}))
        answer = await talk.ask("echo", say="x" * (CONTROL_LINE_BYTES_MAX - frame))
        assert answer["ok"]


async def test_a_mistake_of_ours_is_reported_and_answered_and_ends_only_that_request() -> None:
    async with served() as room:
        talk = Talk(await room.sockets.connect("op"))
        answer = await talk.ask("broken")
        assert answer["error"]["code"] == "internal"
        assert room.crashed == ["broken: AssertionError('this cannot be')"]
        assert (await talk.ask("echo", say="x"))["ok"]
        assert [(call.verb, call.exit) for call in room.called] == [("broken", 1), ("echo", 0)]


async def test_a_broken_ledger_goes_up_and_nothing_is_answered() -> None:
    with pytest.RaisesGroup(LedgerBroken, flatten_subgroups=True):
        async with served() as room:
            talk = Talk(await room.sockets.connect("op"))
            with pytest.raises(EOFError):
                await talk.ask("disk")
            await trio.sleep_forever()


async def test_an_answer_that_is_too_large_becomes_an_error() -> None:
    async with served() as room:
        talk = Talk(await room.sockets.connect("op"))
        assert (await talk.ask("huge"))["error"]["code"] == "answer_too_large"


async def test_a_stream_is_events_and_then_an_answer() -> None:
    async with served() as room:
        talk = Talk(await room.sockets.connect("op"))
        await talk.say({"n": 5, "verb": "ticks"}, {"n": 6, "verb": "echo", "args": {"say": "after"}})
        heard = [await talk.hear() for _ in range(5)]
        assert [answer.get("event", {}).get("tick") for answer in heard] == [0, 1, 2, None, None]
        assert [answer["n"] for answer in heard] == [5, 5, 5, 5, 6]


@pytest.mark.parametrize(("size", "least", "most"), [(100_000, 10, 13), (1, CONTROL_PIPELINE_MAX, None)])
async def test_what_is_read_ahead_is_bounded_by_bytes_and_by_number(
    autojump_clock: trio.testing.MockClock, size: int, least: int, most: int | None
) -> None:
    async with served(NarrowSockets()) as room:
        talk = Talk(await room.sockets.connect("op"))
        await talk.say({"n": 0, "verb": "held"})
        sent = 0
        with trio.move_on_after(5):
            while True:
                await talk.say({"n": 1, "verb": "echo", "args": {"say": "x" * size}})
                sent += 1
        # The narrow stream holds 16 KiB, the reader one line that has no room yet.
        assert least <= sent <= (most or CONTROL_PIPELINE_MAX + 6)


async def test_a_client_that_reads_nothing_is_hung_up_on_with_a_reason(autojump_clock: trio.testing.MockClock) -> None:
    async with served(NarrowSockets()) as room:
        stream = await room.sockets.connect("agent1")
        await stream.send(b'{"n": 1, "verb": "ticks", "args": {"count": 100000000}}\n')
        await trio.sleep(CONTROL_WRITE_SECONDS + 1)
        assert room.hung_up == [("agent1", f"an answer was not read for {CONTROL_WRITE_SECONDS} s")]
        assert (await Talk(await room.sockets.connect("agent1")).ask("echo", say="x"))["ok"]


async def test_who_hangs_up_ends_what_waits_for_him_but_not_what_was_asked_to_be_done() -> None:
    async with served() as room:
        talk = Talk(await room.sockets.connect("op"))
        await talk.say({"n": 1, "verb": "wait"})
        await trio.testing.wait_all_tasks_blocked()
        await talk.stream._stream.send_stream.aclose()
        answer = await talk.hear()
        assert answer["error"]["code"] == "hung_up"
        assert room.done == []
        talk = Talk(await room.sockets.connect("op"))
        await talk.say({"n": 1, "verb": "held"}, {"n": 2, "verb": "echo", "args": {"say": "x"}})
        await talk.stream._stream.send_stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        room.gate.set()
        assert [(await talk.hear())["ok"] for _ in range(2)] == [True, True]
        assert room.done == ["held", "x"]


async def test_a_socket_takes_so_many_connections_and_tells_the_next_one() -> None:
    async with served() as room:
        talks = [Talk(await room.sockets.connect("op")) for _ in range(CONTROL_CONNECTIONS_MAX)]
        for talk in talks:
            assert (await talk.ask("echo", say="x"))["ok"]
        late = Talk(await room.sockets.connect("op"))
        assert (await late.hear())["error"]["code"] == "too_many_connections"
        talks[0].stream.close()
        await trio.testing.wait_all_tasks_blocked()
        again = Talk(await room.sockets.connect("op"))
        assert (await again.ask("echo", say="x"))["ok"]


async def test_a_door_that_is_closed_ends_its_connections_and_no_others() -> None:
    async with served() as room:
        agent, operator = Talk(await room.sockets.connect("agent1")), Talk(await room.sockets.connect("op"))
        assert (await agent.ask("echo", say="x"))["ok"]
        room.server.close("agent1")
        with pytest.raises(EOFError):
            await agent.hear()
        with pytest.raises(ConnectionError):
            await room.sockets.connect("agent1")
        assert (await operator.ask("echo", say="x"))["ok"]
        await room.server.open("agent1", AGENT)
        assert (await Talk(await room.sockets.connect("agent1")).ask("echo", say="x"))["ok"]


def test_a_lone_surrogate_in_an_answer_stays_json() -> None:
    assert json.loads(encode({"n": 1, "ok": True, "data": {"name": "a\udc80b"}}))["data"]["name"] == "a\udc80b"
