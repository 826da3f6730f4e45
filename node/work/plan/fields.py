"""What may stand in a plan: one table of fields, with the rule of each. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from netsky.node.work.limits import (
    LIST_MAX,
    RETRIES_MAX,
    TEXT_CHARS_MAX,
    TIMEOUT_MS_MAX,
    TITLE_CHARS_MAX,
    WORD_CHARS_MAX,
)

Rule = Callable[[object], str | None]
"""What is wrong with a value, as the rest of a sentence; None if nothing is."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
HOST = re.compile(r"[A-Za-z0-9.-]{1,253}:[0-9]{1,5}", re.ASCII)
POINTER = re.compile(r"(file|log|note|envelope|task):\S.*", re.ASCII)
ROLES = ("manager", "worker", "coder", "tester", "reviewer", "researcher", "writer")
RUNTIMES = ("noop", "command")


@dataclass(frozen=True, slots=True)
class Field:
    rule: Rule
    says: str
    """What it is for, in a few words."""


def name(value: object) -> str | None:
    if isinstance(value, str) and NAME.fullmatch(value):
        return None
    return "has to be 1 to 40 of a-z, 0-9, - and _, beginning with a letter or digit"


def text(most: int, *, one_line: bool = False) -> Rule:
    def rule(value: object) -> str | None:
        if not isinstance(value, str):
            return "has to be text"
        if len(value) > most:
            return f"has {len(value)} characters; {most} at most"
        if one_line and not value.isprintable():
            return "has to be one printable line"
        if any(letter < " " and letter not in "\t\n" for letter in value):
            return "has a control character"
        return None

    return rule


def one_of(*words: str) -> Rule:
    return lambda value: None if value in words else f"is one of {', '.join(map(repr, words))}"


def whole(least: int, most: int) -> Rule:
    def rule(value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return "has to be a whole number"
        return None if least <= value <= most else f"has to be from {least} to {most}"

    return rule


def many(rule: Rule, *, least: int = 0) -> Rule:
    def wrong(value: object) -> str | None:
        if not isinstance(value, list):
            return "has to be a list"
        if not least <= len(value) <= LIST_MAX:
            return f"has {len(value)} entries; from {least} to {LIST_MAX}"
        for entry in value:
            found = rule(entry)
            if found is not None:
                return f"{ascii(entry)[:80]} {found}"
        return "names something twice" if len(set(value)) != len(value) else None

    return wrong


def matches(form: re.Pattern[str], says: str) -> Rule:
    return lambda value: None if isinstance(value, str) and form.fullmatch(value) else says


def path(value: object) -> str | None:
    """Of a repository: relative, plain, and nothing of git's own."""
    if not isinstance(value, str) or not value or len(value) > 500 or not value.isprintable():
        return "has to be a path, 500 printable characters at most"
    parts = value.removesuffix("/").split("/")
    if value.startswith("/") or "\\" in value or any(part in {"", ".", ".."} for part in parts):
        return "has to be a path inside the repository, like src/ or README.md"
    return "is git's own" if any(part.lower() == ".git" for part in parts) else None


def table(fields: Mapping[str, Field]) -> Rule:
    def wrong(value: object) -> str | None:
        if not isinstance(value, dict):
            return "has to be a table"
        for key, entry in value.items():
            if key not in fields:
                return f"has the unknown key {key!a}; known are {', '.join(fields)}"
            found = fields[key].rule(entry)
            if found is not None:
                return f"{key} {found}"
        return None

    return wrong


_line = text(1_000, one_line=True)
_node = matches(LABEL, "is no name of a node")

CONSTRAINTS: Mapping[str, Field] = MappingProxyType(
    {
        "timeout_ms": Field(whole(1, TIMEOUT_MS_MAX), "of one try"),
        "max_retries": Field(whole(0, RETRIES_MAX), "tries after the first"),
    }
)
SCOPE: Mapping[str, Field] = MappingProxyType(
    {
        "fs_write": Field(many(path), "paths its patch may touch"),
        "net": Field(many(matches(HOST, "has to be host:port")), "hosts it may reach"),
    }
)
SPEC: Mapping[str, Field] = MappingProxyType(
    {
        "title": Field(text(TITLE_CHARS_MAX, one_line=True), "one line for people"),
        "role": Field(one_of(*ROLES), "who does it"),
        "runtime": Field(one_of(*RUNTIMES), "what carries it out"),
        "command": Field(many(_line, least=1), "of the runtime command: program and arguments"),
        "text": Field(text(TEXT_CHARS_MAX), "what is to be done"),
        "context_pointers": Field(many(matches(POINTER, "is file:, log:, note:, envelope: or task:")), "what to read"),
        "success_criteria": Field(many(_line), "commands that have to end with 0"),
        "constraints": Field(table(CONSTRAINTS), "limits"),
        "permission_scope": Field(table(SCOPE), "what it may"),
        "idempotency_key": Field(
            matches(re.compile(r"[!-~]{1,64}"), f"has to be 1 to {WORD_CHARS_MAX} printable ASCII"),
            "the same work once",
        ),
        "needs": Field(many(matches(LABEL, "is no label")), "labels that its node must have"),
        "on": Field(many(_node), "nodes that may have it, the first first"),
        "review": Field(one_of("", "person"), "person: nothing is committed before one looked"),
    }
)
TICKET: Mapping[str, Field] = MappingProxyType(
    {"id": Field(name, "its name in this plan"), "after": Field(many(name), "tickets that come before"), **SPEC}
)
HEAD: Mapping[str, Field] = MappingProxyType(
    {
        "name": Field(name, "what the run is called"),
        "title": Field(text(TITLE_CHARS_MAX, one_line=True), "one line for people"),
        "repository": Field(text(500, one_line=True), "where the work is taken from"),
        "base": Field(text(200, one_line=True), "the commit it starts from"),
        "branch": Field(text(200, one_line=True), "the branch that gets the commits"),
        "push": Field(text(500, one_line=True), "where to push the branch, if anywhere"),
    }
)


def faults(fields: Mapping[str, Field], found: Mapping[str, Any], known: Sequence[str]) -> list[tuple[str, str]]:
    """(key, sentence) of all that is wrong with these values."""
    wrong = []
    for key, value in found.items():
        if key not in fields:
            wrong.append((key, f"{key!a} is unknown here; known are {', '.join(known)}"))
            continue
        said = fields[key].rule(value)
        if said is not None:
            wrong.append((key, f"{key} {said}"))
    return wrong
