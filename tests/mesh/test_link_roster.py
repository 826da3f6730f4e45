"""What the root tells its siblings: the roster in force, and what to hold back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from netsky.envelope.batch import Statement, encode_batch, leaves, seal
from netsky.envelope.kinds import Lane
from netsky.mesh.effects import NOTHING, Arrived, Enrolled, Restored
from netsky.mesh.frames import CONTROL, Ack, Data, Frame, Hello, Hold, Ping, RosterPiece
from netsky.mesh.limits import (
    HOLD_EVERY_BEATS,
    HOLDS_MAX,
    INBOX_BYTES_MAX,
    ROSTER_PIECE_BYTES_MAX,
    ROSTER_PIECES_IN_TURN,
    ROSTER_WITHIN_NS,
)
from netsky.mesh.link import Link
from netsky.mesh.roster import Member, Roster, seal_roster

from tests.mesh.pair import REPLY, WORK, Pair, open_pair
from tests.mesh.world import MESH, NOW, OTHER, REIGN, ROOT, SIBLING, MemoryStore, Node, Side, fresh, roster, sealed

THIRD = Node(3)
NEWER = roster(6, numbers=(0, 1, 2, 3))


def pieces(pair: Pair) -> list[RosterPiece]:
    return [frame for _, frame in pair.said if isinstance(frame, RosterPiece)]


def waits(pair: Pair) -> bool:
    return pair.right.machine.waits_for_roster


def large(version: int = 6) -> Roster:
    """In many pieces."""
    first = roster(version)
    more = tuple(Member(bytes([1, at // 256, at % 256]) + bytes(29), f"netsky{at}", "x" * 60) for at in range(3, 600))
    return replace(first, members=(*first.members, *more))


def no_roster(_: Side, frame: Frame) -> bool:
    return not isinstance(frame, RosterPiece)


# From the root to its siblings.


def test_a_sibling_that_is_behind_gets_the_roster_with_the_hello() -> None:
    pair = Pair(down=True)
    pair.left.store.known = sealed(NEWER)
    pair.connect()
    pair.run()
    assert [record for record in pair.right.store.log if isinstance(record, Enrolled)] == [Enrolled(*sealed(NEWER))]
    assert pair.right.store.known[0] == NEWER
    pair.said.clear()
    pair.connect()
    pair.run()
    assert pieces(pair) == []
    assert [frame.roster for _, frame in pair.said if isinstance(frame, Hello)] == [6, 6]


def test_whoever_is_enrolled_later_is_told_to_who_is_linked_once() -> None:
    pair = open_pair(down=True)
    pair.left.store.known = sealed(NEWER)
    for _ in range(3):
        pair.run()
    assert len(pieces(pair)) == 1
    assert pair.right.store.known[0] == NEWER
    # What the new member sealed is taken in the same connection.
    pair.left.store.forward("work", THIRD.batch(SIBLING, "c"))
    pair.run()
    assert (THIRD.key, "c") in pair.right.store.stored
    assert pair.closed == {}


def test_a_large_roster_goes_in_pieces_a_few_at_a_time() -> None:
    pair = open_pair(down=True)
    known = large()
    pair.left.store.known = sealed(known)
    pair.ask_node(pair.left)
    sends = []
    while (effects := pair.left.machine.pieces()).send:
        sends.append(len(effects.send))
        pair.obey(pair.left, effects)
    assert len(sends) > 1
    assert set(sends[:-1]) == {ROSTER_PIECES_IN_TURN}
    assert all(len(piece.piece) <= ROSTER_PIECE_BYTES_MAX for piece in pieces(pair))
    pair.run()
    assert pair.right.store.known == sealed(known)


def test_a_newer_roster_takes_the_place_of_one_that_is_on_its_way() -> None:
    pair = open_pair(down=True)
    pair.left.store.known = sealed(large())
    pair.ask_node(pair.left)
    pair.obey(pair.left, pair.left.machine.pieces())
    pair.left.store.known = sealed(large(7))
    pair.run()
    assert pair.closed == {}
    assert [record.roster.version for record in pair.right.store.log if isinstance(record, Enrolled)] == [7]


def test_a_sibling_goes_by_a_roster_that_its_node_has_from_elsewhere() -> None:
    pair = open_pair(down=True)
    pair.right.store.known = sealed(NEWER)
    pair.feed(pair.right, pair.data(THIRD.batch(SIBLING, "c"), 3, roster=6))
    assert waits(pair)
    pair.ask_node(pair.right)
    assert not waits(pair)
    assert (THIRD.key, "c") in pair.right.store.stored
    before_hello = Link(SIBLING.ends(ROOT), fresh(), *sealed(roster()))
    assert before_hello.know(*sealed(NEWER)) == NOTHING
    assert before_hello.know(*sealed(roster())) == NOTHING
    [(_, hello)] = before_hello.start(0).send
    assert isinstance(hello, Hello)
    assert hello.roster == 6


def test_a_roster_that_the_node_has_from_elsewhere_meanwhile_is_passed_over() -> None:
    pair = open_pair(down=True)
    _, data = sealed(large())
    pair.feed(pair.right, RosterPiece(6, len(data), 0, data[:4_000]), CONTROL)
    pair.right.store.known = sealed(large(7))
    pair.ask_node(pair.right)
    pair.feed(pair.right, RosterPiece(6, len(data), 4_000, data[4_000:8_000]), CONTROL)
    assert pair.closed == {}
    pair.left.store.known = sealed(large(8))
    pair.run()
    assert pair.closed == {}
    assert pair.right.store.known == sealed(large(8))


def test_a_roster_of_another_reign_ends_the_link() -> None:
    for down in (False, True):
        link = open_pair(down=down).right.machine
        effects = link.know(replace(NEWER, reign=REIGN + 1), b"")
        assert effects.close is not None
        assert effects.close.code == "reign"


# Data that was routed by a newer roster.


def test_data_waits_in_order_for_the_roster_by_which_it_was_routed() -> None:
    pair = open_pair(down=True)
    pair.left.store.known = sealed(NEWER)
    pair.ask_node(pair.left)
    pair.left.store.forward("work", THIRD.batch(SIBLING, "c"))
    pair.left.store.add("work", ROOT.batch(SIBLING, "d"))
    pair.left.store.add("reply", ROOT.batch(SIBLING, "e", kind="reply"))
    held: list[Frame] = []

    def later(_: Side, frame: Frame) -> bool:
        held.extend([frame] if isinstance(frame, RosterPiece) else [])
        return not isinstance(frame, RosterPiece)

    pair.run(later)
    assert waits(pair)
    assert len(pair.right.store.stored) == 2
    assert not any(isinstance(frame, Ack) for _, frame in pair.said)
    for frame in held:
        pair.feed(pair.right, frame, CONTROL)
    assert not waits(pair)
    pair.run()
    assert [id_ for _, id_ in pair.right.store.stored] == ["a", "b", "e", "c", "d"]
    # The roster is stored with what came by it, before the ack.
    assert [type(record) for record in pair.right.store.log[-4:]] == [Enrolled, Arrived, Arrived, Arrived]
    assert pair.left.store.state.outgoing["work"].acked == 4


def test_a_sibling_without_any_roster_takes_no_data_before_it_has_one() -> None:
    right = MemoryStore(known=(None, b""))
    pair = Pair(down=True, right=right)
    pair.left.store.add("work", pair.batch("a"))
    pair.connect()
    pair.run(no_roster)
    assert right.stored == {}
    assert pair.right.machine.know(None, b"") == NOTHING
    pair.connect()
    pair.run()
    assert len(right.stored) == 1
    assert right.known == sealed(roster())


def test_of_what_waits_no_more_is_kept_than_an_inbox_has_and_then_the_link_ends() -> None:
    pair = open_pair(down=True)
    batch = pair.batch(*(f"n{i}" for i in range(5)), text="x" * 48_000)
    size = len(encode_batch(batch))
    count = INBOX_BYTES_MAX // size
    for at in range(count):
        pair.feed(pair.right, pair.data(batch, 3 + 5 * at, roster=6))
        assert pair.closed == {}
    pair.feed(pair.right, pair.data(batch, 3 + 5 * count, roster=6))
    assert pair.closed["right"].code == "roster"


def test_room_for_what_waits_is_there_again_after_each_roster() -> None:
    pair = open_pair(down=True)
    batch = pair.batch(*(f"n{i}" for i in range(5)), text="x" * 48_000)
    first = 3
    for version in (6, 7, 8):
        for _ in range(2):
            pair.feed(pair.right, pair.data(batch, first, roster=version))
            first += 5
        _, data = sealed(replace(NEWER, version=version))
        pair.feed(pair.right, RosterPiece(version, len(data), 0, data), CONTROL)
    assert pair.closed == {}
    assert pair.right.store.state.incoming["work"].mark == first - 1


def test_what_waits_for_a_roster_waits_for_a_minute_whatever_else_comes() -> None:
    pair = open_pair(down=True)
    link = pair.right.machine
    link.receive(WORK, pair.data(pair.batch("c"), 3, roster=6), 10, NOW)
    end = 10 + ROSTER_WITHIN_NS
    assert link.receive(CONTROL, Ping(1), end - 1, NOW).deadline == end
    assert link.handle_timer(end - 1).close is None
    link.receive(WORK, pair.data(pair.batch("d"), 4, roster=6), end - 1, NOW)
    # A roster that is still not the one changes nothing about that.
    wanted = pair.data(pair.batch("c"), 3, roster=7)
    other = open_pair(down=True)
    late = other.right.machine
    late.receive(WORK, wanted, 10, NOW)
    late.receive(CONTROL, RosterPiece(6, len(sealed(NEWER)[1]), 0, sealed(NEWER)[1]), 20, NOW)
    assert late.waits_for_roster
    for machine in (link, late):
        machine.receive(CONTROL, Ping(1), end - 1, NOW)
        close = machine.handle_timer(end).close
        assert close is not None
        assert close.code == "roster"


def test_what_waited_can_still_end_the_link_or_find_its_lane_frozen() -> None:
    pair = open_pair(down=True)
    _, data = sealed(NEWER)
    for batch, first in ((pair.batch("other"), 2), (pair.batch("c"), 3), (pair.batch("d"), 9)):
        pair.feed(pair.right, pair.data(batch, first, roster=6))
    pair.feed(pair.right, RosterPiece(6, len(data), 0, data), CONTROL)
    assert pair.right.store.alarms() == ["diverged"]
    assert pair.closed == {}
    ends = open_pair(down=True)
    for first in (5, 3):
        ends.feed(ends.right, ends.data(ends.batch("c"), first, roster=6))
    ends.feed(ends.right, RosterPiece(6, len(data), 0, data), CONTROL)
    assert ends.closed["right"].code == "gap"
    assert len(ends.right.store.stored) == 2


# Rosters that are not taken.


def whole(known: Roster, *, by: Node = ROOT, **wrong: object) -> RosterPiece:
    data = seal_roster(known, by.sign)
    return replace(RosterPiece(known.version, len(data), 0, data), **wrong)  # type: ignore[arg-type]


def renamed(known: Roster, number: int, name: str) -> Roster:
    members = tuple(replace(member, name=name) if member.number == number else member for member in known.members)
    return replace(known, members=members)


def second_key() -> Roster:
    """netsky2 as somebody else, and the one who had the name under another."""
    known = renamed(NEWER, 2, "netsky9")
    return renamed(known, 3, "netsky2")


def by_another() -> RosterPiece:
    mine = replace(NEWER, root_key=OTHER.key, members=(replace(NEWER.members[0], key=OTHER.key), NEWER.members[1]))
    data = seal_roster(mine, OTHER.sign)
    return RosterPiece(6, len(data), 0, data)


def of_another_type() -> RosterPiece:
    data = encode_batch(seal(ROOT.sign, ROOT.key, "link", MESH, [Statement(b"", b"")]))
    return RosterPiece(6, len(data), 0, data)


NOT_TAKEN: dict[str, Callable[[], RosterPiece]] = {
    "an older one": lambda: whole(roster(4)),
    "the same version again": lambda: whole(roster(5, numbers=(0, 1, 2, 3))),
    "another version than it says": lambda: whole(NEWER, version=7),
    "another reign": lambda: whole(replace(NEWER, reign=REIGN + 1)),
    "another mesh": lambda: whole(replace(NEWER, mesh=b"n" * 16)),
    "a member lost": lambda: whole(roster(6, numbers=(0, 1))),
    "a revocation undone": lambda: whole(roster(6, numbers=(0, 1, 2))),
    "a member renamed": lambda: whole(renamed(NEWER, 2, "netsky9")),
    "a name with a second key": lambda: whole(second_key()),
    "a name enrolled again with another key": lambda: whole(
        replace(NEWER, members=(*NEWER.members[:2], replace(NEWER.members[3], name="netsky2")))
    ),
    "sealed by another": by_another,
    "of another type": of_another_type,
    "no roster at all": lambda: RosterPiece(6, 1, 0, b"\x00"),
    "a piece that follows nothing": lambda: RosterPiece(6, 100, 50, b"x"),
}


@pytest.mark.parametrize("make", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_a_roster_that_breaks_a_rule_ends_the_link_and_the_one_before_stays(make: Callable[[], RosterPiece]) -> None:
    pair = open_pair(down=True)
    if make is NOT_TAKEN["a revocation undone"]:
        pair.right.store.known = sealed(roster(5, revoked=[2]))
        pair.connect()
        pair.run()
    known = pair.right.store.known
    pair.feed(pair.right, make(), CONTROL)
    assert pair.closed["right"].code == "roster"
    assert pair.right.store.known == known


@pytest.mark.parametrize(
    "change", [{"offset": 3}, {"offset": 9}, {"version": 7}, {"total": 9_999}], ids=["overlap", "gap", "other", "total"]
)
def test_pieces_that_do_not_follow_one_another_end_the_link(change: dict[str, Any]) -> None:
    pair = open_pair(down=True)
    pair.feed(pair.right, RosterPiece(6, 100, 0, b"x" * 4), CONTROL)
    assert pair.closed == {}
    pair.feed(pair.right, replace(RosterPiece(6, 100, 4, b"x" * 4), **change), CONTROL)
    assert pair.closed["right"].code == "roster"


def test_a_roster_that_was_taken_is_in_force_at_once_and_not_taken_twice() -> None:
    pair = open_pair(down=True)
    pair.feed(pair.right, whole(NEWER), CONTROL)
    pair.feed(pair.right, whole(NEWER), CONTROL)
    assert pair.closed["right"].code == "roster"
    assert sum(isinstance(record, Enrolled) for record in pair.right.store.log) == 1


def test_a_root_that_is_shown_a_newer_roster_under_its_own_seal_was_restored_and_takes_it() -> None:
    pair = Pair()
    pair.left.store.known = sealed(NEWER)
    pair.connect()
    pair.run()
    assert pair.closed["right"].code == "restored"
    enrolled, restored = [one for one in pair.right.store.log if isinstance(one, Enrolled | Restored)]
    assert enrolled == Enrolled(*sealed(NEWER))
    assert isinstance(restored, Restored)
    assert restored.reason == "roster"
    assert pair.right.store.known == sealed(NEWER)
    pair.connect()
    pair.run()
    assert pair.closed == {}
    assert sum(isinstance(one, Restored) for one in pair.right.store.log) == 1


def test_a_root_that_learns_of_a_roster_meanwhile_passes_over_what_a_sibling_shows_of_it() -> None:
    pair = open_pair()
    pair.right.store.known = sealed(NEWER)
    pair.run()
    pair.feed(pair.right, whole(NEWER), CONTROL)
    assert pair.closed == {}
    assert not any(isinstance(one, Restored) for one in pair.right.store.log)


@pytest.mark.parametrize(
    "shown",
    [
        lambda: whole(NEWER, by=SIBLING),
        lambda: whole(replace(NEWER, reign=REIGN + 1)),
        lambda: whole(roster(6, numbers=(0, 1))),
    ],
    ids=["of another seal", "of another reign", "that lost a member"],
)
def test_a_root_takes_no_other_roster_from_a_sibling(shown: Callable[[], RosterPiece]) -> None:
    pair = open_pair()
    pair.feed(pair.right, shown(), CONTROL)
    assert pair.closed["right"].code == "roster"
    assert pair.right.store.known[0].version == 5


# Holds.

HELD: frozenset[tuple[bytes, str, Lane]] = frozenset({(OTHER.key, "", "reply"), (SIBLING.key, "agent4", "work")})


def holds(pair: Pair) -> list[frozenset[tuple[bytes, str, Lane]]]:
    return [frozenset(frame.held) for _, frame in pair.said if isinstance(frame, Hold)]


def test_a_sibling_is_told_what_is_held_with_the_hello_and_when_it_changes() -> None:
    pair = Pair(down=True)
    pair.left.store.holds = HELD
    pair.connect()
    pair.run()
    pair.run()
    assert pair.right.store.told_holds() == [HELD]
    pair.left.store.holds = frozenset()
    pair.run()
    pair.run()
    assert pair.right.store.told_holds() == [HELD, frozenset()]
    assert holds(pair) == [frozenset(), HELD, frozenset()], "the other end holds nothing, and says so too"
    pair.said.clear()
    pair.connect()
    pair.run()
    assert holds(pair) == [frozenset(), frozenset()], (
        "or a hold that ended while there was no connection would last until it lapses"
    )


def test_a_hold_is_said_again_with_every_tenth_heartbeat_and_nothing_is_when_nothing_is_held() -> None:
    pair = open_pair(down=True)
    link = pair.left.machine

    def said(beats: int) -> list[int]:
        return [at for at in range(beats) if any(isinstance(frame, Hold) for _, frame in link.beat(at).send)]

    assert said(2 * HOLD_EVERY_BEATS) == []
    link.hold(HELD)
    assert said(2 * HOLD_EVERY_BEATS) == [HOLD_EVERY_BEATS - 1, 2 * HOLD_EVERY_BEATS - 1]
    link.hold(frozenset())
    assert said(HOLD_EVERY_BEATS) == []


def test_a_sibling_says_what_to_hold_for_itself_and_for_nobody_else() -> None:
    pair = open_pair()
    own: tuple[bytes, str, Lane] = (pair.left.node.key, "agent1", "work")
    pair.feed(pair.right, Hold((own,)), CONTROL)
    assert pair.right.store.told_holds()[-1:] == [{own}]
    pair.feed(pair.right, Hold((own, (b"k" * 32, "", "work"))), CONTROL)
    assert pair.closed["right"].code == "frame"
    assert pair.right.store.told_holds()[-1:] == [{own}]


def test_holds_for_others_from_a_sibling_and_more_than_fits_are_our_mistake() -> None:
    pair = open_pair(down=True)
    with pytest.raises(AssertionError):
        pair.right.machine.hold(HELD)
    with pytest.raises(AssertionError):
        pair.left.machine.hold(frozenset((bytes([at]) * 32, "", "work") for at in range(HOLDS_MAX + 1)))


def test_outcomes_wait_behind_data_that_waits() -> None:
    pair = open_pair(down=True)
    frame = pair.data(ROOT.batch(SIBLING, "c"), 3, roster=6)
    pair.feed(pair.right, frame)
    pair.feed(pair.right, pair.outcomes(1, b"damaged"), REPLY)
    assert pair.closed == {}
    _, data = sealed(NEWER)
    pair.feed(pair.right, RosterPiece(6, len(data), 0, data), CONTROL)
    assert pair.closed["right"].code == "frame"
    assert isinstance(frame, Data)
    assert len(leaves(ROOT.batch(SIBLING, "c"))) == 1
