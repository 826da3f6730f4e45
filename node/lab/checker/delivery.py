"""What became of the envelopes: I1, I2, I3, I6, I9, I12b."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from netsky.node.lab.checker.books import Books, Envelope, number_of
from netsky.node.lab.checker.lines import Event
from netsky.node.lab.checker.story import Violation


def i1_no_loss(books: Books, event: Event) -> Violation | None:
    """At an archive: an actor's folder holds as taken what its actor never saw."""
    envelope = books.envelope(event)
    if envelope.claimed:
        return None
    sentence = f"{books.name(event)} lies in an archive and no actor was ever shown it"
    return Violation("I1", sentence, (books.line,))


def i1_no_loss_at_end(books: Books) -> Iterator[Violation]:
    for name, envelope in books.envelopes.items():
        if not envelope.submitted:
            continue
        if not (envelope.delivered or envelope.dead):
            yield from _unended(books, name, envelope)
        elif books.stands(envelope) and envelope.dest in books.dests_watched:
            if not envelope.claimed:
                sentence = f"{name} was delivered and its actor never saw it"
                yield Violation("I1", sentence, (envelope.submitted, envelope.delivered))
            elif not envelope.archived:
                sentence = f"{name} was shown to its actor and never taken"
                yield Violation("I1", sentence, (envelope.submitted, envelope.delivered, envelope.claimed))


def i1_doubted_at_end(books: Books) -> Iterator[Violation]:
    """In doubt is an end only where a machine was lost, or a link for good."""
    if books.last_loss or books.ends_for_good:
        return
    for name, envelope in books.envelopes.items():
        if envelope.submitted and not (envelope.delivered or envelope.dead) and envelope.outcome[:8] == "in_doubt":
            why = "although no machine was lost and no link ended for good"
            lines = (envelope.submitted, envelope.outcome_line)
            yield Violation("I1", f"{name} ended as {envelope.outcome}, {why}", lines)


def _unended(books: Books, name: str, envelope: Envelope) -> Iterator[Violation]:
    if envelope.outcome.startswith("in_doubt"):
        return
    came_to_nobody = envelope.word.startswith(("dead", "in_doubt")) or not _known_elsewhere(books, envelope)
    if books.sender_forgot(envelope) and came_to_nobody:
        books.exempt.append(name)
    else:
        last = max((line for _, _, line in envelope.decisions()), default=0)  # as far as it came
        yield Violation("I1", f"{name} was accepted and never ended", (envelope.submitted, last))


def _known_elsewhere(books: Books, envelope: Envelope) -> bool:
    return any(node != envelope.submitted_at and not books.forgot(node, line) for node, _, line in envelope.decisions())


def i2_no_duplicate(books: Books, event: Event) -> Violation | None:
    """One delivery where it is still known; and what an actor has taken is not shown to it again."""
    envelope, name = books.envelope(event), books.name(event)
    if event["ev"] == "deliver":
        if books.stands(envelope):
            return Violation("I2", f"{name} was delivered twice", (envelope.delivered, books.line))
    elif envelope.archived and not books.forgot(event["node"], envelope.archived):
        return Violation("I2", f"{name} was shown again after it was taken", (envelope.archived, books.line))
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
    sentence = f"{books.name(event)} ended as {envelope.outcome} and then as {told}"
    return Violation("I3", sentence, (envelope.outcome_line, books.line))


def i3_one_end_at_end(books: Books) -> Iterator[Violation]:
    for name, envelope in books.envelopes.items():
        if envelope.dead and books.stands(envelope):
            yield Violation("I3", f"{name} was delivered and died", (envelope.delivered, envelope.dead))
        elif envelope.outcome:
            yield from _told_otherwise(books, name, envelope)


