"""The node's proxy for one cell, with hosts that exist only here and a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from netsky.node.lab.virtual import MemorySockets
from netsky.node.seams.sockets import Stream
from netsky.node.work.cell import limits
from netsky.node.work.cell.connect import scope
from netsky.node.work.cell.proxy import Proxy
from trio.testing import MockClock

PUBLIC = "93.184.216.34"
HOSTS = [
    "example.org:443",
    "inside.example:443",
    "mixed.example:443",
    "dead.example:443",
    "127.0.0.1:8080",
    "slow.example:1",
]


class Net(MemorySockets):
    def __init__(self) -> None:
        super().__init__()
        self.names |= {
            "example.org": [PUBLIC], "inside.example": ["10.0.0.5"], "mixed.example": [PUBLIC, "127.0.0.1"],
            "dead.example": ["93.184.216.99"],
        }  # fmt: skip
        self.reached: list[tuple[str, int]] = []

    async def lookup(self, host: str) -> list[str]:
        if host == "slow.example":
            await trio.sleep_forever()
        return await super().lookup(host)

    async def reach(self, address: str, port: int) -> Stream:
        self.reached.append((address, port))
        return await super().reach(address, port)


class Room:
    def __init__(self, net: Net, proxy: Proxy) -> None:
        self.net = net
        self.proxy = proxy

    async def ask(self, line: str, more: bytes = b"") -> tuple[Stream, bytes]:
        """A connection to the proxy, and the head of its answer."""
        stream = await self.net.connect("/run/proxy.sock")
        await stream.send(f"{line}\r\nHost: x\r\n\r\n".encode() + more)
        return stream, await stream.receive(4096)


Serve = Callable[[Stream], Awaitable[None]]


async def echo(stream: Stream) -> None:
    while some := await stream.receive(4096):
        await stream.send(some)
    stream.close()


async def deaf(stream: Stream) -> None:
    await trio.sleep_forever()


@asynccontextmanager
async def room(serve: Serve = echo) -> AsyncIterator[Room]:
    net = Net()
    proxy = Proxy(scope(HOSTS), net)
    listener = await net.listen("/run/proxy.sock")

    async def host(address: str) -> None:
        there = await net.listen(address)
        while True:
            nursery.start_soon(serve, await there.accept())

    async with trio.open_nursery() as nursery:
        for address in (f"{PUBLIC}:443", "127.0.0.1:8080", "10.0.0.5:443", "127.0.0.1:443"):
            nursery.start_soon(host, address)
        nursery.start_soon(proxy.serve, listener)
        await trio.testing.wait_all_tasks_blocked()
        yield Room(net, proxy)
        nursery.cancel_scope.cancel()


async def test_bytes_go_both_ways_once_a_host_of_the_scope_is_reached(autojump_clock: MockClock) -> None:
    async with room() as it:
        stream, said = await it.ask("CONNECT example.org:443 HTTP/1.1", b"early")
        assert said.startswith(b"HTTP/1.1 200 ")
        assert await stream.receive(100) == b"early"
        await stream.send(b"later")
        assert await stream.receive(100) == b"later"
        assert it.net.reached == [(PUBLIC, 443)]
        assert it.proxy.refused == {}


async def test_a_host_that_the_scope_does_not_name_is_never_looked_up(autojump_clock: MockClock) -> None:
    async with room() as it:
        stream, said = await it.ask("CONNECT evil.example:443 HTTP/1.1")
        assert said.startswith(b"HTTP/1.1 403 ")
        assert b"evil.example:443" in said
        assert await stream.receive(100) == b""
        assert it.net.reached == []
        [(asked, why)] = it.proxy.refused.items()
        assert asked == "evil.example:443"
        assert "scope" in why


@pytest.mark.parametrize("host", ["inside.example", "mixed.example"])
async def test_a_name_of_the_scope_that_leads_into_this_network_is_not_followed(
    host: str, autojump_clock: MockClock
) -> None:
    async with room() as it:
        _, said = await it.ask(f"CONNECT {host}:443 HTTP/1.1")
        assert said.startswith(b"HTTP/1.1 502 ")
        assert it.net.reached == []
        assert "no address of the internet" in it.proxy.refused[f"{host}:443"]


async def test_an_address_of_this_network_that_the_scope_names_is_reached(autojump_clock: MockClock) -> None:
    async with room() as it:
        _, said = await it.ask("CONNECT 127.0.0.1:8080 HTTP/1.1")
        assert said.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("host", ["dead.example:443", "slow.example:1"])
async def test_a_host_that_does_not_answer_is_given_up_in_time(host: str, autojump_clock: MockClock) -> None:
    async with room() as it:
        with trio.fail_after(limits.LOOKUP_SECONDS + 1):
            _, said = await it.ask(f"CONNECT {host} HTTP/1.1")
        assert said.startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("sent", [b"", b"CONNECT exam", b"CONNECT " + b"a" * (limits.HEAD_BYTES_MAX + 70_000)])
async def test_a_request_that_does_not_end_is_closed_in_time(sent: bytes, autojump_clock: MockClock) -> None:
    async with room() as it:
        stream = await it.net.connect("/run/proxy.sock")
        await stream.send(sent)
        with trio.fail_after(limits.HEAD_SECONDS + 1):
            assert (await stream.receive(4096)).startswith(b"HTTP/1.1 431 ")


async def test_a_connection_on_which_nothing_moves_is_closed(autojump_clock: MockClock) -> None:
    async with room(deaf) as it:
        stream, _ = await it.ask("CONNECT example.org:443 HTTP/1.1")
        before = trio.current_time()
        assert await stream.receive(100) == b""
        assert limits.IDLE_SECONDS <= trio.current_time() - before < limits.IDLE_SECONDS + 2


async def test_one_that_moves_now_and_then_is_kept(autojump_clock: MockClock) -> None:
    async with room() as it:
        stream, _ = await it.ask("CONNECT example.org:443 HTTP/1.1")
        for _ in range(4):
            await trio.sleep(limits.IDLE_SECONDS * 0.8)
            await stream.send(b"still here")
            assert await stream.receive(100) == b"still here"


async def test_more_connections_at_once_than_allowed_are_closed_unheard(autojump_clock: MockClock) -> None:
    async with room() as it:
        held = [await it.ask("CONNECT example.org:443 HTTP/1.1") for _ in range(limits.CONNECTIONS_MAX)]
        stream = await it.net.connect("/run/proxy.sock")
        assert await stream.receive(100) == b""
        held[0][0].close()
        await trio.testing.wait_all_tasks_blocked()
        _, said = await it.ask("CONNECT example.org:443 HTTP/1.1")
        assert said.startswith(b"HTTP/1.1 200 ")


async def test_what_one_cell_carries_in_all_has_an_end(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CARRIED_BYTES_MAX", 1000)
    async with room() as it:
        stream, _ = await it.ask("CONNECT example.org:443 HTTP/1.1")
        for _ in range(5):
            await stream.send(b"x" * 100)
            await stream.receive(100)
        assert await stream.receive(100) == b""
        _, said = await it.ask("CONNECT example.org:443 HTTP/1.1")
        assert said.startswith(b"HTTP/1.1 429 ")


async def test_connections_ever_have_an_end(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONNECTIONS_EVER", 3)
    async with room() as it:
        for _ in range(3):
            stream, said = await it.ask("CONNECT example.org:443 HTTP/1.1")
            assert said.startswith(b"HTTP/1.1 200 ")
            stream.close()
        assert await (await it.net.connect("/run/proxy.sock")).receive(1) == b""


async def test_what_was_refused_is_remembered_to_a_bound(autojump_clock: MockClock) -> None:
    async with room() as it:
        for number in range(40):
            await it.ask(f"CONNECT evil{number}.example:443 HTTP/1.1")
        assert len(it.proxy.refused) == 16


async def test_what_is_remembered_cannot_write_onto_a_terminal(autojump_clock: MockClock) -> None:
    async with room() as it:
        await it.ask("CONNECT evil\x1b[2J\x07:443 HTTP/1.1")
        assert list(it.proxy.refused) == ["evil?[2J?:443"]
