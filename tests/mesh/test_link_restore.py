"""Two machines of which one, or both, were put back from a backup: what is shown, believed and counted anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from netsky.envelope.batch import leaves
from netsky.mesh.effects import Blamed, Damaged, Raised, Restored, Stated
from netsky.mesh.ends import LinkState
from netsky.mesh.frames import CONTROL, Ack, Bye, Credit, Data, Evidence, Frame, Hello, LaneHello, Lineages, Position
from netsky.mesh.limits import BLAMED_MAX, LINEAGES_MAX, PROOF_WITHIN_NS
from netsky.mesh.lineage import Lineage
from netsky.mesh.streams import IncomingState, OutgoingState

from tests.mesh.pair import Pair, both_ways, open_pair
from tests.mesh.world import OTHER, MemoryStore, Side, fresh

pytestmark = both_ways

NEW = b"N" * 16


def forgets(side: Side, *, fresh_lineage: bytes = NEW) -> None:
    """It is as it was before anything happened, rows included: they have no number."""
    before = fresh()
    side.store.state = LinkState(before.outgoing, before.incoming, replace(before.memory, fresh=fresh_lineage))
    side.store.numbered.clear()
    for row in side.store.rows:
        row.number = None
    side.store.stored.clear()


def reconnect(pair: Pair) -> None:
    """As often as it takes: connections end, and begin again."""
    for _ in range(6):
        pair.connect()
        pair.run()
        if not pair.closed:
            return
        for name, close in list(pair.closed.items()):  # what a driver says before it hangs up
            pair.feed(pair.right if name == "left" else pair.left, Bye(close.code, close.sentence), CONTROL)
    raise AssertionError(f"they never agree: {pair.closed}")


def records(side: Side, kind: type) -> list[object]:
    return [record for record in side.store.log if isinstance(record, kind)]


def test_a_sender_that_forgot_is_shown_its_own_seal_and_begins_a_new_life(down: bool) -> None:
    pair = open_pair(down=down)
    forgets(pair.left)
    reconnect(pair)
    [restored] = records(pair.left, Restored)
    assert restored == Restored(2, NEW, "proof")
    assert pair.right.store.again == ["a", "b"], "under new numbers, and known by their ids"
    assert pair.right.store.state.incoming["work"].life == 2
    assert pair.left.store.state.outgoing["work"].acked == 2
    assert [one.lineage for one in pair.right.store.stated] == [bytes(16), NEW]
    assert pair.left.store.alarms() == pair.right.store.alarms() == []


def test_a_sender_is_not_taken_for_restored_without_proof(down: bool) -> None:
    pair = open_pair(down=down)
    forgets(pair.left)
    pair.connect()
    pair.run(lambda _side, frame: not isinstance(frame, Evidence))
    assert pair.closed == {}
    assert pair.left.machine.wanted("work") is None
    assert pair.left.machine.handle_timer(PROOF_WITHIN_NS - 1).close is None
    close = pair.left.machine.handle_timer(PROOF_WITHIN_NS).close
    assert close is not None
    assert close.code == "claim"
    assert records(pair.left, Restored) == []


WRONG: dict[str, Callable[[Pair], Evidence]] = {
    "another's seal": lambda pair: _evidence(pair, 3, sealer=pair.right.node),
    "for another": lambda pair: _evidence(pair, 3, **{"destination" if pair.down else "receiver": OTHER.key}),
    "what we remember": lambda pair: _evidence(pair, 1),
    "an earlier life": lambda pair: replace(_evidence(pair, 3, life=0), life=0),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_evidence_that_shows_something_else_ends_the_connection(down: bool, wrong: Callable[[Pair], Evidence]) -> None:
    pair = open_pair(down=down)
    pair.connect()
    hello = next(frame for to, _, frame in pair.wire if to is pair.left and isinstance(frame, Hello))
    ahead = Position(1, b"L" * 16, 7, b"x" * 32)
    pair.feed(pair.left, replace(hello, work=LaneHello(hello.work.sends, ahead)), CONTROL)
    pair.feed(pair.left, Ack("work", 1, 7), CONTROL)
    pair.feed(pair.left, Credit("work", 9, 7, 7), CONTROL)
    assert pair.closed == {}, "of a lane that waits for proof nothing is believed"
    pair.feed(pair.left, wrong(pair), CONTROL)
    assert pair.closed["left"].code == "claim"
    assert records(pair.left, Restored) == []


def _evidence(pair: Pair, number: int, **wrong: object) -> Evidence:
    batch = pair.batch("y")
    return Evidence("work", 1, number, pair.data(batch, number, **wrong).seal, tuple(leaves(batch)))  # type: ignore[arg-type]


def test_a_receiver_that_forgot_gets_a_new_life_once_it_is_known_to_have_forgotten(down: bool) -> None:
    pair = open_pair(down=down)
    forgets(pair.right)
    reconnect(pair)
    [raised] = records(pair.left, Raised)
    assert isinstance(raised, Raised)
    assert (raised.lane, raised.life, raised.reason) == ("work", 2, "peer_behind")
    # A sibling believes its root; the root believes nobody, and goes on alone.
    assert records(pair.right, Restored) == ([Restored(2, NEW, "root")] if down else [])
    pair.left.store.add("work", pair.batch("c"))
    pair.run()
    assert pair.right.store.state.incoming["work"].life == 2
    assert ("c" in [id_ for _, id_ in pair.right.store.stored]) is True


def test_both_ends_that_forgot_agree_again(down: bool) -> None:
    pair = open_pair(down=down)
    pair.right.store.add("work", pair.right.node.batch(pair.left.node, "back"))
    pair.run()
    forgets(pair.left)
    forgets(pair.right)
    reconnect(pair)
    assert {id_ for _, id_ in pair.right.store.stored} == {"a", "b"}


def test_nobody_but_the_root_is_believed_without_proof(down: bool) -> None:
    pair = open_pair(down=down)
    for side, name in ((pair.left, "left"), (pair.right, "right")):
        pair.connect()
        pair.run()
        pair.feed(side, Bye("behind", "You forgot."), CONTROL)
        at_root = side.node.name == "netsky0"
        assert pair.closed[name].code == ("bye" if at_root else "restored")
        assert bool(records(side, Restored)) is not at_root


def test_a_memory_that_was_superseded_is_a_clone_and_gets_nothing(down: bool) -> None:
    pair = open_pair(down=down)
    copy = pair.left.store.state
    pair.left.store.state = LinkState(copy.outgoing, copy.incoming, replace(copy.memory, lineage=NEW))
    reconnect(pair)
    pair.left.store.state = copy
    pair.left.store.add("work", pair.batch("copy"))
    pair.connect()
    pair.run()
    assert pair.closed["right"].code == "cloned"
    assert pair.right.store.alarms() == ["cloned"] * 4
    assert len(pair.right.store.stored) == 2
    state = pair.right.store.state
    assert {one.frozen for one in (*state.outgoing.values(), *state.incoming.values())} == {"cloned"}


def test_what_was_frozen_goes_on_when_the_peer_comes_with_a_new_memory_and_a_new_life(down: bool) -> None:
    pair = open_pair(down=down)
    right = pair.right.store
    right.state = LinkState(
        {lane: replace(one, frozen="diverged") for lane, one in right.state.outgoing.items()},
        {lane: replace(one, frozen="diverged") for lane, one in right.state.incoming.items()},
        right.state.memory,
    )
    reconnect(pair)
    assert pair.right.machine.wanted("work") is None
    left = pair.left.store
    left.state = LinkState(
        {lane: OutgoingState(9, NEW) for lane in left.state.outgoing},
        left.state.incoming,
        replace(left.state.memory, lineage=NEW, highest=9),
    )
    reconnect(pair)
    left.add("work", pair.batch("c"))
    right.add("work", pair.right.node.batch(pair.left.node, "d"))
    pair.run()
    assert [id_ for _, id_ in right.stored] == ["a", "b", "c"]
    assert [id_ for _, id_ in left.stored] == ["d"]


def test_the_root_says_what_others_forgot_and_again_when_it_changes(down: bool) -> None:
    pair = open_pair(down=down)
    root, sibling = (pair.left, pair.right) if down else (pair.right, pair.left)
    many = {bytes([at]) * 32: Lineage(bytes([at]) * 32, NEW, at) for at in range(LINEAGES_MAX + 1)}
    root.store.related = many
    pair.run()
    assert [len(frame.lineages) for _, frame in pair.said if isinstance(frame, Lineages)] == [LINEAGES_MAX, 1]
    assert sibling.store.stated[1:] == list(many.values())
    changed = Lineage(bytes([3]) * 32, b"M" * 16, 5)
    root.store.related = many | {changed.node: changed}
    pair.run()
    assert sibling.store.stated[-1] == changed
    assert len(sibling.store.stated) == LINEAGES_MAX + 3
    root.store.related = {sibling.node.key: Lineage(sibling.node.key, NEW, 1)}
    pair.said.clear()
    pair.run()
    assert not any(isinstance(frame, Lineages) for _, frame in pair.said), "what it forgot it knows itself"


def test_nobody_else_says_what_others_forgot(down: bool) -> None:
    pair = open_pair(down=down)
    root, sibling = (pair.left, pair.right) if down else (pair.right, pair.left)
    said: list[tuple[Side, Frame]] = [
        (root, Lineages((Lineage(OTHER.key, NEW, 1),))),
        (sibling, Lineages((Lineage(sibling.node.key, NEW, 1),))),
    ]
    for side, frame in said:
        pair.feed(side, frame, CONTROL)
        assert pair.closed[pair.name(side)].code == "frame"
        assert len(records(side, Stated)) == 1


def test_a_life_is_higher_than_any_that_the_home_remembers(down: bool) -> None:
    pair = open_pair(down=down)
    forgets(pair.left)
    state = pair.left.store.state
    pair.left.store.state = LinkState(state.outgoing, state.incoming, replace(state.memory, highest=41))
    reconnect(pair)
    assert pair.left.store.state.outgoing["work"].life == 42


def test_a_peer_that_knows_a_later_life_and_shows_nothing_gets_nothing(down: bool) -> None:
    pair = open_pair(down=down)
    right = pair.right.store
    mine = IncomingState(2, b"L" * 16, 1, b"x" * 32)
    right.state = LinkState(right.state.outgoing, {**right.state.incoming, "work": mine}, right.state.memory)
    pair.connect()
    pair.run()
    assert pair.left.machine.frozen() == {("work", "out"): "behind"}
    assert pair.left.store.state.outgoing["work"].frozen is None


def test_a_store_that_never_saw_a_memory_meets_its_peer_as_usual(down: bool) -> None:
    pair = Pair(down=down, left=MemoryStore())
    reconnect(pair)
    assert [one.lineage for one in pair.left.store.stated] == [bytes(16)]
    assert pair.left.store.state.memory.peer == bytes(16)


# A frame that the peer cannot take.


def spoil(pair: Pair) -> None:
    """As a disk might: the seal that is stored with what is on its way."""
    pair.left.store.numbered = [replace(frame, seal=b"\x96" * 200) for frame in pair.left.store.numbered]


def blame(pair: Pair) -> None:
    """One connection, in which the peer ends the link over what we send; what its node keeps of that."""
    pair.connect()
    pair.run()
    close = pair.closed["right"]
    assert (close.code, close.lane) == ("route" if pair.down else "claim", "work")
    pair.feed(pair.left, Bye(close.code, close.sentence, close.lane), CONTROL)
    for notice in pair.left.store.notices:
        if isinstance(notice, Blamed):
            state = pair.left.store.state
            pair.left.store.state = replace(state, memory=replace(state.memory, blame=notice.blame))


def test_a_frame_at_which_the_peer_ends_the_link_three_times_ends_and_the_rest_goes_on(down: bool) -> None:
    pair = open_pair(down=down)
    pair.left.store.add("work", pair.batch("c"))
    pair.run(lambda _side, frame: not isinstance(frame, Data))
    spoil(pair)
    for _ in range(BLAMED_MAX - 1):
        blame(pair)
        assert records(pair.left, Damaged) == []
    blame(pair)
    assert records(pair.left, Damaged) == [Damaged("work", 1, 3)]
    [raised] = records(pair.left, Raised)
    assert isinstance(raised, Raised)
    assert (raised.lane, raised.life, raised.reason) == ("work", 2, "damaged")
    pair.left.store.add("work", pair.batch("d"))
    reconnect(pair)
    assert "d" in [id_ for _, id_ in pair.right.store.stored]


@pytest.mark.parametrize(
    "bye",
    [
        Bye("claim", "x"),
        Bye("claim", "x", "reply"),
        Bye("stopped", "x", "work"),
        Bye("gap", "another fault than before", "work"),
    ],
)
def test_what_is_no_fault_of_that_frame_counts_nothing_against_it(down: bool, bye: Bye) -> None:
    pair = open_pair(down=down)
    pair.left.store.add("work", pair.batch("c"))
    pair.run(lambda _side, frame: not isinstance(frame, Data))
    spoil(pair)
    blame(pair)
    blame(pair)
    pair.connect()
    pair.run()
    pair.feed(pair.left, bye, CONTROL)
    assert records(pair.left, Damaged) == []
