"""What a page may look like: one line, some text, nothing in it that a terminal or a mail program obeys. Pure."""

from __future__ import annotations

import re
import unicodedata

from netsky.node.escalate.limits import BODY_LETTERS_MAX, SUBJECT_LETTERS_MAX

_TAG = re.compile(r"<(?=\s*/?\s*channel)", re.IGNORECASE)
"""Netsky's channel tags are refused in an envelope; an escalation is not to fail for one."""

TEST_SUBJECT = "netsky: test of the owner's channel"
TEST_BODY = "This is a test: nothing is wrong. If you read it, the command under [owner] in config.toml works."

SILENT_SUBJECT = "netsky: netsky0 is silent"
SILENT_BODY = (
    "netsky0 has not been heard for longer than it may be silent. This is the deputy of the mesh, and it says nothing "
    "else: look at the machine of netsky0."
)
"""The deputy's fixed sentence: no name and no text of anybody goes into it."""


def one_line(text: str) -> str:
    kept = " ".join(_without_controls(text, keep="").split())
    return kept if len(kept) <= SUBJECT_LETTERS_MAX else kept[: SUBJECT_LETTERS_MAX - 1] + "…"


def body(text: str) -> str:
    kept = _without_controls(text.replace("\r\n", "\n"), keep="\n\t").strip("\n")
    more = len(kept) - BODY_LETTERS_MAX
    return kept if more <= 0 else f"{kept[:BODY_LETTERS_MAX]}\n[cut here: {more} characters more]"


def as_envelope_text(subject: str, text: str) -> str:
    return _TAG.sub("[U+003C]", f"{subject}\n\n{text}" if text else subject)


def quoted(subject: str, text: str) -> str:
    """What somebody else said: no line of it can look like ours."""
    return "\n".join(f"> {line}" for line in f"{subject}\n\n{text}".rstrip("\n").split("\n"))


def as_input(subject: str, text: str) -> str:
    """What the owner's command reads."""
    return f"{subject}\n\n{text}\n" if text else f"{subject}\n"


def _without_controls(text: str, keep: str) -> str:
    """Without what moves a cursor, turns the direction of text, hides or has no bytes."""
    kept = []
    for letter in text:
        if letter in keep:
            kept.append(letter)
        elif letter.isspace():
            kept.append(" ")
        elif not unicodedata.category(letter).startswith("C"):
            kept.append(letter)
    return "".join(kept)
