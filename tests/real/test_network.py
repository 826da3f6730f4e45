"""What only real processes and real sockets show of the network: kills, moves, relays that are not there."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.mesh.iroh_transport import IrohTransport
from netsky.mesh.transport import PeerAddress, TransportError, TransportOptions
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.node import up
from netsky.node.home import Home

from tests import needs
from tests.conformance.transport import ALPN, exactly
from tests.mesh.world import Node

pytestmark = pytest.mark.real

HERE = TransportOptions("127.0.0.1:0")
DEAD_RELAY = "http://127.0.0.1:9"
DIALS = 15
DELAY_MS_MAX = 100


@contextmanager
def peer(bind: str = "127.0.0.1:0") -> Iterator[tuple[subprocess.Popen[str], PeerAddress]]:
    """Another process that listens as Node(2), and where."""
    command = [sys.executable, "-m", "tests.real.network_peer", "2", bind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, PeerAddress(Node(2).key, tuple(json.loads(process.stdout.readline())))
        finally:
            process.kill()


async def ask(transport: IrohTransport, at: PeerAddress) -> tuple[float, Any, Any]:
    """Dials and is answered: how many ms that took, the connection and its stream."""
    began = time.perf_counter()
    connection = await transport.dial(at, ALPN)
    stream = await connection.open_stream()
    await stream.send(b"ping")
    assert await exactly(stream, 4) == b"ping"
    return 1000 * (time.perf_counter() - began), connection, stream


async def test_a_dead_relay_delays_a_direct_connection_by_less_than_100_ms() -> None:
    """Both ends name it: the one who dials in its options, the peer in its address. Interleaved, medians."""
    [silent] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    relays = {
        "without a relay": None,
        "with one that refuses": DEAD_RELAY,
        "with one that never answers": f"http://127.0.0.1:{silent.socket.getsockname()[1]}",
        "with a name that is unknown": "https://relay.invalid",
    }
    took: dict[str, list[float]] = {name: [] for name in relays}
    with trio_as_event_loop(), trio.fail_after(60), peer() as (_, at):
        for _ in range(DIALS):
            for name, relay in relays.items():
                options = HERE if relay is None else TransportOptions(HERE.bind, (relay,))
                transport = await IrohTransport.open(Node(1).secret, [], options)
                ms, connection, _ = await ask(transport, PeerAddress(at.key, at.direct, relay))
                took[name].append(ms)
                connection.close(0, b"")
                with trio.move_on_after(0.1):
                    await transport.close()
    await silent.aclose()
    print(f"\ndial, stream and first answer, of {DIALS}:")
    for name, each in took.items():
        print(f"  {name:<28} median {statistics.median(each):6.1f} ms, slowest {max(each):6.1f} ms")
    base = statistics.median(took.pop("without a relay"))
    assert max(statistics.median(each) for each in took.values()) - base < DELAY_MS_MAX


async def test_a_killed_peer_is_not_noticed_by_iroh_in_time_and_its_successor_is_dialled_at_once() -> None:
    """Why a link has heartbeats. The successor has the same key and another port."""
    with trio_as_event_loop(), trio.fail_after(60):
        transport = await IrohTransport.open(Node(1).secret, [], HERE)
        with peer() as (process, at):
            _, connection, stream = await ask(transport, at)
            process.kill()
            process.wait()
            await stream.send(b"into the void")
            with trio.move_on_after(1) as nothing:
                await connection.closed()
            assert nothing.cancelled_caught, "iroh notices by itself now: heartbeats could be slower"
            connection.close(0, b"")
            with pytest.raises(TransportError):
                await stream.receive(1)
            with trio.move_on_after(0.5) as nobody:
                await transport.dial(at, ALPN)
            assert nobody.cancelled_caught, "the caller's deadline ends a dial to nobody"
        with peer() as (_, successor):
            assert successor != at
            ms, connection, _ = await ask(transport, PeerAddress(at.key, at.direct + successor.direct))
            print(f"\ndialled again at another port, the old one tried too: {ms:.1f} ms")
            assert connection.reached() == successor
        await transport.close()


def test_addresses_follow_the_machine_and_a_remembered_one_that_is_gone_does_not_hinder() -> None:
    needs.program("ip")
    command = [needs.program("unshare"), "--map-root-user", "--net", sys.executable, "-m", "tests.real.network_moves"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    print("\n" + done.stdout.strip())
    start, first, without, second, third = map(json.loads, done.stdout.splitlines())
    assert start["at_start"] == ["10.77.1.1", "10.77.2.1"], "every interface, not 0.0.0.0 and not loopback"
    assert first["reached"] == ["10.77.1.1"]
    assert without["without_one"] == ["10.77.2.1"]
    assert second["reached"] == ["10.77.2.1"]
    assert third["with_three"] == ["10.77.2.1", "10.77.3.1"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    found = Home(str(tmp_path / "home"))
    try:
        yield found
    finally:
        if up.holder_pid(found) is not None:
            netsky(found, "down")


def netsky(home: Home, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "netsky.node.cli.main", "--home", home.path, "--json", *words],
        capture_output=True, text=True, check=False, timeout=40,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_status_shows_how_the_node_listens_and_names_the_dead_relay(home: Home) -> None:
    netsky(home, "init", "--root")
    config = Path(home.config)
    text = config.read_text().replace('# bind = ""', 'bind = "127.0.0.1:0"')
    config.write_text(text.replace("# relays = []", f'relays = ["{DEAD_RELAY}"]'))
    assert netsky(home, "up")["ok"]
    limit = time.monotonic() + 15
    while not (status := netsky(home, "status")["data"])["faults"]:
        assert time.monotonic() < limit, "the relay was not looked at"
    network = status["network"]
    assert network["relays"] == [DEAD_RELAY + "/"], "as iroh received it"
    assert (network["bind"], network["discovery"], network["relay"]) == ("127.0.0.1:0", "none", None)
    [fault] = status["faults"]
    assert fault["code"] == "network"
    assert fault["sentence"] == f"the relay {DEAD_RELAY} does not answer: Connection refused"
    assert "netsky help network" in fault["next"]
    checks = {check["name"]: check for check in netsky(home, "doctor")["data"]["checks"]}
    assert DEAD_RELAY in checks["network"]["sentence"]
