"""What a program in a cell may ask of the node's proxy, and what it is told. Pure: no socket, no clock.

The only request is CONNECT, since a proxy that reads what it carries would have to be trusted with it. A host is
allowed by the name under which it is asked for; where that name leads is looked at again, because whoever owns a name
decides where it leads: into the local network, or to the node itself.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.work.cell.limits import HOSTS_MAX

NAME_BYTES_MAX = 253
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
EMBEDDING = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses at which a translator puts IPv4 ones."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    host: str
    """A name in small letters, or an address as it is usually written."""
    port: int

    @property
    def is_address(self) -> bool:
        return _address(self.host) is not None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    sentence: str

    @property
    def answer(self) -> bytes:
        body = f"{self.sentence}\n".encode()
        head = f"HTTP/1.1 {self.status} {REASONS[self.status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        return head.encode() + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


REASONS = {
    400: "Bad Request", 403: "Forbidden", 405: "Method Not Allowed", 429: "Too Many Requests", 431: "Too Large",
    502: "Bad Gateway", 504: "Gateway Timeout",
}  # fmt: skip
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def target(text: str) -> Target:
    """`example.org:443` or `[2001:db8::1]:443`. ValueError with a sentence for anything else."""
    host, colon, port_text = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port_text) or not 0 < int(port_text) < 65536:
        raise ValueError(f"{text!r} does not end with a port, as in example.org:443")
    bracketed = host.startswith("[") and host.endswith("]")
    address = _address(host[1:-1] if bracketed else host)
    if address is not None and bracketed == (address.version == 6):
        return Target(str(address), int(port_text))
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > NAME_BYTES_MAX or not all(LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{host!r} is not the name of a host, nor an address ([...] around one of IPv6)")
    if NUMBER.fullmatch(labels[-1]):
        raise ValueError(f"{host!r} is an address in a spelling that means different things to different programs")
    return Target(name, int(port_text))


def scope(hosts: Sequence[str]) -> frozenset[Target]:
    """What a scope names. ValueError with a sentence for the first that is none."""
    if len(hosts) > HOSTS_MAX:
        raise ValueError(f"a scope names {len(hosts)} hosts; it may name {HOSTS_MAX}")
    return frozenset(target(host) for host in hosts)


def asked_for(head: bytes, allowed: frozenset[Target]) -> Target | Refusal:
    """What a request wants, or why it does not get it. `head` ends with its empty line."""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return Refusal(400, "This is no request of HTTP/1.1.")
    if words[0] != b"CONNECT":
        return Refusal(405, "This proxy takes CONNECT alone: name hosts that speak TLS, as in https://example.org/.")
    try:
        wanted = target(words[1].decode("ascii", "replace"))
    except ValueError as error:
        return Refusal(400, f"{error}.")
    if wanted not in allowed:
        return Refusal(403, f"The scope of this task does not name {wanted}.")
    return wanted


def may_be_reached(wanted: Target, address: str) -> bool:
    """Whether the scope meant this address: one that is not of the internet only if the address itself was named."""
    found = _address(address)
    if found is None:
        return False
    return wanted.is_address or all(one.is_global and not one.is_multicast for one in _meanings(found))


def _meanings(address: Address) -> list[Address]:
    """The address, and those that it contains for whoever translates it."""
    if address.version == 4:
        return [address]
    contained: list[Address | None] = [address.ipv4_mapped, address.sixtofour]
    if address.teredo is not None:
        contained += address.teredo
    if address in EMBEDDING:
        contained.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    inner = [one for one in contained if one is not None]
    return inner if address.ipv4_mapped is not None else [address, *inner]


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None
