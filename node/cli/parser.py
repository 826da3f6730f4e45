"""From what was typed to one command and its arguments: an argparse parser built for that command alone."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from netsky.envelope.invalid import Invalid
from netsky.envelope.strict_json import read_json
from netsky.node.cli.table import GLOBAL_OPTIONS, GROUPS, LATER, Command, Option
from netsky.node.cli.text import length
from netsky.node.errors import Usage

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)?", re.ASCII)
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, None: 1.0}
_PAIR = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


class NotYet(Usage):
    default_code = "not_in_this_version"


class HelpAsked(Exception):
    """Somebody typed -h: the text stands in here."""

    def __init__(self, text: str) -> None:
        super().__init__("help was asked for")
        self.text = text


class _Parser(argparse.ArgumentParser):
    """Argparse that raises our errors instead of printing and exiting."""

    def __init__(self, command: Command | None) -> None:
        prog = f"netsky {command.words}" if command else "netsky"
        super().__init__(
            prog=prog, add_help=False, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self.command = command
        if sys.version_info >= (3, 14):
            self.color = False

    def error(self, message: str) -> NoReturn:
        raise Usage(f"{self.prog}: {message}", next=f"{self.prog} -h")


def duration(text: str) -> float:
    """Seconds from `90`, `90s`, `15m`, `24h`, `7d`, `250ms`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 30s, 15m, 24h or 7d")
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number; write 0 or more")
    return int(text)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = read_json(os.fsencode(text), "data")
    except Invalid as invalid:
        raise argparse.ArgumentTypeError(invalid.sentence) from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('has to be a JSON object, such as {"lines": 3}')
    return value


def _pair(text: str) -> str:
    if _PAIR.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return text


def _token(text: str) -> str:
    from netsky.envelope.fields import is_token, token_fault  # noqa: PLC0415 - few commands take one

    if not is_token(text):
        raise argparse.ArgumentTypeError(token_fault("it").sentence)
    return text


_FORMS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "token": _token,
    "count": _count,
    "number": _number,
    "duration": duration,
    "json": _json_object,
    "pairs": _pair,
    "words": str,
}


