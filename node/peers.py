"""The nodes that this one links with, from `peers.toml`, until joining a mesh writes a roster.

    [netsky0]
    key = "<64 hex digits>"          # the other node's public key, as its `netsky status` shows it
    address = "192.168.1.5:4433"     # where it listens; needed on the side that dials

Of two nodes the one with the higher number dials: siblings reach out to the root, the root waits.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from netsky.envelope.address import node_invalid
from netsky.envelope.strict25519 import public_key_invalid
from netsky.node.errors import Usage
from netsky.node.home import Home
from netsky.node.identity import Identity
from netsky.node.limits import CONFIG_BYTES_MAX
from netsky.node.seams.files import Files, HostileFile

FILE_NAME = "peers.toml"
FIELDS = ("key", "address")


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    key: bytes
    address: str | None

    @property
    def number(self) -> int:
        return int(self.name.removeprefix("netsky"))


def read_peers(home: Home, files: Files, identity: Identity) -> dict[bytes, Peer]:
    """By key; none if there is no file. Raises Usage with the place and the rule."""
    folder = files.open_folder(home.path)
    try:
        data = files.read(folder, FILE_NAME, CONFIG_BYTES_MAX)
    except FileNotFoundError:
        return {}
    except HostileFile as hostile:
        raise Usage(f"{home.peers} cannot be read: {hostile.sentence}", next="make it a plain file of yours") from None
    finally:
        files.close(folder)
    return parse_peers(data, home.peers, identity.name, identity.key)


def parse_peers(data: bytes, path: str, own_name: str, own_key: bytes) -> dict[bytes, Peer]:
    try:
        found = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise _fault(path, f"is not TOML: {error}") from None
    peers: dict[bytes, Peer] = {}
    for name, entry in found.items():
        sentence = node_invalid(name)
        if sentence is not None:
            raise _fault(path, f"has a section that is no node: {sentence}")
        if name == own_name:
            raise _fault(path, f"lists {name}, which is this node")
        peer = _peer(path, name, entry)
        if peer.key == own_key:
            raise _fault(path, f"[{name}] key: is the key of this node")
        if peer.key in peers:
            raise _fault(path, f"[{name}] key: is the key of {peers[peer.key].name} too")
        peers[peer.key] = peer
    return peers


def dials(own_name: str, peer: Peer) -> bool:
    return int(own_name.removeprefix("netsky")) > peer.number


def _peer(path: str, name: str, entry: object) -> Peer:
    if not isinstance(entry, Mapping):
        raise _fault(path, f"{name}: must be a section [{name}]")
    unknown = sorted(set(entry) - set(FIELDS))
    if unknown:
        raise _fault(path, f"has the unknown key {unknown[0]!r} in [{name}]; known are {', '.join(FIELDS)}")
    text = entry.get("key")
    if not isinstance(text, str) or re.fullmatch("[0-9a-f]{64}", text) is None:
        raise _fault(path, f"[{name}] key: must be 64 hex digits in lower case")
    key = bytes.fromhex(text)
    sentence = public_key_invalid(key)
    if sentence is not None:
        raise _fault(path, f"[{name}] key: {sentence}")
    address = entry.get("address")
    if address is not None and not _is_address(address):
        raise _fault(path, f'[{name}] address: must be "host:port" with the IP address of the host')
    return Peer(name, key, address)


def _is_address(text: object) -> bool:
    if not isinstance(text, str):
        return False
    host, _, port = text.rpartition(":")
    return (
        re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]", host) is not None
        and re.fullmatch("[1-9][0-9]{0,4}", port) is not None
        and int(port) <= 65_535
    )


def _fault(path: str, what: str) -> Usage:
    return Usage(f"{path} {what}", next=f"edit {path} and start the node again", code="peers_invalid")
