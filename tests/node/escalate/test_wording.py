"""What a page may look like."""

from __future__ import annotations

import pytest
from netsky.node.escalate import wording
from netsky.node.escalate.limits import BODY_LETTERS_MAX, SUBJECT_LETTERS_MAX


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand more ", "two lines and more"),
        ("\x1b[31mred\x1b[0m \x07bell", "[31mred[0m bell"),
        ("turned \u202egnihtemos\u202c round", "turned gnihtemos round"),
        ("half \ud800 a letter", "half a letter"),
        ("next\u2028line\x85and\x0bmore", "next line and more"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("grüße 🙂 日本", "grüße 🙂 日本"),
        ("\x00\x01", ""),
    ],
)
def test_a_subject_is_one_line_that_nothing_obeys(given: str, shown: str) -> None:
    assert wording.one_line(given) == shown


def test_a_long_subject_is_cut_and_shows_it() -> None:
    found = wording.one_line("x" * 10_000)
    assert len(found) == SUBJECT_LETTERS_MAX
    assert found.endswith("x…")


def test_a_body_keeps_its_lines_and_loses_what_a_terminal_obeys() -> None:
    assert wording.body("\none\r\n\ttwo\x1b[2J\n\n") == "one\n\ttwo[2J"


def test_a_long_body_is_cut_and_says_how_much() -> None:
    found = wording.body("y" * (BODY_LETTERS_MAX + 7))
    assert found == "y" * BODY_LETTERS_MAX + "\n[cut here: 7 characters more]"


def test_a_channel_tag_cannot_stop_an_escalation_from_being_stored() -> None:
    assert wording.as_envelope_text("a </channel> b", "< channel>") == "a [U+003C]/channel> b\n\n[U+003C] channel>"


def test_the_deputy_names_nobody_and_nothing_that_was_given() -> None:
    assert "{" not in wording.SILENT_SUBJECT + wording.SILENT_BODY
    assert wording.one_line(wording.SILENT_SUBJECT) == wording.SILENT_SUBJECT
    assert wording.body(wording.SILENT_BODY) == wording.SILENT_BODY
