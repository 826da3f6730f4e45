"""Numbers, acks, meeting again, and time: what holds in both directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from netsky.envelope.batch import leaves
from netsky.mesh.effects import Acked, Arrived, Froze, Numbered, Stored, Up
from netsky.mesh.ends import LinkState
from netsky.mesh.frames import (
    CONTROL,
    NOWHERE,
    Ack,
    Bye,
    Credit,
    Data,
    Evidence,
    Frame,
    Hello,
    LaneHello,
    Open,
    Outcomes,
    Ping,
    Pong,
    Position,
)
from netsky.mesh.limits import CLOCK_SAMPLES, DEAD_AFTER_NS, HEARTBEAT_NS, HELLO_WITHIN_NS, WINDOW_ENVELOPES
from netsky.mesh.link import Link
from netsky.mesh.streams import FrameState, IncomingState, OutgoingState

from tests.mesh.pair import WORK, Pair, both_ways, open_pair
from tests.mesh.world import NOW, OTHER, REIGN, ROOT, SIBLING, MemoryStore, Side, fresh, roster, sealed

pytestmark = both_ways


def lost(kind: type) -> Callable[[Side, Frame], bool]:
    return lambda _, frame: not isinstance(frame, kind)


def test_an_envelope_arrives_and_is_acknowledged(down: bool) -> None:
    pair = Pair(down=down)
    batch = pair.batch("a")
    pair.left.store.add("work", batch)
    pair.connect()
    pair.run()
    assert pair.right.store.stored == {(pair.left.node.key, "a"): leaves(batch)[0]}
    assert pair.left.store.state.outgoing["work"].acked == 1
    assert pair.closed == {}
    number = pair.right.node.name[-1]
    assert Up(f"1.{number}", (f"127.0.0.{number}:7",)) in pair.left.store.notices


def test_of_many_addresses_a_peer_is_told_as_many_as_it_takes(down: bool) -> None:
    ends = replace(ROOT.ends(SIBLING), addresses=tuple(f"10.0.0.{at}:7" for at in range(20)))
    [(_, hello)] = Link(ends, fresh(), *sealed(roster())).start(0).send
    assert isinstance(hello, Hello)
    assert hello.addresses == ends.addresses[:16]


def test_no_number_is_given_before_a_hello(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch("a"))
    pair.connect()
    assert pair.left.machine.wanted("work") is None
    pair.run(keep=lambda to, _: to is pair.right)
    assert pair.left.store.open_ids() == [0]
    assert not pair.left.machine.is_open


def test_both_lanes_count_for_themselves_in_both_directions(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch("a", "b"))
    pair.left.store.add("reply", pair.batch("c", kind="reply"))
    pair.right.store.add("work", pair.right.node.batch(pair.left.node, "d", kind="question"))
    pair.connect()
    pair.run()
    assert {lane: stream.acked for lane, stream in pair.left.store.state.outgoing.items()} == {"reply": 1, "work": 2}
    assert pair.right.store.state.outgoing["work"].acked == 1
    assert len(pair.right.store.stored) == 3
    assert [id_ for _, id_ in pair.left.store.stored] == ["d"]


def test_ten_thousand_bytes_a_piece_travel_in_several_frames_under_one_seal(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch(*(f"n{i}" for i in range(40)), text="x" * 10_000))
    pair.connect()
    pair.run()
    assert len(pair.right.store.stored) == 40
    assert sum(isinstance(frame, Data) for _, frame in pair.said) == 2
    assert not pair.right.store.refused


def test_an_ack_that_was_lost_is_made_good_by_the_next_hello_and_nothing_is_sent_again(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch("a", "b"))
    pair.connect()
    pair.run(lost(Ack))
    assert pair.left.store.state.outgoing["work"].acked == 0
    pair.said.clear()
    pair.connect()
    pair.run()
    assert pair.left.store.state.outgoing["work"].acked == 2
    assert not any(isinstance(frame, Data) for _, frame in pair.said)


def test_what_was_numbered_and_lost_is_sent_again_byte_for_byte(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch("a", "b", "c"))
    pair.connect()
    pair.run(lost(Data))
    assert [row.number for row in pair.left.store.rows] == [1, 2, 3]
    pair.left.store.add("work", pair.batch("d"))
    pair.connect()
    pair.run()
    assert [row.number for row in pair.left.store.rows] == [1, 2, 3, 4]
    assert len(pair.right.store.stored) == 4
    assert pair.left.store.state.outgoing["work"].acked == 4
    first, again, _ = [frame for _, frame in pair.said if isinstance(frame, Data)]
    assert first == again


def test_a_frame_that_was_stored_is_not_sent_again_when_the_next_one_was_lost(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch(*(f"n{i}" for i in range(40)), text="x" * 10_000))
    seen = 0

    def first_data_only(_: Side, frame: Frame) -> bool:
        nonlocal seen
        seen += isinstance(frame, Data)
        return not isinstance(frame, Data) or seen == 1

    pair.connect()
    pair.run(first_data_only)
    assert 0 < len(pair.right.store.stored) < 40
    pair.connect()
    pair.run()
    assert len(pair.right.store.stored) == 40
    assert pair.right.store.again == []
    assert pair.right.store.state.incoming["work"].mark == 40


def test_the_same_envelope_under_a_new_number_consumes_it_and_changes_nothing(down: bool) -> None:
    pair = Pair(down=down)
    batch = pair.batch("a")
    pair.left.store.add("work", batch)
    pair.left.store.add("work", batch)
    pair.connect()
    pair.run()
    assert pair.right.store.again == ["a"]
    assert pair.left.store.state.outgoing["work"].acked == 2


def test_a_new_life_counts_from_one_again_and_the_envelope_is_still_known(down: bool) -> None:
    pair = Pair(down=down)
    batch = pair.batch("a")
    pair.left.store.add("work", batch)
    pair.connect()
    pair.run()
    pair.left.store = MemoryStore(fresh(life=2, lineage=b"M" * 16))
    pair.left.store.add("work", batch)
    pair.connect()
    pair.run()
    incoming = pair.right.store.state.incoming["work"]
    assert (incoming.life, incoming.lineage, incoming.mark) == (2, b"M" * 16, 1)
    assert pair.right.store.again == ["a"]
    assert pair.right.store.alarms() == []


# Frames written by hand: what a receiver does with each.


def test_a_number_below_the_mark_with_the_same_leaf_is_acknowledged_again_and_not_stored(down: bool) -> None:
    pair = open_pair(down=down)
    stored = len(pair.right.store.log)
    pair.feed(pair.right, pair.data(pair.batch("a", "b"), 1))
    assert pair.said == [("right", Ack("work", 1, 2))]
    assert len(pair.right.store.log) == stored


def test_a_frame_that_begins_below_the_mark_brings_only_what_is_beyond_it(down: bool) -> None:
    pair = open_pair(down=down)
    pair.feed(pair.right, pair.data(pair.batch("b", "c"), 2))
    arrived = pair.right.store.log[-1]
    assert isinstance(arrived, Arrived)
    assert [arrival.number for arrival in arrived.arrivals] == [3]
    assert (arrived.first, arrived.mark, arrived.claim_first, len(arrived.leaves)) == (3, 3, 2, 2)
    assert pair.said == [("right", Ack("work", 1, 3))]
    pair.feed(pair.right, pair.data(pair.batch("c"), 3))
    assert pair.said[-1] == ("right", Ack("work", 1, 3))


def diverge(pair: Pair) -> None:
    """The right one holds b as number 2, the left one sends another under it, with a seal that is its own."""
    left = pair.left.store
    a, other = leaves(pair.batch("a"))[0], leaves(pair.batch("other"))[0]
    out = OutgoingState(1, b"L" * 16, 1, a, (FrameState(2, (other,)),))
    left.state = LinkState({**left.state.outgoing, "work": out}, left.state.incoming)
    frame = pair.data(pair.batch("other"), 2)
    left.rows[:] = []
    left.add("work", pair.batch("other"))
    left.rows[0].number = 2
    left.numbered[:] = [Numbered("work", 1, 2, (other,), frame.seal, "own", (0,))]


def test_another_leaf_below_the_mark_freezes_the_lane_and_is_answered_with_proof(down: bool) -> None:
    pair = open_pair(down=down)
    # A hello would show it at once; so the left machine is one that was cloned behind it.
    hello = pair.right.new_link().start(0).send[0][1]
    assert isinstance(hello, Hello)
    diverge(pair)
    pair.connect()
    one, three = Position(1, b"L" * 16, 1, leaves(pair.batch("a"))[0]), Position(1, b"L" * 16, 3, b"z" * 32)
    said = {
        "left": replace(hello, work=LaneHello(hello.work.sends, one)),
        "right": replace(hello, work=LaneHello(three, NOWHERE)),
    }
    pair.wire = [(side, CONTROL, said[pair.name(side)]) for side in (pair.left, pair.right)]
    pair.run()
    assert pair.right.store.alarms() == ["diverged"]
    assert pair.right.store.state.incoming["work"].frozen == "diverged"
    [evidence] = [frame for _, frame in pair.said if isinstance(frame, Evidence)]
    assert (evidence.lane, evidence.life, evidence.number) == ("work", 1, 2)
    # The other side checks the proof, believes its own seal, and stands still too.
    assert pair.left.store.alarms() == ["diverged"]
    assert pair.left.store.state.outgoing["work"].frozen == "diverged"
    assert pair.closed == {}
    # Nothing moves on this lane any more, whatever connection comes next; the other lane does.
    pair.left.store.add("work", pair.batch("later"))
    pair.left.store.add("reply", pair.batch("r", kind="reply"))
    pair.connect()
    pair.run()
    pair.feed(pair.right, pair.data(pair.batch("c"), 3))
    assert [id_ for _, id_ in pair.right.store.stored] == ["a", "b", "r"]
    assert pair.right.machine.frozen() == {("work", "in"): "diverged"}
    assert pair.left.machine.frozen() == {("work", "out"): "diverged"}


def test_a_frozen_lane_is_stored_as_such_once(down: bool) -> None:
    pair = open_pair(down=down)
    for _ in range(2):
        pair.feed(pair.right, pair.data(pair.batch("other"), 2))
    assert sum(isinstance(record, Froze) for record in pair.right.store.log) == 1


# Evidence, as the left one gets it for a frame that it sent and that was not acknowledged.


def unacknowledged(*, down: bool) -> tuple[Pair, Data]:
    pair = open_pair(down=down)
    pair.left.store.add("work", pair.batch("c", "d"))
    pair.run(lost(Ack))
    return pair, next(frame for _, frame in pair.said if isinstance(frame, Data))


def test_evidence_under_our_seal_for_another_leaf_freezes_and_a_second_time_changes_nothing(down: bool) -> None:
    pair, _ = unacknowledged(down=down)
    other = pair.batch("other", "d")
    for _ in range(2):
        evidence = Evidence("work", 1, 3, pair.data(other, 3).seal, tuple(leaves(other)))
        pair.feed(pair.left, evidence, CONTROL)
    assert pair.closed == {}
    assert pair.left.store.alarms() == ["diverged"]
    assert pair.left.store.state.outgoing["work"].frozen == "diverged"


def test_evidence_that_shows_nothing_else_than_we_sent_or_never_sent_ends_the_connection(down: bool) -> None:
    def lies(pair: Pair, sent: Data) -> dict[str, Evidence]:
        other = pair.batch("other")
        elsewhere: dict[str, Any] = {"destination" if down else "receiver": OTHER.key}
        proven = pair.data(other, 3).seal
        shown = tuple(leaves(other))
        mine = pair.right.store.state.incoming["work"].recent[-1]
        return {
            "what we sent": Evidence("work", 1, 3, sent.seal, mine.leaves),
            "another number": Evidence("work", 1, 4, proven, shown),
            "a number below": Evidence("work", 1, 2, proven, shown),
            "never sent": Evidence("work", 1, 5, pair.data(other, 5).seal, shown),
            "long acknowledged": Evidence("work", 1, 1, pair.data(other, 1).seal, shown),
            "other leaves": Evidence("work", 1, 3, proven, (b"x" * 32,)),
            "fewer leaves": Evidence("work", 1, 3, proven, ()),
            "another lane": Evidence("reply", 1, 3, proven, shown),
            "another life": Evidence("work", 2, 3, proven, shown),
            "an old life": Evidence("work", 2, 3, pair.data(other, 3, life=2).seal, shown),
            "for somebody else": Evidence("work", 1, 3, pair.data(other, 3, **elsewhere).seal, shown),
            "by somebody else": Evidence("work", 1, 3, pair.data(other, 3, sealer=OTHER).seal, shown),
            "nothing": Evidence("work", 1, 3, b"", ()),
        }

    for name in lies(*unacknowledged(down=down)):
        pair, sent = unacknowledged(down=down)
        pair.feed(pair.left, lies(pair, sent)[name], CONTROL)
        assert pair.closed["left"].code == "claim", name
        assert pair.left.store.alarms() == [], name


def test_evidence_for_what_was_acknowledged_last_is_believed(down: bool) -> None:
    pair = open_pair(down=down)
    other = pair.batch("a", "other")
    pair.feed(pair.left, Evidence("work", 1, 2, pair.data(other, 1).seal, tuple(leaves(other))), CONTROL)
    assert pair.left.store.alarms() == ["diverged"]


# What has no place.

HELLO = Hello(
    1, bytes(16), REIGN, 0, (), "", (), bytes(16), 0, LaneHello(NOWHERE, NOWHERE), LaneHello(NOWHERE, NOWHERE)
)
ENDS: dict[str, tuple[int, Frame, str]] = {
    "an ack beyond what was sent": (CONTROL, Ack("work", 1, 99), "ack"),
    "an ack of another life": (CONTROL, Ack("work", 2, 0), "ack"),
    "credit for another life": (CONTROL, Credit("work", 2, 99, 99), "credit"),
    "a second hello": (CONTROL, HELLO, "hello"),
    "a late open": (CONTROL, Open(0), "hello"),
    "data on the control stream": (CONTROL, Data(b"", b""), "frame"),
    "outcomes on the control stream": (CONTROL, Outcomes(b"", (b"",)), "frame"),
    "control on a data stream": (WORK, Ping(1), "frame"),
    "evidence of nothing": (CONTROL, Evidence("work", 1, 1, b"", ()), "claim"),
    "a goodbye": (CONTROL, Bye("stopped", "x"), "bye"),
}


@pytest.mark.parametrize(("channel", "frame", "code"), ENDS.values(), ids=ENDS)
def test_what_has_no_place_ends_the_connection(down: bool, channel: int, frame: Frame, code: str) -> None:
    pair = open_pair(down=down)
    pair.feed(pair.right, frame, channel)
    assert pair.closed["right"].code == code


def test_a_batch_that_cannot_be_read_ends_the_connection(down: bool) -> None:
    pair = open_pair(down=down)
    pair.feed(pair.right, replace(pair.data(pair.batch("c"), 3), batch=b"\x96"))
    assert pair.closed["right"].code == "frame"


def test_a_gap_ends_the_connection_and_stores_nothing(down: bool) -> None:
    pair = open_pair(down=down)
    pair.feed(pair.right, pair.data(pair.batch("c"), 4))
    assert pair.closed["right"].code == "gap"
    assert len(pair.right.store.stored) == 2


def test_a_number_too_old_to_be_remembered_ends_the_connection(down: bool) -> None:
    pair = open_pair(down=down)
    state = pair.right.store.state
    pair.right.store.state = LinkState(
        state.outgoing, {**state.incoming, "work": replace(state.incoming["work"], recent=())}
    )
    pair.connect()
    pair.run()
    pair.feed(pair.right, pair.data(pair.batch("a"), 1))
    assert pair.closed["right"].code == "gap"


def test_frames_are_remembered_for_a_window_and_no_longer(down: bool) -> None:
    pair = Pair(down=down)
    old = [pair.batch(*(f"n{at}-{i}" for i in range(64))) for at in range(WINDOW_ENVELOPES // 64 + 2)]
    for batch in old:
        pair.left.store.add("work", batch)
    pair.connect()
    pair.run()
    assert pair.right.store.state.incoming["work"].mark == WINDOW_ENVELOPES + 128
    pair.feed(pair.right, pair.data(old[2], 129))
    assert pair.closed == {}
    pair.feed(pair.right, pair.data(old[1], 65))
    assert pair.closed["right"].code == "gap"


def test_an_ack_in_the_middle_of_a_frame_counts_to_the_end_of_the_one_before(down: bool) -> None:
    pair = open_pair(down=down)
    for ids in (("c", "d"), ("e", "f")):
        pair.left.store.add("work", pair.batch(*ids))
    pair.run(lost(Ack))
    pair.feed(pair.left, Ack("work", 1, 5), CONTROL)
    assert pair.left.store.state.outgoing["work"].acked == 4
    pair.feed(pair.left, Ack("work", 1, 5), CONTROL)
    pair.feed(pair.left, Ack("work", 1, 3), CONTROL)
    assert [record.number for record in pair.left.store.log if isinstance(record, Acked)] == [2, 4]
    pair.feed(pair.left, Ack("work", 1, 6), CONTROL)
    assert pair.left.store.state.outgoing["work"].acked == 6


def test_a_peer_whose_mark_is_in_the_middle_of_a_frame_gets_the_whole_frame_again(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch("a", "b", "c"))
    pair.connect()
    pair.run(lost(Data))
    mine = IncomingState(1, b"L" * 16, 1, leaves(pair.batch("a"))[0], ())
    pair.right.store.state = LinkState(fresh().outgoing, {**fresh().incoming, "work": mine})
    pair.connect()
    pair.wire = [item for item in pair.wire if isinstance(item[2], Hello)]
    pair.run(lambda to, frame: to is pair.left or isinstance(frame, Hello))
    assert pair.left.store.state.outgoing["work"].acked == 0
    assert [frame for _, frame in pair.said if isinstance(frame, Data)][1:] == [
        frame for _, frame in pair.said if isinstance(frame, Data)
    ][:1]


# Hello, by table: what the right side remembers, what the left side does about it.


def incoming(life: int, number: int, leaf: bytes, lineage: bytes = b"L" * 16) -> IncomingState:
    return IncomingState(life, lineage, number, leaf)


HELLOS: dict[str, tuple[Callable[[bytes], IncomingState], str | None]] = {
    "the same": (lambda leaf: incoming(1, 2, leaf), None),
    "another leaf": (lambda _: incoming(1, 2, b"x" * 32), "diverged"),
    "another lineage": (lambda leaf: incoming(1, 2, leaf, b"X" * 16), "diverged"),
}


@pytest.mark.parametrize(("remembered", "code"), HELLOS.values(), ids=HELLOS)
def test_the_sender_freezes_when_the_peer_remembers(
    down: bool, remembered: Callable[[bytes], IncomingState], code: str | None
) -> None:
    pair = open_pair(down=down)
    right = pair.right.store
    mine = remembered(right.state.incoming["work"].mark_leaf)
    right.state = LinkState(right.state.outgoing, {**right.state.incoming, "work": mine})
    pair.connect()
    pair.run()
    assert pair.left.store.state.outgoing["work"].frozen == code
    assert pair.left.store.alarms() == ([code] if code else [])
    assert pair.closed == {}


def test_the_sender_freezes_when_the_peer_holds_another_leaf_under_a_number_that_was_not_acknowledged(
    down: bool,
) -> None:
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch("a", "b"))
    pair.left.store.add("work", pair.batch("c", "d"))
    pair.connect()
    pair.run(lost(Ack))
    right = pair.right.store
    assert right.state.incoming["work"].mark == 4
    pair.connect()
    hello = next(frame for to, _, frame in pair.wire if to is pair.left and isinstance(frame, Hello))
    wrong = Position(1, b"L" * 16, 3, b"x" * 32)
    pair.feed(pair.left, replace(hello, work=LaneHello(hello.work.sends, wrong)), CONTROL)
    assert pair.left.store.alarms() == ["diverged"]


SENDS: dict[str, tuple[OutgoingState, str | None]] = {
    "another lineage": (OutgoingState(2, b"X" * 16, 2, b"b" * 32), "diverged"),
    "another leaf": (OutgoingState(2, b"L" * 16, 2, b"x" * 32), "diverged"),
    "the same": (OutgoingState(2, b"L" * 16, 2, b"b" * 32), None),
    "a new life": (OutgoingState(3, b"N" * 16), None),
}


@pytest.mark.parametrize(("sends", "code"), SENDS.values(), ids=SENDS)
def test_the_receiver_freezes_when_the_peer_sends(down: bool, sends: OutgoingState, code: str | None) -> None:
    left = MemoryStore(LinkState({**fresh().outgoing, "work": sends}, fresh().incoming))
    mine = IncomingState(2, b"L" * 16, 2, b"b" * 32)
    right = MemoryStore(LinkState(fresh().outgoing, {**fresh().incoming, "work": mine}))
    pair = Pair(down=down, left=left, right=right)
    pair.connect()
    pair.run()
    assert right.state.incoming["work"].frozen == code
    assert right.alarms() == ([code] if code else [])


def test_a_peer_with_no_life_at_all_may_send_nothing(down: bool) -> None:
    pair = Pair(down=down)
    pair.connect()
    hello = next(frame for to, _, frame in pair.wire if to is pair.right and isinstance(frame, Hello))
    pair.said.clear()
    pair.feed(pair.right, replace(hello, work=LaneHello(NOWHERE, NOWHERE)), CONTROL)
    assert {frame.lane for _, frame in pair.said if isinstance(frame, Credit)} == {"reply"}
    pair.feed(pair.right, pair.data(pair.batch("a"), 1))
    assert pair.closed["right"].code == ("route" if down else "claim")


def test_an_ack_or_credit_for_a_frozen_lane_is_not_believed(down: bool) -> None:
    state = fresh()
    frozen = LinkState({**state.outgoing, "work": replace(state.outgoing["work"], frozen="diverged")}, state.incoming)
    pair = Pair(down=down, right=MemoryStore(frozen))
    pair.connect()
    pair.run()
    pair.feed(pair.right, Ack("work", 1, 7), CONTROL)
    pair.feed(pair.right, Credit("work", 7, 7, 7), CONTROL)
    assert pair.closed == {}
    assert not any(isinstance(record, Acked) for record in pair.right.store.log)
    assert pair.right.machine.wanted("work") is None


def test_a_lane_that_came_in_frozen_gets_no_credit(down: bool) -> None:
    state = fresh()
    frozen = LinkState(state.outgoing, {**state.incoming, "work": IncomingState(1, b"L" * 16, frozen="diverged")})
    pair = Pair(down=down, right=MemoryStore(frozen))
    pair.connect()
    pair.run()
    assert {frame.lane for name, frame in pair.said if name == "right" and isinstance(frame, Credit)} == {"reply"}
    assert pair.right.machine.grant("work", 64, 1).send == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [({"version": 2}, "version"), ({"mesh": b"n" * 16}, "mesh"), ({"reign": REIGN + 1}, "reign")],
)
def test_a_hello_that_does_not_fit_ends_the_connection(down: bool, change: dict[str, object], code: str) -> None:
    pair = Pair(down=down)
    pair.connect()
    hello = next(frame for to, _, frame in pair.wire if to is pair.right)
    assert isinstance(hello, Hello)
    pair.feed(pair.right, replace(hello, **change), CONTROL)  # type: ignore[arg-type]
    assert pair.closed["right"].code == code
    assert not pair.right.machine.is_open


def test_anything_before_hello_ends_the_connection(down: bool) -> None:
    pair = Pair(down=down)
    pair.connect()
    pair.feed(pair.right, Ping(1), CONTROL)
    assert pair.closed["right"].code == "hello"


def test_a_position_of_nothing_is_shown_as_nothing(down: bool) -> None:
    pair = Pair(down=down)
    pair.connect()
    hello = next(frame for to, _, frame in pair.wire if to is pair.right)
    assert isinstance(hello, Hello)
    assert hello.work == LaneHello(Position(1, b"L" * 16, 0, b""), NOWHERE)
    assert (hello.reign, hello.roster, hello.lane("reply")) == (REIGN, 5, hello.reply)


def test_an_ack_for_what_was_given_a_number_and_not_sent_yet_is_not_believed(down: bool) -> None:
    pair = Pair(down=down)
    pair.right.store.add("work", pair.right.node.batch(pair.left.node, "a"))
    pair.connect()
    pair.run(lost(Data))
    pair.connect()
    hello = next(frame for to, _, frame in pair.wire if to is pair.right)
    pair.feed(pair.right, hello, CONTROL)
    pair.feed(pair.right, Ack("work", 1, 1), CONTROL)
    assert pair.closed["right"].code == "ack"


# Time.


def test_a_peer_that_says_no_hello_is_let_go(down: bool) -> None:
    pair = Pair(down=down)
    pair.connect()
    link = pair.left.machine
    assert link.beat(1).send == ()
    assert link.handle_timer(HELLO_WITHIN_NS - 1).close is None
    close = link.handle_timer(HELLO_WITHIN_NS).close
    assert close is not None
    assert close.code == "hello"


def test_a_silent_peer_is_dead_after_four_seconds_and_any_frame_counts_as_life(down: bool) -> None:
    link = open_pair(down=down).right.machine
    assert link.receive(CONTROL, Ping(1), 10, 0).deadline == 10 + DEAD_AFTER_NS
    early = link.handle_timer(9 + DEAD_AFTER_NS)
    assert (early.close, early.deadline) == (None, 10 + DEAD_AFTER_NS)
    close = link.handle_timer(10 + DEAD_AFTER_NS).close
    assert close is not None
    assert close.code == "silent"


def test_a_heartbeat_is_answered_and_measures_the_way(down: bool) -> None:
    link = open_pair(down=down).right.machine
    assert link.beat(100).send == ((CONTROL, Ping(1)),)
    assert link.receive(CONTROL, Pong(0, NOW), 110, NOW).send == ()
    assert (link.round_trip_ns, link.clock_offset_ns) == (None, None)
    link.receive(CONTROL, Pong(1, NOW + 1_025), 150, NOW)
    assert (link.round_trip_ns, link.clock_offset_ns) == (50, 1_050)
    link.receive(CONTROL, Pong(1, NOW), 160, NOW)  # a second answer to one question
    assert (link.round_trip_ns, link.clock_offset_ns) == (50, 1_050)
    assert link.receive(CONTROL, Ping(8), 160, NOW).send == ((CONTROL, Pong(8, NOW)),)


def test_a_root_that_is_asked_as_often_asks_seldom_itself_and_a_sibling_never_spares_its_question(down: bool) -> None:
    link = open_pair(down=down).right.machine  # with `down` the sibling
    asked = []
    for beat in range(1, 13):
        now = beat * HEARTBEAT_NS
        link.receive(CONTROL, Ping(beat), now - 1, NOW)
        asked += [beat] if link.beat(now).send else []
    assert asked == ([*range(1, 13)] if down else [1, 5, 9])
    assert link.beat(14 * HEARTBEAT_NS).send, "a peer that asks less often than it would is asked"


def test_the_clock_of_the_peer_is_known_by_the_fastest_of_the_last_round_trips(down: bool) -> None:
    link = open_pair(down=down).right.machine
    for count, trip in enumerate([40, 10, *[40] * (CLOCK_SAMPLES - 1)], 1):
        link.beat(0)
        link.receive(CONTROL, Pong(count, NOW - 1_000 * trip), trip, NOW)
        assert link.round_trip_ns == trip
        if count > 1:
            assert link.clock_offset_ns == -10_000 + 5
    link.beat(0)
    link.receive(CONTROL, Pong(CLOCK_SAMPLES + 2, NOW - 40_000), 40, NOW)
    assert link.clock_offset_ns == -40_000 + 20


# Effects.


def test_of_several_acks_in_one_turn_only_the_last_is_sent(down: bool) -> None:
    pair = open_pair(down=down)
    link = pair.right.machine
    one = link.receive(WORK, pair.data(pair.batch("c"), 3), 0, NOW)
    two = link.receive(WORK, pair.data(pair.batch("d"), 4), 5, NOW)
    other = link.receive(CONTROL, Ping(1), 5, NOW)
    both = one + two + other
    assert both.send == ((CONTROL, Ack("work", 1, 4)), (CONTROL, Pong(1, NOW)))
    assert len(both.persist) == 2
    assert both.deliver == (Stored("work", 1), Stored("work", 1))
    assert both.deadline == 5 + DEAD_AFTER_NS


def test_of_several_statements_of_credit_in_one_turn_only_the_last_of_each_lane_is_sent(down: bool) -> None:
    link = open_pair(down=down).right.machine
    effects = link.grant("work", 64, 1) + link.grant("reply", 64, 1) + link.grant("work", 65, 2)
    assert effects.send == ((CONTROL, Credit("reply", 1, 64, 1)), (CONTROL, Credit("work", 1, 67, 2)))


def test_after_a_close_nothing_follows(down: bool) -> None:
    link = open_pair(down=down).right.machine
    with pytest.raises(AssertionError):
        link.receive(CONTROL, Bye("stopped", ""), 0, 0) + link.receive(CONTROL, Ping(1), 0, 0)


def test_what_is_numbered_and_gone_from_the_store_is_our_mistake(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch("a"))
    pair.connect()
    pair.run(lost(Data))
    pair.left.store.numbered.clear()
    pair.connect()
    with pytest.raises(AssertionError, match="is kept until"):
        pair.run()


def test_what_is_numbered_and_found_changed_is_our_mistake(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch("a"))
    pair.connect()
    pair.run(lost(Data))
    pair.left.store.rows[0].batch = pair.batch("z")
    pair.connect()
    with pytest.raises(AssertionError, match="what was numbered"):
        pair.run()


def test_a_link_has_the_root_at_one_end_and_a_reign(down: bool) -> None:
    ends = ROOT.ends(SIBLING)
    with pytest.raises(AssertionError, match="root at one end"):
        replace(ends, root=OTHER.key)
    with pytest.raises(AssertionError, match="root at one end"):
        replace(ends, peer=ROOT.key)
    with pytest.raises(AssertionError):
        replace(ends, reign=0)
