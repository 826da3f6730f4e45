"""What a report means for its ticket: one pure function, with the ceiling of every retry in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netsky.node.backoff import RETRY
from netsky.node.db.work_tickets import TicketRow
from netsky.node.work.limits import CRASHES_MAX
from netsky.node.work.report import Report
from netsky.node.work.ticket import Spec
from netsky.node.work.ticket_states import Event

UNCOUNTED = frozenset({"halted", "node_stopped", "cut_off", "not_sent", "not_taken"})
"""Losses that are nobody's fault: as if the try had not begun."""

HOPELESS = frozenset({"no_runtime", "bad_context", "no_base", "base_missing"})
"""Failures that another try cannot mend: a person is asked at once."""


@dataclass(frozen=True, slots=True)
class Judged:
    event: Event
    code: str = ""
    reason: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)


def judged(row: TicketRow, spec: Spec, report: Report, now: int, fraction: float) -> Judged:
    """`fraction` is drawn by the caller, for the wait before another try."""
    match report.ended:
        case "done":
            return Judged("report")
        case "parked":
            return Judged("park", report.code, report.reason, {"till": max(report.until, now + 1)})
        case "cancelled":
            return Judged("stopped", "cancelled", report.reason or "its worker was told to stop")
        case "lost" if report.code in UNCOUNTED:
            return Judged("stopped", report.code, report.reason)
        case "lost":
            return _lost(row, report)
    return failed(row, spec, (report.code, report.reason), now, fraction)


def failed(row: TicketRow, spec: Spec, why: tuple[str, str], now: int, fraction: float) -> Judged:
    """It was tried and did not succeed, for a reason with its code."""
    code, reason = why
    tries, most = row.tries + 1, spec.constraints.max_retries + 1
    said = reason or code
    if code in HOPELESS:
        return Judged("block", code, f"{said}; another try would end the same way", {"tries": tries})
    if tries >= most:
        return Judged("block", code, f"{said} (try {tries} of {most}, the last)", {"tries": tries})
    due = now + RETRY.wait_ns(tries - 1, fraction)
    return Judged("again", code, f"{said} (try {tries} of {most})", {"tries": tries, "due": due})


def _lost(row: TicketRow, report: Report) -> Judged:
    """Its node died, or nobody heard of it. It may have been the reason, and so may each that was beside it: a suspect
    gets a node for itself, and only what is lost there counts."""
    said = report.reason or "its node was lost"
    if not row.alone:
        return Judged("again", report.code, f"{said}; it is tried again alone on a node", {"alone": 1})
    crashes = row.crashes + 1
    if crashes >= CRASHES_MAX:
        return Judged("block", "poison", f"{said}, the {crashes}. time that it was alone there", {"crashes": crashes})
    return Judged("again", report.code, f"{said}, while it was alone there", {"crashes": crashes})
