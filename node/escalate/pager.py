"""The daemon's pager: what the owner must know now, handed to the program that reaches the owner.

    node.pager.page("agent0 does not answer", text, severity="urgent", key="hang.agent0")

A page has a key, and there is at most one page of one key in a cooldown: whoever sees that a cause lasts says so at
each look, and the pager says it again when the cooldown is over. A page that did not go is tried again by itself. On a
sibling the way is an escalation to the owner, for which netsky0 pages.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.bus.draft import Draft
from netsky.node.daemon.node import Fault
from netsky.node.db import observe
from netsky.node.errors import NetskyError
from netsky.node.escalate import failed, wording
from netsky.node.escalate.limits import (
    ACCEPT_SECONDS,
    DELIVER_SECONDS,
    KEY_LETTERS_MAX,
    MARK_TRIES,
    MARKER_DAYS,
    SILENT_ROOT_COOLDOWN_NS,
    WORST_SECONDS,
)
from netsky.node.escalate.pages import SILENT_ROOT_KEY, Page, Pages, Severity
from netsky.node.escalate.program import OWNER, WATCHDOG
from netsky.node.marker import Marker
from netsky.node.seams.ledger import LedgerBroken
from netsky.node.seams.processes import CannotStart
from netsky.node.seams.real_processes import end
from netsky.node.supervise import Crash, describe

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

PAGER_SIGNAL = "pager/"
PAGES_FILE = "pages.json"
"""In the folder of the markers: when the cooldown of each key is over, by the wall clock."""

_NEXT = "mend that, then: netsky escalate --test"
_LOG_BYTES_MAX = 64 * 1024
_ANSWER_BYTES_MAX = 64 * 1024
_FILE_BYTES_MAX = 256 * 1024
_PATIENCE_SECONDS = WORST_SECONDS + 10
"""For the program, which ends by itself before that."""


@dataclass(eq=False)
class _Told:
    """Somebody waits for how a page ends."""

    heard: trio.Event = field(default_factory=trio.Event)
    went: bool = False


def _made(subject: str, body: str, severity: Severity, key: str) -> Page:
    return Page(key[:KEY_LETTERS_MAX], wording.one_line(subject), wording.body(body), severity)


class Pager:
    def __init__(self, node: Node, environ: Mapping[str, str] = os.environ) -> None:
        self.pages = Pages()
        self._node = node
        self._environ = environ
        self._told: dict[str, list[_Told]] = {}
        self._remember()
        node.complaints.append(self._complain)

    def page(self, subject: str, body: str, *, severity: Severity, key: str) -> None:
        """Never waits and never fails: it goes as soon as it can, or is one with the page of this key that waits or
        went a while ago. What strangers wrote stands in `body` quoted, and not in `subject`."""
        self._ask(_made(subject, body, severity, key))

    async def deliver(self, subject: str, body: str, *, severity: Severity, key: str) -> bool:
        """For who keeps a book of pages: tried once, in turn with the others. Whether it went, now or a while ago."""
        page = replace(_made(subject, body, severity, key), once=True)
        if self._ask(page) == "cools":
            return True
        told = _Told()
        self._told.setdefault(page.key, []).append(told)
        try:
            with trio.move_on_after(DELIVER_SECONDS):
                await told.heard.wait()
        finally:
            if not told.heard.is_set():  # whoever asked will ask again
                self._told[page.key].remove(told)
                self.withdraw(page.key)
        return told.went

    def silent_root(self) -> None:
        """The deputy's one sentence."""
        self._ask(Page(SILENT_ROOT_KEY, wording.SILENT_SUBJECT, wording.SILENT_BODY, "urgent"))

    def withdraw(self, key: str) -> None:
        """Its cause is over: a page that has not gone yet goes no more."""
        self.pages.withdraw(key)

    def _ask(self, page: Page) -> str:
        asked, gone = self.pages.ask(self._now(), page)
        if gone is not None:
            self._row(gone, "dropped", "normal", why="too many others waited")
            self._tell(gone, went=False)
        if asked == "waits":
            self._row(page.key, "asked", page.severity, subject=page.subject)
            self._node.signals.ring(PAGER_SIGNAL)
        return asked

    # At work.

    async def run(self) -> None:
        """A child of the tree."""
        while True:
            heard = self._node.signals.count(PAGER_SIGNAL)
            now = self._now()
            page = self.pages.due(now)
            if page is not None:
                await self._send(page)
                continue
            wake = self.pages.wake()
            with trio.move_on_after(math.inf if wake is None else (wake - now) / 1e9):
                await self._node.signals.wait_beyond(PAGER_SIGNAL, heard)

    async def _send(self, page: Page) -> None:
        went, why = False, "the node stopped meanwhile"
        now = self._now()
        if page.is_silent_root:  # at most once, whatever happens meanwhile
            self.pages.remember(page.key, now, now + SILENT_ROOT_COOLDOWN_NS)
            self._keep()
        try:
            went, why = await self._try(page)
        except LedgerBroken:
            raise
        except Exception as mistake:  # noqa: BLE001 - one page's border: the others go, and this one is tried again
            self._node.crashes.report(Crash("pager", "crashed", mistake, 0))
            why = f"a mistake of this node: {describe(mistake)}"
        finally:
            if not went:
                self.pages.forget(page.key)
            again = self.pages.ended(self._now(), page.key, went=went)
            self._tell(page.key, went=went)
        self._keep()
        self._booked(page, went=went, why=why, again=again)

    async def _try(self, page: Page) -> tuple[bool, str]:
        """Whether it went, and why not."""
        node = self._node
        if node.identity.charter is not None and not node.identity.root and not page.is_silent_root:
            return await self._by_netsky0(page)
        argv = [node.seams.processes.world().python, "-m", "netsky.node.escalate", "--home", node.home.path, "--json"]
        argv += ["--silent-root"] if page.is_silent_root else ["--", page.subject, "-"]
        try:
            answer = await self._program(argv, page.body)
        except CannotStart as cannot:
            return False, f"the program cannot be started: {cannot}"
        if answer.get("ok") is True:
            return True, ""
        error = answer.get("error")
        return False, str(error.get("message")) if isinstance(error, dict) else "the program ended without an answer"

    async def _by_netsky0(self, page: Page) -> tuple[bool, str]:
        data = {"page": {"key": page.key, "severity": page.severity}}
        draft = Draft(OWNER, wording.as_envelope_text(page.subject, page.body), kind="escalation", data=data)
        with trio.move_on_after(ACCEPT_SECONDS):
            try:
                await self._node.voices.say(WATCHDOG, draft)
            except NetskyError as error:
                return False, error.message
            return True, ""
        return False, f"it was not stored within {ACCEPT_SECONDS:g} s"

    async def _program(self, argv: list[str], body: str) -> dict[str, Any]:
        node = self._node
        process = await node.seams.processes.start(
            argv,
            env={name: value for name, value in self._environ.items() if not name.startswith("NETSKY_")},
            cwd="/",
            stdin=True,
            stdout=True,
            log=os.path.join(node.home.logs, "escalate.log"),
            log_bytes=_LOG_BYTES_MAX,
        )
        said = b""
        try:
            with trio.move_on_after(_PATIENCE_SECONDS):
                with suppress(ConnectionError):  # it says why by its answer
                    await process.send(body.encode())
                process.close_input()
                while data := await process.receive(_ANSWER_BYTES_MAX):
                    said = (said + data)[-_ANSWER_BYTES_MAX:]
                await process.wait()
        finally:
            with trio.CancelScope(shield=True):
                await end(process, 0)
        try:
            found = json.loads(said)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _booked(self, page: Page, *, went: bool, why: str, again: bool) -> None:
        node, status = self._node, "went" if went else "failed" if again or page.once else "given_up"
        self._row(page.key, status, page.severity, subject=page.subject, why=why)
        node.log.event(f"page.{status}", level="info" if went else "warn", key=page.key, subject=page.subject, why=why)
        node.events.publish("paged" if went else "not_paged", key=page.key, subject=page.subject, why=why)
        try:
            self._mark(page, why, went=went)
        except OSError as error:
            node.log.event("page.not_marked", level="warn", error=str(error))

    def _mark(self, page: Page, why: str, *, went: bool) -> None:
        """The program marks its own failures; what it could not, and a sibling's, is marked here."""
        markers, now = self._node.markers, self._node.now()
        if went:
            markers.clear(failed.NAME)
        elif self.pages.failures >= MARK_TRIES and markers.get(failed.NAME, now) is None:
            data = {"subject": page.subject, "failures": self.pages.failures, "since": now}
            markers.put(Marker(failed.NAME, "pager", why, now, now + MARKER_DAYS * 86_400 * 10**9, failed.CLEAR, data))

    def _complain(self) -> list[Fault]:
        marker = self._node.markers.get(failed.NAME, self._node.now())
        if marker is None:
            return []
        return [Fault(code=failed.NAME, sentence=f"the owner was not reached: {marker.reason}", next=_NEXT)]

    def _row(self, key: str, status: str, severity: str, **detail: object) -> None:
        row = observe.watchdog_saw(
            self._node.now(), "page", actor=None, severity=severity, status=status, detail={"key": key, **detail}
        )
        self._node.group.ride(row)

    def _tell(self, key: str, *, went: bool) -> None:
        for told in self._told.pop(key, ()):
            told.went = went
            told.heard.set()

    # What outlives this life of the node.

    def _remember(self) -> None:
        wall, now = self._node.now(), self._now()
        try:
            for key, until in json.loads(self._node.markers.read(PAGES_FILE) or b"{}").items():
                self.pages.remember(str(key), now, now + max(0, min(int(until) - wall, SILENT_ROOT_COOLDOWN_NS)))
        except (ValueError, TypeError, AttributeError, RecursionError):
            self._node.log.event("page.forgotten", level="warn", file=PAGES_FILE)

    def _keep(self) -> None:
        wall = self._node.now()
        cooling = {key: wall + left for key, left in self.pages.cooling(self._now()).items()}
        try:
            self._node.markers.write(PAGES_FILE, json.dumps(cooling).encode() + b"\n")
        except OSError as error:  # a full disk: after a restart one page may come once more
            self._node.log.event("page.not_kept", level="warn", error=str(error))

    def _now(self) -> int:
        return self._node.seams.time.monotonic()
