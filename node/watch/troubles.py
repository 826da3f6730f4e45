"""From what a look found to what is wrong, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netsky.node.db.limits import WATCHED_ROWS
from netsky.node.watch.alarms import Alarm, Trouble
from netsky.node.watch.limits import SETTLED_SECONDS, SILENT_ROUNDS, STARTING_SECONDS
from netsky.node.watch.progress import SECOND, Seen, Watched
from netsky.relay.authority import ROOT_MANAGER

DATABASE = "database"
TICKER = "ticker"
WITH_PROGRAM = frozenset({"resident", "per_envelope"})
_CALM = frozenset({"quiet", "halted"})


def of_actor(seen: Seen, watched: Watched, alarms: Mapping[str, Alarm]) -> list[Trouble]:
    found = [_hang(seen, watched), _down(seen, watched, alarms.get(down_key(seen.name)))]
    return [trouble for trouble in found if trouble is not None]


def hang_key(actor: str) -> str:
    return f"hang.{actor}"


def down_key(actor: str) -> str:
    return f"down.{actor}"


def _hang(seen: Seen, watched: Watched) -> Trouble | None:
    calm = watched.standing in _CALM and watched.owed >= watched.patience > 0
    if not watched.late and not calm:
        return None
    return Trouble(
        key=hang_key(seen.name),
        sentence=_hang_sentence(seen, watched),
        next=_look_at(seen),
        actor=seen.name,
        straight=seen.name == ROOT_MANAGER,
        program=seen.mode in WITH_PROGRAM and seen.state != "degraded",
        revive_ns=watched.patience,
        calm=calm,
        patience=watched.patience,
    )


def _hang_sentence(seen: Seen, watched: Watched) -> str:
    for_so_long = f"for {minutes(watched.owed)}"
    if watched.standing == "unread":
        how = "" if seen.newest is None else f" ({seen.newest.taken_by})"
        return f"{seen.name} never read the last that was for it{how}, {for_so_long}"
    more = "or more " if seen.waiting >= WATCHED_ROWS else ""
    what = "1 envelope waits" if seen.waiting == 1 else f"{seen.waiting} {more}envelopes wait"
    has = " (in nobody's hands)" if seen.unclaimed and not seen.claimed_at else ""
    program = {
        "none": ", and its channel is followed",
        "code": ", and it is a part of the node",
    }.get(seen.mode, f", its program is {seen.state}" + (f" (pid {seen.pid})" if seen.pid else ""))
    return f"{seen.name} has not moved {for_so_long}: {what}{has}{program}"


def _look_at(seen: Seen) -> str:
    if seen.mode in WITH_PROGRAM:
        return f"netsky watchdog, then netsky agent logs {seen.name}"
    return f"netsky watchdog, then netsky channel ls {seen.name}"


def _down(seen: Seen, watched: Watched, alarm: Alarm | None) -> Trouble | None:
    """Given up by its supervisor; or started again since, and not yet shown to work."""
    if seen.mode not in WITH_PROGRAM:
        return None
    if seen.state == "degraded":
        sentence = f"{seen.name}'s program was given up: {seen.reason}"
    elif alarm is not None and alarm.revives and not watched.settled:
        sentence = (
            f"{seen.name}'s program was started again (try {alarm.revives}) and has not been up for "
            f"{SETTLED_SECONDS} s with its envelopes moving"
        )
    else:
        return None
    return Trouble(
        key=down_key(seen.name),
        sentence=sentence,
        next=_look_at(seen),
        actor=seen.name,
        program=True,
        calm=watched.standing in _CALM,
        patience=watched.patience,
    )


def of_database(why: str) -> Trouble:
    """agent0 could be told of it by an envelope, which is a row."""
    return Trouble(DATABASE, f"the database does not answer: {why}", "netsky status, then netsky doctor", straight=True)


def of_ticker(silent_ns: int, period_ns: int) -> Trouble | None:
    if silent_ns <= max(SILENT_ROUNDS * period_ns, period_ns + STARTING_SECONDS * SECOND):
        return None
    sentence = f"the ticker has been silent for {minutes(silent_ns)}: no schedule fires"
    return Trouble(TICKER, sentence, "netsky tick, then netsky restart")


def of_parts(failing: Mapping[str, int]) -> list[Trouble]:
    """Rounds in a row in which a part of the ticker failed."""
    return [
        Trouble(
            f"part.{_word(name)}",
            f"{name} has failed in {rounds} rounds of the ticker, one after the other",
            "netsky query 'SELECT * FROM crashes ORDER BY id DESC LIMIT 5'",
        )
        for name, rounds in sorted(failing.items())
        if rounds >= SILENT_ROUNDS
    ]


def of_schedules(faults: Iterable[tuple[str, str, str]]) -> list[Trouble]:
    """(code, sentence, next) of what is wrong with cron and loops. One alarm for each kind, whatever its number."""
    found: dict[str, Trouble] = {}
    for code, sentence, step in faults:
        key = f"schedule.{_word(code)}"
        before = found.get(key)
        if before is None:
            found[key] = Trouble(key, sentence, step)
    return list(found.values())


def _word(name: str) -> str:
    """As it may stand in the name of a marker."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())[:40]


def minutes(ns: int) -> str:
    seconds = ns // SECOND
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7_200:
        return f"{seconds // 60} min"
    return f"{seconds / 3_600:.1f} h"
