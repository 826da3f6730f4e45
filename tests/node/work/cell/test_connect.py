"""What a program may ask the node's proxy for, and where names may lead."""

from __future__ import annotations

import pytest
from netsky.node.work.cell.connect import Refusal, Target, asked_for, may_be_reached, scope, target

ALLOWED = scope(["example.org:443", "[2001:db8::1]:8443", "10.1.2.3:5432"])


def head(line: str) -> bytes:
    return f"{line}\r\nHost: whatever\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("example.org:443", Target("example.org", 443)),
        ("EXAMPLE.org.:443", Target("example.org", 443)),
        ("xn--bcher-kva.example:8443", Target("xn--bcher-kva.example", 8443)),
        ("[2001:DB8:0::1]:443", Target("2001:db8::1", 443)),
        ("10.1.2.3:5432", Target("10.1.2.3", 5432)),
        ("localhost:80", Target("localhost", 80)),
    ],
)
def test_a_host_with_its_port_is_read_in_one_spelling(text: str, wanted: Target) -> None:
    assert target(text) == wanted
    assert target(str(wanted)) == wanted


@pytest.mark.parametrize(
    "text",
    [
        *(
            "example.org",
            "example.org:",
            "example.org:0",
            "example.org:65536",
            "example.org:+1",
            "example.org:\uff143",
            ":443",
        ),
        *("2001:db8::1:443", "[example.org]:443", "[10.1.2.3]:1", "fe80::1%eth0:443", "[fe80::1%eth0]:443"),
        *("127.1:80", "0x7f.1:80", "2130706433:80", "0x7f000001:80", "127.0.0.01:80", "a b:1", "*.example.org:443"),
        *("ex_-.org:1", "-a.org:1", "a..org:1", "b\u00fccher.example:443", "user@example.org:443", "a" * 254 + ":1"),
        *("http://example.org:443", "example.org\r\nX:1", "example.org\0:443"),
    ],
)
def test_what_is_no_host_with_a_port_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|name of a host|spelling"):
        target(text)


def test_a_scope_names_so_many_hosts_and_no_more() -> None:
    assert len(scope([f"h{n}.example:443" for n in range(32)])) == 32
    with pytest.raises(ValueError, match="33 hosts"):
        scope([f"h{n}.example:443" for n in range(33)])


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("CONNECT example.org:443 HTTP/1.1", Target("example.org", 443)),
        ("CONNECT EXAMPLE.ORG:443 HTTP/1.0", Target("example.org", 443)),
        ("CONNECT [2001:db8::1]:8443 HTTP/1.1", Target("2001:db8::1", 8443)),
    ],
)
def test_what_the_scope_names_is_given(line: str, wanted: Target) -> None:
    assert asked_for(head(line), ALLOWED) == wanted


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("CONNECT example.org:80 HTTP/1.1", 403),
        ("CONNECT www.example.org:443 HTTP/1.1", 403),
        ("CONNECT example.org.evil.example:443 HTTP/1.1", 403),
        ("CONNECT 93.184.216.34:443 HTTP/1.1", 403),
        ("CONNECT example.org HTTP/1.1", 400),
        ("CONNECT example.org:443@evil.example:443 HTTP/1.1", 400),
        ("CONNECT  example.org:443 HTTP/1.1", 400),
        ("CONNECT example.org:443", 400),
        ("GET http://example.org/ HTTP/1.1", 405),
        ("connect example.org:443 HTTP/1.1", 405),
        ("", 400),
        ("\x16\x03\x01", 400),
    ],
)
def test_whatever_else_is_asked_for_gets_a_status_and_a_sentence(line: str, status: int) -> None:
    found = asked_for(head(line), ALLOWED)
    assert isinstance(found, Refusal)
    assert found.status == status
    assert found.answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert found.answer.endswith(found.sentence.encode() + b"\n")


def test_a_host_cannot_write_into_the_answer_about_it() -> None:
    found = asked_for(b"CONNECT x\nSet-Cookie:1:443 HTTP/1.1\r\n\r\n", ALLOWED)
    assert isinstance(found, Refusal)
    assert b"\nSet-Cookie" not in found.answer.split(b"\r\n\r\n", 1)[0]


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.5.5",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
        ),
        *("192.0.2.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "::1", "fe80::1", "fc00::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::"),
        *("2001:db8::1", "fe80::1%eth0", "no address", ""),
    ],
)
def test_a_name_that_leads_into_a_network_of_ours_leads_nowhere(address: str) -> None:
    assert not may_be_reached(Target("example.org", 443), address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_a_name_that_leads_into_the_internet_may_be_reached(address: str) -> None:
    assert may_be_reached(Target("example.org", 443), address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1"])
def test_an_address_that_the_scope_named_itself_is_meant(address: str) -> None:
    assert may_be_reached(Target(address, 443), address)
