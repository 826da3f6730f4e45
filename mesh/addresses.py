"""Addresses as text, "address:port": which of them a peer can dial, and which are worth being told."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from netsky.mesh.limits import DIRECT_ADDRESSES_MAX

Host = IPv4Address | IPv6Address


def parse_address(text: str) -> tuple[Host, int] | None:
    """None if it is not an IP address (an IPv6 one in brackets) and a port. Names of machines are none."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        return None
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        found = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return None
    return (found, int(port)) if bracketed is isinstance(found, IPv6Address) else None


def announced(found: Iterable[str], bind: str) -> tuple[str, ...]:
    """Of the addresses that the network found for a node bound to `bind`, those that say something to a peer.

    Loopback leads a peer on another machine to itself; so it is told only by who listens nowhere else.
    """
    bound = parse_address(bind)
    local = bound is not None and bound[0].is_loopback
    return tuple(
        text
        for text, (host, _) in _parsed(found)
        if host.is_loopback is local and not (isinstance(host, IPv6Address) and host.is_link_local)
    )


def dialable(direct: Iterable[str]) -> tuple[str, ...]:
    """Those that can be dialled at all, at most as many as are tried at once."""
    return tuple(dict.fromkeys(text for text, _ in _parsed(direct)))[:DIRECT_ADDRESSES_MAX]


def _parsed(texts: Iterable[str]) -> list[tuple[str, tuple[Host, int]]]:
    found = [(text, parse_address(text)) for text in texts]
    return [(text, at) for text, at in found if at is not None and at[1] > 0 and not at[0].is_unspecified]


def relay_place(url: str) -> tuple[str, int] | None:
    """Host and port of a relay; None if this is not the URL of one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    plain = not (parts.username or parts.password or parts.query or parts.fragment) and parts.path in {"", "/"}
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain or port == 0:
        return None
    return parts.hostname, port or (443 if parts.scheme == "https" else 80)