def _reader(option: Option) -> Callable[[str], Any]:
    """Said here and not by the node, because here it is known how the option was called."""
    read = _FORMS[option.form]
    least, most = option.least, option.most
    if not least and most is None:
        return read
    said = length if option.form == "duration" else str

    def within(text: str) -> Any:
        value = read(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {said(least)}, the least")
        if most is not None and value > most:
            raise argparse.ArgumentTypeError(f"{text} is more than {said(most)}, the most")
        return value

    return within


def _add_option(parser: argparse._ActionsContainer, option: Option, default: object = None) -> None:
    if not option.value:
        parser.add_argument(
            *option.flags, dest=option.name, action="store_true", default=bool(default), help=option.help
        )
        return
    more: dict[str, Any] = {}
    if option.choices:
        more["choices"] = option.choices
    if option.form in {"pairs", "words"}:
        more["action"] = "append"
    parser.add_argument(
        *option.flags,
        dest=option.name,
        metavar=f"[={option.value}]" if option.bare else option.value,
        type=_reader(option),
        default=default,
        help=option.help,
        **more,
    )


_COUNTS = {"one": None, "optional": "?", "some": "+", "any": "*"}


def build(command: Command, defaults: dict[str, object]) -> argparse.ArgumentParser:
    parser = _Parser(command)
    parser.description = command.summary[0].upper() + command.summary[1:] + "."
    if command.description:
        parser.description += "\n\n" + _wrapped(command.description)
    for argument in command.arguments:
        parser.add_argument(
            argument.name.lower(),
            metavar=argument.name,
            nargs=_COUNTS[argument.many],
            help=argument.help,
            type=_count if argument.is_number else str,
        )
    for option in command.options:
        _add_option(parser, option)
    everywhere = parser.add_argument_group("everywhere")
    for option in GLOBAL_OPTIONS:
        _add_option(everywhere, option, defaults.get(option.name))
    everywhere.add_argument("-h", "--help", action="store_true", help="this text")
    parser.epilog = "examples:\n" + "\n".join(f"  {example}" for example in command.examples)
    if command.rest:
        parser.usage = parser.format_usage().removeprefix("usage: ").rstrip() + f" [-- {command.rest.upper()} …]"
    return parser


def _wrapped(text: str) -> str:
    import shutil  # noqa: PLC0415 - argparse imports it for help only, too
    import textwrap  # noqa: PLC0415

    return textwrap.fill(text, min(shutil.get_terminal_size().columns, 100) - 2)


def split(argv: Sequence[str]) -> tuple[dict[str, object], list[str]]:
    """The global options in front of the verb, and the rest from the verb on."""
    parser = _Parser(None)
    for option in GLOBAL_OPTIONS:
        _add_option(parser, option)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    front = 0
    while front < len(argv) and argv[front].startswith("-") and argv[front] != "--":
        front += 2 if argv[front] == "--home" else 1
    return vars(parser.parse_args(list(argv[:front]))), list(argv[front:])


def pull_forward(front: dict[str, object], words: list[str]) -> tuple[dict[str, object], list[str]]:
    """The same with options between the two words of a command (`netsky channel --json ls`) put in front of them."""
    if words[0] not in GROUPS:
        return front, words
    between, rest = split(words[1:])
    return {name: between[name] or value for name, value in front.items()}, [words[0], *rest]


def find(table: dict[tuple[str, ...], Command], words: Sequence[str]) -> Command:
    """The command that these words begin with. `words` is not empty."""
    for count in (2, 1):
        if (command := table.get(tuple(words[:count]))) is not None:
            return command
    first = words[0]
    if first in GROUPS:
        names = [path[1] for path in table if path[0] == first]
        if len(words) == 1 or words[1].startswith("-"):
            raise Usage(f"netsky {first}: say which: {', '.join(names)}", next=f"netsky {first} {names[0]} -h")
        raise Usage(
            f"netsky {first}: no command {words[1]!r}; there are {', '.join(names)}",
            next=f"netsky {first} {_nearest(words[1], names) or names[0]} -h",
        )
    if any(first in line for line in LATER):
        raise NotYet(f"netsky {first} is planned, but this version does not have it yet", next="netsky help")
    near = _nearest(first, [path[0] for path in table] + [path[1] for path in table if len(path) > 1])
    if near is None:
        raise Usage(f"no command {first!r}", next="netsky help")
    full = next(path for path in table if near in path)
    meant = near if near in GROUPS else " ".join(full)
    raise Usage(f"no command {first!r}; did you mean `netsky {meant}`?", next=f"netsky {' '.join(full)} -h")


def _nearest(word: str, known: Sequence[str]) -> str | None:
    import difflib  # noqa: PLC0415 - only on the way to an error

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.6)), None)


def parse(command: Command, words: Sequence[str], defaults: dict[str, object]) -> argparse.Namespace:
    """The arguments of a command from what stands after its name."""
    mine, rest = list(words), []
    if command.rest and "--" in mine:
        at = mine.index("--")
        mine, rest = mine[:at], mine[at + 1 :]
    before_dashes = mine[: mine.index("--")] if "--" in mine else mine
    bare = {flag: option.bare for option in command.options if option.bare for flag in option.flags}
    mine = [f"{word}={bare[word]}" if word in bare and word in before_dashes else word for word in mine]
    parser = build(command, defaults)
    if "-h" in before_dashes or "--help" in before_dashes:
        raise HelpAsked(parser.format_help())
    args = parser.parse_args(mine) if "--" in mine else parser.parse_intermixed_args(mine)
    if command.rest:
        setattr(args, command.rest, rest)
    return args
