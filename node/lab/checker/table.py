"""Which rule judges which events, and what the rules share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from netsky.node.lab.checker import delivery, gauges, progress, streams, trust, witnesses
from netsky.node.lab.checker.books import Books
from netsky.node.lab.checker.lines import Event
from netsky.node.lab.checker.story import Class, Violation

Each = Callable[[Event], Violation | None]
Enter = Callable[[Event], None]
AtEnd = Callable[[], Iterator[Violation]]
NUMBERS = ("accept", "deliver", "dead_letter", "refuse", "outcome")


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    name: str
    judges: tuple[str, ...]  # in a history without any of these it has seen nothing
    each: Each | None = None
    at_end: AtEnd | None = None
    class_: Class = "safety"


class State:
    def __init__(self, verify: trust.Verify) -> None:
        self.books = Books()
        self.gauges = gauges.Gauges()
        self.progress = progress.Progress()
        self.proofs = trust.Proofs(verify)
        self.witnesses = witnesses.Witnesses()

    def rules(self) -> tuple[Rule, ...]:
        books, proofs = self.books, self.proofs

        def of(function: Callable[[Books, Event], Violation | None]) -> Each:
            return partial(function, books)

        def end(function: Callable[[Books], Iterator[Violation]]) -> AtEnd:
            return partial(function, books)

        def measured(function: Callable[[gauges.Gauges, Event, int], Violation | None]) -> Each:
            return lambda event: function(self.gauges, event, books.line) if _figures(event) else None

        def told(function: Callable[[witnesses.Witnesses, Books, Event], Violation | None]) -> Each:
            return partial(function, self.witnesses, books)

        trusted = ("accept", "deliver")
        return (
            Rule("I1", "no loss", ("archive",), of(delivery.i1_no_loss)),
            Rule("I1", "no loss", ("submit_ok",), None, end(delivery.i1_doubted_at_end)),
            Rule("I1", "no loss", ("submit_ok",), None, end(delivery.i1_no_loss_at_end), "liveness"),
            Rule("I2", "no duplicate", ("deliver", "claim"), of(delivery.i2_no_duplicate)),
            Rule("I3", "one end", ("outcome",), of(delivery.i3_one_end), end(delivery.i3_one_end_at_end)),
            Rule("I3", "one end", ("outcome", "heal"), None,
                 lambda: delivery.i3_told_at_end(books, bound=bool(self.progress.healed[0])), "liveness"),
            Rule("I4", "order", ("deliver",), of(streams.i4_order)),
            Rule("I5", "no gap", NUMBERS, of(streams.i5_no_gap)),
            Rule("I6", "no invention", ("submit_ok", "deliver", "claim"), of(delivery.i6_no_invention),
                 end(delivery.i6_no_invention_at_end)),
            Rule("I7", "honest ack", ("start",), of(streams.i7_honest_ack)),
            Rule("I8", "prune late", ("prune",), of(streams.i8_prune_late)),
            Rule("I9", "replay", ("accept", "refuse"), of(delivery.i9_replay)),
            Rule("I10", "origin", trusted, partial(trust.i10_origin, proofs, books)),
            Rule("I11", "routed only", trusted, partial(trust.i11_routed_only, proofs, books)),
            Rule("I12", "number used once", ("link_tx", "link_rx", "accept", "deliver"),
                 of(streams.i12_number_used_once)),
            Rule("I12b", "declared loss", ("backup",), None, end(delivery.i12b_declared_loss_at_end)),
            Rule("I17", "memory", ("gauge",), measured(gauges.i17_memory),
                 partial(gauges.i17_memory_at_end, self.gauges)),
            Rule("I18", "disk", ("gauge",), measured(gauges.i18_disk)),
            Rule("I19", "handles", ("gauge",), measured(gauges.i19_handles)),
            Rule("I20", "books balance", (*NUMBERS, "gauge"), of(streams.i20_books_balance)),
            Rule("I20", "books balance", ("link_rx",), None, end(streams.i20_books_balance_at_end), "liveness"),
            Rule("I21", "quarantine", ("quarantine", "gauge"), measured(gauges.i21_quarantine)),
            Rule("I21", "quarantine", ("quarantine", "gauge"), None,
                 partial(gauges.i21_quarantine_at_end, self.gauges), "liveness"),
            Rule("I22", "progress", ("deliver", "dead_letter", "outcome"),
                 partial(progress.i22_progress, self.progress, books), None, "liveness"),
            Rule("I31", "witnesses agree", _SPOKEN, told(witnesses.i31_dead_are_silent)),
            Rule("I31", "witnesses agree", ("link_rx",), told(witnesses.i31_parted_carries_nothing)),
            Rule("I31", "witnesses agree", ("deliver", "claim"), of(witnesses.i31_one_place)),
            Rule("I31", "witnesses agree", ("submit_ok",), told(witnesses.i31_one_id_per_key)),
            Rule("I31", "witnesses agree", ("outcome",), None, end(witnesses.i31_told_as_it_came_at_end)),
        )  # fmt: skip

    def entering(self, kind: str) -> list[Enter]:
        """What is made to know an event of this kind, in this order."""
        books, line = self.books, self._line
        makers: list[Enter] = [*books.entering(kind)]
        if kind in _PROGRESS:
            makers.append(partial(self.progress.enter, books))
        if kind in _GAUGES:
            makers.append(lambda event: self.gauges.enter(event, line()))
        if kind == "proof":
            makers.append(lambda event: self.proofs.enter(event, line()))
        if kind in _WITNESSES:
            makers.append(partial(self.witnesses.enter, books))
        return makers

    def _line(self) -> int:
        return self.books.line


_PROGRESS = frozenset(("fault", "heal", "crash", "power_cut", "start", "submit_ok", "deliver", "dead_letter"))
_WITNESSES = frozenset(("start", "crash", "power_cut", "submit_ok", "link_tx", "fault", "heal"))
_GAUGES = frozenset(("gauge", "quarantine", "submit_call"))
_SPOKEN = ("link_tx", "link_rx", "link_ack_tx", "link_ack_rx", "accept", "deliver", "refuse", "outcome", "trust_set")


def _figures(event: Event) -> bool:
    """A quarantine, or a node's figures that may be judged; sums of a link and bounds are for others."""
    if event["ev"] != "gauge":
        return True
    return "link" not in event and event.get("reason") != "bounds"