def _told_otherwise(books: Books, name: str, envelope: Envelope) -> Iterator[Violation]:
    told, line = envelope.outcome, envelope.outcome_line
    if told == "delivered" and not envelope.delivered:
        sentence = f"{name}: its sender was told delivered, and it was not"
        yield Violation("I3", sentence, (envelope.dead or envelope.submitted, line))
    elif told.startswith("dead") and books.stands(envelope):
        sentence = f"{name}: its sender was told {told}, and it was delivered"
        yield Violation("I3", sentence, (envelope.delivered, line))
    elif told.startswith("dead") and envelope.dead and told != f"dead({envelope.dead_reason})":
        sentence = f"{name}: its sender was told {told}, and it died of {envelope.dead_reason}"
        yield Violation("I3", sentence, (envelope.dead, line))


def i3_told_at_end(books: Books, *, bound: bool) -> Iterator[Violation]:
    """Whoever sent what has ended knows it: where clients say what they were told at all, and where a time was set
    within which everything had to end."""
    if not books.kinds["outcome"] and not bound:
        return
    for name, envelope in books.envelopes.items():
        if envelope.outcome or not envelope.submitted or books.sender_forgot(envelope):
            continue  # what its sender's node does not know any more, nobody is left to be told
        ended = envelope.dead or (envelope.delivered if books.stands(envelope) else 0)
        if ended:
            yield Violation("I3", f"{name} ended and its sender was not told", (envelope.submitted, ended))


def i6_no_invention(books: Books, event: Event) -> Violation | None:
    """The same bytes at every station, and the same words to the actor as from the client."""
    envelope, value = books.envelope(event), event.get("value")
    if event.get("reason") == "daemon" and books.forgot(event["node"], envelope.submitted):
        return None  # what a node says by itself, and said before in words that it has forgotten
    # A file in an outbox, taken in again by a node that has forgotten it, has its id from its name, and a new time.
    again = books.sender_forgot(envelope)
    if "hash" in event and not again and envelope.hash not in {0, number_of(event["hash"])}:
        sentence = f"{books.name(event)} is {event['hash'][:16]}… at {event['node']} and something else elsewhere"
        return Violation("I6", sentence, (envelope.hash_line, books.line))
    if isinstance(value, str) and envelope.digest not in {0, number_of(value)}:
        sentence = f"{books.name(event)} has other content at its actor than at its client"
        return Violation("I6", sentence, (envelope.digest_line, books.line))
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
            yield Violation(
                "I6", f"{name} was delivered and nobody submitted it", (envelope.delivered or envelope.claimed,)
            )


def i9_replay(books: Books, event: Event) -> Violation | None:
    """The same bytes are accepted once, and called a duplicate only where they were decided before."""
    if "id" not in event:
        return None
    envelope, node = books.envelope(event), event["node"]
    before = [(kind, line) for _, kind, line in envelope.decisions(node)]
    if event["ev"] == "accept":
        first = next((line for kind, line in before if kind == "accept" and line > books.last_loss), 0)
        # What was on its way when its origin heard of a loss may come by two ways: from there again, and from the root.
        heard = max(books.last_loss, books.loss_heard.get(envelope.submitted_at, 0))
        came_before_a_loss = 0 < envelope.submitted <= heard
        if first and not came_before_a_loss:
            return Violation("I9", f"{node} accepted {books.name(event)} twice", (first, books.line))
    elif event.get("reason") == "duplicate" and not before:
        sentence = f"{node} called {books.name(event)} a duplicate and had never decided on it"
        return Violation("I9", sentence, (books.line,))
    return None


def i12b_declared_loss_at_end(books: Books) -> Iterator[Violation]:
    """What a restored destination forgot came again, or its sender was told that it is in doubt."""
    for name, envelope in books.envelopes.items():
        if not envelope.delivered or books.stands(envelope) or envelope.dead:
            continue
        if books.sender_forgot(envelope):
            books.exempt.append(name)  # both ends were restored
        elif envelope.outcome != "in_doubt(restored)":
            loss = books.forgot(envelope.delivered_at, envelope.delivered)
            yield Violation("I12b", f"{name} was lost by a restore and nobody was told", (envelope.delivered, loss))
