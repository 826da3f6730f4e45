"""What a program said about its own work, beside how it ended. Pure.

Its report is the last line of its stdout, if that begins with `{`: a JSON object with `ended` ("done", "failed",
"parked") and, if it wants, `code`, `reason`, `text`, and for "parked" `for_s`. Other lines are text, which nobody
interprets. How the program ended outweighs what it says: one that reports success and exits with 1 did not succeed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from netsky.node.work.cell.cell import CellResult
from netsky.node.work.limits import PARK_SECONDS_MAX, REASON_CHARS_MAX, REPORT_BYTES_MAX, SAID_CHARS_MAX
from netsky.node.work.report import Report, read_report

MINE = frozenset({"ended", "code", "reason", "text", "for_s"})
"""What a worker may say of itself. The rest of a report is for its node to say."""


def said_by(result: CellResult, now: int) -> Report:
    if result.limit:
        return Report("failed", f"limit_{result.limit}", f"it {result.sentence()}"[:REASON_CHARS_MAX], _tail(result))
    lines = result.said.rstrip().rsplit(b"\n", 1)
    last = lines[-1].strip()
    said: Report | str | None = _read(last, now) if last.startswith(b"{") else None
    if not _is_text(result.said):
        said = "report_not_text"
    if not result.ok:
        return _not_ok(result, said)
    if isinstance(said, str):
        return Report("failed", said, f"it ended with 0, and what it said is no report: {said}", _tail(result))
    return Report("done", text=_tail(result)) if said is None else said


def _not_ok(result: CellResult, said: Report | str | None) -> Report:
    how = f"it {result.sentence()}"
    if isinstance(said, Report) and said.ended == "done":
        return Report("failed", "exit_lied", f"{how}, and says that it is done"[:REASON_CHARS_MAX], said.text)
    if isinstance(said, Report):
        return said
    code = "killed" if result.exit.code is None else f"exit_{result.exit.code}"
    why = _last_line(result.errors)
    return Report("failed", code, (f"{how}: {why}" if why else how)[:REASON_CHARS_MAX], _tail(result))


def _read(line: bytes, now: int) -> Report | str:
    if len(line) > REPORT_BYTES_MAX:
        return "report_too_large"
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return "report_malformed"
    if not isinstance(found, dict) or set(found) - MINE or found.get("ended") not in {"done", "failed", "parked"}:
        return "report_malformed"
    return _timed(found, now)


def _timed(found: Mapping[str, Any], now: int) -> Report | str:
    seconds = found.get("for_s")
    if (seconds is not None) != (found["ended"] == "parked"):
        return "report_malformed"
    if seconds is not None and (
        isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds <= PARK_SECONDS_MAX
    ):
        return "report_malformed"
    until = {} if seconds is None else {"until": now + seconds * 10**9}
    return read_report({name: value for name, value in found.items() if name != "for_s"} | until)


def _is_text(said: bytes) -> bool:
    try:
        return "\0" not in said.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _tail(result: CellResult) -> str:
    text = result.said.decode("utf-8", "replace").replace("\0", "\ufffd").strip()
    return text[-SAID_CHARS_MAX:]


def _last_line(errors: bytes) -> str:
    lines = errors.decode("utf-8", "replace").split("\n")
    kept = ("".join(char if char.isprintable() else " " for char in line).strip() for line in reversed(lines))
    return next((line for line in kept if line), "")
