"""The rules of `tests/conformance/transport.py` for both transports, and what is iroh's own."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

import iroh
import pytest
import trio
import trio.testing
from iroh import iroh_ffi
from netsky.mesh.channel import refuse_more_streams
from netsky.mesh.iroh_transport import (
    IrohConnection,
    IrohTransport,
    _sentence,
    iroh_options,
    received,
    without_backtraces,
)
from netsky.mesh.transport import OpenTransport, PeerAddress, Transport, TransportError, TransportOptions
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.mesh.uniffi_copy import _write_at_once, copy_at_once
from netsky.node.lab.network import MemoryNetwork

from tests.conformance import transport, transport_trouble
from tests.conformance.transport import ALPN, Rule, Two, exactly
from tests.mesh.world import Node

HERE = TransportOptions("127.0.0.1:0")
Opener = Callable[[], OpenTransport]
KINDS: dict[str, tuple[Opener, Callable[[], AbstractContextManager[None]]]] = {
    "iroh": (lambda: IrohTransport, trio_as_event_loop),
    "memory": (MemoryNetwork, nullcontext),
}

RULES = (*transport.RULES, *transport_trouble.RULES)


@pytest.mark.parametrize(("opener", "around"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
async def test_of_a_transport(opener: Opener, around: Callable[[], AbstractContextManager[None]], rule: Rule) -> None:
    with around(), trio.fail_after(20):
        network = opener()
        left = await network.open(Node(1).secret, [], HERE)
        right = await network.open(Node(2).secret, [ALPN], HERE)
        try:
            await rule(Two(left, right))
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(0.5):  # iroh takes 3 s over a broken handshake
                await left.close()
                await right.close()


async def iroh_pair() -> tuple[Transport, Transport]:
    left = await IrohTransport.open(Node(1).secret, [], HERE)
    right = await IrohTransport.open(Node(2).secret, [ALPN], HERE)
    return left, right


@contextlib.asynccontextmanager
async def listening(options: TransportOptions) -> AsyncIterator[IrohTransport]:
    with trio_as_event_loop(), trio.fail_after(20):
        transport = await IrohTransport.open(Node(1).secret, [ALPN], options)
        try:
            yield transport
        finally:
            with trio.CancelScope(shield=True):
                await transport.close()


async def test_the_options_are_shown_as_iroh_received_them() -> None:
    async with listening(HERE) as transport:
        [direct] = transport.addresses().direct
        shown = transport.describe()
        assert direct in shown.pop("sockets"), "beside the one for IPv6 that iroh always binds"
        assert shown == {
            "iroh": importlib.metadata.version("iroh"),
            "bind": "127.0.0.1:0",
            "alpns": [ALPN.decode(), "netsky/versions"],
            "relays": [],
            "discovery": "none",
            "fast_copy": True,
            "addresses": [direct],
            "relay": None,
        }
        assert transport.troubles() == []


def test_relays_and_n0_reach_iroh_as_the_config_has_them() -> None:
    def asked(**options: Any) -> dict[str, Any]:
        options_ = TransportOptions("127.0.0.1:0", **options)
        return received(iroh_options(Node(1).secret, [ALPN], options_), options_)

    own = asked(relays=("https://relay.example.org", "http://10.0.0.1:3340"))
    assert own["relays"] == ["http://10.0.0.1:3340/", "https://relay.example.org/"], "as iroh writes a URL"
    assert own["discovery"] == "none"
    n0 = asked(n0=True)
    assert n0["discovery"] == "n0"
    assert n0["relays"]
    assert all(".iroh." in url for url in n0["relays"])


async def test_a_relay_that_nobody_answers_at_is_named_and_peers_are_told_of_it_all_the_same() -> None:
    relays = ("http://127.0.0.1:9",)
    async with listening(TransportOptions("127.0.0.1:0", relays)) as transport:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.watch)
            while not transport.troubles():
                await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()
        assert transport.troubles() == ["the relay http://127.0.0.1:9 does not answer: Connection refused"]
        assert transport.addresses().relay == "http://127.0.0.1:9"


async def test_a_relay_that_answers_and_takes_nobody_is_a_trouble_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("netsky.mesh.iroh_transport.RELAY_ANSWER_SECONDS", 0.2)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        async with listening(TransportOptions("127.0.0.1:0", (f"http://127.0.0.1:{port}",))) as transport:
            assert transport.troubles() == []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(transport.watch)
                while not transport.troubles():
                    await trio.testing.wait_all_tasks_blocked(0.01)
                nursery.cancel_scope.cancel()
            assert transport.troubles() == [
                "no relay has taken this node: peers reach it by its direct addresses alone"
            ]


async def test_a_relay_that_is_back_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsky.mesh.iroh_transport.RELAY_LOOK_SECONDS", 0.02)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    options = TransportOptions("127.0.0.1:0", (f"http://127.0.0.1:{port}",))
    async with listening(options) as transport, trio.open_nursery() as nursery:
        nursery.start_soon(transport.watch)
        while not transport.troubles():
            await trio.testing.wait_all_tasks_blocked(0.01)
        async with (await trio.open_tcp_listeners(port, host="127.0.0.1"))[0]:
            while any("does not answer" in sentence for sentence in transport.troubles()):
                await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()


def test_the_path_in_use_is_remembered_first_and_the_relay_by_its_url() -> None:
    def path(remote_addr: str, kind: str, *, is_selected: bool = False) -> SimpleNamespace:
        return SimpleNamespace(
            remote_addr=remote_addr, is_ip=kind == "ip", is_relay=kind == "relay", is_selected=is_selected
        )

    paths = [
        path("192.0.2.1:7", "ip"),
        path("odd", "relay"),
        path("https://r/", "relay"),
        path("192.0.2.2:7", "ip", is_selected=True),
    ]
    raw = SimpleNamespace(
        paths=lambda: paths,
        remote_id=lambda: SimpleNamespace(to_bytes=lambda: Node(2).key),
        alpn=lambda: ALPN,
        set_max_concurrent_bi_streams=lambda _: None,
        set_max_concurrent_uni_streams=lambda _: None,
    )
    reached = IrohConnection(raw, accepted=False).reached()
    assert reached == PeerAddress(Node(2).key, ("192.0.2.2:7", "192.0.2.1:7"), "https://r/")


async def test_a_relay_that_is_no_url_is_a_transport_error() -> None:
    with trio_as_event_loop(), pytest.raises(TransportError, match="relay"):
        await IrohTransport.open(Node(1).secret, [ALPN], TransportOptions("127.0.0.1:0", ("nonsense",)))


async def test_a_thousand_cancelled_calls_leave_nothing_in_the_binding() -> None:
    with trio_as_event_loop(), trio.fail_after(20):
        left, right = await iroh_pair()
        ours, theirs = await Two(left, right).connect()
        waiting = iroh_ffi._UniffiContinuationHandleMap

        async def cancel_soon(call: Callable[[], Awaitable[object]], moments: int) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                for _ in range(moments):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()

        before = len(waiting)
        for number in range(250):
            for call in (theirs.accept_stream, theirs.closed, right.next_incoming):
                await cancel_soon(call, number % 4)
            stream = await ours.open_stream()
            await cancel_soon(lambda stream=stream: stream.receive(1), number % 4)  # type: ignore[misc]
            if number % 50 == 49:  # the streams of before are given back
                ours.close(0, b"")
                ours, theirs = await Two(left, right).connect()
        while len(waiting) > before:  # the last ones are told on another thread
            await trio.testing.wait_all_tasks_blocked(0.01)
        await left.close()
        await right.close()


async def test_the_secret_key_of_a_node_is_its_name_on_the_wire() -> None:
    with trio_as_event_loop():
        transport = await IrohTransport.open(Node(1).secret, [ALPN], HERE)
        assert transport.key == transport.addresses().key == Node(1).key
        assert transport.addresses().relay is None
        await transport.close()


async def test_an_address_that_is_taken_or_nonsense_is_a_transport_error() -> None:
    with trio_as_event_loop():
        for bind in ("nonsense", "192.0.2.1:5"):
            with pytest.raises(TransportError):
                await IrohTransport.open(Node(1).secret, [ALPN], TransportOptions(bind))


@pytest.mark.parametrize("kind", ["one-way", "two-way"])
async def test_a_stream_that_a_link_does_not_have_is_noticed(kind: str) -> None:
    with trio_as_event_loop(), trio.fail_after(20):
        left, right = await iroh_pair()
        ours, theirs = await Two(left, right).connect()
        raw = ours._connection  # type: ignore[attr-defined]
        stream = await raw.open_uni() if kind == "one-way" else (await raw.open_bi()).send()
        await stream.write_all(b"x")
        with pytest.raises(TransportError, match="stream"):
            await refuse_more_streams(theirs)
        await left.close()
        await right.close()


def test_a_sentence_of_iroh_is_its_innermost_cause_without_foreign_paths() -> None:
    message = "Outer (/a/b.rs:1:2)\nCaused by:\n    Inner (/rustc/c.rs:3:4)\n    timed out"
    assert _sentence(message) == "timed out"
    assert _sentence("Connecting failed (/home/x/y.rs:76:20)") == "Connecting failed"
    assert _sentence("closed by peer: bye (code 7)") == "closed by peer: bye (code 7)"
    assert _sentence("") == "iroh gave no reason"
    closed = 'ConnectionLost(ApplicationClosed(ApplicationClose { error_code: 19, reason: b"revoked: it left" }))'
    assert _sentence(closed) == "the peer closed the connection: revoked: it left"


# What the generated code came with, line for line.
def shipped_write(self: object, value: bytes) -> None:
    with self._reserve(len(value)):  # type: ignore[attr-defined]
        for i, byte in enumerate(value):
            self.rbuf.data[self.rbuf.len + i] = byte  # type: ignore[attr-defined]


def fresh_builder() -> type:
    """A class of its own, with the methods of the generated one and the write that it shipped with."""
    source = iroh_ffi._UniffiRustBufferBuilder
    return type("Builder", (), {**dict(vars(source)), "write": shipped_write})


@pytest.mark.parametrize("fast", [True, False])
def test_bytes_reach_rust_the_same_by_both_copies(fast: bool) -> None:
    builder_class = fresh_builder()
    if fast:
        assert copy_at_once(builder_class, iroh_ffi._UniffiRustBuffer)
    assert (builder_class.write is _write_at_once) is fast  # type: ignore[attr-defined]
    sent = bytes(range(256)) * 5
    builder = builder_class()
    for piece in (b"", sent, b"tail", bytearray(b"!"), memoryview(b"?")):
        builder.write_i32(len(piece))
        builder.write(piece)
    buffer = builder.finalize()
    with buffer.consume_with_stream() as stream:
        got = [stream.read(stream.read_i32()) for _ in range(5)]
    assert got == [b"", sent, b"tail", b"!", b"?"]


def test_a_copy_of_another_shape_is_left_alone() -> None:
    def other_write(self: object, value: bytes) -> None:
        raise AssertionError

    def other_reserve(self: object, size: int) -> None:
        raise AssertionError

    buffer = iroh_ffi._UniffiRustBuffer
    for changed in ({"write": other_write}, {"_reserve": other_reserve}, {"write": None}, {"write": len}):
        builder = type("Builder", (), {**dict(vars(fresh_builder())), **changed})
        before = builder.write  # type: ignore[attr-defined]
        assert not copy_at_once(builder, buffer)
        assert builder.write is before  # type: ignore[attr-defined]
    odd = type("Buffer", (), {"_fields_": buffer._fields_[:2]})
    assert not copy_at_once(fresh_builder(), odd)


def test_the_installed_iroh_has_the_shape_that_is_replaced_and_twice_is_once() -> None:
    for _ in range(2):
        assert copy_at_once(iroh_ffi._UniffiRustBufferBuilder, iroh_ffi._UniffiRustBuffer)
    assert iroh.Endpoint is not None


async def test_a_megabyte_crosses_with_the_copy_that_iroh_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iroh_ffi._UniffiRustBufferBuilder, "write", shipped_write)
    monkeypatch.setattr("netsky.mesh.iroh_transport.copy_at_once", lambda *_: False)
    with trio_as_event_loop(), trio.fail_after(20):
        left, right = await iroh_pair()
        ours, theirs = await Two(left, right).stream()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send, bytes(1 << 20))
            assert await exactly(theirs, 1 << 20) == bytes(1 << 20)
        await left.close()
        await right.close()


def test_a_shell_with_backtraces_does_not_slow_down_every_error_of_iroh(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(os, "putenv", lambda *what: said.append(what))
    monkeypatch.delenv("RUST_LIB_BACKTRACE", raising=False)
    said.clear()
    without_backtraces()
    assert said == [("RUST_LIB_BACKTRACE", "0")]
    assert "RUST_LIB_BACKTRACE" not in os.environ, "programs that we start would see it"


def test_who_asks_for_the_backtraces_of_libraries_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUST_LIB_BACKTRACE", "1")
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(os, "putenv", lambda *what: said.append(what))
    without_backtraces()
    assert said == []
