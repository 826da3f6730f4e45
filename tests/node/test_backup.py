"""The file of `netsky backup`, and what `netsky restore` takes from it."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from netsky.node.backup import FILE_BYTES_MAX, Asked, Made, make_backup, put_back
from netsky.node.db.backup import copy_closed
from netsky.node.db.ledger import APPLICATION_ID
from netsky.node.errors import Conflict, NetskyError, NotFound, Refused
from netsky.node.home import LIVES_FILE, RESTORED_FILE, Home, take_lock
from netsky.node.init import init_home
from netsky.node.lab.virtual import SeededChance
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles

NOW = 1_800_000_000 * 10**9


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return made_home(tmp_path / "home", 1)


def made_home(path: Path, seed: int) -> Home:
    home = Home(str(path))
    init_home(home, RealFiles(), SeededChance(seed), RealTime(), root=True, label="desk")
    database = sqlite3.connect(home.database)
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE inbox (seq INTEGER, state TEXT, projected_at INTEGER, claimed_at INTEGER)")
    database.execute("INSERT INTO inbox VALUES (1, 'projected', 5, 6), (2, 'taken', 5, 6)")
    database.commit()
    database.close()
    os.chmod(home.database, 0o600)
    (path / LIVES_FILE).write_text("3\n")
    (path / "loops").mkdir()
    (path / "loops/night.toml").write_text("x = 1\n")
    (path / "loops/odd name").write_text("not taken\n")
    return home


def backup(home: Home, path: Path, *, with_key: bool = False) -> Made:
    asked = Asked(str(path), with_key, NOW, "home")
    return make_backup(home, RealFiles(), asked, lambda into: copy_closed(home.database, into))


def restore(home: Home, path: Path) -> Any:
    return put_back(home, RealFiles(), str(path), NOW + 10**9)


def states(home: Home) -> list[Any]:
    database = sqlite3.connect(home.database)
    found = database.execute("SELECT state, projected_at FROM inbox ORDER BY seq").fetchall()
    database.close()
    return found


def test_a_backup_is_one_file_for_its_owner_alone_and_has_no_key(home: Home, tmp_path: Path) -> None:
    made = backup(home, tmp_path / "b.tar")
    assert made.files == ("meta.db", "charter", "config.toml", "lives", "loops/night.toml")
    assert os.stat(made.file).st_mode & 0o777 == 0o600
    secret = Path(home.node_key).read_bytes().strip()
    owner = (Path(home.path) / "owner.key").read_bytes().strip()
    content = Path(made.file).read_bytes()
    assert secret not in content
    assert owner not in content
    assert secret in Path(backup(home, tmp_path / "k.tar", with_key=True).file).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"home", "b.tar", "k.tar"}, "nothing is left beside it"


def test_in_a_folder_it_gets_a_name_and_nothing_is_written_over(home: Home, tmp_path: Path) -> None:
    made = backup(home, tmp_path)
    assert os.path.basename(made.file) == "netsky-home-1800000000.tar"
    with pytest.raises(Conflict, match="is there already"):
        backup(home, tmp_path)
    with pytest.raises(NotFound, match="no folder"):
        backup(home, tmp_path / "nowhere" / "b.tar")


def test_a_restore_keeps_what_was_there_leaves_a_mark_and_projects_again_what_was_not_taken(
    home: Home, tmp_path: Path
) -> None:
    made = backup(home, tmp_path / "b.tar")
    database = sqlite3.connect(home.database)
    database.execute("DELETE FROM inbox")
    database.commit()
    database.close()
    Path(home.config).write_text("# newer\n")
    os.unlink(home.at("loops/night.toml"))
    done = restore(home, Path(made.file))
    assert states(home) == [("committed", None), ("taken", 5)]
    assert done.files == ("loops/night.toml",)
    assert Path(home.config).read_text() == "# newer\n"
    assert done.kept == home.database + ".before-1800000001"
    assert states(Home(home.path)) != []
    assert os.path.exists(done.kept)
    assert os.path.exists(home.at(RESTORED_FILE))
    assert os.stat(home.database).st_mode & 0o777 == 0o600


def test_an_empty_home_goes_on_from_a_backup_that_has_the_key(home: Home, tmp_path: Path) -> None:
    other = Home(str(tmp_path / "other"))
    with pytest.raises(NotFound, match=r"no node\.key"):
        restore(other, Path(backup(home, tmp_path / "b.tar").file))
    done = restore(other, Path(backup(home, tmp_path / "k.tar", with_key=True).file))
    assert set(done.files) == {"charter", "config.toml", "lives", "loops/night.toml", "node.key"}
    assert Path(other.node_key).read_bytes() == Path(home.node_key).read_bytes()
    assert os.stat(other.node_key).st_mode & 0o777 == 0o600
    assert done.kept is None


def test_neither_a_running_node_nor_the_home_of_another_is_touched(home: Home, tmp_path: Path) -> None:
    made = Path(backup(home, tmp_path / "b.tar").file)
    other = made_home(tmp_path / "other", 2)
    before = Path(other.database).read_bytes()
    with pytest.raises(Refused, match="another node"):
        restore(other, made)
    lock = take_lock(home, RealFiles())
    assert lock is not None
    with pytest.raises(Conflict, match="runs"):
        restore(home, made)
    lock.release()
    assert Path(other.database).read_bytes() == before
    for one in (home, other):
        assert not os.path.exists(one.at(RESTORED_FILE))
        assert not os.path.exists(one.at("meta.db.restoring"))


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The same backup with other content."""
    with tarfile.open(path) as archive:
        content = {one.name: archive.extractfile(one).read() for one in archive.getmembers()}  # type: ignore[union-attr]
    change(content)
    out = path.with_suffix(".changed")
    with tarfile.open(out, "w") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out


