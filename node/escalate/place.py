"""What the separate program knows of the home that it was called in, from plain files alone.

The daemon keeps `state/escalate.json` as these things change: what this node is, whether it is the deputy, and the
owner's command as it was when `config.toml` was last in order. Without that file (a daemon that never ran) the rule is
the cautious one: a home with a charter is a sibling's unless its config calls it netsky0.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from netsky.node.escalate.limits import COMMAND_LETTERS_MAX, COMMAND_WORDS_MAX
from netsky.node.marker import FOLDER

Kind = Literal["root", "sibling", "alone"]

FACTS_FILE = "escalate.json"
"""In the folder of the markers."""

ROOT = "netsky0"
_CONFIG_BYTES_MAX = 1 << 20
_FACTS_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True)
class Facts:
    """What the daemon said last."""

    node: str
    kind: Kind
    is_deputy: bool
    """This node is."""
    deputy: str | None
    """Which node is, as far as this one knows."""
    members: int
    command: tuple[str, ...]

    def encode(self) -> bytes:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields, sort_keys=True).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Place:
    home: str
    node: str
    kind: Kind
    is_deputy: bool
    command: tuple[str, ...]
    """Empty if there is none."""
    doubts: tuple[str, ...]
    """What was not as it should be, as sentences."""

    @property
    def pages_itself(self) -> bool:
        """Its own command is its way to the owner; a sibling's way is netsky0."""
        return self.kind != "sibling"


class NotOurs(Exception):
    """A command that stands there is nobody's to run."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def home_path(named: str | None, environ: Mapping[str, str]) -> str:
    return os.path.realpath(os.path.expanduser(named or environ.get("NETSKY_HOME") or "~/.netsky"))


def operator_socket(home: str) -> str:
    """In the home, or where the link `run` leads if the home's path is too long for a socket."""
    here = os.path.join(home, "operator.sock")
    if os.path.lexists(here):
        return here
    try:
        return os.path.join(os.readlink(os.path.join(home, "run")), "operator.sock")
    except OSError:
        return here


def look(home: str) -> Place:
    """Raises OSError if there is no home, and NotOurs; whatever else is broken is a doubt."""
    facts_of_home = os.stat(home)
    if facts_of_home.st_uid != os.getuid():
        raise NotOurs("foreign_owner", f"{home} belongs to another user, who would say what runs as you")
    if facts_of_home.st_mode & 0o022:
        raise NotOurs("loose_permissions", f"others can write into {home} and say what runs as you")
    doubts: list[str] = []
    facts = read_facts(home)
    config = _read_config(os.path.join(home, "config.toml"), doubts)
    command = _command(config, facts, doubts)
    section = {} if config is None else config.get("node", {})
    name = section.get("name") if isinstance(section, dict) else None
    has_charter = os.path.lexists(os.path.join(home, "charter"))
    if facts is None or (facts.kind == "alone" and has_charter):  # joined since
        kind: Kind = "alone" if not has_charter else "root" if name == ROOT else "sibling"
        return Place(home, name if isinstance(name, str) else "netsky", kind, False, command, tuple(doubts))
    return Place(home, facts.node, facts.kind, facts.is_deputy, command, tuple(doubts))


def read_facts(home: str) -> Facts | None:
    try:
        with open(os.path.join(home, FOLDER, FACTS_FILE), "rb") as file:
            found = json.loads(file.read(_FACTS_BYTES_MAX))
        command = command_of(found["command"])
        if found["kind"] not in ("root", "sibling", "alone") or isinstance(command, str):
            return None
        return Facts(
            node=str(found["node"]),
            kind=found["kind"],
            is_deputy=found["is_deputy"] is True,
            deputy=None if found["deputy"] is None else str(found["deputy"]),
            members=int(found["members"]),
            command=command,
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def command_of(found: object) -> tuple[str, ...] | str:
    """The command, or the rule that it breaks."""
    if not isinstance(found, list | tuple) or len(found) > COMMAND_WORDS_MAX:
        return f'must be a list of at most {COMMAND_WORDS_MAX} texts, like ["/usr/local/bin/tell-me", "--urgent"]'
    for word in found:
        if not isinstance(word, str) or len(word) > COMMAND_LETTERS_MAX or not word.isprintable():
            return f"must hold texts of at most {COMMAND_LETTERS_MAX} printable characters"
    if found and not found[0]:
        return "must begin with a program"
    return tuple(found)


def _read_config(path: str, doubts: list[str]) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            return tomllib.loads(file.read(_CONFIG_BYTES_MAX).decode())
    except OSError as error:
        doubts.append(f"{path} cannot be read: {error.strerror}")
    except (ValueError, RecursionError) as error:  # broken TOML is a ValueError, and so is what is no UTF-8
        doubts.append(f"{path} is not TOML: {error}")
    return None


def _command(config: dict[str, Any] | None, facts: Facts | None, doubts: list[str]) -> tuple[str, ...]:
    """That of the file if the file can be understood, even where it has none; else the last one that was good."""
    if config is not None:
        section = config.get("owner", {})
        found = command_of(section.get("command", [])) if isinstance(section, dict) else "must be a section"
        if isinstance(found, tuple):
            return found
        doubts.append(f"[owner] command in config.toml {found}")
    if facts is None or not facts.command:
        return ()
    doubts.append("so the command is the one that was good last")
    return facts.command
