"""`netsky init`: a home, a key, a config, and for the root also a mesh, an owner key and a charter.

The order makes a crash harmless: each file appears whole or not at all, keys first, and `config.toml` last, so that
a home with a config is finished. No key is ever written over another.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.mesh.charter import Charter, seal_charter
from netsky.node.charter import read_charter
from netsky.node.config import Config, default_text, node_name_wrong, read_config
from netsky.node.errors import Conflict, NetskyError, Refused, Usage
from netsky.node.home import HOLDER_NAME, LOCK_NAME, Home, check_permissions, check_secret, no_folder, take_lock
from netsky.node.identity import fingerprint, key_text, public_key, read_key
from netsky.node.seams.chance import Chance
from netsky.node.seams.files import Files, HostileFile
from netsky.node.seams.time import Time

PROVISIONAL_NAME = "netsky1"
"""What a node without a mesh calls itself. `join` gives it the name that the root gives."""

_OURS_BEFORE_THE_END = frozenset({LOCK_NAME, HOLDER_NAME, "node.key", "owner.key", "charter", "channels", "logs"})


@dataclass(frozen=True, slots=True)
class _Place:
    """An open home and what is needed to fill it."""

    home: Home
    files: Files
    folder: int
    chance: Chance
    time: Time


@dataclass(frozen=True, slots=True)
class Made:
    home: Home
    name: str
    label: str
    fingerprint: str
    root: bool
    mesh: str
    """Hex; empty without a mesh."""
    owner_key: str
    """The path of the owner key, to be taken offline; empty if there is none here."""
    already: bool
    """The home was finished before; nothing was changed."""


def init_home(
    home: Home, files: Files, chance: Chance, time: Time, *, root: bool, label: str = "", name: str | None = None
) -> Made:
    """Makes or finishes a home, or says that it is there. Raises what a person can act upon."""
    wanted = _wanted_name(root, name)
    try:
        files.make_folder(home.path)
    except HostileFile as hostile:
        raise no_folder(home, hostile) from None
    check_permissions(home, files)
    lock = take_lock(home, files)
    if lock is None:
        raise Conflict(f"another process uses {home.path} at this moment", next="netsky status", code="home_in_use")
    try:
        folder = files.open_folder(home.path)
        try:
            place = _Place(home, files, folder, chance, time)
            if files.facts(folder, "config.toml") is not None:
                return _already(place, root=root, name=name)
            return _make(place, Config(name=wanted, label=label), root=root)
        finally:
            files.close(folder)
    finally:
        lock.release()


def _wanted_name(root: bool, name: str | None) -> str:
    if root and name not in {None, "netsky0"}:
        raise Usage(f"the root is netsky0, not {name}", next="netsky init --root")
    if not root and name == "netsky0":
        raise Usage("netsky0 is the root's name", next="netsky init --root")
    wanted = name or ("netsky0" if root else PROVISIONAL_NAME)
    wrong = node_name_wrong(wanted)
    if wrong is not None:
        raise Usage(f"the name {wanted[:64]!r} {wrong}", next="netsky init --name netsky1")
    return wanted


def _make(place: _Place, config: Config, *, root: bool) -> Made:
    _refuse_leftovers(place, root=root)
    secret = _key(place, "node.key")
    charter = _charter(place, public_key(secret)) if root else None
    # We hold the lock and the file was not there: this succeeds, and the home is finished.
    assert place.files.write_new(place.folder, "config.toml", default_text(config).encode(), sync=True)
    return _made(place, config, secret, charter, already=False)


def _already(place: _Place, *, root: bool, name: str | None) -> Made:
    home = place.home
    config = read_config(home, place.files)
    secret = read_key(home, place.files)
    charter = read_charter(home, place.files)
    is_root = charter is not None and charter.root_key == public_key(secret)
    if root and not is_root:
        raise Conflict(
            f"{home.path} is the home of a node that is not a root, and a home does not become another one",
            next="make the root in a home of its own: netsky --home PATH init --root",
            code="not_a_root",
        )
    if name is not None and name != config.name:
        raise Conflict(
            f"{home.path} is already there and its node is called {config.name}",
            next=f"change name under [node] in {home.config}",
            code="other_name",
        )
    return _made(place, config, secret, charter, already=True)


def _refuse_leftovers(place: _Place, *, root: bool) -> None:
    """What stands in a home without a config must come from an earlier try of ours."""
    home = place.home
    names = set(place.files.names(place.folder, 64))
    if strange := sorted(
        name for name in names - _OURS_BEFORE_THE_END if not (name.startswith(".") and name.endswith(".tmp"))
    ):
        raise Conflict(
            f"{home.path} is not empty and not a home (it holds {', '.join(strange[:3])})",
            next="name an empty or new folder: netsky --home PATH init",
            code="not_a_home",
        )
    if "node.key" not in names and names & {"owner.key", "charter"}:
        raise Refused(
            f"{home.path} has a charter or an owner key but no node.key: a new key would be another node",
            next="put node.key back from your backup, or start anew in another folder",
            code="key_lost",
        )
    if not root and names & {"owner.key", "charter"}:
        raise Conflict(
            f"{home.path} was begun as a root and not finished",
            next=f"netsky --home {home.path} init --root",
            code="half_made_root",
        )


def _key(place: _Place, name: str) -> bytes:
    """The key of that name, made if it is not there yet."""
    place.files.write_new(place.folder, name, key_text(place.chance.token(32)), sync=True)
    check_secret(place.home, place.files, place.folder, name)
    return read_key(place.home, place.files, name)


def _charter(place: _Place, root_key: bytes) -> Charter:
    found = read_charter(place.home, place.files)
    if found is None:
        owner = Ed25519PrivateKey.from_private_bytes(_key(place, "owner.key"))
        found = Charter(
            mesh=place.chance.token(16),
            owner_key=owner.public_key().public_bytes_raw(),
            reign=1,
            root_key=root_key,
            addresses=(),
            previous="",
            roster_version=0,
            roster_hash=b"",
            issued=place.time.wall(),
        )
        assert place.files.write_new(place.folder, "charter", seal_charter(found, owner.sign), sync=True)
    if found.root_key != root_key:
        raise NetskyError(
            f"{place.home.charter} makes another key the root",
            next="put the node.key back that belongs to it, or start anew in another folder",
            code="foreign_charter",
        )
    return found


def _made(place: _Place, config: Config, secret: bytes, charter: Charter | None, *, already: bool) -> Made:
    key = public_key(secret)
    owner_key_here = place.files.facts(place.folder, "owner.key") is not None
    return Made(
        home=place.home,
        name=config.name,
        label=config.label,
        fingerprint=fingerprint(key),
        root=charter is not None and charter.root_key == key,
        mesh=charter.mesh.hex() if charter is not None else "",
        owner_key=place.home.at("owner.key") if owner_key_here else "",
        already=already,
    )
