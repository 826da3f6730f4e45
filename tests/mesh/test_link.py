from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from netsky.envelope.batch import Batch, Statement, encode_batch, leaves, seal
from netsky.mesh.claim import Claim, leaves_hash, seal_claim
from netsky.mesh.effects import Acked, Arrived, Froze, Up
from netsky.mesh.frames import (
    CONTROL,
    LANE_CHANNELS,
    NOWHERE,
    Ack,
    Bye,
    Data,
    Evidence,
    Frame,
    Hello,
    LaneHello,
    Open,
    Ping,
    Pong,
    Position,
)
from netsky.mesh.limits import DATA_FRAME_BYTES_MAX, DEAD_AFTER_NS, HELLO_WITHIN_NS, WINDOW_BYTES, WINDOW_ENVELOPES
from netsky.mesh.link import LinkState
from netsky.mesh.streams import IncomingState, OutgoingState

from tests.mesh.pair import Pair
from tests.mesh.world import MemoryStore, Node, Side, fresh

WORK = LANE_CHANNELS["work"]


def test_an_envelope_arrives_and_is_acknowledged() -> None:
    pair = Pair()
    batch = pair.left.node.batch(pair.right.node, "a")
    pair.left.store.add("work", batch)
    pair.connect()
    pair.run()
    assert pair.right.store.stored == {(pair.left.node.key, "a"): leaves(batch)[0]}
    assert pair.left.store.state.outgoing["work"].acked == 1
    assert Up() in pair.left.store.notices
    assert pair.closed == {}


def test_no_number_is_given_before_a_hello() -> None:
    pair = Pair()
    pair.left.store.add("work", pair.left.node.batch(pair.right.node, "a"))
    pair.connect()
    assert pair.left.link is not None
    assert pair.left.link.wanted("work") is None
    pair.run(keep=lambda to, _: to is pair.right)
    assert pair.left.store.open_ids() == [0]


def test_both_lanes_count_for_themselves_in_both_directions() -> None:
    pair = Pair()
    pair.left.store.add("work", pair.left.node.batch(pair.right.node, "a", "b"))
    pair.left.store.add("reply", pair.left.node.batch(pair.right.node, "c", kind="reply"))
    pair.right.store.add("work", pair.right.node.batch(pair.left.node, "d", kind="question"))
    pair.connect()
    pair.run()
    assert {lane: stream.acked for lane, stream in pair.left.store.state.outgoing.items()} == {"reply": 1, "work": 2}
    assert pair.right.store.state.outgoing["work"].acked == 1
    assert len(pair.right.store.stored) == 3


def test_ten_thousand_bytes_a_piece_travel_in_several_frames_under_one_seal() -> None:
    pair = Pair()
    batch = pair.left.node.batch(pair.right.node, *(f"n{i}" for i in range(40)), text="x" * 10_000)
    pair.left.store.add("work", batch)
    pair.connect()
    pair.run()
    assert len(pair.right.store.stored) == 40
    assert sum(isinstance(frame, Data) for _, frame in pair.said) == 2
    assert not pair.right.store.refused


def test_the_window_holds_the_sender_until_an_ack_makes_room() -> None:
    pair = Pair()
    count = 0
    while count < WINDOW_ENVELOPES + 64:
        pair.left.store.add("work", pair.left.node.batch(pair.right.node, *(f"n{count + i}" for i in range(64))))
        count += 64
    pair.connect()
    pair.run(keep=lambda _, frame: not isinstance(frame, Ack))
    assert pair.left.store.state.outgoing["work"].acked == 0
    assert len(pair.right.store.stored) == WINDOW_ENVELOPES
    assert len(pair.left.store.open_ids()) == 64
    pair.connect()
    pair.run()
    assert len(pair.right.store.stored) == count
    assert not pair.left.store.open_ids()


def test_an_ack_that_was_lost_is_made_good_by_the_next_hello_and_nothing_is_sent_again() -> None:
    pair = Pair()
    pair.left.store.add("work", pair.left.node.batch(pair.right.node, "a", "b"))
    pair.connect()
    pair.run(keep=lambda _, frame: not isinstance(frame, Ack))
    assert pair.left.store.state.outgoing["work"].acked == 0
    pair.said.clear()
    pair.connect()
    pair.run()
    assert pair.left.store.state.outgoing["work"].acked == 2
    assert not any(isinstance(frame, Data) for _, frame in pair.said)


