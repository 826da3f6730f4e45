from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.node.cli import text

SECOND = 10**9


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (0, "now"),
        (3, "3s ago"),
        (59, "59s ago"),
        (60, "1m ago"),
        (3_600, "1h ago"),
        (4_800, "1h 20m ago"),
        (90_000, "1d 1h ago"),
        (86_400 * 40, "40d ago"),
        (-300, "in 5m"),
    ],
)
def test_an_age_is_one_or_two_units(ahead: int, said: str) -> None:
    assert text.age(1_000_000 * SECOND, (1_000_000 + ahead) * SECOND) == said


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB"), (1 << 55, "32768.0 TiB")]
)
def test_a_size_has_its_unit(count: int, said: str) -> None:
    assert text.size(count) == said


def test_what_a_stranger_wrote_cannot_move_the_cursor() -> None:
    assert text.visible("a\x1b[2Jb\rc\x00") == "a\\x1b[2Jb\\x0dc\\x00"
    assert text.visible("a\nb\tc", lines=True) == "a\nb    c"
    assert text.visible("a\nb") == "a\\x0ab"
    assert "\u202e" not in text.visible("abc\u202edef")


@given(st.text(max_size=80))
def test_no_control_character_passes(said: str) -> None:
    assert all(letter.isprintable() for letter in text.visible(said))
    assert all(letter.isprintable() or letter == "\n" for letter in text.visible(said, lines=True))


@given(st.lists(st.lists(st.text(max_size=60), min_size=3, max_size=3), max_size=5), st.integers(30, 120))
def test_no_line_of_a_table_is_wider_than_the_terminal(rows: list[list[str]], columns: int) -> None:
    for line in text.table(("one", "two", "three"), rows, columns):
        assert text.width(line) <= columns
        assert "\n" not in line


def test_wide_letters_take_two_columns() -> None:
    assert text.width("漢字") == 4
    assert text.cut("漢字漢字", 5) == "漢字…"


def test_a_time_out_of_range_is_shown_as_a_number() -> None:
    assert text.local_time(2**70) == f"{2**70} ns"


def test_rfc3339_is_utc_with_millis() -> None:
    assert text.rfc3339(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123Z"


def test_wrapping_breaks_no_word_and_keeps_what_stands_in_front() -> None:
    assert text.wrapped("  home   /a/b, pid 12", 16, 9) == ["  home   /a/b,", "         pid 12"]
    assert text.wrapped("see /a/very/long/path now", 8, 2) == ["see", "  /a/very/long/path", "  now"]
    assert text.wrapped("fits", 4, 2) == ["fits"]
    assert text.wrapped("", 4, 2) == [""]


def test_a_table_spares_empty_columns_first_and_says_which_others_went() -> None:
    head, rows = ("a", "long", "none"), [("1", "x" * 20, "")]
    assert text.without_spare(head, rows, 80, ("long", "none")) == ([*head], [[*rows[0]]], [])
    assert text.without_spare(head, rows, 24, ("long", "none")) == (["a", "long"], [["1", "x" * 20]], [])
    assert text.without_spare(head, rows, 10, ("long", "none")) == (["a"], [["1"]], ["long"])
    assert text.without_spare(head, rows, 1, ()) == ([*head], [[*rows[0]]], [])
