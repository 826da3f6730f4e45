"""Numbers, acks and what is kept for them: I4, I5, I7, I8, I12, I20."""

from __future__ import annotations

from collections.abc import Iterator

from netsky.node.lab.checker.books import Books, consumes, number_of, ordered_number
from netsky.node.lab.checker.lines import Event
from netsky.node.lab.checker.story import Violation

CONSUMED = frozenset(("accept", "deliver", "dead_letter", "refuse", "outcome"))


def _number(event: Event, n: int | None = None) -> tuple[str, str, int, int]:
    return (event["link"], event.get("ln", ""), event.get("epoch", 0), event["n"] if n is None else n)


def _words(event: Event) -> str:
    return f"{event['link']} {event.get('ln', '')} life {event.get('epoch', 0)}"


def i4_order(books: Books, event: Event) -> Violation | None:
    n = ordered_number(event)
    if n is None:
        return None
    stream = books.stream(event)
    if n > stream.delivered:
        return None
    sentence = f"{_words(event)}: number {n} was delivered after number {stream.delivered}"
    numbers = (_number(event, n), _number(event, stream.delivered))
    return Violation("I4", sentence, numbers=numbers, kinds=frozenset(("deliver",)), lines=(books.line,))


def i5_no_gap(books: Books, event: Event) -> Violation | None:
    if not consumes(event):
        return None
    stream, n = books.stream(event), event["n"]
    if event["node"] != stream.receiver or n <= stream.mark + 1:
        return None
    sentence = f"{_words(event)}: number {n} was consumed when only {stream.mark} numbers were"
    numbers = tuple(_number(event, at) for at in range(max(1, stream.mark), min(n, stream.mark + 8) + 1))
    return Violation("I5", sentence, numbers=numbers, kinds=CONSUMED, lines=(books.line,))


def i7_honest_ack(books: Books, event: Event) -> Violation | None:
    """A start says, stream by stream, what is stored. After a restore it may be less, and I12b judges."""
    if "link" not in event or books.node(event["node"]).restored:
        return None
    stream, n = books.stream(event), event["n"]
    if event["node"] != stream.receiver:
        return None
    lane = (event["link"], event.get("ln", ""))
    later = [key[2] for key, one in books.streams.items() if key[:2] == lane and one.acked]
    if any(life > event.get("epoch", 0) for life in later):
        life = max(later)
        sentence = f"{_words(event)}: of life {life} something was acknowledged, and the receiver came back without it"
        return Violation("I7", sentence, numbers=((*lane, life, 1),), lines=(books.line,))
    if n >= stream.acked:
        return None
    sentence = f"{_words(event)}: {stream.acked} was acknowledged, and the receiver came back with {n} stored"
    numbers = tuple(_number(event, at) for at in {n + 1, stream.acked})
    return Violation("I7", sentence, numbers=numbers, lines=(books.line,))


def i8_prune_late(books: Books, event: Event) -> Violation | None:
    if "link" in event:
        if books.stream(event).acked >= event["n"]:
            return None
        sentence = f"{_words(event)}: number {event['n']} was dropped before it was acknowledged"
        return Violation("I8", sentence, numbers=(_number(event),), lines=(books.line,))
    envelope, name = books.envelope(event), books.name(event)
    kinds = frozenset(("submit_ok", "outcome", "prune"))
    if not envelope.outcome_line:
        return Violation("I8", f"{name} was dropped by its origin before it had an outcome", (name,), kinds=kinds)
    if event.get("reason") == "age" and event["t"] < envelope.outcome_t + event.get("value", 0):
        return Violation("I8", f"{name} was dropped by its origin before its retention was over", (name,), kinds=kinds)
    return None


def i12_number_used_once(books: Books, event: Event) -> Violation | None:
    if "link" not in event or "n" not in event or event.get("reason") == "duplicate":
        return None
    stream, n = books.stream(event), event["n"]
    kinds = frozenset(("link_tx", "link_rx", "accept", "deliver"))
    if "hash" in event:
        known = stream.leaves.get(n)
        if known and known != number_of(event["hash"]):
            sentence = f"{_words(event)}: number {n} stands for two leaves"
            return Violation("I12", sentence, numbers=(_number(event),), kinds=kinds, lines=(books.line,))
    if event["ev"] == "link_tx":
        floor = books.floors.get((event["link"], event.get("ln", "")), -1)
        if event.get("epoch", 0) <= floor:
            sentence = f"{_words(event)}: its sender was restored and goes on in a life that was used before"
            return Violation("I12", sentence, numbers=(_number(event),), kinds=kinds, lines=(books.line,))
    return None


def i20_books_balance(books: Books, event: Event) -> Violation | None:
    """Of what came in by a link, no more is decided than came, and a node's own sums add up."""
    if event["ev"] == "gauge":
        value = event.get("value")
        if "link" not in event or not isinstance(value, dict):
            return None
        refused = sum(value.get("refused", {}).values())
        if value["received"] == value["accepted"] + value["duplicate"] + refused:
            return None
        return Violation("I20", f"{event['link']}: the sums of {event['node']} do not add up", lines=(books.line,))
    if "link" not in event or "n" not in event:
        return None
    stream = books.stream(event)
    if event["node"] != stream.receiver or not stream.received_line:
        return None
    fresh = event.get("reason") == "duplicate" or event["n"] > stream.mark
    if fresh and stream.decided + 1 > stream.received:
        sentence = f"{_words(event)}: {stream.decided + 1} were decided on and {stream.received} came in"
        return Violation("I20", sentence, numbers=(_number(event),), lines=(books.line,))
    return None


def i20_books_balance_at_end(books: Books) -> Iterator[Violation]:
    for (link, lane, life), stream in books.streams.items():
        left = stream.received - stream.decided
        if left > 0 and books.node(stream.receiver).up:
            sentence = f"{link} {lane} life {life}: {left} came in and nothing became of them"
            numbers = tuple((link, lane, life, stream.mark + at) for at in range(1, min(left, 4) + 1))
            yield Violation("I20", sentence, numbers=numbers, lines=(stream.received_line,))