def test_what_was_numbered_and_lost_on_the_way_is_sent_again_under_the_same_numbers() -> None:
    pair = Pair()
    pair.left.store.add("work", pair.left.node.batch(pair.right.node, "a", "b", "c"))
    pair.connect()
    pair.run(keep=lambda _, frame: not isinstance(frame, Data))
    assert [row.number for row in pair.left.store.rows] == [1, 2, 3]
    pair.left.store.add("work", pair.left.node.batch(pair.right.node, "d"))
    pair.connect()
    pair.run()
    assert [row.number for row in pair.left.store.rows] == [1, 2, 3, 4]
    assert len(pair.right.store.stored) == 4
    assert pair.left.store.state.outgoing["work"].acked == 4


def test_a_half_of_a_batch_that_was_stored_is_not_sent_again() -> None:
    pair = Pair()
    pair.left.store.add("work", pair.left.node.batch(pair.right.node, *(f"n{i}" for i in range(40)), text="x" * 10_000))
    seen = 0

    def first_data_only(_: Side, frame: Frame) -> bool:
        nonlocal seen
        seen += isinstance(frame, Data)
        return not isinstance(frame, Data) or seen == 1

    pair.connect()
    pair.run(first_data_only)
    before = len(pair.right.store.stored)
    assert 0 < before < 40
    pair.connect()
    pair.run()
    assert len(pair.right.store.stored) == 40
    assert pair.right.store.again == []
    assert pair.right.store.state.incoming["work"].mark == 40


def test_the_same_envelope_under_a_new_number_consumes_it_and_changes_nothing() -> None:
    pair = Pair()
    batch = pair.left.node.batch(pair.right.node, "a")
    pair.left.store.add("work", batch)
    pair.left.store.add("work", batch)
    pair.connect()
    pair.run()
    assert pair.right.store.again == ["a"]
    assert pair.left.store.state.outgoing["work"].acked == 2


def test_a_new_life_counts_from_one_again_and_the_envelope_is_still_known() -> None:
    pair = Pair()
    batch = pair.left.node.batch(pair.right.node, "a")
    pair.left.store.add("work", batch)
    pair.connect()
    pair.run()
    pair.left.store.state = fresh(life=2, lineage=b"M" * 16)
    pair.left.store.rows.clear()
    pair.left.store.add("work", batch)
    pair.connect()
    pair.run()
    incoming = pair.right.store.state.incoming["work"]
    assert (incoming.life, incoming.lineage, incoming.mark) == (2, b"M" * 16, 1)
    assert pair.right.store.again == ["a"]
    assert pair.right.store.alarms() == []


# Frames written by hand: what a receiver does with each.


def open_pair() -> Pair:
    pair = Pair()
    pair.left.store.add("work", pair.left.node.batch(pair.right.node, "a", "b"))
    pair.connect()
    pair.run()
    pair.said.clear()
    return pair


def data(pair: Pair, batch: Batch, first: int, **wrong: object) -> Data:
    own = [leaf for leaf, one in zip(leaves(batch), batch.statements, strict=True) if isinstance(one, Statement)]
    claim = Claim(0, "work", 1, first, len(own), leaves_hash(own), pair.right.node.key)
    sealer = wrong.pop("sealer", pair.left.node)
    mesh = wrong.pop("mesh", bytes(16))
    assert isinstance(sealer, Node)
    assert isinstance(mesh, bytes)
    return Data(seal_claim(sealer.sign, sealer.key, mesh, replace(claim, **wrong)), encode_batch(batch))  # type: ignore[arg-type]


def feed(pair: Pair, frame: Frame, channel: int = WORK) -> None:
    assert pair.right.link is not None
    pair.obey(pair.right, pair.right.link.receive(channel, frame, pair.now))


def test_a_number_below_the_mark_with_the_same_leaf_is_acknowledged_again_and_not_stored() -> None:
    pair = open_pair()
    stored = len(pair.right.store.log)
    feed(pair, data(pair, pair.left.node.batch(pair.right.node, "a", "b"), 1))
    assert pair.said == [("netsky2", Ack("work", 1, 2))]
    assert len(pair.right.store.log) == stored


