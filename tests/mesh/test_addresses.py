"""Which addresses are dialled, which are told, and what is the URL of a relay."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.mesh.addresses import announced, dialable, parse_address, relay_place
from netsky.mesh.limits import DIRECT_ADDRESSES_MAX
from netsky.mesh.transport import nothing_in_common


def test_an_address_is_an_ip_address_and_a_port() -> None:
    assert parse_address("192.0.2.1:7000") == (ipaddress.ip_address("192.0.2.1"), 7000)
    assert parse_address("[2001:db8::1]:0") == (ipaddress.ip_address("2001:db8::1"), 0)


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "1", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:٣", "192.0.2.256:7"),
        *("localhost:1", "2001:db8::1:7", "[192.0.2.1]:7", "[2001:db8::1]", "[2001:db8::1:7", "192.0.2.1:7 "),
    ],
)
def test_everything_else_is_none(text: str) -> None:
    assert parse_address(text) is None


@given(st.text(max_size=40))
def test_no_text_makes_the_readers_fail(text: str) -> None:
    parse_address(text)
    relay_place(text)
    assert set(dialable([text])) <= {text}


def test_what_says_nothing_to_a_peer_is_not_announced() -> None:
    found = ["192.0.2.2:7", "127.0.0.1:7", "0.0.0.0:7", "[fe80::1]:7", "[fd00::2]:7", "[::1]:7", "nonsense"]
    assert announced(found, "0.0.0.0:7") == ("192.0.2.2:7", "[fd00::2]:7"), "several interfaces, all of them"
    assert announced(found, "192.0.2.2:7") == ("192.0.2.2:7", "[fd00::2]:7")


@pytest.mark.parametrize("bind", ["127.0.0.1:7", "[::1]:7"])
def test_who_listens_on_loopback_alone_announces_that_alone(bind: str) -> None:
    assert announced(["192.0.2.2:9", bind], bind) == (bind,)


def test_what_cannot_be_dialled_is_left_out_and_a_long_list_is_cut() -> None:
    assert dialable(["nonsense", "0.0.0.0:7", "[::]:7", "192.0.2.1:0", "192.0.2.1:7", "192.0.2.1:7"]) == (
        "192.0.2.1:7",
    )
    assert len(dialable([f"192.0.2.1:{port}" for port in range(1, 100)])) == DIRECT_ADDRESSES_MAX


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://relay.example.org", ("relay.example.org", 443)),
        ("http://127.0.0.1:9/", ("127.0.0.1", 9)),
        ("http://[::1]", ("::1", 80)),
        ("ftp://relay.example.org", None),
        ("https://", None),
        ("https://user:secret@relay.example.org", None),
        ("https://relay.example.org/path", None),
        ("https://relay.example.org/?x", None),
        ("https://relay.example.org:99999", None),
        ("https://relay.example.org:0", None),
        ("https://[", None),
        ("relay.example.org", None),
    ],
)
def test_a_relay_is_a_plain_url_with_a_host(url: str, place: tuple[str, int] | None) -> None:
    assert relay_place(url) == place


def test_what_a_peer_says_that_it_speaks_is_shown_only_as_names() -> None:
    assert "the other one only netsky/2, x/1:" in str(nothing_in_common(b"netsky/1", b"netsky/2 x/1"))
    for odd in (None, b"", b"\x1b[31m", b"\xff\xfe", b"a" * 33):
        assert "the other one something else, and does not say what:" in str(nothing_in_common(b"netsky/1", odd))
    assert len(str(nothing_in_common(b"netsky/1", b"name " * 1000))) < 200
