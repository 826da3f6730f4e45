"""Who this node is: its key, its name, and the mesh that its charter names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.batch import ZERO_MESH
from netsky.envelope.invalid import Invalid
from netsky.mesh.charter import Charter
from netsky.mesh.limits import ROSTER_BYTES_MAX
from netsky.mesh.roster import open_roster
from netsky.node.charter import read_charter
from netsky.node.config import Config
from netsky.node.errors import NetskyError, NotFound, Refused
from netsky.node.home import Home, read_home_file
from netsky.node.seams.files import Files, HostileFile
from netsky.node.seams.ledger import Value

KEY_FILE_BYTES_MAX = 128

NODE_KEY = "node_key"
"""Whose database this is, among its `node_state`: the public key, put in by the first start."""


@dataclass(frozen=True, slots=True)
class Identity:
    mesh: bytes
    key: bytes
    """The public key: the node's name on the wire and in every signature."""
    name: str
    root: bool
    sign: Callable[[bytes], bytes]
    secret: bytes
    """For the transport alone, which proves the key to its peers."""
    charter: Charter | None

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.key)

    def __repr__(self) -> str:  # the generated one would show the secret
        return f"Identity({self.name}, {self.fingerprint})"


def fingerprint(key: bytes) -> str:
    """What people compare: the first 16 hex digits in groups of four."""
    text = key.hex()[:16]
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def public_key(secret: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def key_text(secret: bytes) -> bytes:
    """A key file: one line of 64 hex digits, so that it survives editors, printers and copy and paste."""
    return secret.hex().encode("ascii") + b"\n"


def read_key(home: Home, files: Files, name: str = "node.key") -> bytes:
    """The 32 secret bytes of a key file. Permissions were checked before."""
    path = home.at(name)
    folder = files.open_folder(home.path)
    try:
        data = files.read(folder, name, KEY_FILE_BYTES_MAX)
    except FileNotFoundError:
        raise NotFound(f"{path} is missing", next="put it back from your backup", code="no_key") from None
    except HostileFile as hostile:
        raise Refused(f"{path} is not used: {hostile.sentence}", next="netsky doctor", code=hostile.reason) from None
    finally:
        files.close(folder)
    if not re.fullmatch(rb"[0-9a-f]{64}\n?", data):
        raise NetskyError(
            f"{path} does not hold a key (one line of 64 hex digits)",
            next="put it back from your backup; a new key would be a new node",
            code="damaged_key",
        )
    return bytes.fromhex(data.decode("ascii"))


def read_identity(home: Home, files: Files, config: Config) -> Identity:
    """This home's identity; refuses a charter that is damaged or whose root has our name and another key.

    In a mesh the roster gives the name. The config's counts where there is no mesh, or no roster that knows us.
    """
    secret = read_key(home, files)
    private = Ed25519PrivateKey.from_private_bytes(secret)
    key = private.public_key().public_bytes_raw()
    charter = read_charter(home, files)
    root = charter is not None and charter.root_key == key
    name = "netsky0" if root else _name_in_roster(home, files, charter, key) or config.name
    if not root and name == "netsky0":
        raise Refused(
            "the config names this node netsky0, but " + _why_not_root(charter),
            next=f"set another name under [node] in {home.config}, or bring its charter back",
            code="wrong_name",
        )
    return Identity(
        mesh=charter.mesh if charter is not None else ZERO_MESH,
        key=key,
        name=name,
        root=root,
        sign=private.sign,
        secret=secret,
        charter=charter,
    )


def check_owner(home: Home, identity: Identity, owner: Value) -> None:
    """Refuses a database that the key here never wrote to. `owner` is what it holds under NODE_KEY."""
    if owner not in {None, identity.key}:
        theirs = fingerprint(owner) if isinstance(owner, bytes) else str(owner)
        raise Refused(
            f"{home.database} belongs to the node {theirs}, and the key here is that of {identity.fingerprint}",
            next="put the node.key back that belongs to it, or move meta.db away to start with an empty one",
            code="foreign_database",
        )


def _name_in_roster(home: Home, files: Files, charter: Charter | None, key: bytes) -> str | None:
    """By the file; a revoked node keeps its name. One that cannot be used is overlooked: the database has it too."""
    sealed = b"" if charter is None else read_home_file(home, files, "roster", ROSTER_BYTES_MAX)
    if charter is None or not sealed:
        return None
    try:
        member = open_roster(sealed, charter.root_key, charter.mesh).by_key.get(key)
    except Invalid:
        return None
    return None if member is None else member.name


def _why_not_root(charter: Charter | None) -> str:
    if charter is None:
        return "it has no charter that makes it the root"
    return f"its charter gives that name to the key {fingerprint(charter.root_key)}"
