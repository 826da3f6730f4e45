"""Which page goes when: by key, with a cooldown, tried again when it failed. A machine without I/O; time is given.

One page goes at a time. Urgent ones go first, else the one that has waited longest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from netsky.node.escalate.limits import (
    AGAIN_CAP_NS,
    AGAIN_NS,
    COOLDOWN_NS,
    KEYS_MAX,
    PAGE_TRIES_MAX,
    PAGES_MAX,
    SILENT_ROOT_COOLDOWN_NS,
)

Severity = Literal["normal", "urgent"]
Asked = Literal["waits", "one_with", "cools"]
"""It waits now; one of its key waited already and says this now; one of its key went a while ago."""

SILENT_ROOT_KEY = "root-silent"


@dataclass(frozen=True, slots=True)
class Page:
    key: str
    subject: str
    body: str
    severity: Severity = "normal"
    once: bool = False
    """Tried once and forgotten: somebody else keeps the book."""

    @property
    def is_silent_root(self) -> bool:
        return self.key == SILENT_ROOT_KEY

    @property
    def cooldown_ns(self) -> int:
        return SILENT_ROOT_COOLDOWN_NS if self.is_silent_root else COOLDOWN_NS


@dataclass(slots=True)
class _Waiting:
    page: Page
    since: int
    due: int
    tries: int = 0


class Pages:
    """`now` is the steady clock throughout."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._went: dict[str, tuple[int, int]] = {}  # when it went, when its cooldown is over
        self._more: dict[str, int] = {}  # asked for while it cooled
        self._withdrawn: set[str] = set()  # while they were on their way
        self._going: str | None = None
        self.dropped = 0
        self.failures = 0
        """In a row, whatever the key: the way itself seems to be broken."""

    def ask(self, now: int, page: Page) -> tuple[Asked, str | None]:
        """How it stands with it now, and the key of the page that had to make room, if one had."""
        self._withdrawn.discard(page.key)
        waiting = self._waiting.get(page.key)
        if waiting is not None:
            waiting.page = replace(page, once=page.once and waiting.page.once)
            return "one_with", None
        if self.cools(now, page.key):
            self._more[page.key] = self._more.get(page.key, 0) + 1
            return "cools", None
        self._waiting[page.key] = _Waiting(page, now, now)
        return "waits", self._make_room()

    def cools(self, now: int, key: str) -> bool:
        return key in self._went and now < self._went[key][1]

    def withdraw(self, key: str) -> None:
        """Its cause is over: what has not gone goes no more."""
        if key == self._going:
            self._withdrawn.add(key)
        else:
            self._waiting.pop(key, None)

    def due(self, now: int) -> Page | None:
        """The next one that goes; the answer is `ended` with its key."""
        assert self._going is None, "one page at a time"
        ready = [one for one in self._waiting.values() if one.due <= now]
        if not ready:
            return None
        first = min(ready, key=lambda one: (one.page.severity != "urgent", one.due, one.since))
        first.tries += 1
        self._going = first.page.key
        more = self._more.get(first.page.key, 0)
        if not more or first.page.is_silent_root:
            return first.page
        return replace(first.page, body=f"{first.page.body}\n\n(asked for {more} times more since the last page of it)")

    def wake(self) -> int | None:
        """When the next one is due."""
        return min((one.due for one in self._waiting.values()), default=None)

    def ended(self, now: int, key: str, *, went: bool) -> bool:
        """Whether it waits on, to be tried again."""
        assert key == self._going
        self._going = None
        one = self._waiting[key]
        if went:
            self.failures = 0
            self.remember(key, now, now + one.page.cooldown_ns)
        else:
            self.failures += 1
            one.due = now + min(AGAIN_NS << min(one.tries - 1, 20), AGAIN_CAP_NS)
        if went or one.page.once or one.tries >= PAGE_TRIES_MAX or key in self._withdrawn:
            self._withdrawn.discard(key)
            del self._waiting[key]
            return False
        return True

    # What outlives this life of the node.

    def remember(self, key: str, at: int, until: int) -> None:
        self._more.pop(key, None)
        self._went.pop(key, None)
        self._went[key] = (at, until)
        while len(self._went) > KEYS_MAX:
            gone = next(iter(self._went))
            del self._went[gone]
            self._more.pop(gone, None)

    def forget(self, key: str) -> None:
        """It did not go after all."""
        self._went.pop(key, None)

    def cooling(self, now: int) -> dict[str, int]:
        """How long each key still cools, ns."""
        return {key: until - now for key, (_, until) in self._went.items() if until > now}

    def _make_room(self) -> str | None:
        if len(self._waiting) <= PAGES_MAX:
            return None
        others = [one for one in self._waiting.values() if one.page.key != self._going]
        oldest = min(others, key=lambda one: one.since)
        del self._waiting[oldest.page.key]
        self.dropped += 1
        return oldest.page.key
