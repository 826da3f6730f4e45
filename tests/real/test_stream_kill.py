"""Envelopes stream from one sibling to another over the root while one of the three daemons is killed with SIGKILL:
each that was accepted arrives once and in order, and its sender gets to know that."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from netsky.node.client import Client
from netsky.node.errors import Unreachable

from tests.real.mesh import Machine, Mesh, until

pytestmark = pytest.mark.real

STREAMED = 300
TOGETHER = 5
KILL_AT = 40
AFTER_THE_KILL = 100  # so many wait for it, however fast the others were
INBOX = (
    "SELECT messages.id, number FROM inbox JOIN messages USING (seq) WHERE actor = ? AND sender LIKE '%@netsky1' "
    "ORDER BY seq"
)
OUTBOX = (
    "SELECT DISTINCT outbox.state, outcomes.fate FROM outbox JOIN messages USING (seq) "
    "LEFT JOIN outcomes ON outcomes.leaf = messages.leaf WHERE recipient = ?"
)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    made = Mesh(tmp_path_factory.mktemp("mesh"), routes='stream = "*@netsky1 -> *@netsky2: text"', actors=3)
    try:
        made.build()
        yield made
    finally:
        made.end()


@pytest.mark.parametrize(
    ("killed", "actor"),
    [("netsky2", "agent1"), ("netsky0", "agent2"), ("netsky1", "agent3")],
    ids=["the receiver", "the root", "the sender"],
)
def test_what_was_accepted_arrives_once_and_in_order_whoever_is_killed(mesh: Mesh, killed: str, actor: str) -> None:
    sender, receiver = mesh.siblings
    [victim] = [machine for machine in mesh.machines if machine.name == killed]
    sent: list[str] = []
    died = threading.Event()
    with ThreadPoolExecutor() as pool:
        streaming = pool.submit(stream, sender, actor, sent, died)
        try:
            until(lambda: len(receiver.rows(INBOX, actor)) > KILL_AT or streaming.done(), what="the stream")
            victim.kill()
        finally:
            died.set()
        at_death = time.monotonic()
        there = len(receiver.rows(INBOX, actor))
        victim.up()
        up_again = time.monotonic()
        streaming.result(60)
    assert KILL_AT < there < STREAMED, "it was to be killed in the middle"
    assert len(sent) == STREAMED

    until(lambda: len(receiver.rows(INBOX, actor)) >= STREAMED, what="the arrival of all")
    arrived = time.monotonic()
    until(lambda: sender.rows(OUTBOX, f"{actor}@netsky2") == [("done", "delivered")], what="the last outcome")
    rows = receiver.rows(INBOX, actor)
    assert [id_ for id_, _ in rows] == sent
    numbers = [number for _, number in rows]
    assert numbers == list(range(numbers[0], numbers[0] + STREAMED))
    for machine in mesh.machines:
        status = machine.netsky("status")
        assert (status["faults"], machine.rows("SELECT * FROM crashes")) == ([], [])
        assert all(link["up"] and not link["frozen"] for link in status["links"])
    print(f"{killed}: up after {up_again - at_death:.2f} s, all there {arrived - up_again:.2f} s after that")


def stream(sender: Machine, actor: str, sent: list[str], died: threading.Event) -> None:
    """A client that asks again with the same keys when its node dies before it answers."""
    for turn in range(0, STREAMED, TOGETHER):
        if turn == STREAMED - AFTER_THE_KILL:
            assert died.wait(30)
        keys = [f"{actor}-{turn + at}" for at in range(TOGETHER)]
        drafts = [{"to": f"{actor}@netsky2", "text": f"work {key}", "idempotency_key": key} for key in keys]
        sent += send(sender, [{**draft, "from": "agent1"} for draft in drafts])


def send(sender: Machine, drafts: list[dict[str, str]]) -> list[str]:
    while True:
        try:
            with Client.connect(sender.home) as node:
                results = node.call("send", drafts=drafts)["results"]
        except Unreachable:
            time.sleep(0.05)
            continue
        assert all(result["ok"] for result in results), results
        return [result["data"]["id"] for result in results]
