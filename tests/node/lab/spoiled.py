"""A good history spoiled in one place: each invariant with what it alone notices, and how that is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from netsky.node.lab.checker.rules import Report, check

from tests.node.lab.good_history import DOWN, NAMES, SECOND, UP, Event, Story, good

Spoil = Callable[[list[Event]], None]


def written(folder: Path, events: Iterable[Event]) -> str:
    path = folder / "run.history"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return str(path)


def judged(folder: Path, spoil: Spoil) -> Report:
    events = good()
    spoil(events)
    return check([written(folder, events)])


def where(events: list[Event], **wanted: object) -> int:
    """The place of the one event with these fields."""
    found = [at for at, event in enumerate(events) if wanted.items() <= event.items()]
    assert len(found) == 1, (wanted, found)
    return found[0]


def drop(**wanted: object) -> Spoil:
    return lambda events: events.__delitem__(where(events, **wanted))


def change(change_to: Event, **wanted: object) -> Spoil:
    return lambda events: events[where(events, **wanted)].update(change_to)


def again(at_end: bool = False, *, but: Event | None = None, **wanted: object) -> Spoil:
    """The same event once more, right behind it or at the end."""

    def spoil(events: list[Event]) -> None:
        at = where(events, **wanted)
        copy = {**events[at], **(but or {})}
        if at_end:
            copy["t"] = events[-1]["t"]
        events.insert(len(events) if at_end else at + 1, copy)

    return spoil


def add(after: Event | None = None, **fields: object) -> Spoil:
    """One more event, behind that one or at the end."""

    def spoil(events: list[Event]) -> None:
        at = len(events) - 1 if after is None else where(events, **after)
        common = {"t": events[at]["t"], "boot": 1, "by": "node"}
        events.insert(at + 1, {**common, **fields})

    return spoil


def both(*spoils: Spoil) -> Spoil:
    def spoil(events: list[Event]) -> None:
        for one in spoils:
            one(events)

    return spoil


def nothing(_: list[Event]) -> None:
    """Spoils nothing."""


def deliver_out_of_turn(events: list[Event]) -> None:
    """Accepted in order, delivered the other way round."""
    one = events.pop(where(events, ev="deliver", id="a1"))
    events.insert(
        where(events, ev="deliver", id="a3") + 1, {**one, "t": events[where(events, ev="claim", id="a3")]["t"]}
    )
    claim = events.pop(where(events, ev="claim", id="a1"))
    archive = events.pop(where(events, ev="archive", id="a1"))
    at = where(events, ev="claim", id="a3")
    events[at:at] = [claim, archive]


def sealed_by_another(events: list[Event]) -> None:
    proof = events[where(events, ev="proof", key="batch1")]
    flipped = bytearray.fromhex(proof["value"])
    flipped[-1] ^= 1  # in a body: the leaves are others
    proof["value"] = flipped.hex()


def signature_broken(events: list[Event], name: str = "batch1") -> None:
    proof = events[where(events, ev="proof", key=name)]
    data = bytearray.fromhex(proof["value"])
    at = data.index(b"\xc4\x40") + 2
    data[at] ^= 1
    proof["value"] = data.hex()


def everything_later(seconds: int, **wanted: object) -> Spoil:
    """From this event on all clocks show so much more."""

    def spoil(events: list[Event]) -> None:
        for event in events[where(events, **wanted) :]:
            event["t"] += seconds * SECOND

    return spoil


def other_proof(name: str, make: Callable[[Story], object]) -> Spoil:
    """Other bytes under this name: the last that `make` sealed."""

    def spoil(events: list[Event]) -> None:
        story = Story()
        make(story)
        events[where(events, ev="proof", key=name)]["value"] = story.events[-1]["value"]

    return spoil


def other_route(positions: tuple[int, ...] = (0, 2), first: int = 1, ids: str = "123", **changed: int) -> Spoil:
    """In place of the one by which b1 and b3 came."""
    return other_proof(
        "batch3",
        lambda story: story.routed(story.sealed(*(f"b{id_}" for id_ in ids))[1], [*positions], first, **changed),
    )


def untold(events: list[Event], number: int) -> None:
    """The number of the first envelope to netsky2 that has a route, beside it instead of in the stream."""
    for event in events:
        if event["ev"] in {"accept", "deliver"} and event.get("link") == DOWN and event.get("epoch") == 1:
            told = event.pop("n")
            event.get("value", {})["number"] = told if told == 1 else number


B3 = {"id": "b3", "link": DOWN, "epoch": 1}


def figures(**values: int) -> Spoil:
    return add(ev="gauge", node="netsky0", by="test", value=values)


def forgetful(events: list[Event]) -> None:
    """Nothing of the restore, nor of what comes after it."""
    del events[where(events, ev="submit_ok", id="b0") :]


def word(id_: str, reason: str) -> Spoil:
    """The reply lane brings this to the node of its sender."""
    return add(
        {"ev": "submit_ok", "id": id_}, ev="outcome", node="netsky1", id=id_, origin=NAMES[1].hex(), reason=reason,
        link="netsky0>netsky1", ln="reply", epoch=1,
    )  # fmt: skip


def later_life(node: str) -> Spoil:
    """From its second start on, what this node says is said by life 2."""

    def spoil(events: list[Event]) -> None:
        for event in events[where(events, ev="start", node=node, boot=2) :]:
            if event["node"] == node and event["by"] == "node":
                event["boot"] = 2

    return spoil


PLANTED: dict[str, tuple[str, Spoil]] = {
    "an accepted envelope that goes nowhere": (
        "I1", add(ev="submit_ok", node="netsky1", by="client", id="lost", origin="netsky1", dest="agent0@netsky2")),
    "in doubt, and no machine was lost": (
        "I1", both(forgetful,
                   add(ev="submit_ok", node="netsky1", by="client", id="d", origin="netsky1", dest="agent0@netsky2"),
                   add(ev="outcome", node="netsky1", by="client", id="d", origin="netsky1", reason="in_doubt(lost)"))),
    "delivered, and its actor never saw it": (
        "I1", both(drop(ev="claim", id="a4"), drop(ev="archive", id="a4"))),
    "shown to its actor, and never taken": ("I1", drop(ev="archive", id="a4")),
    "archived, and its actor never saw it": (
        "I1", add(ev="archive", node="netsky2", by="actor", id="b1", origin="netsky1")),
    "delivered twice under two numbers": (
        "I2", add(ev="deliver", node="netsky0", id="a1", origin="netsky1")),
    "delivered again after a restore that remembers it": (
        "I2", add(ev="deliver", node="netsky2", id="b1", origin="netsky1")),
    "shown again after it was taken": ("I2", again(at_end=True, ev="claim", id="a3")),
    "delivered and dead": ("I3", add(ev="dead_letter", node="netsky0", id="a1", origin="netsky1", reason="expired")),
    "dead, and its sender was told delivered": ("I3", change({"reason": "delivered"}, ev="outcome", id="a2")),
    "delivered, and its sender was told dead": ("I3", change({"reason": "dead(expired)"}, ev="outcome", id="a4")),
    "dead of something else than its sender was told": (
        "I3", change({"reason": "dead(expired)"}, ev="outcome", id="a2")),
    "another outcome later": (
        "I3", add(ev="outcome", node="netsky1", by="client", id="b1", origin="netsky1", reason="in_doubt(gone)")),
    "an end that nobody was told of": ("I3", drop(ev="outcome", id="b1")),
    "delivered in another order than accepted": ("I4", deliver_out_of_turn),
    "a number that nothing became of": (
        "I5", add({"ev": "accept", "id": "a1"}, ev="refuse", node="netsky0", link=UP, ln="work", epoch=7, n=2,
                  reason="seal")),
    "delivered with other bytes": (
        "I6", both(change({"hash": "00" * 32}, ev="submit_ok", id="b1"))),
    "an actor that read something else": ("I6", change({"value": "another"}, ev="claim", id="a1")),
    "delivered, and nobody had submitted it": (
        "I6", both(add(ev="deliver", node="netsky0", id="x1", origin="netsky2"))),
    "acknowledged, and gone after a restart": (
        "I7", add(ev="start", node="netsky0", by="test", link=UP, ln="work", epoch=1, n=5)),
    "acknowledged, and gone with its whole stream": (
        "I7", add(ev="start", node="netsky0", by="test", link=UP, ln="work", epoch=0, n=0)),
    "dropped by its origin while it was open": (
        "I8", add({"ev": "submit_ok", "id": "a4"}, ev="prune", node="netsky1", id="a4", origin="netsky1",
                  reason="space")),
    "dropped by its origin before its time": ("I8", change({"value": 10_000 * SECOND}, ev="prune", id="a1")),
    "dropped by the root before it was acknowledged": (
        "I8", add({"ev": "link_tx", "id": "b1", "link": DOWN}, ev="prune", node="netsky0", link=DOWN, ln="work",
                  epoch=1, n=1)),
    "accepted twice under two lives": (
        "I9", add({"ev": "accept", "id": "a4"}, ev="accept", node="netsky0", id="a4", origin="netsky1")),
    "called a duplicate, and never seen before": (
        "I9", add(ev="refuse", node="netsky0", id="never", origin="netsky1", reason="duplicate")),
    "a seal that does not belong to these bytes": ("I10", signature_broken),
    "a leaf that was not sealed": ("I10", sealed_by_another),
    "accepted without a proof": ("I10", lambda events: events[where(events, ev="accept", id="a1")].pop("value")),
    "an origin that was revoked": (
        "I10", add({"ev": "submit_ok", "id": "a1"}, ev="trust_set", node="netsky0", key=NAMES[1].hex(),
                  reason="revoked")),
    "accepted without a route": (
        "I11", lambda events: events[where(events, ev="accept", **B3)]["value"].pop("route")),
    "a route of another life": (
        "I11", lambda events: events[where(events, ev="accept", **B3)]["value"].update(route="again")),
    "a route for another node": ("I11", other_route(to=1)),
    "a route of another life of the same stream": ("I11", other_route(life=2)),
    "a route over another batch": ("I11", other_route(ids="129")),
    "a route that lets others pass": ("I11", other_route((0,))),
    "a route that gives other numbers": ("I11", other_route(first=2)),
    "a route by somebody who is not the root": ("I11", other_route(signer=1)),
    "a route whose signature does not fit": ("I11", lambda events: signature_broken(events, "batch3")),
    "a batch that another enrolled node sealed": (
        "I10", other_proof("batch1", lambda story: story.sealed("a1", "a2", "a3", "a4", signer=2))),
    "lost with its origin's disk, and the root had it": (
        "I1", add({"ev": "submit_ok", "id": "b0"}, ev="accept", node="netsky0", id="b0", origin="netsky2")),
    "a route of an old reign": (
        "I11", lambda events: events[where(events, ev="trust_set", node="netsky2", reason="root")].update(epoch=2)),
    "a number that its route did not give, in a stream of which not all are told": (
        "I11", lambda events: untold(events, 7)),
    "accepted after it had expired": (
        "I11", lambda events: events[where(events, ev="accept", **B3)]["value"].update(expires=1)),
    "one number for two leaves": (
        "I12", again(but={"id": "other", "hash": "11" * 32}, ev="link_tx", id="a1")),
    "a restored sender that goes on in its old life": (
        "I12", both(add(ev="crash", node="netsky1", by="test"),
                    add(ev="start", node="netsky1", by="test", reason="restored", key="never made"),
                    add(ev="link_tx", node="netsky1", link=UP, ln="work", epoch=1, n=9, hash="22" * 32))),
    "lost by a restore in silence": (
        "I12b", both(*(drop(ev=kind, id="b3", link=DOWN, epoch=2) for kind in ("accept", "deliver")),
                     drop(ev="link_rx", id="b3", link=DOWN, epoch=2))),
    "memory above its bound": ("I17", figures(rss=60_000, links=2)),
    "memory that grows with reconnects": ("I17", both(
        change({"value": {"rss_base": 10**9}}, ev="gauge", node="netsky1", reason="bounds"),
        add(ev="gauge", node="netsky1", by="test", value={"rss": 0, "reconnects": 0}),
        add(ev="gauge", node="netsky1", by="test", value={"rss": 3_000_000, "reconnects": 1_000}))),
    "a write-ahead log above its cap": ("I18", figures(wal=1_001)),
    "a state folder that grows in idleness": (
        "I18", add(ev="gauge", node="netsky0", by="test", reason="idle", value={"state": 9_001})),
    "too many descriptors": ("I19", figures(fds=65)),
    "tasks that stay after the drain": (
        "I19", add(ev="gauge", node="netsky0", by="test", reason="drained", value={"tasks": 10})),
    "received, and nothing became of it": (
        "I20", again(at_end=True, but={"id": "y", "n": 9, "hash": "33" * 32}, ev="link_rx", id="a1")),
    "more decided than received": ("I20", drop(ev="link_rx", id="b3", link=UP)),
    "sums that do not add up": (
        "I20", lambda events: events[where(events, ev="gauge", link=UP)]["value"].update(received=9)),
    "a hostile file that stays": ("I21", drop(ev="quarantine")),
    "a hostile file that is looked at in each pass": ("I21", again(ev="quarantine")),
    "a quarantine without a reason": ("I21", change({"reason": ""}, ev="quarantine")),
    "a quarantine above its cap": ("I21", figures(quarantine=11)),
    "a head that does not move": ("I22", everything_later(60, ev="deliver", id="a4")),
    "not drained in time after all was healed": (
        "I22", both(add({"ev": "submit_ok", "id": "a4"}, ev="fault", node="netsky1", by="network", key="storm"),
                    add({"ev": "fault", "key": "storm"}, ev="heal", node="netsky1", by="network", key="storm",
                        value=0.5))),
    "a sender who is told too late": (
        "I22", both(add({"ev": "submit_ok", "id": "a4"}, ev="fault", node="netsky1", by="network", key="storm"),
                    add({"ev": "deliver", "id": "a4"}, ev="heal", node="netsky1", by="network", key="storm",
                        value=2))),
    "a dead life that speaks": (
        "I31", both(add({"ev": "submit_ok", "id": "a4"}, ev="crash", node="netsky0", by="test"),
                    add({"ev": "submit_ok", "id": "a3"}, ev="start", node="netsky0"))),
    "sent and come while the way was parted": (
        "I31", both(add({"ev": "submit_ok", "id": "a4"}, ev="fault", node="network", by="network", key="part 1",
                        reason="part", link="netsky1>netsky0"),
                    add({"ev": "deliver", "id": "a4"}, ev="heal", node="network", by="network", key="part 1"))),
    "come to a node that was cut off from all": (
        "I31", both(add({"ev": "submit_ok", "id": "b1"}, ev="fault", node="network", by="network", key="off 1",
                        reason="isolate", link="netsky2>netsky1"),
                    add({"ev": "deliver", "id": "b1"}, ev="heal", node="network", by="network", key="off 1",
                        reason="isolate", link="netsky2>netsky1"))),
    "delivered at another node than it was sent to": (
        "I31", change({"dest": "agent0@netsky1"}, ev="submit_ok", id="b1")),
    "shown to another actor than it was sent to": ("I31", change({"dest": "agent7@netsky0"}, ev="claim", id="a1")),
    "one key and two envelopes": ("I31", change({"key": "a1"}, ev="submit_ok", id="a3")),
    "a client told of another end than its node": ("I31", both(forgetful, word("b1", "dead(expired)"))),
    "told dead, and its actor has it": (
        "I31", both(forgetful, drop(ev="deliver", id="a4"),
                    add({"ev": "accept", "id": "a4"}, ev="dead_letter", node="netsky0", id="a4", origin="netsky1",
                        reason="expired"),
                    change({"reason": "dead(expired)"}, ev="outcome", id="a4"))),
}  # fmt: skip
