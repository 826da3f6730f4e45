"""The one pass over a history in which the rules judge it: line by line while it is written, or after the run."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from netsky.node.lab.checker.branches import Branches
from netsky.node.lab.checker.lines import KINDS, WITNESSED, Event, Tally, VoidHistory, in_files, in_memory
from netsky.node.lab.checker.story import Class, Story, Violation, tell
from netsky.node.lab.checker.summary import Counting, Summary
from netsky.node.lab.checker.table import Each, Enter, Rule, State
from netsky.node.lab.checker.trust import Verify, ed25519

TOLD_PER_RULE = 10


@dataclass
class Report:
    tally: Tally
    stories: list[Story]
    violations: dict[str, int]  # rule -> how many, told or not
    classes: dict[Class, int]  # class -> how many
    blind: list[str]  # rules that had nothing to judge
    exempt: int  # what only a destroyed disk knew
    without_proof: int
    branches: dict[str, int]  # every known name, and how often this history reached it
    summary: Summary

    @property
    def class_(self) -> Class | None:
        """The worst of what was violated: what must not happen comes before what did not happen in time."""
        return "safety" if "safety" in self.classes else "liveness" if self.classes else None


class Checker:
    """Judges event by event and touches nothing: `feed` says at once what broke, `end` what never came about.

    checker = Checker()
    for event in events:
        for violation in checker.feed(event):
            ...
    checker.end()
    report = checker.report(lambda: events)    # read again, for the stories
    """

    def __init__(self, verify: Verify = ed25519) -> None:
        self._state = State(verify)
        self._rules = self._state.rules()
        self._branches = Branches(self._state.books)
        self._counting = Counting()
        self._plans = {kind: self._plan(kind) for kind in KINDS}
        self._told: dict[str, list[Violation]] = {}
        self._violations: dict[str, int] = {}
        self._classes: dict[Class, int] = {}
        self.tally = Tally()

    def _plan(self, kind: str) -> _Plan:
        looks = [one for one in (self._branches.looking().get(kind), self._counting.looking().get(kind)) if one]
        each = [(rule, rule.each) for rule in self._rules if rule.each is not None and kind in rule.judges]
        return _Plan(tuple(each), (*looks, *self._state.entering(kind)), kind in WITNESSED)

    def feed(self, event: Event) -> Sequence[Violation]:
        """What this event broke. Raises VoidHistory."""
        plan = self._plans.get(event.get("ev", ""))
        if plan is None:
            raise VoidHistory(f"no such event: {str(event)[:200]}")
        if plan.witnessed and event.get("by") == "node" and event.get("reason") != "daemon":
            raise VoidHistory(f"a node bears witness for its clients: {str(event)[:200]}")
        books = self._state.books
        books.line += 1
        books.t = event["t"]
        books.first_t = books.first_t or books.t
        books.kinds[event["ev"]] += 1
        found: Sequence[Violation] = ()
        for rule, each in plan.each:
            violation = each(event)
            if violation is not None:
                found = (*found, self._keep(rule, violation))
        for enter in plan.enter:
            enter(event)
        return found

    def end(self) -> Sequence[Violation]:
        """What a history breaks that ends here: faults over, healed, drained. Once, after the last event."""
        return [
            self._keep(rule, violation)
            for rule in self._rules
            if rule.at_end is not None
            for violation in rule.at_end()
        ]

    def _keep(self, rule: Rule, violation: Violation) -> Violation:
        kept = replace(violation, class_=rule.class_)
        self._violations[kept.rule] = self._violations.get(kept.rule, 0) + 1
        self._classes[kept.class_] = self._classes.get(kept.class_, 0) + 1
        told = self._told.setdefault(kept.rule, [])
        if len(told) < TOLD_PER_RULE:
            told.append(kept)
        return kept

    def report(self, again: Callable[[], Iterable[Event]]) -> Report:
        """`again` gives the same events once more, if there is anything to tell: the books keep none."""
        state, tally = self._state, self.tally
        tally.lines = state.books.line
        tally.by_kind = {kind: count for kind, count in sorted(state.books.kinds.items()) if count}
        seeing = {rule.id for rule in self._rules for kind in rule.judges if tally.by_kind.get(kind)}
        blind = sorted({f"{rule.id} {rule.name}" for rule in self._rules if rule.id not in seeing}, key=_by_number)
        told = [violation for some in self._told.values() for violation in some]
        return Report(
            tally,
            tell(told, again, state.books.names),
            self._violations,
            self._classes,
            blind,
            len(state.books.exempt),
            state.proofs.without,
            self._branches.reached(),
            self._counting.summary(state.books),
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is done with an event of one kind."""

    each: tuple[tuple[Rule, Each], ...]
    enter: tuple[Enter, ...]
    witnessed: bool


def check(paths: Sequence[str], verify: Verify = ed25519) -> Report:
    """Judges the history in these files, one that has ended. Raises VoidHistory, OSError."""
    return _check(lambda tally: in_files(paths, tally), verify)


def check_lines(lines: Sequence[bytes], verify: Verify = ed25519) -> Report:
    """The same of lines in memory, in their order; empty ones are none. Raises VoidHistory."""
    return _check(lambda tally: in_memory(lines, tally), verify)


def _check(read: Callable[[Tally], Iterator[Event]], verify: Verify) -> Report:
    checker = Checker(verify)
    with _no_collecting():
        for event in read(checker.tally):
            checker.feed(event)
        checker.end()
        return checker.report(lambda: read(Tally()))


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Millions of small records and no circle among them: looking for one takes half of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _by_number(name: str) -> tuple[int, str]:
    word = name.split(maxsplit=1)[0][1:]
    return int(word.rstrip("b")), word
