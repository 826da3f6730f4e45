"""What comes back: the fields of a report, and the check of one that a stranger wrote. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from netsky.node.work.limits import LIST_MAX, REASON_CHARS_MAX, REPORT_BYTES_MAX, WORD_CHARS_MAX

Ended = Literal["done", "failed", "parked", "lost", "cancelled"]
"""done: the worker says so. failed: with a code and a reason. parked: by a limit, until a time. lost: the worker is
gone, and nobody knows how far it came. cancelled: as it was told."""

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Ran:
    """A command, and how it ended."""

    command: str
    exit: int
    ms: int = 0
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    ended: Ended
    code: str = ""
    """Why not, as one word for programs; empty when done."""
    reason: str = ""
    text: str = ""
    """What the worker says about it: data."""
    changed_files: tuple[str, ...] = ()
    patch_id: str = ""
    """SHA-256 of the patch, which is a blob beside the report."""
    commands_run: tuple[Ran, ...] = ()
    until: int = 0
    """parked: when to go on, ns of the wall clock."""
    ms: int = 0
    walled: str = ""
    """How the worker was kept in: bubblewrap, namespaces, unsandboxed; "node" for a runtime inside the node."""


def encode(report: Report) -> str:
    standard, mine = asdict(Report("done")), asdict(report)
    kept = {name: value for name, value in mine.items() if name == "ended" or value != standard[name]}
    return json.dumps(kept, separators=(",", ":"))


def read_report(found: object) -> Report | str:
    """A report, or the code of what is wrong with it."""
    if not isinstance(found, Mapping):
        return "report_not_an_object"
    try:
        if len(json.dumps(found)) > REPORT_BYTES_MAX:
            return "report_too_large"
        report = _report(found)
    except (TypeError, ValueError, KeyError, AttributeError):
        return "report_malformed"
    return _wrong(report) or report


def _report(found: Mapping[str, Any]) -> Report:
    values = dict(found)
    values["commands_run"] = tuple(Ran(**one) for one in values.get("commands_run", ()))
    values["changed_files"] = tuple(values.get("changed_files", ()))
    return Report(**values)


def _wrong(report: Report) -> str | None:
    texts: tuple[object, ...] = (report.ended, report.code, report.reason, report.text, report.patch_id, report.walled)
    ran = report.commands_run
    numbers: tuple[object, ...] = (report.until, report.ms, *(one.ms for one in ran), *(abs(one.exit) for one in ran))
    good = (
        report.ended in get_args(Ended)
        and all(isinstance(one, str) for one in (*texts, *report.changed_files, *(one.command for one in ran)))
        and all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one < 1 << 63 for one in numbers)
        and all(one.timed_out in (True, False) for one in ran)
        and (not report.code or _CODE.fullmatch(report.code) is not None)
        and (not report.patch_id or _SHA256.fullmatch(report.patch_id) is not None)
        and len(report.walled) <= WORD_CHARS_MAX
        and len(ran) <= LIST_MAX
    )
    if not good:
        return "report_malformed"
    if len(report.reason) > REASON_CHARS_MAX or (report.ended in {"failed", "parked"} and not report.code):
        return "report_malformed"
    return None
