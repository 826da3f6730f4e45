"""Making a home, finishing one that was half made, and refusing what is not one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netsky.envelope.batch import ZERO_MESH
from netsky.envelope.invalid import Invalid
from netsky.mesh.charter import open_charter
from netsky.node.config import read_config
from netsky.node.errors import Conflict, NetskyError, Refused, Usage
from netsky.node.home import Home, check_permissions, take_lock
from netsky.node.identity import public_key, read_identity
from netsky.node.init import Made, init_home
from netsky.node.lab.interpose import Killed, Life
from netsky.node.lab.virtual import SeededChance
from netsky.node.seams import Seams
from netsky.node.seams.real import RealTime, real_seams
from netsky.node.seams.real_files import RealFiles


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(str(tmp_path / "home"))


def init(home: Home, *, root: bool = False, name: str | None = None, label: str = "", seed: int = 1) -> Made:
    return init_home(home, RealFiles(), SeededChance(seed), RealTime(), root=root, name=name, label=label)


def content(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(home.path).iterdir() if path.is_file()}


def test_a_home_without_a_mesh_has_a_key_a_config_and_a_provisional_name(home: Home) -> None:
    made = init(home, label="studio-mac")
    assert (made.name, made.label, made.root, made.mesh, made.owner_key, made.already) == (
        *("netsky1", "studio-mac", False, "", "", False),
    )
    identity = read_identity(home, RealFiles(), read_config(home, RealFiles()))
    assert (identity.mesh, identity.name, identity.root) == (ZERO_MESH, "netsky1", False)
    assert identity.key == public_key(identity.secret)
    assert identity.secret.hex() not in repr(identity)


def test_a_root_has_a_mesh_an_owner_key_and_a_charter_that_names_it(home: Home) -> None:
    made = init(home, root=True)
    charter = open_charter(Path(home.charter).read_bytes())
    owner = bytes.fromhex(Path(made.owner_key).read_text())
    identity = read_identity(home, RealFiles(), read_config(home, RealFiles()))
    assert (made.name, made.root, made.mesh) == ("netsky0", True, charter.mesh.hex())
    assert (charter.reign, charter.root_key, charter.owner_key) == (1, identity.key, public_key(owner))
    assert (identity.mesh, identity.root, identity.name) == (charter.mesh, True, "netsky0")


def test_nobody_else_can_look_into_a_home(home: Home) -> None:
    old = os.umask(0)
    try:
        init(home, root=True)
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(home.path).st_mode) == 0o700
    for path in Path(home.path).iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.parametrize("root", [True, False])
def test_a_second_time_changes_nothing_and_says_so(home: Home, root: bool) -> None:
    first = init(home, root=root)
    before = content(home)
    again = init(home, root=root, seed=2)
    assert again.already
    assert (again.fingerprint, again.mesh, again.name) == (first.fingerprint, first.mesh, first.name)
    assert content(home) == before


@pytest.mark.parametrize("root", [True, False])
def test_a_crash_at_any_call_leaves_a_home_that_the_next_try_finishes_with_the_same_keys(
    tmp_path: Path, root: bool
) -> None:
    def attempt(home: Home, seams: Seams) -> None:
        init_home(home, seams.files, seams.chance, seams.time, root=root)

    whole = Life(real_seams())
    attempt(Home(str(tmp_path / "whole")), whole.seams)
    for call in range(1, len(whole.calls) + 1):
        home = Home(str(tmp_path / f"home{call}"))
        with pytest.raises(Killed):
            attempt(home, Life(real_seams(), kill_before=call).seams)
        keys = {name: data for name, data in content(home).items() if name.endswith(".key")} if call > 2 else {}
        made = init(home, root=root)
        assert made.root == root
        assert content(home).items() >= keys.items()
        read_identity(home, RealFiles(), read_config(home, RealFiles()))
    assert len(whole.calls) > 20


def test_a_root_that_was_half_made_is_not_finished_as_another_node(home: Home) -> None:
    init(home, root=True)
    os.unlink(home.config)
    with pytest.raises(Conflict, match="begun as a root") as caught:
        init(home)
    assert caught.value.next == f"netsky --home {home.path} init --root"
    assert init(home, root=True).root


def test_a_lost_key_is_never_replaced_by_a_new_one(home: Home) -> None:
    init(home, root=True)
    os.unlink(home.config)
    os.unlink(home.node_key)
    with pytest.raises(Refused, match="a new key would be another node"):
        init(home, root=True)
    assert not Path(home.node_key).exists()


def test_a_home_does_not_become_a_root_and_a_root_bears_one_name(home: Home) -> None:
    init(home)
    with pytest.raises(Conflict, match="not a root"):
        init(home, root=True)
    with pytest.raises(Conflict, match="called netsky1"):
        init(home, name="netsky2")
    with pytest.raises(Usage, match="root is netsky0"):
        init(home, root=True, name="netsky3")
    with pytest.raises(Usage, match="root's name"):
        init(home, name="netsky0")
    with pytest.raises(Usage, match="netsky and a number"):
        init(home, name="fred")


def test_a_folder_with_other_things_in_it_is_left_alone(home: Home) -> None:
    os.mkdir(home.path, 0o700)
    (Path(home.path) / "thesis.txt").write_text("years of work")
    with pytest.raises(Conflict, match=r"it holds thesis\.txt"):
        init(home)
    assert list(Path(home.path).iterdir()) != []


def test_a_file_in_the_place_of_the_home_is_left_alone(home: Home) -> None:
    Path(home.path).write_text("years of work")
    with pytest.raises(Refused, match="is no folder"):
        init(home)
    assert Path(home.path).read_text() == "years of work"


def test_a_home_in_use_is_not_made_at_the_same_time(home: Home) -> None:
    init(home)
    lock = take_lock(home, RealFiles())
    assert lock is not None
    assert take_lock(home, RealFiles()) is None
    with pytest.raises(Conflict, match="another process"):
        init(home)
    lock.release()
    assert init(home).already


@pytest.mark.parametrize(
    ("name", "mode", "fix"),
    [("", 0o750, "chmod 0700"), ("node.key", 0o640, "chmod 0600"), ("owner.key", 0o604, "chmod 0600")],
)
def test_what_others_can_read_is_refused_with_the_command_that_mends_it(
    home: Home, name: str, mode: int, fix: str
) -> None:
    init(home, root=True)
    path = home.at(name) if name else home.path
    os.chmod(path, mode)
    with pytest.raises(Refused) as caught:
        check_permissions(home, RealFiles())
    assert caught.value.next.startswith(f"{fix} {path}")


@pytest.mark.parametrize("kind", ["link", "hard link", "folder"])
def test_a_key_that_is_no_plain_file_is_refused(home: Home, kind: str, tmp_path: Path) -> None:
    init(home)
    key = Path(home.node_key)
    match kind:
        case "hard link":
            os.link(key, tmp_path / "copy")
        case "link":
            key.rename(tmp_path / "elsewhere")
            key.symlink_to(tmp_path / "elsewhere")
        case "folder":
            key.unlink()
            key.mkdir()
    with pytest.raises(Refused, match=r"is no plain file|has 2 names"):
        check_permissions(home, RealFiles())


@pytest.mark.parametrize("data", [b"", b"x" * 64, b"00" * 31, b"AB" * 32, b"00" * 32 + b"\n\n"])
def test_a_damaged_key_is_named_and_not_guessed_at(home: Home, data: bytes) -> None:
    init(home)
    Path(home.node_key).write_bytes(data)
    with pytest.raises(NetskyError, match="does not hold a key"):
        read_identity(home, RealFiles(), read_config(home, RealFiles()))


def test_a_foreign_charter_or_a_wrong_name_is_refused(home: Home, tmp_path: Path) -> None:
    files = RealFiles()
    init(home, root=True)
    other = Home(str(tmp_path / "other"))
    init(other, root=True, seed=9)
    mine, theirs = Path(home.charter).read_bytes(), Path(other.charter).read_bytes()
    Path(home.charter).write_bytes(theirs)
    with pytest.raises(Refused, match="its charter gives that name to the key"):
        read_identity(home, files, read_config(home, files))
    Path(home.charter).write_bytes(mine[:-1] + bytes([mine[-1] ^ 1]))
    with pytest.raises(Refused, match="damaged"):
        read_identity(home, files, read_config(home, files))
    Path(home.charter).unlink()
    with pytest.raises(Refused, match="no charter"):
        read_identity(home, files, read_config(home, files))
    Path(home.charter).write_bytes(mine)
    Path(home.config).write_text("[node]\nname = 'netsky1'\n")  # in a mesh the config names nobody
    assert read_identity(home, files, read_config(home, files)).name == "netsky0"


@settings(max_examples=200)
@given(position=st.integers(0, 184), flip=st.integers(1, 255))
def test_a_charter_with_any_byte_changed_is_no_charter(position: int, flip: int) -> None:
    data = bytearray(_charter())
    data[position % len(data)] ^= flip
    with pytest.raises(Invalid):
        open_charter(bytes(data))


def _charter() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from netsky.mesh.charter import Charter, seal_charter

    owner = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    charter = Charter(b"m" * 16, owner.public_key().public_bytes_raw(), 1, b"r" * 32, (), "", 0, b"", 1)
    return seal_charter(charter, owner.sign)
