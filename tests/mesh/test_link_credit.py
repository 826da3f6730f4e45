"""How much may be on its way: stated by the receiver, believed by the sender up to a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from netsky.mesh.frames import CONTROL, Ack, Credit, Data, Frame
from netsky.mesh.limits import DATA_FRAME_BYTES_MAX, NUMBER_MAX, ON_THE_WAY_MAX, WINDOW_BYTES
from netsky.mesh.offer import Offer
from netsky.mesh.streams import LANES

from tests.mesh.pair import Pair, both_ways, open_pair
from tests.mesh.world import NOW, OTHER, SIBLING, Side, outcome

pytestmark = both_ways


def fill(side: Side, peer: Side, count: int, *, a_batch: int = 64, text: str = "hello") -> None:
    for at in range(0, count, a_batch):
        ids = (f"n{at + i}" for i in range(min(a_batch, count - at)))
        side.store.add("work", side.node.batch(peer.node, *ids, text=text))


def no_acks(_: Side, frame: Frame) -> bool:
    return not isinstance(frame, Ack)


def first_credit_alone() -> Callable[[Side, Frame], bool]:
    """Each side is told once what it may send, and nothing after that."""
    seen: set[tuple[str, str]] = set()

    def keep(to: Side, frame: Frame) -> bool:
        if isinstance(frame, Credit):
            new = (to.node.name, frame.lane) not in seen
            seen.add((to.node.name, frame.lane))
            return new
        return not isinstance(frame, Ack)

    return keep


def credits_of(pair: Pair, name: str = "right") -> list[tuple[int, int]]:
    return [
        (frame.number, frame.bytes)
        for who, frame in pair.said
        if who == name and isinstance(frame, Credit) and frame.lane == "work"
    ]


def test_nothing_is_sent_before_credit_was_stated(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch("a"))
    pair.right.store.windows = dict.fromkeys(LANES, (0, 0))
    pair.connect()
    pair.run()
    assert pair.left.machine.is_open
    assert credits_of(pair) == []
    assert pair.left.store.open_ids() == [0]
    pair.right.store.windows["work"] = (64, 1)
    pair.run()
    assert credits_of(pair) == [(64, 1), (65, 1)]
    assert len(pair.right.store.stored) == 1
    assert pair.left.machine.credit("work") == (65, 1)
    assert pair.right.machine.granted("work") == (64, 1)
    assert pair.left.machine.credit("reply") == (0, 0)


def test_what_was_numbered_waits_for_credit_too(down: bool) -> None:
    pair = Pair(down=down)
    fill(pair.left, pair.right, 64)
    pair.connect()
    pair.run(lambda _, frame: not isinstance(frame, Data))
    pair.right.store.windows = dict.fromkeys(LANES, (0, 0))
    pair.connect()
    pair.run()
    assert len(pair.right.store.stored) == 0
    pair.feed(pair.left, Credit("work", 1, 63, WINDOW_BYTES), CONTROL)  # less than the frame has
    assert pair.left.machine.wanted("work") is None
    pair.right.store.windows = dict.fromkeys(LANES, (64, WINDOW_BYTES))
    pair.run()
    assert len(pair.right.store.stored) == 64


def test_what_is_on_its_way_holds_the_sender_until_an_ack_makes_room(down: bool) -> None:
    pair = Pair(down=down)
    fill(pair.left, pair.right, ON_THE_WAY_MAX + 64)
    pair.connect()
    pair.run(first_credit_alone())
    assert pair.left.store.state.outgoing["work"].acked == 0
    assert len(pair.right.store.stored) == ON_THE_WAY_MAX
    assert len(pair.left.store.open_ids()) == 64
    pair.connect()
    pair.run()
    assert len(pair.right.store.stored) == ON_THE_WAY_MAX + 64
    assert not pair.left.store.open_ids()


@pytest.mark.parametrize("number", [NUMBER_MAX, 10_000])
def test_absurd_credit_is_worth_what_may_be_on_its_way_and_no_more(down: bool, number: int) -> None:
    pair = Pair(down=down)
    fill(pair.left, pair.right, ON_THE_WAY_MAX + 640)
    pair.connect()
    pair.run(lambda to, frame: to is pair.left and not isinstance(frame, Ack | Credit | Data))
    pair.feed(pair.left, Credit("work", 1, number, NUMBER_MAX), CONTROL)
    pair.said.clear()
    while pair.offer(pair.left):
        pass
    numbers = [row for row in pair.left.store.rows if row.number is not None]
    assert len(numbers) == ON_THE_WAY_MAX
    pair.feed(pair.left, Ack("work", 1, 64), CONTROL)
    while pair.offer(pair.left):
        pass
    assert len([row for row in pair.left.store.rows if row.number is not None]) == ON_THE_WAY_MAX + 64


def test_the_window_is_full_by_bytes_too(down: bool) -> None:
    pair = Pair(down=down)
    fill(pair.left, pair.right, 120, a_batch=4, text="x" * 40_000)
    pair.connect()
    pair.run(no_acks)
    on_its_way = sum(len(frame.batch) for _, frame in pair.said if isinstance(frame, Data))
    assert WINDOW_BYTES - DATA_FRAME_BYTES_MAX < on_its_way < WINDOW_BYTES + DATA_FRAME_BYTES_MAX
    assert pair.left.machine.wanted("work") is None


def test_absurd_bytes_are_worth_a_window_and_a_take_no_more_than_a_frame(down: bool) -> None:
    pair = Pair(down=down)
    fill(pair.left, pair.right, 120, a_batch=4, text="x" * 40_000)
    pair.connect()
    pair.run(lambda to, frame: to is pair.left and not isinstance(frame, Ack | Credit | Data))
    pair.feed(pair.left, Credit("work", 1, NUMBER_MAX, NUMBER_MAX), CONTROL)
    pair.said.clear()
    takes = []
    while (wanted := pair.left.machine.wanted("work")) is not None:
        assert wanted.bytes <= DATA_FRAME_BYTES_MAX
        effects = pair.left.machine.submit("work", pair.left.store.find("work", wanted), NOW)
        pair.obey(pair.left, effects)
        takes.append(sum(len(frame.batch) for _, frame in effects.send if isinstance(frame, Data)))
    # A store that offers more at once than was wanted changes nothing about that.
    assert max(takes) <= DATA_FRAME_BYTES_MAX
    assert WINDOW_BYTES - DATA_FRAME_BYTES_MAX < sum(takes) < WINDOW_BYTES + DATA_FRAME_BYTES_MAX


def test_fewer_bytes_granted_are_fewer_bytes_sent_but_one_frame_always_fits(down: bool) -> None:
    pair = Pair(down=down)
    pair.right.store.windows["work"] = (64, 1)
    fill(pair.left, pair.right, 8, a_batch=1, text="x" * 10_000)
    pair.connect()
    pair.run(no_acks)
    assert len(pair.right.store.stored) == 1
    pair.feed(pair.left, Ack("work", 1, 1), CONTROL)
    pair.run(no_acks)
    assert len(pair.right.store.stored) == 2


def test_credit_is_stated_again_when_a_quarter_of_the_window_has_moved(down: bool) -> None:
    pair = Pair(down=down)
    pair.right.store.windows["work"] = (400, WINDOW_BYTES)
    fill(pair.left, pair.right, 301, a_batch=1)
    pair.connect()
    pair.run()
    assert credits_of(pair) == [(400, WINDOW_BYTES), (500, WINDOW_BYTES), (600, WINDOW_BYTES), (700, WINDOW_BYTES)]


def test_a_whole_batch_fits_behind_what_was_stated_however_little_has_moved(down: bool) -> None:
    pair = Pair(down=down)
    pair.right.store.windows["work"] = (64, WINDOW_BYTES)
    pair.left.store.add("work", pair.batch("first"))
    pair.connect()
    pair.run()
    if down:
        batch = OTHER.batch(SIBLING, *(f"n{i}" for i in range(64)))
        pair.left.store.forward("work", batch)
    else:
        fill(pair.left, pair.right, 64)
    pair.run()
    assert len(pair.right.store.stored) == 65


def test_what_does_not_fit_at_once_waits_in_its_place_and_is_not_asked_for_again_until_something_moves(
    down: bool,
) -> None:
    pair = Pair(down=down)
    pair.right.store.windows["reply"] = (100, WINDOW_BYTES)
    pair.left.store.answer(*(outcome(f"n{i}") for i in range(60)))
    pair.connect()
    pair.run(first_credit_alone())
    link = pair.left.machine
    offer = Offer("outcomes", (1,), None, tuple(outcome(f"o{i}") for i in range(64)))
    link.wake("reply")
    assert link.wanted("reply") is not None
    assert link.submit("reply", [offer], NOW).send == ()
    assert link.wanted("reply") is None
    pair.feed(pair.left, Ack("reply", 1, 60), CONTROL)
    assert link.wanted("reply") is not None
    assert link.submit("reply", [offer], NOW).send == ()
    assert link.wanted("reply") is None
    pair.feed(pair.left, Credit("reply", 1, 160, WINDOW_BYTES), CONTROL)
    assert link.wanted("reply") is not None
    assert len(link.submit("reply", [offer], NOW).send) == 1


def test_a_store_that_has_nothing_short_enough_is_asked_again_when_something_moves(down: bool) -> None:
    pair = Pair(down=down)
    pair.right.store.windows["reply"] = (100, WINDOW_BYTES)
    pair.left.store.answer(*(outcome(f"n{i}") for i in range(60)))
    pair.connect()
    pair.run(first_credit_alone())
    link = pair.left.machine
    link.wake("reply")
    assert link.wanted("reply") is not None, "forty may follow"
    link.submit("reply", [], NOW)
    assert link.wanted("reply") is None
    pair.feed(pair.left, Ack("reply", 1, 60), CONTROL)
    assert link.wanted("reply") is not None
    link.submit("reply", [], NOW)
    assert link.wanted("reply") is None
    pair.feed(pair.left, Credit("reply", 1, 160, WINDOW_BYTES), CONTROL)
    assert link.wanted("reply") is not None, "a batch may follow"
    link.submit("reply", [], NOW)
    pair.feed(pair.left, Credit("reply", 1, 200, WINDOW_BYTES), CONTROL)
    assert link.wanted("reply") is None, "now nothing means that nothing is there"


def test_of_several_offers_those_in_front_go_and_the_others_next_time(down: bool) -> None:
    pair = open_pair(down=down)
    fill(pair.left, pair.right, 5, a_batch=1)
    pair.left.machine.wake("work")
    wanted = pair.left.machine.wanted("work")
    assert wanted is not None
    offers = pair.left.store.find("work", wanted)
    pair.feed(pair.left, Credit("work", 1, 4, WINDOW_BYTES), CONTROL)
    pair.obey(pair.left, pair.left.machine.submit("work", offers, 0))
    assert [row.number for row in pair.left.store.rows][2:] == [3, 4, None, None, None]


def test_credit_may_go_down_and_what_is_on_its_way_is_still_taken(down: bool) -> None:
    pair = open_pair(down=down)
    pair.right.store.windows["work"] = (0, 0)
    pair.ask_node(pair.right)
    assert credits_of(pair) == [(2, 0)]
    pair.feed(pair.right, pair.data(pair.batch("late"), 3))
    assert pair.closed == {}
    assert len(pair.right.store.stored) == 3
    pair.left.store.add("work", pair.batch("later"))
    pair.run()
    assert len(pair.right.store.stored) == 3


def test_more_than_was_ever_granted_ends_the_connection(down: bool) -> None:
    pair = Pair(down=down)
    pair.right.store.windows["work"] = (64, WINDOW_BYTES)
    pair.connect()
    pair.run()
    within = pair.batch(*(f"n{i}" for i in range(63)))
    pair.feed(pair.right, pair.data(within, 1))
    allowed = credits_of(pair)[-1][0]
    assert allowed == 127
    pair.right.store.windows["work"] = (0, 0)
    pair.ask_node(pair.right)
    pair.feed(pair.right, pair.data(pair.batch(*(f"m{i}" for i in range(64))), 64))
    assert pair.closed == {}
    pair.feed(pair.right, pair.data(pair.batch("beyond"), 128))
    assert pair.closed["right"].code == "credit"
    assert len(pair.right.store.stored) == 127


def test_credit_of_an_earlier_connection_counts_for_nothing(down: bool) -> None:
    pair = open_pair(down=down)
    pair.right.store.windows = dict.fromkeys(LANES, (0, 0))
    pair.connect()
    pair.run()
    assert pair.left.machine.credit("work") == (0, 0)
    pair.feed(pair.right, pair.data(pair.batch("c"), 3))
    assert pair.closed["right"].code == "credit"


def test_a_window_smaller_than_a_frame_is_our_mistake(down: bool) -> None:
    link = open_pair(down=down).right.machine
    for window in ((63, 1), (64, 0), (0, 1)):
        with pytest.raises(AssertionError):
            link.grant("work", *window)


def test_an_offer_larger_than_a_frame_is_our_mistake(down: bool) -> None:
    pair = open_pair(down=down)
    batch = pair.batch(*(f"n{i}" for i in range(6)), text="x" * 48_000)
    pair.left.store.add("work", batch)
    pair.left.machine.wake("work")
    wanted = pair.left.machine.wanted("work")
    assert wanted is not None
    [*_, offer] = pair.left.store.find("work", wanted)
    too_large = replace(offer, batch=batch, rows=tuple(range(6)))
    with pytest.raises(AssertionError, match="fits a frame"):
        pair.left.machine.submit("work", [too_large], 0)
