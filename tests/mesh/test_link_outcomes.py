"""Outcomes on the reply lane: numbered and acknowledged like envelopes, beside them, under a link seal both ways."""

from __future__ import annotations

import pytest
from netsky.mesh.effects import Answered
from netsky.mesh.frames import CONTROL, Ack, Credit, Data, Evidence, Outcomes
from netsky.mesh.limits import WINDOW_BYTES
from netsky.mesh.offer import Offer
from netsky.mesh.outcome import outcome_leaf, unpack_outcome

from tests.mesh.pair import REPLY, WORK, Pair, both_ways, open_pair
from tests.mesh.world import OTHER, REIGN, outcome

pytestmark = both_ways


def test_outcomes_arrive_in_order_among_the_envelopes_of_their_lane(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.answer(outcome("a"), outcome("b"))
    pair.left.store.add("reply", pair.batch("r", kind="reply"))
    pair.left.store.answer(outcome("c"))
    pair.connect()
    pair.run()
    assert pair.right.store.outcomes == ["a", "b", "c"]
    assert [id_ for _, id_ in pair.right.store.stored] == ["r"]
    assert pair.left.store.state.outgoing["reply"].acked == 4
    answered = next(record for record in pair.right.store.log if isinstance(record, Answered))
    assert answered.outcomes == (unpack_outcome(outcome("a")), unpack_outcome(outcome("b")))
    assert (answered.first, answered.mark, answered.mark_leaf) == (1, 2, outcome_leaf(outcome("b")))
    assert [type(frame) for name, frame in pair.said if name == "left" and isinstance(frame, Data | Outcomes)] == [
        *(Outcomes, Data, Outcomes)
    ]


def test_a_hundred_outcomes_take_two_frames(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.answer(*(outcome(f"n{i}") for i in range(100)))
    pair.connect()
    pair.run()
    assert len(pair.right.store.outcomes) == 100
    assert sum(isinstance(frame, Outcomes) for _, frame in pair.said) == 2


def test_outcomes_that_were_lost_are_sent_again_byte_for_byte_and_those_that_arrived_are_not(down: bool) -> None:
    pair = Pair(down=down)
    pair.left.store.answer(outcome("a"), outcome("b"))
    pair.connect()
    pair.run(lambda _, frame: not isinstance(frame, Outcomes))
    pair.connect()
    pair.run(lambda _, frame: not isinstance(frame, Ack))
    first, again = [frame for _, frame in pair.said if isinstance(frame, Outcomes)]
    assert first == again
    pair.said.clear()
    pair.connect()
    pair.run()
    assert pair.right.store.outcomes == ["a", "b"]
    assert pair.left.store.state.outgoing["reply"].acked == 2
    assert not any(isinstance(frame, Outcomes) for _, frame in pair.said)


def answered_pair(down: bool) -> Pair:
    pair = Pair(down=down)
    pair.left.store.answer(outcome("a"), outcome("b"))
    pair.connect()
    pair.run()
    pair.said.clear()
    return pair


def test_the_same_numbers_again_are_acknowledged_again_and_a_frame_that_goes_on_brings_the_rest(down: bool) -> None:
    pair = answered_pair(down)
    pair.feed(pair.right, pair.outcomes(1, outcome("a"), outcome("b")), REPLY)
    assert pair.said == [("right", Ack("reply", 1, 2))]
    pair.feed(pair.right, pair.outcomes(2, outcome("b"), outcome("c")), REPLY)
    assert pair.right.store.outcomes == ["a", "b", "c"]
    answered = pair.right.store.log[-1]
    assert isinstance(answered, Answered)
    assert (answered.first, answered.mark, answered.claim_first) == (3, 3, 2)


def test_another_outcome_under_a_number_that_was_taken_freezes_the_lane(down: bool) -> None:
    pair = answered_pair(down)
    pair.feed(pair.right, pair.outcomes(2, outcome("z")), REPLY)
    assert pair.right.store.alarms() == ["diverged"]
    [(_, evidence)] = pair.said
    assert isinstance(evidence, Evidence)
    assert evidence.leaves == (outcome_leaf(outcome("a")), outcome_leaf(outcome("b")))


def test_evidence_about_outcomes_is_checked_by_the_link_seal_at_the_root_too(down: bool) -> None:
    pair = answered_pair(down)
    other = pair.outcomes(1, outcome("a"), outcome("z"))
    leaves = tuple(outcome_leaf(packed) for packed in other.outcomes)
    pair.feed(pair.left, Evidence("reply", 1, 2, other.seal, leaves), CONTROL)
    assert pair.left.store.alarms() == ["diverged"]


CLAIMS: dict[str, dict[str, object]] = {
    "another receiver": {"receiver": OTHER.key},
    "another lane": {"lane": "work"},
    "another life": {"life": 2},
    "another reign": {"reign": REIGN - 1},
    "fewer": {"count": 2},
    "other leaves": {"leaves": bytes(32)},
    "another signer": {"sealer": OTHER},
}


@pytest.mark.parametrize("wrong", CLAIMS.values(), ids=CLAIMS)
def test_outcomes_under_a_seal_that_does_not_fit_end_the_connection(down: bool, wrong: dict[str, object]) -> None:
    pair = answered_pair(down)
    pair.feed(pair.right, pair.outcomes(3, outcome("c"), **wrong), REPLY)  # type: ignore[arg-type]
    assert pair.closed["right"].code == "claim"
    assert pair.right.store.outcomes == ["a", "b"]


def test_outcomes_on_the_work_lane_end_the_connection(down: bool) -> None:
    pair = answered_pair(down)
    pair.feed(pair.right, pair.outcomes(1, outcome("c"), lane="work"), WORK)
    assert pair.closed["right"].code == "frame"


def test_what_is_no_outcome_a_gap_and_too_many_end_the_connection(down: bool) -> None:
    for frame, code in (((3, b"\x90"), "frame"), ((4, outcome("c")), "gap"), ((1_100, outcome("c")), "gap")):
        pair = answered_pair(down)
        pair.feed(pair.right, pair.outcomes(*frame), REPLY)
        assert pair.closed["right"].code == code
    pair = Pair(down=down)
    pair.right.store.windows["reply"] = (0, 0)
    pair.connect()
    pair.run()
    pair.feed(pair.right, pair.outcomes(1, outcome("c")), REPLY)
    assert pair.closed["right"].code == "credit"


def test_outcomes_offered_on_the_work_lane_or_with_none_or_two_rows_are_our_mistake(down: bool) -> None:
    pair = open_pair(down=down)
    pair.feed(pair.left, Credit("work", 1, 99, WINDOW_BYTES), CONTROL)
    with pytest.raises(AssertionError):
        pair.left.machine.submit("work", [Offer("outcomes", (1,), None, (outcome("a"),))], 0)
    for rows in ((), (1, 2)):
        with pytest.raises(AssertionError):
            pair.left.machine.submit("reply", [Offer("outcomes", rows, None, (outcome("a"), outcome("b")))], 0)
    with pytest.raises(AssertionError):
        pair.left.machine.submit("reply", [Offer("own", (1,), None, (outcome("a"),))], 0)
