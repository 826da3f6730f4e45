"""One loop: a file `loops/ID.toml` that says who is told what again and again, and when that is next. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from netsky.node.schedule.entries import (
    BadFile,
    Block,
    Fault,
    label_wrong,
    prompt_wrong,
    target_wrong,
    text_in,
    toml_of,
    toml_value,
)
from netsky.node.schedule.limits import DYNAMIC_S, INTERVAL_LEAST_S, INTERVAL_MOST_S, LOOP_BYTES_MAX

FOLDER = "loops"
MODES = ("fixed", "dynamic")

_KEYS = ("id", "target", "mode", "interval_s", "prompt", "created")
_SECOND = 10**9


@dataclass(frozen=True, slots=True)
class Loop:
    id: str
    target: str
    prompt: str
    mode: Literal["fixed", "dynamic"]
    interval_s: int | None = None
    created: str = ""

    @property
    def rule(self) -> str:
        return self.mode if self.interval_s is None else f"{self.mode} {self.interval_s}"

    @property
    def span(self) -> int:
        """Between two fires, if nobody says otherwise, ns."""
        return (DYNAMIC_S if self.interval_s is None else self.interval_s) * _SECOND


def next_due(loop: Loop, due: int, now: int) -> int:
    """After it fired: a fixed one keeps its step and leaves out what was missed, a dynamic one counts from now."""
    if loop.mode == "dynamic":
        return now + loop.span
    return due + loop.span * ((now - due) // loop.span + 1)


def due_by(due: int, span: int, now: int) -> int:
    """When it is due by a clock that may have been set back: never later than it was told to wait."""
    return min(due, now + span)


def read_loop(data: bytes, path: str, name: str) -> Loop:
    """Raises BadFile. The id is that of the file's name."""
    if len(data) > LOOP_BYTES_MAX:
        raise BadFile(Fault(path, 1, f"the file is larger than {LOOP_BYTES_MAX >> 10} KiB"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadFile(Fault(path, data[: error.start].count(b"\n") + 1, "this is no UTF-8 text")) from None
    values = toml_of(Block(1, text), path)

    def fault(key: str, sentence: str) -> BadFile:
        return BadFile(Fault(path, _line_of(text, key), f"{key}: {sentence}"))

    for key in values:
        if key not in _KEYS:
            raise fault(key, f"is no key of a loop; there are {', '.join(_KEYS)}")
    texts = {key: text_in(values, key, fault) for key in ("id", "target", "mode", "prompt")}
    for key, check in (("id", label_wrong), ("target", target_wrong), ("prompt", prompt_wrong)):
        wrong = check(texts[key])
        if wrong is not None:
            raise fault(key, wrong)
    if texts["id"] != name:
        raise fault("id", f"the file is that of {name!r}")
    return Loop(
        texts["id"], texts["target"], texts["prompt"], *_mode_of(texts["mode"], values.get("interval_s"), fault),
        created=_created(values.get("created"), fault),
    )  # fmt: skip


def _mode_of(
    mode: str, interval: object, fault: Callable[[str, str], BadFile]
) -> tuple[Literal["fixed", "dynamic"], int | None]:
    if mode == "dynamic":
        if interval is not None:
            raise fault("interval_s", "belongs to a fixed loop; a dynamic one is told each time")
        return "dynamic", None
    if mode != "fixed":
        raise fault("mode", f"is one of {', '.join(MODES)}")
    if isinstance(interval, bool) or not isinstance(interval, int):
        raise fault("interval_s", "must be a whole number of seconds in a fixed loop")
    if not INTERVAL_LEAST_S <= interval <= INTERVAL_MOST_S:
        raise fault("interval_s", f"must be from {INTERVAL_LEAST_S} to {INTERVAL_MOST_S}")
    return "fixed", interval


def _created(found: object, fault: Callable[[str, str], BadFile]) -> str:
    if found is None:
        return ""
    if not isinstance(found, datetime | str):
        raise fault("created", "must be a time, like 2026-11-26T03:30:00Z")
    return found if isinstance(found, str) else found.isoformat()


def _line_of(text: str, key: str) -> int:
    wanted = re.compile(rf"[ \t]*\[*[ \t]*[\"']?{re.escape(key)}\b")
    return next((number for number, line in enumerate(text.splitlines(), 1) if wanted.match(line)), 1)


def loop_text(loop: Loop) -> str:
    interval = [] if loop.interval_s is None else [f"interval_s = {loop.interval_s}"]
    lines = [
        "# A loop of this node: netsky help time. When it is due next: netsky loop ls.",
        *(f"{key} = {toml_value(value)}" for key, value in (("id", loop.id), ("target", loop.target))),
        f"mode = {toml_value(loop.mode)}",
        *interval,
        f"prompt = {toml_value(loop.prompt)}",
        f"created = {loop.created}",
    ]
    return "\n".join(lines) + "\n"
