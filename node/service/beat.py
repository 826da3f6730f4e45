"""One beat of the second heart: look, decide, and end a node that hangs. The timer of the service runs it.

    noted → intent written → SIGTERM, a deadline, SIGKILL (only while that very process has the home) → started again

Noted first: a home on which nothing can be written is not begun with, since nobody would count. The intent is that of
`netsky restart`, so whatever is cut off here is finished and told like any other restart. Standard library only.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from netsky.node.client import Client
from netsky.node.errors import NetskyError
from netsky.node.handoff.intent import DOWN, GAVE_UP, Wanted, ran_of, read_intent, write_intent
from netsky.node.home import Home, check_permissions
from netsky.node.limits import STOP_SECONDS
from netsky.node.markers import FOLDER, TICK_FILE, Marker, Markers
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles
from netsky.node.service import here, power
from netsky.node.service.heart import Book, Decision, Facts, Sign, decide, is_old, read_book, read_sign, write_book
from netsky.node.service.manager import ask
from netsky.node.up import holder_pid, is_free, is_there

HEART_FILE = "heart.json"
LOCK_NAME = "heart.lock"
BY = "the second heart"

_ASK_SECONDS = 10.0
"""For a node that ticks and cannot say so: it has all of its event loop for the answer."""

_END_SECONDS = STOP_SECONDS + 5
_KILL_SECONDS = 10.0
_PAGE_SECONDS = 120.0
"""For the program that reaches the owner, with its tries."""

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Beat:
    decision: Decision
    done: str
    """What was done about it, "" if nothing had to be."""
    failed: str = ""


def beat(home: Home, *, end_seconds: float = _END_SECONDS) -> Beat:
    files, time = RealFiles(), RealTime()
    check_permissions(home, files)
    files.make_folder(home.at(FOLDER))
    folder = files.open_folder(home.at(FOLDER))
    try:
        lock = files.lock(folder, LOCK_NAME)
    finally:
        files.close(folder)
    if lock is None:
        return Beat(Decision("early", "another beat is at work"), "")
    try:
        return _one(home, files, time, end_seconds)
    finally:
        files.close(lock)


def _one(home: Home, files: RealFiles, time: RealTime, end_seconds: float) -> Beat:
    markers = Markers(home, files)
    before = read_book(markers.read(HEART_FILE))
    facts = look(home, files, time, before)
    decision = decide(facts, before)
    book = decision.book
    try:
        if book != before:
            markers.write(HEART_FILE, write_book(book))
    except OSError as error:
        if decision.word in ("end", "finish"):
            return Beat(decision, "", f"nothing was done, because it could not be noted: {error.strerror}")
    match decision.word:
        case "end":
            return _end(home, facts, decision, end_seconds)
        case "finish":
            return _again(home, decision, "the node was started, as the restart wanted it")
        case "hangs_again":
            return _page(home, markers, book, decision, "a node hangs and was left alone")
        case "gave_up":
            _mark_given_up(markers, decision, facts.wall)
            return _page(home, markers, book, decision, "a node is down, and its service gave up")
    return Beat(decision, "")


def look(home: Home, files: RealFiles, time: RealTime, book: Book) -> Facts:
    markers = Markers(home, files)
    holder = _holder(home)
    sign = read_sign(markers.read(TICK_FILE))
    facts = Facts(time.wall(), time.monotonic(), holder, sign, None, None)
    wanted = read_intent(markers, facts.wall)
    unwanted = markers.get(DOWN, facts.wall) is not None
    facts = replace(facts, wanted_at=None if wanted is None else wanted.at, is_unwanted=unwanted)
    if holder is not None and is_old(facts, book) is not None:
        if not is_free(home):
            return replace(facts, rounds=_rounds(home))
        holder = None  # its number is another process's by now
    if holder is not None:
        return facts
    state, said = _service(home)
    return replace(facts, holder=None, service=state, service_said=said)


def _holder(home: Home) -> int | None:
    """Who says to have the home, and is there. The lock itself is asked only where something is to be done: taking it
    to look would, at the wrong moment, keep a node from starting."""
    pid = holder_pid(home)
    return pid if pid is not None and is_there(pid) else None


def _service(home: Home) -> tuple[str | None, str]:
    manager = here.installed(home)
    if manager is None:
        return None, ""
    try:
        manager.reach()
        state = manager.state()
    except NetskyError:
        return None, ""
    return state.running, state.said


def _rounds(home: Home) -> int | None:
    try:
        with Client.connect(home, timeout=_ASK_SECONDS) as node:
            tick = node.call("status").get("tick")
    except NetskyError:
        return None
    return tick["round"] if isinstance(tick, dict) and isinstance(tick.get("round"), int) else None


def _end(home: Home, facts: Facts, decision: Decision, end_seconds: float) -> Beat:
    pid, files, time = facts.holder, RealFiles(), RealTime()
    assert pid is not None
    wanted = Wanted(BY, decision.said, facts.wall, pid or None, True, ran_of(_ran(facts.sign)))
    try:
        if not facts.is_unwanted:
            write_intent(home, files, wanted)
        ended = end_process(home, time, pid, end_seconds)
    except OSError as error:
        return Beat(decision, "", f"process {pid} could not be ended: {error.strerror}")
    if not is_free(home):
        return Beat(decision, "", f"process {pid} {ended}, and the home is not free yet")
    if facts.is_unwanted:
        return Beat(decision, f"process {pid} {ended}; no other one was started, as netsky down wants it")
    return _again(home, decision, f"process {pid} {ended}, and the node was started again")


def _ran(sign: Sign | None) -> dict[str, object]:
    """A node that hangs cannot be asked what it runs."""
    return {} if sign is None else {"pid": sign.pid}


def end_process(home: Home, time: RealTime, pid: int, seconds: float) -> str:
    """In order, or at once; never another process than the one that has the home. How it ended."""
    with _handle(pid) as send:
        for number, patience, how in (
            (signal.SIGTERM, seconds, "was ended in order"),
            (signal.SIGKILL, _KILL_SECONDS, f"did not end within {seconds:g} s and was killed"),
        ):
            if holder_pid(home) != pid or is_free(home) or not send(number):
                return "had ended by itself"
            if _ended(home, time, pid, patience):
                return how
    return "could not be ended"


def _ended(home: Home, time: RealTime, pid: int, seconds: float) -> bool:
    """It is gone, and its home is free: that may be a moment later, by threads that still end."""
    until = time.monotonic() + int(seconds * 1e9)
    while time.monotonic() < until:
        if (holder_pid(home) != pid or not is_there(pid)) and is_free(home):
            return True
        select.select([], [], [], _POLL_SECONDS)
    return False


class _handle:  # noqa: N801 - used as a word
    """A process by its handle where the system has such: its number may be another's by the time of the signal."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._descriptor: int | None = None

    def __enter__(self) -> Callable[[int], bool]:
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):  # gone, or a kernel without them
                self._descriptor = os.pidfd_open(self._pid)
        return self._send

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _send(self, number: int) -> bool:
        """Whether it was there to get it."""
        if self._pid <= 1:
            return False
        try:
            if self._descriptor is not None:
                signal.pidfd_send_signal(self._descriptor, number)
            else:
                os.kill(self._pid, number)
        except ProcessLookupError:
            return False
        return True