def test_a_frame_that_begins_below_the_mark_brings_only_what_is_beyond_it() -> None:
    pair = open_pair()
    feed(pair, data(pair, pair.left.node.batch(pair.right.node, "b", "c"), 2))
    arrived = pair.right.store.log[-1]
    assert isinstance(arrived, Arrived)
    assert [arrival.number for arrival in arrived.arrivals] == [3]
    assert (arrived.claim_first, len(arrived.leaves)) == (2, 2)
    assert pair.said == [("netsky2", Ack("work", 1, 3))]
    feed(pair, data(pair, pair.left.node.batch(pair.right.node, "c"), 3))
    assert pair.said[-1] == ("netsky2", Ack("work", 1, 3))


def test_another_leaf_below_the_mark_freezes_the_lane_and_is_answered_with_proof() -> None:
    pair = open_pair()
    feed(pair, data(pair, pair.left.node.batch(pair.right.node, "other"), 2))
    assert pair.right.store.alarms() == ["diverged"]
    assert pair.right.store.state.incoming["work"].frozen == "diverged"
    [(_, evidence)] = pair.said
    assert isinstance(evidence, Evidence)
    # The other side checks the proof, believes its own seal, and stands still too.
    pair.run()
    assert pair.left.store.alarms() == ["diverged"]
    assert pair.left.store.state.outgoing["work"].frozen == "diverged"
    assert pair.closed == {}
    # Nothing moves on this lane any more, whatever connection comes next; the other lane does.
    pair.left.store.add("work", pair.left.node.batch(pair.right.node, "later"))
    pair.left.store.add("reply", pair.left.node.batch(pair.right.node, "r", kind="reply"))
    pair.connect()
    pair.run()
    feed(pair, data(pair, pair.left.node.batch(pair.right.node, "c"), 3))
    assert [id_ for _, id_ in pair.right.store.stored] == ["a", "b", "r"]
    assert pair.right.link is not None
    assert pair.right.link.frozen() == {("work", "in"): "diverged"}


CLAIMS: dict[str, dict[str, object]] = {
    "another receiver": {"receiver": bytes(32)},
    "another lane": {"lane": "reply"},
    "another life": {"life": 2},
    "another reign": {"reign": 1},
    "more than there are": {"count": 2},
    "other leaves": {"leaves": bytes(32)},
    "another signer": {"sealer": Node(3)},
    "another mesh": {"mesh": b"m" * 16},
}


@pytest.mark.parametrize("wrong", CLAIMS.values(), ids=CLAIMS)
def test_a_link_seal_that_does_not_fit_its_frame_ends_the_connection(wrong: dict[str, object]) -> None:
    pair = open_pair()
    feed(pair, data(pair, pair.left.node.batch(pair.right.node, "c"), 3, **dict(wrong)))
    assert pair.closed["netsky2"].code == "claim"
    assert len(pair.right.store.stored) == 2


def test_a_link_seal_with_a_damaged_signature_ends_the_connection() -> None:
    pair = open_pair()
    good = data(pair, pair.left.node.batch(pair.right.node, "c"), 3)
    at = len(good.claim) // 2
    feed(pair, Data(good.claim[:at] + bytes([good.claim[at] ^ 1]) + good.claim[at + 1 :], good.batch))
    assert pair.closed["netsky2"].code == "claim"


def test_a_batch_that_cannot_be_read_ends_the_connection() -> None:
    pair = open_pair()
    feed(pair, replace(data(pair, pair.left.node.batch(pair.right.node, "c"), 3), batch=b"\x96"))
    assert pair.closed["netsky2"].code == "frame"


def refused_batches() -> dict[str, Callable[[Node, Node], Batch]]:
    def damaged(left: Node, right: Node) -> Batch:
        batch = left.batch(right, "c")
        return replace(batch, signature=batch.signature[:-1] + bytes([batch.signature[-1] ^ 1]))

    def nonsense(left: Node, _: Node) -> Batch:
        return seal(left.sign, left.key, "envelope", left.mesh, [Statement(b"\x01", b"")])

    return {
        "origin_unknown": lambda _, right: Node(3).batch(right, "c"),
        "origin_mismatch": lambda left, right: left.batch(right, "c", origin=Node(3).key),
        "sender_name": lambda left, right: left.batch(right, "c", sender="agent0@netsky7"),
        "destination_other": lambda left, _: left.batch(Node(3), "c"),
        "lane_wrong": lambda left, right: left.batch(right, "c", kind="reply"),
        "seal_invalid": damaged,
        "damaged": nonsense,
        "batch_mesh": lambda _, right: Node(1, b"m" * 16).batch(right, "c"),
        "batch_type": lambda left, right: seal(
            left.sign,
            left.key,
            "roster",
            left.mesh,
            [left.batch(right, "c").statements[0]],  # type: ignore[list-item]
        ),
    }


