"""Whose work comes in: link seals at the root, routes at a sibling, and what is refused behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from netsky.envelope.batch import Batch, Statement, encode_batch, leaves, seal
from netsky.mesh.claim import Claim, leaves_hash, seal_claim
from netsky.mesh.effects import Arrived
from netsky.mesh.frames import CONTROL, Ack, Data, Hello
from netsky.mesh.link import Link
from netsky.mesh.pieces import with_only
from netsky.mesh.route import open_route
from netsky.mesh.streams import FrameState, OutgoingState

from tests.mesh.pair import Pair, both_ways, open_pair
from tests.mesh.world import MESH, NOW, OTHER, REIGN, ROOT, SIBLING, Node, fresh, roster, sealed

STRANGER = Node(7)


def refused(pair: Pair, frame: Data, code: str) -> None:
    """The connection ends, and nothing is stored."""
    pair.feed(pair.right, frame)
    assert pair.closed["right"].code == code
    assert len(pair.right.store.stored) == 2
    assert pair.right.store.refused == []


# Up: the root believes the peer's own link seal.

CLAIMS: dict[str, dict[str, object]] = {
    "another receiver": {"receiver": OTHER.key},
    "another lane": {"lane": "reply"},
    "another life": {"life": 2},
    "a lower life": {"life": 1, "sends": 2},
    "another reign": {"reign": REIGN + 1},
    "an old reign": {"reign": REIGN - 1},
    "more than there are": {"count": 2},
    "other leaves": {"leaves": bytes(32)},
    "another signer": {"sealer": OTHER},
    "signed by the root": {"sealer": ROOT},
    "another mesh": {"mesh": b"n" * 16},
}


@pytest.mark.parametrize("wrong", CLAIMS.values(), ids=CLAIMS)
def test_a_link_seal_that_does_not_fit_its_frame_ends_the_connection(wrong: dict[str, object]) -> None:
    pair = open_pair()
    wrong = dict(wrong)
    if "sends" in wrong:
        pair = raised_life(pair, wrong.pop("sends"))
    refused(pair, pair.data(pair.batch("c"), 3, **wrong), "claim")  # type: ignore[arg-type]


def raised_life(pair: Pair, life: object) -> Pair:
    """The left one counts anew; what it sealed in the life before is replayed in the new connection."""
    assert isinstance(life, int)
    state = fresh(life, b"M" * 16)
    pair.left.store.state = replace(state, incoming=pair.left.store.state.incoming)
    pair.connect()
    pair.run()
    assert pair.closed == {}
    return pair


@both_ways
def test_a_seal_with_a_damaged_signature_ends_the_connection(down: bool) -> None:
    pair = open_pair(down=down)
    good = pair.data(pair.batch("c"), 3)
    at = len(good.seal) // 2
    damaged = good.seal[:at] + bytes([good.seal[at] ^ 1]) + good.seal[at + 1 :]
    refused(pair, replace(good, seal=damaged), "route" if down else "claim")


def test_a_route_is_no_link_seal_and_a_link_seal_no_route() -> None:
    up, down = open_pair(), open_pair(down=True)
    refused(up, replace(up.data(up.batch("c"), 3), seal=down.data(down.batch("c"), 3).seal), "claim")
    # The root's own signature, but of another type.
    own = leaves(down.batch("c"))
    claim = Claim(REIGN, "work", 1, 3, 1, leaves_hash(own), SIBLING.key)
    refused(down, Data(seal_claim(ROOT.sign, ROOT.key, MESH, claim), encode_batch(down.batch("c"))), "route")


# Down: a sibling believes the root's route for its own key, and nothing else.

ROUTES: dict[str, tuple[dict[str, object], str]] = {
    "for another key": ({"destination": OTHER.key}, "route"),
    "another lane": ({"lane": "reply"}, "route"),
    "another life": ({"life": 2}, "route"),
    "a lower life": ({"life": 1, "sends": 2}, "route"),
    "an old reign": ({"reign": REIGN - 1}, "reign"),
    "a reign to come": ({"reign": REIGN + 1}, "reign"),
    "more than there are": ({"count": 2, "bitmap": 3}, "route"),
    "another bit": ({"bitmap": 2}, "route"),
    "other leaves": ({"leaves": bytes(32)}, "route"),
    "signed by another sibling": ({"sealer": OTHER}, "route"),
    "signed by the receiver": ({"sealer": SIBLING}, "route"),
    "another mesh": ({"mesh": b"n" * 16}, "route"),
}


@pytest.mark.parametrize(("wrong", "code"), ROUTES.values(), ids=ROUTES)
def test_a_route_that_does_not_fit_ends_the_connection(wrong: dict[str, object], code: str) -> None:
    pair = open_pair(down=True)
    wrong = dict(wrong)
    if "sends" in wrong:
        pair = raised_life(pair, wrong.pop("sends"))
    refused(pair, pair.data(pair.batch("c"), 3, **wrong), code)  # type: ignore[arg-type]


def test_a_valid_envelope_without_a_route_is_refused() -> None:
    pair = open_pair(down=True)
    refused(pair, Data(b"", encode_batch(OTHER.batch(SIBLING, "c"))), "route")


def test_a_route_without_its_envelope_is_refused() -> None:
    batch = ROOT.batch(SIBLING, "c", "d")
    all_leaves = leaves(batch)
    for kept in ([], [0]):  # none of its statements, one of its two
        pair = open_pair(down=True)
        frame = pair.data(batch, 3)
        refused(pair, replace(frame, batch=encode_batch(with_only(batch, all_leaves, kept))), "route")


def test_a_surplus_statement_in_a_routed_batch_is_refused() -> None:
    pair = open_pair(down=True)
    batch = ROOT.batch(SIBLING, "c", "d")
    frame = pair.data(with_only(batch, leaves(batch), [0]), 3)
    refused(pair, replace(frame, batch=encode_batch(batch)), "route")


@pytest.mark.parametrize("change", [lambda own: own[:1], lambda own: (*own, bytes(32)), lambda own: own[::-1]])
def test_surplus_missing_or_reordered_leaves_are_refused(
    change: Callable[[tuple[object, ...]], tuple[object, ...]],
) -> None:
    batch = ROOT.batch(SIBLING, "c", "d")
    kept = with_only(batch, leaves(batch), [0])
    pair = open_pair(down=True)
    frame = pair.data(kept, 3)
    refused(pair, replace(frame, batch=encode_batch(replace(kept, statements=change(kept.statements)))), "route")  # type: ignore[arg-type]


def test_the_route_of_one_batch_does_not_carry_another() -> None:
    pair = open_pair(down=True)
    refused(pair, replace(pair.data(pair.batch("c"), 3), batch=encode_batch(pair.batch("d"))), "route")


def test_bytes_of_an_earlier_session_bring_nothing_new_and_not_in_another_direction() -> None:
    pair = open_pair(down=True)
    old = pair.data(pair.batch("a", "b"), 1)
    pair.connect()
    pair.run()
    pair.said.clear()
    pair.feed(pair.right, old)
    assert pair.said == [("right", Ack("work", 1, 2))]
    assert len(pair.right.store.stored) == 2
    up = open_pair()
    refused(up, up.data(ROOT.batch(SIBLING, "c"), 3, sealer=ROOT), "claim")


# What fails behind the link consumes its number.


def faulty(down: bool) -> dict[str, Callable[[Node, Node], Batch]]:
    def damaged(left: Node, right: Node) -> Batch:
        batch = left.batch(right, "c")
        return replace(batch, signature=batch.signature[:-1] + bytes([batch.signature[-1] ^ 1]))

    def nonsense(left: Node, _: Node) -> Batch:
        return seal(left.sign, left.key, "envelope", left.mesh, [Statement(b"\x01", b"")])

    def bad_body(left: Node, right: Node) -> Batch:
        [good] = left.batch(right, "c").statements
        assert isinstance(good, Statement)
        return seal(left.sign, left.key, "envelope", left.mesh, [Statement(good.header, b"\x01")])

    def another_type(left: Node, right: Node) -> Batch:
        statements = [one for one in left.batch(right, "c").statements if isinstance(one, Statement)]
        return seal(left.sign, left.key, "roster", left.mesh, statements)

    def another_key(left: Node, right: Node) -> Batch:
        """Another key put into a batch, going down even one that was verified in this connection."""
        return (
            replace(left.batch(right, "a", "b"), key=OTHER.key)
            if down
            else replace(OTHER.batch(right, "a"), key=left.key)
        )

    cases: dict[str, Callable[[Node, Node], Batch]] = {
        "origin_mismatch": lambda left, right: left.batch(right, "c", origin=OTHER.key),
        "sender_name": lambda left, right: left.batch(right, "c", sender="agent0@netsky7"),
        "lane_wrong": lambda left, right: left.batch(right, "c", kind="reply"),
        "seal_invalid": damaged,
        "seal_invalid ": another_key,
        "damaged": nonsense,
        "damaged ": bad_body,
        "batch_mesh": lambda left, right: Node(int(left.name[-1]), b"n" * 16).batch(right, "c"),
        "batch_type": another_type,
    }
    if down:
        cases["origin_unknown"] = lambda _, right: STRANGER.batch(right, "c")
        cases["destination_other"] = lambda left, _: left.batch(OTHER, "c")
    else:
        cases["origin_not_peer"] = lambda _, right: OTHER.batch(right, "c")
        cases["origin_not_peer "] = lambda _, right: ROOT.batch(right, "c")
        cases["origin_not_peer  "] = lambda _, right: STRANGER.batch(right, "c")
    return cases


CASES = [(down, code, make) for down in (False, True) for code, make in faulty(down).items()]


@pytest.mark.parametrize(
    ("down", "code", "make"), CASES, ids=[f"{'down' if down else 'up'}-{code.strip()}" for down, code, _ in CASES]
)
def test_what_fails_behind_the_link_consumes_its_number_and_is_stored_as_refused(
    down: bool, code: str, make: Callable[[Node, Node], Batch]
) -> None:
    pair = open_pair(down=down)
    batch = make(pair.left.node, pair.right.node)
    last = 2 + len(batch.statements)
    pair.feed(pair.right, pair.data(batch, 3))
    assert pair.right.store.refused == [(number, code.strip()) for number in range(3, last + 1)]
    assert ("right", Ack("work", 1, last)) in pair.said
    assert len(pair.right.store.stored) == 2
    assert pair.closed == {}


def test_the_root_takes_what_is_for_somebody_else_and_leaves_it_to_the_node() -> None:
    pair = open_pair()
    for number, to in enumerate((OTHER, SIBLING, STRANGER), 3):
        pair.feed(pair.right, pair.data(SIBLING.batch(to, f"to {to.name}"[3:]), number))
    assert pair.right.store.refused == []
    assert len(pair.right.store.stored) == 5


def test_a_sibling_takes_what_any_member_sealed_if_the_root_let_it_pass() -> None:
    pair = open_pair(down=True)
    for number, origin in enumerate((OTHER, SIBLING, ROOT), 3):
        pair.feed(pair.right, pair.data(origin.batch(SIBLING, f"c{number}"), number))
    assert pair.right.store.refused == []
    assert [origin for origin, _ in pair.right.store.stored][2:] == [OTHER.key, SIBLING.key, ROOT.key]


def test_a_revoked_origin_is_refused_by_a_sibling() -> None:
    pair = Pair(down=True)
    pair.left.store.known = pair.right.store.known = sealed(roster(revoked=[2]))
    pair.left.store.forward("work", OTHER.batch(SIBLING, "c"))
    pair.connect()
    pair.run()
    assert pair.right.store.refused == [(1, "origin_revoked")]
    assert pair.left.store.state.outgoing["work"].acked == 1


@pytest.mark.parametrize(
    ("numbers", "revoked", "code"), [((0, 2), (), "not_allowed"), ((0, 1, 2), (1,), "revoked")], ids=["gone", "revoked"]
)
def test_the_root_has_no_link_with_who_is_not_on_the_roster(
    numbers: tuple[int, ...], revoked: tuple[int, ...], code: str
) -> None:
    known = sealed(roster(6, numbers=numbers, revoked=revoked))
    at_hello = Pair()
    at_hello.right.store.known = known
    at_hello.connect()
    at_hello.run()
    assert at_hello.closed["right"].code == code
    later = open_pair()
    later.right.store.known = known
    later.left.store.add("work", later.batch("c"))
    later.run()
    assert later.closed["right"].code == code
    assert len(later.right.store.stored) == 2


def test_the_root_without_a_roster_has_no_links() -> None:
    with pytest.raises(AssertionError):
        Link(ROOT.ends(SIBLING), fresh(), None, b"")


# What the root puts into a route.


def test_a_forwarded_batch_goes_out_under_one_route_with_its_bitmap_and_the_rest_as_leaves() -> None:
    pair = open_pair(down=True)
    batch = OTHER.batch(SIBLING, "c", "d", "e", "f")
    pair.left.store.forward("work", batch, 1, 3)
    pair.run()
    [frame] = [frame for _, frame in pair.said if isinstance(frame, Data)]
    route = open_route(frame.seal, ROOT.key, MESH)
    assert (route.first, route.count, route.positions, route.leaves) == (3, 2, (1, 3), leaves_hash(leaves(batch)))
    assert (route.reign, route.lane, route.life, route.destination) == (REIGN, "work", 1, SIBLING.key)
    assert (route.roster, route.received, route.routed) == (5, NOW - 1, NOW)
    record = pair.right.store.log[-1]
    assert isinstance(record, Arrived)
    assert record.route == route
    assert [(arrival.number, arrival.position) for arrival in record.arrivals] == [(3, 1), (4, 3)]
    assert record.leaves == tuple(leaves(batch))
    assert record.mark_leaf == leaves(batch)[3]
    assert [id_ for _, id_ in pair.right.store.stored] == ["a", "b", "d", "f"]
    # After a reconnect the window is read from what was stored, the route among it.
    pair.connect()
    pair.run()
    pair.said.clear()
    pair.feed(pair.right, frame)
    assert pair.said == [("right", Ack("work", 1, 4))]
    pair.feed(pair.right, pair.data(pair.batch("x"), 4))
    assert pair.right.store.alarms() == ["diverged"]


def test_evidence_by_a_route_shows_the_leaves_that_have_no_number_too() -> None:
    pair = open_pair(down=True)
    batch = OTHER.batch(SIBLING, "c", "d", "e", "f")
    pair.left.store.forward("work", batch, 1, 3)
    pair.run()
    pair.connect()  # so that it comes from what was stored
    pair.run()
    # A clone of the root sends something else under number 4; the true root is shown its own route.
    first = FrameState(3, (leaves(batch)[1],))
    other = FrameState(4, (b"z" * 32,))
    out = OutgoingState(1, b"L" * 16, 2, pair.left.store.state.outgoing["work"].acked_leaf, (first, other))
    clone = Link(ROOT.ends(SIBLING), replace(fresh(), outgoing={**fresh().outgoing, "work": out}), *sealed(roster()))
    pair.said.clear()
    pair.feed(pair.right, pair.data(pair.batch("x"), 4))
    [(_, evidence)] = pair.said
    assert evidence.leaves == tuple(leaves(batch))  # type: ignore[union-attr]
    clone.start(0)
    hello = pair.right.new_link().start(0).send[0][1]
    assert isinstance(hello, Hello)
    clone.receive(
        CONTROL,
        replace(hello, work=replace(hello.work, received=replace(hello.work.received, number=4, leaf=b"z" * 32))),
        0,
        0,
    )
    assert clone.receive(CONTROL, evidence, 0, 0).close is None
    assert clone.frozen() == {("work", "out"): "diverged"}


def test_a_sibling_forwards_nothing() -> None:
    pair = open_pair()
    pair.left.store.forward("work", OTHER.batch(ROOT, "c"))
    with pytest.raises(AssertionError, match="the root alone forwards"):
        pair.run()