def _again(home: Home, decision: Decision, done: str) -> Beat:
    try:
        started = power.up(home)
    except NetskyError as error:
        return Beat(decision, "", f"the node could not be started again: {error.message}; next: {error.next}")
    by = f" by {started.service}" if started.service else ""
    return Beat(decision, f"{done}{by} (pid {started.up.pid})")


def _mark_given_up(markers: Markers, decision: Decision, now: int) -> None:
    """Until a node serves again: `up`, `service status` and `doctor` say so."""
    if markers.get(GAVE_UP, now) is not None:
        return
    with suppress(OSError):
        markers.put(Marker(GAVE_UP, BY, decision.said, now, None, "the node serves again: netsky up"))


def _page(home: Home, markers: Markers, book: Book, decision: Decision, subject: str) -> Beat:
    """One cause is told once, however many beats see it. Noted first: what cannot be noted is said here alone."""
    if book.paged == decision.word:
        return Beat(decision, "", f"{decision.said} (the owner was told)")
    try:
        markers.write(HEART_FILE, write_book(replace(book, paged=decision.word)))
    except OSError as error:
        return Beat(decision, "", f"{decision.said}; the owner was not told, because it could not be noted: {error}")
    argv = [*here.own_command(), "--home", home.path, "escalate", subject, f"{home.path}: {decision.said}"]
    try:
        told = ask(argv, _PAGE_SECONDS)
    except NetskyError as error:
        return Beat(decision, "", f"{decision.said}; the owner could not be told: {error.message}")
    word = "the owner was told" if told.code == 0 else f"the owner could not be told: {told.said}"
    return Beat(decision, "", f"{decision.said}; {word}")