@pytest.mark.parametrize(("code", "make"), refused_batches().items(), ids=refused_batches())
def test_what_fails_behind_the_link_consumes_its_number_and_is_stored_as_refused(
    code: str, make: Callable[[Node, Node], Batch]
) -> None:
    pair = open_pair()
    feed(pair, data(pair, make(pair.left.node, pair.right.node), 3))
    assert pair.right.store.refused == [(3, code)]
    assert pair.said == [("netsky2", Ack("work", 1, 3))]
    assert len(pair.right.store.stored) == 2
    assert pair.closed == {}


ENDS: dict[str, tuple[int, Frame, str]] = {
    "an ack beyond what was sent": (CONTROL, Ack("work", 1, 99), "ack"),
    "an ack of another life": (CONTROL, Ack("work", 2, 1), "ack"),
    "a second hello": (
        CONTROL, Hello(1, bytes(16), 0, 0, (), LaneHello(NOWHERE, NOWHERE), LaneHello(NOWHERE, NOWHERE)), "hello",
    ),
    "a late open": (CONTROL, Open(0), "hello"),
    "data on the control stream": (CONTROL, Data(b"", b""), "frame"),
    "control on a data stream": (WORK, Ping(1), "frame"),
    "evidence of nothing": (CONTROL, Evidence("work", 1, 1, b"", ()), "claim"),
    "a goodbye": (CONTROL, Bye("stopped", "x"), "bye"),
}  # fmt: skip


@pytest.mark.parametrize(("channel", "frame", "code"), ENDS.values(), ids=ENDS)
def test_what_has_no_place_ends_the_connection(channel: int, frame: Frame, code: str) -> None:
    pair = open_pair()
    feed(pair, frame, channel)
    assert pair.closed["netsky2"].code == code


def test_a_gap_ends_the_connection_and_stores_nothing() -> None:
    pair = open_pair()
    feed(pair, data(pair, pair.left.node.batch(pair.right.node, "c"), 4))
    assert pair.closed["netsky2"].code == "gap"
    assert len(pair.right.store.stored) == 2


def test_a_number_too_old_to_be_remembered_ends_the_connection() -> None:
    pair = open_pair()
    state = pair.right.store.state
    pair.right.store.state = LinkState(
        state.outgoing, {**state.incoming, "work": replace(state.incoming["work"], recent=())}
    )
    pair.connect()
    pair.run()
    feed(pair, data(pair, pair.left.node.batch(pair.right.node, "a"), 1))
    assert pair.closed["netsky2"].code == "gap"


def test_evidence_that_proves_something_else_ends_the_connection() -> None:
    pair = open_pair()
    seen = pair.right.store.state.incoming["work"].recent[0]
    assert pair.left.link is not None
    lie = Evidence("work", 1, 9, seen.claim, seen.leaves)
    pair.obey(pair.left, pair.left.link.receive(CONTROL, lie, 0))
    assert pair.closed["netsky1"].code == "claim"


# Hello, by table: what the right side remembers, what the left side does about it.


def incoming(life: int, number: int, leaf: bytes, lineage: bytes = b"L" * 16) -> IncomingState:
    return IncomingState(life, lineage, number, leaf)


HELLOS: dict[str, tuple[Callable[[bytes], IncomingState], str | None]] = {
    "nothing ever came": (lambda _: IncomingState(), "peer_behind"),
    "less than was acknowledged": (lambda _: incoming(1, 1, b"x" * 32), "peer_behind"),
    "the same": (lambda leaf: incoming(1, 2, leaf), None),
    "another leaf": (lambda _: incoming(1, 2, b"x" * 32), "diverged"),
    "another lineage": (lambda leaf: incoming(1, 2, leaf, b"X" * 16), "diverged"),
    "more than was sent": (lambda _: incoming(1, 3, b"x" * 32), "behind"),
    "a later life": (lambda _: incoming(2, 1, b"x" * 32), "behind"),
}


