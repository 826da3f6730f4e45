"""What became of the envelopes: I1, I2, I3, I6, I9, I12b."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from netsky.node.lab.checker.books import Books, Envelope, number_of
from netsky.node.lab.checker.lines import Event
from netsky.node.lab.checker.story import Violation

FATE = frozenset(("submit_ok", "deliver", "dead_letter", "outcome", "claim", "archive"))


def i1_no_loss(books: Books, event: Event) -> Violation | None:
    """At an archive: an actor's folder holds as taken what its actor never saw."""
    if books.envelope(event).claimed:
        return None
    name = books.name(event)
    return Violation("I1", f"{name} lies in an archive and no actor was ever shown it", (name,), kinds=FATE)


def i1_no_loss_at_end(books: Books) -> Iterator[Violation]:
    for name, envelope in books.envelopes.items():
        if not envelope.submitted:
            continue
        if not (envelope.delivered or envelope.dead):
            yield from _unended(books, name, envelope)
        elif books.stands(envelope) and envelope.dest in books.dests_watched:
            if not envelope.claimed:
                yield Violation("I1", f"{name} was delivered and its actor never saw it", (name,), kinds=FATE)
            elif not envelope.archived:
                yield Violation("I1", f"{name} was shown to its actor and never taken", (name,), kinds=FATE)


def _unended(books: Books, name: str, envelope: Envelope) -> Iterator[Violation]:
    if envelope.outcome.startswith("in_doubt"):
        if not (books.last_loss or books.ends_for_good):
            why = "although no machine was lost and no link ended for good"
            yield Violation("I1", f"{name} ended as {envelope.outcome}, {why}", (name,))
    elif books.forgot(envelope.submitted_at, envelope.submitted) and not _known_elsewhere(books, envelope):
        books.exempt.append(name)
    else:
        yield Violation("I1", f"{name} was accepted and never ended", (name,))


def _known_elsewhere(books: Books, envelope: Envelope) -> bool:
    return any(node != envelope.submitted_at and not books.forgot(node, line) for node, _, line in envelope.decisions())


def i2_no_duplicate(books: Books, event: Event) -> Violation | None:
    """One delivery where it is still known; and what an actor has taken is not shown to it again."""
    envelope, name = books.envelope(event), books.name(event)
    if event["ev"] == "deliver":
        if books.stands(envelope):
            kinds = frozenset(("deliver", "link_rx", "accept"))
            return Violation("I2", f"{name} was delivered twice", (name,), kinds=kinds)
    elif envelope.archived and not books.forgot(event["node"], envelope.archived):
        kinds = frozenset(("deliver", "claim", "archive"))
        return Violation("I2", f"{name} was shown again after it was taken", (name,), kinds=kinds)
    return None


def i3_one_end(books: Books, event: Event) -> Violation | None:
    """An outcome, once told, is amended only where a machine was lost."""
    if event.get("by") == "node" and "link" in event:
        return None
    envelope, told = books.envelope(event), event.get("reason", "")
    if envelope.outcome in {"", told} or (told == "in_doubt(restored)" and books.last_loss):
        return None
    if told.startswith("in_doubt") and books.forgot(event["node"], envelope.outcome_line):
        return None  # its node has forgotten what it told, and is careful
    name = books.name(event)
    return Violation("I3", f"{name} ended as {envelope.outcome} and then as {told}", (name,), kinds=FATE)


def i3_one_end_at_end(books: Books) -> Iterator[Violation]:
    told = bool(books.kinds["outcome"])
    for name, envelope in books.envelopes.items():
        if envelope.dead and books.stands(envelope):
            yield Violation("I3", f"{name} was delivered and died", (name,), kinds=FATE)
        elif envelope.outcome:
            sentence = _told_otherwise(books, envelope)
            if sentence is not None:
                yield Violation("I3", f"{name}: {sentence}", (name,), kinds=FATE)
        elif books.forgot(envelope.submitted_at, envelope.submitted):
            continue  # its sender's node does not know it any more: nobody is left to be told
        elif told and envelope.submitted and (envelope.dead or books.stands(envelope)):
            yield Violation("I3", f"{name} ended and its sender was not told", (name,), kinds=FATE)


def _told_otherwise(books: Books, envelope: Envelope) -> str | None:
    told = envelope.outcome
    if told == "delivered" and not envelope.delivered:
        return "its sender was told delivered, and it was not"
    if told.startswith("dead"):
        if books.stands(envelope):
            return f"its sender was told {told}, and it was delivered"
        if envelope.dead and told != f"dead({envelope.dead_reason})":
            return f"its sender was told {told}, and it died of {envelope.dead_reason}"
    return None


def i6_no_invention(books: Books, event: Event) -> Violation | None:
    """The same bytes at every station, and the same words to the actor as from the client."""
    envelope, value = books.envelope(event), event.get("value")
    if event.get("reason") == "daemon" and books.forgot(event["node"], envelope.submitted):
        return None  # what a node says by itself, and said before in words that it has forgotten
    if "hash" in event and envelope.hash not in {0, number_of(event["hash"])}:
        name = books.name(event)
        return Violation("I6", f"{name} is {event['hash']} at {event['node']} and something else elsewhere", (name,))
    if isinstance(value, str) and envelope.digest not in {0, number_of(value)}:
        name = books.name(event)
        return Violation("I6", f"{name} has other content at its actor than at its client", (name,))
    return None


def i6_no_invention_at_end(books: Books) -> Iterator[Violation]:
    """What nobody is known to have submitted must be what a client could not hear the answer of."""
    unheard = Counter(books.names.get(node, node) for node, _ in books.unanswered) + books.unheard
    for name, envelope in books.envelopes.items():
        if envelope.submitted or not (envelope.delivered or envelope.claimed):
            continue
        origin = name.rpartition(" ")[0]
        unheard[origin] -= 1
        if unheard[origin] < 0:
            yield Violation("I6", f"{name} was delivered and nobody submitted it", (name,))


def i9_replay(books: Books, event: Event) -> Violation | None:
    """The same bytes are accepted once, and called a duplicate only where they were decided before."""
    if "id" not in event:
        return None
    envelope, node = books.envelope(event), event["node"]
    before = [(kind, line) for _, kind, line in envelope.decisions(node)]
    name = books.name(event)
    if event["ev"] == "accept":
        if any(kind == "accept" and line > books.last_loss for kind, line in before):
            return Violation("I9", f"{node} accepted {name} twice", (name,), kinds=frozenset(("link_rx", "accept")))
    elif event.get("reason") == "duplicate" and not before:
        return Violation("I9", f"{node} called {name} a duplicate and had never decided on it", (name,))
    return None


def i12b_declared_loss_at_end(books: Books) -> Iterator[Violation]:
    """What a restored destination forgot came again, or its sender was told that it is in doubt."""
    for name, envelope in books.envelopes.items():
        if not envelope.delivered or books.stands(envelope) or envelope.dead:
            continue
        if books.forgot(envelope.submitted_at, envelope.submitted):
            books.exempt.append(name)  # both ends were restored
        elif envelope.outcome != "in_doubt(restored)":
            loss = books.forgot(envelope.delivered_at, envelope.delivered)
            sentence = f"{name} was lost by a restore and nobody was told"
            yield Violation("I12b", sentence, (name,), kinds=FATE, lines=(loss,))
