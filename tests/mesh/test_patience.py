"""What waits for company, for how long, and with what it goes."""

from __future__ import annotations

import pytest
from netsky.envelope.batch import Batch
from netsky.mesh.effects import NOTHING, Acked, Arrived, Close, Effects, Froze, Record
from netsky.mesh.frames import CONTROL, Ack, Frame, Ping
from netsky.mesh.limits import (
    ACK_AT_ONCE,
    ACK_WAITS_NS,
    OUTCOME_ACK_WAITS_NS,
    RECORDS_WAIT_NS,
    RECORDS_WAITING_MAX,
)
from netsky.mesh.patience import Patience

FROZE = Froze("work", "in", "diverged")


def acked(number: int) -> Acked:
    return Acked("work", 1, number, b"l" * 32)


def storing(*records: Record) -> Effects:
    return Effects(persist=records)


def sending(*frames: Frame) -> Effects:
    return Effects(send=tuple((CONTROL, frame) for frame in frames))


def started() -> Patience:
    """One that has said its first ack, which waits for nothing."""
    patience = Patience()
    assert patience.part(sending(Ack("work", 1, 1)), 0).send == ((CONTROL, Ack("work", 1, 1)),)
    return patience


def came(number: int) -> Effects:
    """An envelope, with the ack that will say so."""
    batch = Batch(1, "batch", b"m", b"s", b"", ())
    arrived = Arrived("work", 1, b"", batch, (), b"", number, (), 1, None)
    return Effects(persist=(arrived,), send=((CONTROL, Ack("work", 1, number)),))


def test_an_ack_waits_and_the_last_of_those_that_wait_is_said() -> None:
    patience = started()
    now = ACK_WAITS_NS
    assert patience.part(came(2), now).send == ()
    assert patience.part(came(3), now + 5).send == ()
    assert patience.due == now + ACK_WAITS_NS
    assert patience.part(NOTHING, now + ACK_WAITS_NS - 1).send == ()
    assert patience.part(NOTHING, now + ACK_WAITS_NS).send == ((CONTROL, Ack("work", 1, 3)),)
    assert patience.due is None


def test_an_ack_of_outcomes_waits_for_a_heartbeat_to_go_with_but_not_for_envelopes() -> None:
    patience = started()
    assert patience.part(sending(Ack("reply", 1, 1)), 0).send == ((CONTROL, Ack("reply", 1, 1)),)
    assert patience.part(sending(Ack("reply", 1, 2)), 5).send == ()
    assert patience.due == 5 + OUTCOME_ACK_WAITS_NS
    assert patience.part(came(2), 10).send == ()
    assert patience.due == 10 + ACK_WAITS_NS
    assert patience.part(sending(Ack("reply", 1, 3)), 15).send == ()
    assert patience.due == 10 + ACK_WAITS_NS
    both = ((CONTROL, Ack("reply", 1, 3)), (CONTROL, Ack("work", 1, 2)))
    assert patience.part(NOTHING, 10 + ACK_WAITS_NS).send == both


def test_an_ack_goes_along_with_data_unless_one_went_just_before() -> None:
    patience, data = started(), (1, Ping(1))
    patience.part(came(2), ACK_WAITS_NS - 2)
    assert patience.part(Effects(send=(data,)), ACK_WAITS_NS - 1).send == (data,)
    assert patience.part(Effects(send=(data,)), ACK_WAITS_NS).send == ((CONTROL, Ack("work", 1, 2)), data)
    assert patience.due is None


def test_an_ack_for_much_goes_at_once() -> None:
    patience = started()
    assert patience.part(sending(Ack("work", 1, ACK_AT_ONCE)), 0).send == ()
    pressing = (CONTROL, Ack("work", 1, 1 + ACK_AT_ONCE))
    assert patience.part(sending(pressing[1]), 0).send == (pressing,)


@pytest.mark.parametrize("ack", [Ack("work", 1, 1), Ack("work", 2, 1)], ids=["said before", "of another life"])
def test_an_ack_that_somebody_lacks_goes_at_once(ack: Ack) -> None:
    assert started().part(sending(ack), 0).send == ((CONTROL, ack),)


def test_acks_go_along_with_whatever_else_is_said() -> None:
    patience = started()
    patience.part(sending(Ack("work", 1, 2)), 0)
    assert patience.part(sending(Ping(7)), 0).send == ((CONTROL, Ack("work", 1, 2)), (CONTROL, Ping(7)))
    assert patience.due is None


def test_what_an_ack_changes_is_stored_before_what_is_stored_next() -> None:
    patience = Patience()
    assert patience.part(storing(acked(1)), 0).persist == ()
    assert patience.part(storing(acked(2)), 0).persist == ()
    assert patience.part(storing(FROZE), 0).persist == (acked(1), acked(2), FROZE)
    assert patience.part(NOTHING, 10 * RECORDS_WAIT_NS).persist == ()


def test_alone_it_is_stored_in_the_end() -> None:
    patience = Patience()
    patience.part(storing(acked(1)), 5)
    assert patience.due == 5 + RECORDS_WAIT_NS
    assert patience.part(NOTHING, 5 + RECORDS_WAIT_NS).persist == (acked(1),)
    assert patience.due is None


def test_no_more_of_it_waits_than_a_bound() -> None:
    patience = Patience()
    waiting = [acked(number) for number in range(1, RECORDS_WAITING_MAX + 1)]
    for record in waiting[:-1]:
        assert patience.part(storing(record), 0).persist == ()
    assert patience.part(storing(waiting[-1]), 0).persist == tuple(waiting)


def test_at_the_end_nothing_waits() -> None:
    patience = started()
    patience.part(storing(acked(1)), 0)
    patience.part(sending(Ack("work", 1, 2)), 0)
    last = patience.part(Effects(close=Close("bye", "over")), 0)
    assert (last.persist, last.send) == ((acked(1),), ((CONTROL, Ack("work", 1, 2)),))


def test_nothing_else_is_touched() -> None:
    patience = Patience()
    effects = Effects(persist=(FROZE,), send=((1, Ping(1)),), deadline=9)
    assert patience.part(effects, 0) == effects