@pytest.mark.parametrize(("remembered", "code"), HELLOS.values(), ids=HELLOS)
def test_the_sender_freezes_when_the_peer_remembers(
    remembered: Callable[[bytes], IncomingState], code: str | None
) -> None:
    pair = open_pair()
    right = pair.right.store
    mine = remembered(right.state.incoming["work"].mark_leaf)
    right.state = LinkState(right.state.outgoing, {**right.state.incoming, "work": mine})
    pair.connect()
    pair.run()
    assert pair.left.store.state.outgoing["work"].frozen == code
    assert pair.left.store.alarms() == ([code] if code else [])
    assert pair.closed == {}


SENDS: dict[str, tuple[OutgoingState, str | None]] = {
    "a life before": (OutgoingState(1, b"L" * 16), "peer_rolled_back"),
    "fewer numbers": (OutgoingState(2, b"L" * 16, 1, b"a" * 32), "peer_rolled_back"),
    "another lineage": (OutgoingState(2, b"X" * 16, 2, b"b" * 32), "diverged"),
    "another leaf": (OutgoingState(2, b"L" * 16, 2, b"x" * 32), "diverged"),
    "the same": (OutgoingState(2, b"L" * 16, 2, b"b" * 32), None),
    "a new life": (OutgoingState(3, b"N" * 16), None),
}


@pytest.mark.parametrize(("sends", "code"), SENDS.values(), ids=SENDS)
def test_the_receiver_freezes_when_the_peer_sends(sends: OutgoingState, code: str | None) -> None:
    left = MemoryStore(LinkState({**fresh().outgoing, "work": sends}, fresh().incoming))
    mine = IncomingState(2, b"L" * 16, 2, b"b" * 32)
    right = MemoryStore(LinkState(fresh().outgoing, {**fresh().incoming, "work": mine}))
    pair = Pair(left, right)
    pair.connect()
    pair.run()
    assert right.state.incoming["work"].frozen == code
    assert right.alarms() == ([code] if code else [])


def test_an_ack_for_a_frozen_lane_is_not_believed() -> None:
    state = fresh()
    frozen = LinkState({**state.outgoing, "work": replace(state.outgoing["work"], frozen="diverged")}, state.incoming)
    pair = Pair(right=MemoryStore(frozen))
    pair.connect()
    pair.run()
    feed(pair, Ack("work", 1, 7), CONTROL)
    assert pair.closed == {}
    assert not any(isinstance(record, Acked) for record in pair.right.store.log)


@pytest.mark.parametrize(("change", "code"), [({"version": 2}, "version"), ({"mesh": b"m" * 16}, "mesh")])
def test_a_hello_that_does_not_fit_ends_the_connection(change: dict[str, object], code: str) -> None:
    pair = Pair()
    pair.connect()
    hello = next(frame for to, _, frame in pair.wire if to is pair.right)
    assert isinstance(hello, Hello)
    feed(pair, replace(hello, **change), CONTROL)  # type: ignore[arg-type]
    assert pair.closed["netsky2"].code == code


def test_anything_before_hello_ends_the_connection() -> None:
    pair = Pair()
    pair.connect()
    feed(pair, Ping(1), CONTROL)
    assert pair.closed["netsky2"].code == "hello"


# Time.


def test_a_peer_that_says_no_hello_is_let_go() -> None:
    pair = Pair()
    pair.connect()
    assert pair.left.link is not None
    assert pair.left.link.beat(1).send == ()
    assert pair.left.link.handle_timer(HELLO_WITHIN_NS - 1).close is None
    close = pair.left.link.handle_timer(HELLO_WITHIN_NS).close
    assert close is not None
    assert close.code == "hello"


def test_a_silent_peer_is_dead_after_four_seconds_and_any_frame_counts_as_life() -> None:
    pair = open_pair()
    link = pair.right.link
    assert link is not None
    assert link.receive(CONTROL, Ping(1), 10).deadline == 10 + DEAD_AFTER_NS
    early = link.handle_timer(9 + DEAD_AFTER_NS)
    assert (early.close, early.deadline) == (None, 10 + DEAD_AFTER_NS)
    close = link.handle_timer(10 + DEAD_AFTER_NS).close
    assert close is not None
    assert close.code == "silent"


def test_a_heartbeat_is_answered_and_measures_the_way() -> None:
    pair = open_pair()
    link = pair.right.link
    assert link is not None
    assert link.beat(100).send == ((CONTROL, Ping(1)),)
    assert link.receive(CONTROL, Pong(0), 110).send == ()
    assert link.round_trip_ns is None
    link.receive(CONTROL, Pong(1), 150)
    assert link.round_trip_ns == 50
    assert link.receive(CONTROL, Ping(8), 160).send == ((CONTROL, Pong(8)),)


