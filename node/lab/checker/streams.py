"""Numbers, acks and what is kept for them: I4, I5, I7, I8, I12, I20."""

from __future__ import annotations

from collections.abc import Iterator

from netsky.node.lab.checker.books import Books, Stream, consumes, number_of, ordered_number
from netsky.node.lab.checker.lines import Event
from netsky.node.lab.checker.story import Violation


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
    return Violation("I4", sentence, (stream.delivered_line, books.line))


def i5_no_gap(books: Books, event: Event) -> Violation | None:
    if not consumes(event):
        return None
    stream, n = books.stream(event), event["n"]
    if event["node"] != stream.receiver or n <= stream.mark + 1:
        return None
    sentence = f"{_words(event)}: number {n} was consumed when only {stream.mark} numbers were"
    return Violation("I5", sentence, (stream.mark_line, books.line))


def i7_honest_ack(books: Books, event: Event) -> Violation | None:
    """A start says, stream by stream, what is stored. After a restore it may be less, and I12b judges."""
    if "link" not in event or books.node(event["node"]).forgetful:
        return None
    stream, n = books.stream(event), event["n"]
    if event["node"] != stream.receiver:
        return None
    lane = (event["link"], event.get("ln", ""))
    later = [(key[2], one.acked_line) for key, one in books.streams.items() if key[:2] == lane and one.acked]
    life, line = max(later, default=(0, 0))
    if life > event.get("epoch", 0):
        sentence = f"{_words(event)}: of life {life} something was acknowledged, and the receiver came back without it"
        return Violation("I7", sentence, (line, _death(books, event, line), books.line))
    if n >= stream.acked:
        return None
    sentence = f"{_words(event)}: {stream.acked} was acknowledged, and the receiver came back with {n} stored"
    return Violation("I7", sentence, (stream.acked_line, _death(books, event, stream.acked_line), books.line))


def _death(books: Books, event: Event, since: int) -> int:
    """Where the node of this event died last, if that was since then."""
    line = books.node(event["node"]).down_line
    return line if line > since else 0


def i8_prune_late(books: Books, event: Event) -> Violation | None:
    if "link" in event:
        stream = books.stream(event)
        if stream.acked >= event["n"]:
            return None
        sentence = f"{_words(event)}: number {event['n']} was dropped before it was acknowledged"
        return Violation("I8", sentence, (stream.acked_line, books.line))
    envelope, name = books.envelope(event), books.name(event)
    if not (envelope.outcome_line or envelope.word):
        sentence = f"{name} was dropped by its origin before it had an outcome"
        return Violation("I8", sentence, (books.line,))
    if event.get("reason") == "age" and event["t"] < envelope.outcome_t + event.get("value", 0):
        sentence = f"{name} was dropped by its origin before its retention was over"
        return Violation("I8", sentence, (envelope.outcome_line, books.line))
    return None


def i12_number_used_once(books: Books, event: Event) -> Violation | None:
    if "link" not in event or "n" not in event or event.get("reason") == "duplicate":
        return None
    stream, n = books.stream(event), event["n"]
    if "hash" in event:
        known = stream.leaves.get(n)
        if known and known != number_of(event["hash"]):
            sentence = f"{_words(event)}: number {n} stands for two leaves"
            number = (event["link"], event.get("ln", ""), event.get("epoch", 0), n)
            return Violation("I12", sentence, (books.line,), number)
    if event["ev"] == "link_tx":
        floor, known = books.floors.get((event["link"], event.get("ln", "")), (-1, 0))
        if event.get("epoch", 0) <= floor:
            sentence = f"{_words(event)}: its sender was restored and goes on in a life that was used before"
            return Violation("I12", sentence, (known, books.node(event["node"]).forgot[-1][1], books.line))
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
        return Violation("I20", f"{event['link']}: the sums of {event['node']} do not add up", (books.line,))
    if "link" not in event or "n" not in event:
        return None
    stream = books.stream(event)
    if event["node"] != stream.receiver or not stream.received_line:
        return None
    fresh = event.get("reason") == "duplicate" or event["n"] > stream.mark
    if fresh and stream.decided + 1 > stream.received:
        sentence = f"{_words(event)}: {stream.decided + 1} were decided on and {stream.received} came in"
        return Violation("I20", sentence, (stream.received_line, stream.mark_line, books.line))
    return None


def i20_books_balance_at_end(books: Books) -> Iterator[Violation]:
    for (link, lane, life), stream in books.streams.items():
        left = stream.received - stream.decided
        if left > 0 and books.node(stream.receiver).up and not _is_revoked(books, stream):
            sentence = f"{link} {lane} life {life}: {left} came in and nothing became of them"
            yield Violation("I20", sentence, (stream.received_line,))


def _is_revoked(books: Books, stream: Stream) -> bool:
    """The receiver has taken its sender out of the mesh, and cut that link whatever was on it."""
    enrolled = books.node(stream.receiver).enrolled
    return any(name == stream.sender and not enrolled.get(key, True) for key, name in books.names.items())
