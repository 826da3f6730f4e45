"""What can go wrong between two nodes of the simulated network, and that a seed decides all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
from netsky.mesh.transport import Connection, PeerAddress, TransportError, TransportOptions, TransportStream
from netsky.node.lab.faults import KINDS, Faults, NetworkFaults, trouble
from netsky.node.lab.history import Writer
from netsky.node.lab.interpose import Killed
from netsky.node.lab.network import DIAL_SECONDS, IDLE_SECONDS, KNOCKS_MAX, MemoryNetwork, MemoryTransport
from netsky.node.lab.scheduler import run_seeded
from netsky.node.lab.virtual import SeededChance, VirtualTime
from netsky.node.lab.wires import UNACCEPTED_MAX
from trio.testing import wait_all_tasks_blocked

from tests.conformance import transport, transport_trouble
from tests.conformance.transport import ALPN, Rule, Two, exactly

RULES = (*transport.RULES, *transport_trouble.RULES)


@dataclass
class Pair:
    net: MemoryNetwork
    left: MemoryTransport
    right: MemoryTransport

    async def connect(self) -> tuple[Connection, Connection]:
        return await Two(self.left, self.right).connect()

    async def stream(self) -> tuple[TransportStream, TransportStream]:
        return await Two(self.left, self.right).stream()

    @property
    def keys(self) -> tuple[bytes, bytes]:
        return self.left.key, self.right.key


async def pair(**options: object) -> Pair:
    net = MemoryNetwork(SeededChance(1), **options)  # type: ignore[arg-type]
    left = await net.open(b"\1" * 32, [ALPN], TransportOptions("memory:1"))
    return Pair(net, left, await net.open(b"\2" * 32, [ALPN], TransportOptions("memory:2")))


@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
async def test_with_a_latency_it_keeps_every_rule_of_a_transport(rule: Rule, autojump_clock: object) -> None:
    made = await pair(latency=(0.001, 0.1))
    with trio.fail_after(600):
        await rule(Two(made.left, made.right))


async def test_bytes_are_as_late_as_the_way_is_long_and_stay_in_order(autojump_clock: object) -> None:
    made = await pair()
    ours, theirs = await made.stream()
    made.net.set_latency(*made.keys, 0.1, 0.9)
    began = trio.current_time()
    sent = [bytes([at]) * 3 for at in range(50)]
    for piece in sent:
        await ours.send(piece)
    assert await exactly(theirs, 150) == b"".join(sent)
    assert 0.1 <= trio.current_time() - began <= 0.9
    began = trio.current_time()
    await theirs.send(b"x")
    assert await ours.receive(1) == b"x"
    assert trio.current_time() == began


async def test_on_a_clogged_way_bytes_stand_still_and_the_connection_lives(autojump_clock: object) -> None:
    made = await pair()
    ours, theirs = await made.stream()
    made.net.clog(*made.keys)
    await ours.send(b"late")
    came: list[float] = []

    async def receive() -> None:
        assert await theirs.receive(9) == b"late"
        came.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await theirs.send(b"back")
        assert await ours.receive(9) == b"back"
        await trio.sleep(24 * 3600)
        assert not came
        made.net.heal(*made.keys)
    assert came == [24 * 3600]


@pytest.mark.parametrize("dialled", [True, False])
async def test_of_a_stalled_connection_one_stream_stands_still_and_the_others_go_on(
    dialled: bool, autojump_clock: object
) -> None:
    """One of its directions alone; and what stood still comes in its order."""
    made = await pair()
    ours, theirs = await made.connect()
    near, far = [], []
    for _ in range(3):
        near.append(await ours.open_stream())
        await near[-1].send(b"hello")
        far.append(await theirs.accept_stream())
        assert await far[-1].receive(9) == b"hello"
    (said, heard), (sender, receiver) = (
        ((near, far), made.keys) if dialled else ((far, near), (made.keys[1], made.keys[0]))
    )
    made.net.stall(sender, receiver, 1)
    for stream in said:
        await stream.send(b"one ")
        await stream.send(b"two")
    await heard[1].send(b"back")
    assert await said[1].receive(9) == b"back"
    assert await heard[0].receive(9) == await heard[2].receive(9) == b"one two"
    with trio.move_on_after(3600) as waited:
        await heard[1].receive(9)
    assert waited.cancelled_caught


@pytest.mark.parametrize("healed", [True, False])
async def test_what_is_stalled_comes_when_it_is_healed_and_never_to_a_connection_that_is_over(
    healed: bool, autojump_clock: object
) -> None:
    made = await pair()
    ours, theirs = await made.stream()
    await ours.send(b"first")
    assert await theirs.receive(9) == b"first"
    made.net.stall(*made.keys, 0)
    await ours.send(b"late")
    if healed:
        made.net.heal(*made.keys)
        assert await theirs.receive(9) == b"late"
        return
    made.net.cut(*made.keys)
    made.net.heal(*made.keys)
    with pytest.raises(TransportError):
        await theirs.receive(9)


@pytest.mark.parametrize("one_way", [False, True])
async def test_over_a_parted_way_a_connection_lives_for_a_while_and_then_ends(
    one_way: bool, autojump_clock: object
) -> None:
    made = await pair()
    left, right = await made.connect()
    ours = await left.open_stream()
    await ours.send(b"1")
    theirs = await right.accept_stream()
    made.net.part(*made.keys, one_way=one_way)
    await theirs.receive(1)
    await ours.send(b"2")
    await theirs.send(b"back")
    with trio.move_on_after(IDLE_SECONDS - 1) as scope:
        assert one_way == (await ours.receive(9) == b"back")
    assert scope.cancelled_caught != one_way
    await trio.sleep_until(IDLE_SECONDS + 1)
    for end in (left, right):
        assert await end.closed() == "timed out"
    with pytest.raises(TransportError, match="timed out"):
        await theirs.receive(1)


async def test_a_way_that_heals_in_time_gives_everything_late_and_nothing_up(autojump_clock: object) -> None:
    made = await pair(latency=(0.01, 0.02))
    ours, theirs = await made.stream()
    for _ in range(3):
        made.net.part(*made.keys)
        await ours.send(b"late")
        await trio.sleep(IDLE_SECONDS - 1)
        made.net.heal()
        healed = trio.current_time()
        assert await exactly(theirs, 4) == b"late"
        assert 0.01 <= trio.current_time() - healed <= 0.02
    await trio.sleep(3 * IDLE_SECONDS)
    await ours.send(b"still")
    assert await exactly(theirs, 5) == b"still"


async def test_a_cut_ends_what_is_between_two_and_nothing_else(autojump_clock: object) -> None:
    made = await pair()
    third = await made.net.open(b"\3" * 32, [ALPN], TransportOptions("memory:3"))
    left, right = await made.connect()
    other, _ = await Two(third, made.right).connect()
    ours = await left.open_stream()
    await ours.send(b"on its way")
    theirs = await right.accept_stream()
    made.net.cut(*made.keys)
    for end in (left, right):
        assert "lost" in await end.closed()
    with pytest.raises(TransportError):
        await theirs.receive(9)
    await (await other.open_stream()).send(b"x")
    await made.connect()


async def test_a_killed_node_is_deaf_and_silent_and_its_peers_find_out_by_themselves(autojump_clock: object) -> None:
    made = await pair(latency=(0.1, 0.1))
    left, right = await made.connect()
    ours = await left.open_stream()
    await ours.send(b"sent before")
    theirs = await right.accept_stream()
    await ours.send(b", and this too")
    made.net.kill(made.left.key)
    left.close(0, b"of a finally")
    await made.left.close()
    for doing in (
        ours.send(b"after"), ours.receive(1), ours.finish(), left.open_stream(), left.accept_stream(), left.closed(),
        made.left.next_incoming(), made.left.dial(made.right.addresses(), ALPN),
    ):  # fmt: skip
        with pytest.raises(Killed):
            await doing
    assert await exactly(theirs, 25) == b"sent before, and this too"
    with trio.move_on_after(IDLE_SECONDS - 1) as scope:
        await theirs.receive(1)
    assert scope.cancelled_caught
    assert await right.closed() == "timed out"
    with pytest.raises(TransportError, match="nobody"):
        await made.right.dial(PeerAddress(made.left.key, (made.left.place,)), ALPN)


async def test_who_waits_in_a_killed_node_is_ended(autojump_clock: object) -> None:
    made = await pair()
    left, _ = await made.connect()
    stream = await left.open_stream()
    caught: list[str] = []

    async def wait(doing: Callable[[], object]) -> None:
        try:
            await doing()  # type: ignore[misc]
        except Killed:
            caught.append("killed")

    async with trio.open_nursery() as nursery:
        for doing in (lambda: stream.receive(1), left.closed, left.accept_stream, made.left.next_incoming):
            nursery.start_soon(wait, doing)
        await wait_all_tasks_blocked()
        made.net.kill(made.left.key)
    assert caught == ["killed"] * 4


async def test_the_next_life_of_a_killed_node_listens_at_the_same_place(autojump_clock: object) -> None:
    made = await pair()
    await made.connect()
    made.net.kill(made.right.key)
    made.right = await made.net.open(b"\2" * 32, [ALPN], TransportOptions("memory:2"))
    _, right = await made.connect()
    await trio.sleep(2 * IDLE_SECONDS)  # the timeout of the old life's connection is not that of the new one's
    right.close(0, b"")


async def test_what_heals_between_two_leaves_the_others_in_trouble(autojump_clock: object) -> None:
    made = await pair()
    third = await made.net.open(b"\3" * 32, [ALPN], TransportOptions("memory:3"))
    made.net.isolate(made.left.key)
    made.net.heal(*made.keys)
    await made.connect()
    assert not made.net.way(made.left.key, third.key).flows


def test_a_network_outlives_a_run() -> None:
    net = MemoryNetwork(latency=(0.1, 0.1))

    async def once(number: int) -> float:
        left = await net.open(b"\1" * 32, [ALPN], TransportOptions(f"memory:{number}1"))
        right = await net.open(b"\2" * 32, [ALPN], TransportOptions(f"memory:{number}2"))
        await Two(left, right).connect()
        await left.close()
        await right.close()
        return trio.current_time()

    assert [run_seeded(once, number, seed=1) for number in range(2)] == [pytest.approx(0.2)] * 2


async def test_a_place_is_one_nodes(autojump_clock: object) -> None:
    made = await pair()
    with pytest.raises(TransportError, match="already"):
        await made.net.open(b"\3" * 32, [], TransportOptions("memory:1"))


async def test_a_dial_waits_to_be_let_in_and_gives_up_in_the_end(autojump_clock: object) -> None:
    made = await pair()
    with pytest.raises(TransportError, match="nobody answered"):
        await made.left.dial(made.right.addresses(), ALPN)
    assert trio.current_time() == DIAL_SECONDS
    incoming = await made.right.next_incoming()
    with pytest.raises(TransportError):
        await incoming.accept()


async def test_a_dial_that_was_given_up_is_no_connection(autojump_clock: object) -> None:
    made = await pair(latency=(1, 1))
    with trio.move_on_after(0.5):
        await made.left.dial(made.right.addresses(), ALPN)
    connection = await (await made.right.next_incoming()).accept()
    assert "given up" in await connection.closed()


async def test_who_parts_what_is_parted_prolongs_nothing(autojump_clock: object) -> None:
    made = await pair()
    left, _ = await made.connect()
    for _ in range(2):
        made.net.part(*made.keys)
        await trio.sleep(IDLE_SECONDS - 1)
    assert await left.closed() == "timed out"
    assert trio.current_time() == 2 * (IDLE_SECONDS - 1)


@pytest.mark.parametrize(
    ("fault", "said"),
    [("part", "nobody answered"), ("isolate", "nobody answered"), ("cut", "lost"), ("kill", "nobody answered")],
)
async def test_a_dial_into_trouble_fails(fault: str, said: str, autojump_clock: object) -> None:
    made = await pair(latency=(1, 1))
    async with trio.open_nursery() as nursery:

        async def meddle() -> None:
            await trio.sleep(0.5)
            if fault == "part":
                made.net.part(*made.keys)
            elif fault == "isolate":
                made.net.isolate(made.right.key)
            elif fault == "cut":
                made.net.cut(*made.keys)
            else:
                made.net.kill(made.right.key)

        nursery.start_soon(meddle)
        with pytest.raises(TransportError, match=said):
            await made.left.dial(made.right.addresses(), ALPN)


async def test_only_so_many_wait_at_the_door(autojump_clock: object) -> None:
    made = await pair()
    async with trio.open_nursery() as nursery:
        for _ in range(KNOCKS_MAX):
            nursery.start_soon(made.left.dial, made.right.addresses(), ALPN)
        await wait_all_tasks_blocked()
        with pytest.raises(TransportError, match="too many"):
            await made.left.dial(made.right.addresses(), ALPN)
        for _ in range(KNOCKS_MAX):
            await (await made.right.next_incoming()).accept()


async def test_a_peer_that_opens_streams_without_end_waits_for_them_to_be_taken(autojump_clock: object) -> None:
    made = await pair()
    left, right = await made.connect()
    opened = 0

    async def flood() -> None:
        nonlocal opened
        for _ in range(2 * UNACCEPTED_MAX):
            await (await left.open_stream()).send(b"x")
            opened += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flood)
        await wait_all_tasks_blocked()
        assert opened == UNACCEPTED_MAX
        await right.accept_stream()
        await wait_all_tasks_blocked()
        assert opened == UNACCEPTED_MAX + 1
        nursery.cancel_scope.cancel()


async def test_what_waits_for_streams_to_be_taken_ends_with_the_connection(autojump_clock: object) -> None:
    made = await pair()
    left, _ = await made.connect()
    async with trio.open_nursery() as nursery:

        async def flood() -> None:
            for _ in range(UNACCEPTED_MAX):
                await (await left.open_stream()).send(b"x")
            with pytest.raises(TransportError, match="lost"):
                await left.open_stream()

        nursery.start_soon(flood)
        await wait_all_tasks_blocked()
        made.net.cut(*made.keys)


async def test_a_close_over_a_clogged_way_is_heard_when_it_flows_again(autojump_clock: object) -> None:
    made = await pair()
    left, right = await made.connect()
    made.net.clog(*made.keys)
    left.close(3, b"enough")
    with trio.move_on_after(3600) as scope:
        await right.closed()
    assert scope.cancelled_caught
    made.net.heal(made.left.key)
    assert "enough" in await right.closed()


# By a seed.


@asynccontextmanager
async def chatter(net: MemoryNetwork, history: Writer) -> AsyncIterator[list[MemoryTransport]]:
    """Three nodes that dial each other without end and count what comes over."""
    nodes = [await net.open(bytes([n + 1]) * 32, [ALPN], TransportOptions(f"memory:4{n}")) for n in range(3)]

    async def listen(at: int) -> None:
        while True:
            incoming = await nodes[at].next_incoming()
            try:
                nursery.start_soon(read, at, await incoming.accept())
            except TransportError:
                history.note("gauge", value=[at, "gave up"])

    async def read(at: int, connection: Connection) -> None:
        got = 0
        try:
            stream = await connection.accept_stream()
            while True:
                got += len(await stream.receive(1000))
                history.note("gauge", value=[at, got])
        except TransportError as error:
            history.note("gauge", value=[at, got], reason=str(error))

    async def dial(at: int, to: int) -> None:
        while True:
            try:
                connection = await nodes[at].dial(nodes[to].addresses(), ALPN)
                stream = await connection.open_stream()
                while True:
                    await stream.send(bytes(100))
                    await trio.sleep(1)
            except TransportError:
                await trio.sleep(0.5)

    async with trio.open_nursery() as nursery:
        for at in range(3):
            nursery.start_soon(listen, at)
            for to in range(at):
                nursery.start_soon(dial, at, to)
        yield nodes
        nursery.cancel_scope.cancel()


def one_run(seed: int) -> bytes:
    lines: list[bytes] = []

    async def main() -> None:
        net = MemoryNetwork(SeededChance(seed), latency=(0.001, 0.2))
        history = Writer(lines.append, VirtualTime().wall, node="lab", by="network")
        async with chatter(net, history) as nodes:
            chance = SeededChance(seed + 1)
            names = {f"netsky{at}": node.key for at, node in enumerate(nodes)}
            await trouble(
                NetworkFaults(net, names, history).draws(),
                Faults(every=2, lasting=(0.1, 40)),
                chance,
                history,
                seconds=400,
            )
            healed = len(lines)
            await trio.sleep(60)
            assert len(lines) > healed + 3 * 50, "after the trouble everything moves"

    run_seeded(main, seed=seed)
    return b"".join(lines)


def test_the_same_seed_is_the_same_history_byte_for_byte_and_another_is_another() -> None:
    first = one_run(7)
    assert one_run(7) == first
    assert one_run(8) != first
    for kind in KINDS:
        assert f'"reason":"{kind}"'.encode() in first
    assert first.count(b'"ev":"fault"') == first.count(b'"ev":"heal"') > 10