# Effects.


def test_of_several_acks_in_one_turn_only_the_last_is_sent() -> None:
    pair = open_pair()
    link = pair.right.link
    assert link is not None
    one = link.receive(WORK, data(pair, pair.left.node.batch(pair.right.node, "c"), 3), 0)
    two = link.receive(WORK, data(pair, pair.left.node.batch(pair.right.node, "d"), 4), 5)
    both = one + two
    assert both.send == ((CONTROL, Ack("work", 1, 4)),)
    assert len(both.persist) == 2
    assert both.deadline == 5 + DEAD_AFTER_NS


def test_after_a_close_nothing_follows() -> None:
    pair = open_pair()
    link = pair.right.link
    assert link is not None
    with pytest.raises(AssertionError):
        link.receive(CONTROL, Bye("stopped", ""), 0) + link.receive(CONTROL, Ping(1), 0)


def test_what_is_numbered_and_gone_from_the_store_is_our_mistake() -> None:
    pair = Pair()
    pair.left.store.add("work", pair.left.node.batch(pair.right.node, "a"))
    pair.connect()
    pair.run(keep=lambda _, frame: not isinstance(frame, Data))
    pair.left.store.rows.clear()
    pair.connect()
    with pytest.raises(AssertionError, match="is kept until"):
        pair.run()


def test_a_frozen_lane_is_stored_as_such_once() -> None:
    pair = open_pair()
    for _ in range(2):
        feed(pair, data(pair, pair.left.node.batch(pair.right.node, "other"), 2))
    assert sum(isinstance(record, Froze) for record in pair.right.store.log) == 1


def test_a_position_of_nothing_is_shown_as_nothing() -> None:
    pair = Pair()
    pair.connect()
    hello = next(frame for to, _, frame in pair.wire if to is pair.right)
    assert isinstance(hello, Hello)
    assert hello.work == LaneHello(Position(1, b"L" * 16, 0, b""), NOWHERE)


def test_an_ack_for_what_was_given_a_number_and_not_sent_yet_is_not_believed() -> None:
    pair = Pair()
    pair.right.store.add("work", pair.right.node.batch(pair.left.node, "a"))
    pair.connect()
    pair.run(keep=lambda _, frame: not isinstance(frame, Data))
    pair.connect()
    hello = next(frame for to, _, frame in pair.wire if to is pair.right)
    feed(pair, hello, CONTROL)
    feed(pair, Ack("work", 1, 1), CONTROL)
    assert pair.closed["netsky2"].code == "ack"


def test_evidence_with_other_leaves_than_were_sealed_ends_the_connection() -> None:
    pair = open_pair()
    seen = pair.right.store.state.incoming["work"].recent[0]
    assert pair.left.link is not None
    lie = Evidence("work", 1, 1, seen.claim, (b"x" * 32, *seen.leaves[1:]))
    pair.obey(pair.left, pair.left.link.receive(CONTROL, lie, 0))
    assert pair.closed["netsky1"].code == "claim"
    assert pair.left.store.alarms() == []


def test_evidence_for_a_lane_that_stands_still_already_changes_nothing() -> None:
    pair = open_pair()
    seen = pair.right.store.state.incoming["work"].recent[0]
    assert pair.left.link is not None
    for _ in range(2):
        evidence = Evidence("work", 1, 1, seen.claim, seen.leaves)
        pair.obey(pair.left, pair.left.link.receive(CONTROL, evidence, 0))
    assert pair.left.store.alarms() == ["diverged"]


def test_the_window_is_full_by_bytes_too() -> None:
    pair = Pair()
    for at in range(30):
        pair.left.store.add(
            "work", pair.left.node.batch(pair.right.node, *(f"n{at}-{i}" for i in range(4)), text="x" * 40_000)
        )
    real = pair.left.store.find
    pair.left.store.find = lambda lane, wanted: real(lane, wanted)[:1]  # type: ignore[method-assign]
    pair.connect()
    pair.run(keep=lambda _, frame: not isinstance(frame, Ack))
    on_its_way = sum(len(frame.batch) for _, frame in pair.said if isinstance(frame, Data))
    assert WINDOW_BYTES < on_its_way < WINDOW_BYTES + DATA_FRAME_BYTES_MAX
