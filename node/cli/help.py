"""The overview, the topics, the version."""

from __future__ import annotations

import re
import textwrap
from importlib import resources
from typing import Any

from netsky.node.cli.output import Output
from netsky.node.cli.table import GROUPS, TOPICS, commands, group_help
from netsky.node.errors import EXIT_DONE, EXIT_USAGE, NotFound
from netsky.node.version import program_version

_READABLE_COLUMNS = 80
_MARKS = re.compile(r"`|\*\*|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)")


def overview(out: Output) -> int:
    """What `netsky` alone prints: every command in a line, by topic."""
    listed = [command for command in commands().values() if command.primary]
    if out.json:
        shown = [{"command": command.words, "summary": command.summary} for command in listed]
        out.answer("overview", f"{len(listed)} commands", {"commands": shown})
        return EXIT_DONE
    out.line("netsky: one node per machine, signed envelopes between your coding agents")
    room = max(len(command.words) for command in listed) + 2
    for topic, title in TOPICS:
        out.line()
        out.line(out.bold(title))
        for command in listed:
            if command.topic == topic:
                out.line(f"  {command.words:<{room}}{command.summary}")
    out.line()
    out.line("New here: netsky help start. A command: netsky COMMAND -h. Programs: --json.")
    return EXIT_DONE


def topics() -> dict[str, str]:
    """The topics that ship, with their text."""
    folder = resources.files("netsky.node") / "docs"
    return {
        entry.name.removesuffix(".md"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".md") and entry.name != "README.md"
    }


def title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ").strip()


def help_topic(args: Any, out: Output) -> int:
    known = topics()
    if not args.topic:
        shown = {name: title(text) for name, text in known.items()}

        def human() -> None:
            out.line("netsky help TOPIC, where TOPIC is one of")
            room = max(map(len, shown)) + 2
            for name, line in shown.items():
                out.line(f"  {name:<{room}}{line}")
            out.line("or a command: netsky help send")

        data = {"topics": [{"topic": name, "title": line} for name, line in shown.items()]}
        out.answer("help", "the topics", data, human)
        return EXIT_DONE
    asked = " ".join(args.topic)
    if asked in known:
        if asked == "limits":
            from netsky.node.cli.limits import page as all_limits  # noqa: PLC0415 - reads six files

            known[asked] += all_limits()
        page = {"topic": asked, "text": known[asked]}
        out.answer("help", title(known[asked]), page, lambda: _print(known[asked], out))
        return EXIT_DONE
    return _command_help(asked, args.topic, known, out)


def _command_help(asked: str, words: list[str], known: dict[str, str], out: Output) -> int:
    from netsky.node.cli.parser import build, find  # noqa: PLC0415

    if asked in GROUPS:
        text = group_help(asked, commands())
        out.answer("help", GROUPS[asked], {"topic": asked, "text": text}, lambda: out.line(text.rstrip()))
        return EXIT_DONE
    try:
        command = find(commands(), words)
    except Exception as error:
        if getattr(error, "exit", None) != EXIT_USAGE:
            raise
        raise NotFound(
            f"no help topic and no command {asked!r}; topics: {', '.join(known)}", next="netsky help"
        ) from None
    text = build(command, {}).format_help()
    out.answer("help", command.summary, {"topic": command.words, "text": text}, lambda: out.line(text.rstrip()))
    return EXIT_DONE


def _print(text: str, out: Output) -> None:
    """Markdown for a terminal: paragraphs folded to a width that reads well, code as it is, tables as lists."""
    columns = min(out.columns, _READABLE_COLUMNS)
    in_code = False
    paragraph: list[str] = []

    def fold() -> None:
        if paragraph:
            hang = "  " if paragraph[0].startswith("- ") else ""
            whole = _plain(" ".join(line.strip() for line in paragraph))
            for line in textwrap.wrap(whole, columns, subsequent_indent=hang, break_on_hyphens=False):
                out.line(line)
            paragraph.clear()

    for line in text.rstrip().split("\n"):
        if in_code or not line or line.startswith(("#", "|", "```", "- ")):
            fold()
        if line.startswith("```"):
            in_code = not in_code
        elif in_code:
            out.line(f"    {line}".rstrip())
        elif line.startswith("#"):
            out.line(out.bold(line.lstrip("#").strip()))
        elif line.startswith("|"):
            _table_line(line, columns, out)
        elif line:
            paragraph.append(line)
        else:
            out.line()
    fold()


def _plain(markdown: str) -> str:
    """Without the marks that a terminal does not show."""
    return _MARKS.sub("", markdown)


def _table_line(line: str, columns: int, out: Output) -> None:
    """A row of a markdown table as `first   the rest`, folded under itself."""
    first, *others = [_plain(cell.strip()) for cell in line.strip("|").split("|")]
    if not any((first, *others)):
        return
    if set(first) <= {"-", " "}:
        return
    rest = " · ".join(other for other in others if other)
    room = 22
    head = f"  {first:<{room - 2}}"
    if len(first) > room - 3:
        out.line(f"  {first}")
        head = " " * room
    for folded in textwrap.wrap(rest, max(20, columns - room), break_on_hyphens=False) or [""]:
        out.line((head + folded).rstrip())
        head = " " * room


def version(args: Any, out: Output) -> int:
    del args
    found = program_version()
    out.answer("version", f"netsky {found}", {"version": found})
    return EXIT_DONE
