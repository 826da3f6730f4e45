"""What a command says: one JSON shape for programs, plain lines for people, and every error with its next step."""

from __future__ import annotations

import json as json_form
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from netsky.node.cli import text
from netsky.node.cli.table import Command
from netsky.node.errors import NetskyError

_PLAIN_WIDTH = 100
_NARROWEST = 40
_MESSAGE_MAX = 1_000


class Output:
    """Answers go to stdout, notices and errors to stderr; with --json everything that matters goes to stdout."""

    def __init__(
        self,
        schema: str,
        *,
        wall: Callable[[], int],
        json: bool = False,
        quiet: bool = False,
        no_color: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.schema = schema
        self.wall = wall
        self.json = json
        self.quiet = quiet
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        plain = no_color or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "") in ("", "dumb")
        self.terminal = not plain and self.stdout.isatty()
        self._progress = 0  # columns of the line that stands there
        self._color_errors = not plain and self.stderr.isatty()

    @property
    def columns(self) -> int:
        """The width to fill; a pipe gets whole lines, whatever their length, within reason."""
        if not self.stdout.isatty():
            return int(os.environ["COLUMNS"]) if os.environ.get("COLUMNS", "").isdigit() else 10_000
        try:
            return max(_NARROWEST, os.get_terminal_size(self.stdout.fileno()).columns)
        except (OSError, ValueError):
            return _PLAIN_WIDTH

    def answer(self, schema: str, summary: str, data: dict[str, Any], human: Callable[[], None] | None = None) -> None:
        """The one answer of a command: as JSON, or what `human` prints, or else the summary."""
        if self.json:
            self._json(schema, {"ok": True, "summary": summary}, {"data": data})
        elif human is not None:
            human()
        else:
            self.line(summary)

    def _json(self, schema: str, front: dict[str, Any], back: dict[str, Any]) -> None:
        """One line. It leaves at once: in a stream its reader may wait for it."""
        shape = {"schema": f"netsky.{schema}/1", **front, "generated_at": text.rfc3339(self.wall()), **back}
        self.stdout.write(json_form.dumps(shape, ensure_ascii=False, separators=(",", ":")) + "\n")
        self.stdout.flush()

    def line(self, line: str = "") -> None:
        """A line for people on stdout. What strangers wrote goes through text.visible before it comes here."""
        self.stdout.write(line + "\n")

    def wrapped(self, line: str, hang: int, paint: Callable[[str], str] = str) -> None:
        """A line that may be longer than the terminal is wide. Not for what is copied and typed: that must stay one."""
        for part in text.wrapped(line, self.columns, hang):
            self.line(paint(part))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], spare: Sequence[str] = ()) -> None:
        """Where the terminal is narrow the columns named in `spare` go, in that order, and it is said which."""
        head, rows, gone = text.without_spare(head, rows, self.columns, spare)
        lines = text.table(head, rows, self.columns)
        self.line(self.dim(lines[0]))
        for line in lines[1:]:
            self.line(line)
        if gone:
            self.wrapped(f"({', '.join(gone)}: in a wider terminal)", 1, self.dim)

    def notice(self, line: str) -> None:
        """Something worth knowing that is not the answer."""
        if not self.quiet and not self.json:
            self.stdout.flush()
            self.stderr.write(line + "\n")
            self.stderr.flush()

    @property
    def shows_progress(self) -> bool:
        return not (self.quiet or self.json) and self.stderr.isatty()

    def progress(self, line: str) -> None:
        """What is waited for, on one line of a terminal that the next one takes the place of; nothing ends it."""
        if not self.shows_progress:
            return
        room = max(_NARROWEST, shutil.get_terminal_size().columns) - 1
        self.stdout.flush()
        self.stderr.write("\r" + text.cut(line, room).ljust(self._progress))
        self._progress = text.width(text.cut(line, room))
        if not line:
            self.stderr.write("\r")
        self.stderr.flush()

    def error(self, error: NetskyError) -> None:
        message = error.message
        if len(message) > _MESSAGE_MAX:  # it repeats what was typed: the rest would push the next step off the screen
            message = f"{message[:_MESSAGE_MAX]} … ({len(message) - _MESSAGE_MAX} characters more)"
        if self.json:
            shown = {"code": error.code, "exit": error.exit, "message": message, "next": error.next}
            self._json(self.schema, {"ok": False, "summary": message}, {"error": shown})
            return
        self.stdout.flush()
        said = text.visible(message)
        said = said if said.startswith("netsky ") else f"netsky: {said}"
        who, colon, what = said.partition(":")
        told = f"\x1b[31m{who}{colon}\x1b[0m{what}" if self._color_errors else said
        self.stderr.write(f"{told}\n  next: {text.visible(error.next)}\n")
        self.stderr.flush()

    def dim(self, line: str) -> str:
        return f"\x1b[2m{line}\x1b[0m" if self.terminal else line

    def bold(self, line: str) -> str:
        return f"\x1b[1m{line}\x1b[0m" if self.terminal else line

    def warn(self, line: str) -> str:
        return f"\x1b[33m{line}\x1b[0m" if self.terminal else line


def output_for(command: Command | None, options: dict[str, Any], wall: Callable[[], int]) -> Output:
    return Output(
        command.schema_name if command else "error",
        wall=wall,
        json=bool(options.get("json")),
        quiet=bool(options.get("quiet")),
        no_color=bool(options.get("no_color")),
    )
