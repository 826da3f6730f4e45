from __future__ import annotations

import base64
from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.envelope.invalid import Invalid
from netsky.mesh.limits import ADDRESS_TEXT_BYTES_MAX, ADDRESSES_MAX, TICKET_LETTERS_MAX
from netsky.mesh.ticket import PREFIX, Ticket, invite_of, read_ticket, ticket_text

TICKET = Ticket(
    mesh=b"m" * 16,
    owner_key=b"o" * 32,
    charter_hash=b"c" * 32,
    root_key=b"r" * 32,
    addresses=("192.168.1.5:4433", "[2001:db8::5]:4433"),
    relay="https://relay.example./",
    secret=b"s" * 16,
    ends=1_800_000_000 * 10**9,
)
TEXT = ticket_text(TICKET)


def code(text: str) -> str:
    with pytest.raises(Invalid) as caught:
        read_ticket(text)
    assert caught.value.sentence.endswith(".")
    return caught.value.code


def checked(*fields: object) -> str:
    """A ticket of these fields with a right checksum."""
    from hashlib import sha256

    data = msgpack.packb(fields)
    return PREFIX + base64.b32encode(data + sha256(data).digest()[:4]).decode().rstrip("=").lower()


def test_a_ticket_is_one_word_that_survives_what_people_do_to_text() -> None:
    assert TEXT.isalnum()
    assert TEXT.startswith(PREFIX)
    for said in (TEXT, TEXT.upper(), f"  {TEXT}\r\n", TEXT[:80] + "\n  " + TEXT[80:], " ".join(TEXT)):
        assert read_ticket(said) == TICKET


def test_the_largest_ticket_is_still_a_ticket() -> None:
    address = "a" * ADDRESS_TEXT_BYTES_MAX
    largest = replace(TICKET, addresses=(address,) * ADDRESSES_MAX, relay=address)
    assert len(ticket_text(largest)) < TICKET_LETTERS_MAX
    assert read_ticket(ticket_text(largest)) == largest


def test_its_bytes_are_those_that_were_released() -> None:
    plain = Ticket(bytes(16), bytes(32), bytes(32), bytes(32), ("h:1",), "", bytes(16), 1)
    assert ticket_text(plain) == (
        "netsky1tea4ieaaaaaaaaaaaaaaaaaaaaaaaaaayqqaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaageeaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabrbaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aajdi3ihiy2braqaaaaaaaaaaaaaaaaaaaaaaaaaaarikvf4e"
    )


def test_no_text_shows_the_secret_by_accident() -> None:
    assert "73" * 16 not in repr(TICKET)
    assert TICKET.secret not in TICKET.invite
    assert TICKET.invite == invite_of(TICKET.secret) != invite_of(b"t" * 16)


@pytest.mark.parametrize("at", range(0, len(TEXT), 7))
def test_a_ticket_with_one_letter_wrong_is_told_from_a_whole_one(at: int) -> None:
    wrong = "a" if TEXT[at] != "a" else "b"
    assert code(TEXT[:at] + wrong + TEXT[at + 1 :]) in {"ticket_damaged", "ticket_form"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXT[:-1], "ticket_damaged"),
        (TEXT[:60], "ticket_damaged"),
        (TEXT[1:], "ticket_form"),
        (TEXT + "a", "ticket_damaged"),
        (TEXT + TEXT, "ticket_damaged"),
        (PREFIX, "ticket_damaged"),
        ("", "ticket_form"),
        ("hello", "ticket_form"),
        (PREFIX + "1" * 50, "ticket_damaged"),
        (PREFIX + "a" * TICKET_LETTERS_MAX, "ticket_form"),
        ("x" * 10**6, "ticket_form"),
        (checked(2, b"m" * 16), "version"),
        (checked(1, b"m" * 16), "damaged"),
        (checked(1, b"m" * 15, b"o" * 32, b"c" * 32, b"r" * 32, [], "", b"s" * 16, 1), "damaged"),
        (checked(1, b"m" * 16, b"o" * 32, b"c" * 32, b"r" * 32, ["a\x1b[2J"], "", b"s" * 16, 1), "damaged"),
        (checked(1, b"m" * 16, b"o" * 32, b"c" * 32, b"r" * 32, [""], "", b"s" * 16, 1), "damaged"),
        (checked(1, b"m" * 16, b"o" * 32, b"c" * 32, b"r" * 32, ["a"] * 17, "", b"s" * 16, 1), "damaged"),
        (checked(1, b"m" * 16, b"o" * 32, b"c" * 32, b"r" * 32, [], "", b"s" * 16, -1), "damaged"),
        (checked(1, b"m" * 16, b"o" * 32, b"c" * 32, b"r" * 32, [], "", b"s" * 16, 1, 2), "damaged"),
    ],
)
def test_what_is_no_ticket_gets_a_sentence(text: str, expected: str) -> None:
    assert code(text) == expected


@given(st.text(max_size=400))
def test_any_text_is_a_ticket_or_invalid(text: str) -> None:
    for said in (text, PREFIX + text):
        try:
            read_ticket(said)
        except Invalid as invalid:
            assert invalid.sentence  # noqa: PT017


@given(st.binary(max_size=300))
def test_any_bytes_with_a_right_checksum_are_a_ticket_or_invalid(data: bytes) -> None:
    from hashlib import sha256

    text = PREFIX + base64.b32encode(data + sha256(data).digest()[:4]).decode().rstrip("=").lower()
    try:
        assert ticket_text(read_ticket(text)) == text
    except Invalid as invalid:
        assert invalid.sentence  # noqa: PT017


@given(st.lists(st.from_regex(r"[!-~]{1,60}", fullmatch=True), max_size=16), st.integers(0, 2**63 - 1))
def test_every_ticket_comes_back_as_it_was(addresses: list[str], ends: int) -> None:
    ticket = replace(TICKET, addresses=tuple(addresses), ends=ends)
    assert read_ticket(ticket_text(ticket)) == ticket