def _manifest(**changed: object) -> Callable[[dict[str, bytes]], None]:
    def change(content: dict[str, bytes]) -> None:
        content["manifest.json"] = json.dumps(json.loads(content["manifest.json"]) | changed).encode()

    return change


def _put(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda content: content.__setitem__(name, data)


SPOILT: dict[str, Callable[[dict[str, bytes]], None]] = {
    "no manifest": lambda content: content.pop("manifest.json") and None,
    "a manifest that is none": _put("manifest.json", b"[" * 9_000),
    "a later version": _manifest(version=2),
    "no key": _manifest(key=None),
    "no database": lambda content: content.pop("meta.db") and None,
    "another database": _put("meta.db", b""),
    "no database at all": _put("meta.db", b"x" * 9_000),
    "a file too large": _put("config.toml", bytes(FILE_BYTES_MAX + 1)),
}


@pytest.mark.parametrize("change", SPOILT.values(), ids=SPOILT)
def test_what_is_no_backup_changes_nothing(
    home: Home, tmp_path: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    made = rewritten(Path(backup(home, tmp_path / "b.tar").file), change)
    before = Path(home.database).read_bytes()
    with pytest.raises(NetskyError):
        restore(home, made)
    assert Path(home.database).read_bytes() == before
    assert not os.path.exists(home.at(RESTORED_FILE))
    assert not os.path.exists(home.at("meta.db.restoring"))


def test_a_file_that_is_not_there_or_no_archive_is_said_so(home: Home, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        restore(home, tmp_path / "nothing")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(Refused, match="no backup"):
        restore(home, tmp_path / "text")


def test_names_that_a_backup_does_not_have_are_not_looked_at(home: Home, tmp_path: Path) -> None:
    def change(content: dict[str, bytes]) -> None:
        content["../outside"] = content["loops/../../outside.toml"] = content["owner.key"] = b"x"

    made = rewritten(Path(backup(home, tmp_path / "k.tar", with_key=True).file), change)
    other = Home(str(tmp_path / "deep" / "other"))
    (tmp_path / "deep").mkdir()
    done = restore(other, made)
    assert "owner.key" not in done.files
    assert not os.path.exists(tmp_path / "deep" / "outside")
    assert not os.path.exists(other.at("owner.key"))
