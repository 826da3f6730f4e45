"""The shipped files seam against a real file system."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import pytest
from netsky.node.seams import real_files
from netsky.node.seams.files import HostileFile
from netsky.node.seams.real_files import RealFiles, temporary_name

FILES = RealFiles()


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> Iterator[int]:
    made = FILES.open_folder(str(tmp_path))
    yield made
    FILES.close(made)


@pytest.fixture(params=["nameless", "beside"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "beside":
        monkeypatch.setattr(real_files, "_NAMELESS", 0)
    return str(request.param)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("sync", [True, False])
def test_a_new_file_is_whole_and_alone(folder: int, tmp_path: pathlib.Path, sync: bool) -> None:
    assert FILES.write_new(folder, "a", b"x" * 100_000, sync=sync)
    assert os.listdir(tmp_path) == ["a"]
    assert FILES.read(folder, "a", 100_000) == b"x" * 100_000
    facts = FILES.facts(folder, "a")
    assert facts is not None
    assert (facts.kind, facts.links, facts.mode) == ("file", 1, 0o600)


@pytest.mark.usefixtures("way")
def test_a_name_that_exists_is_left_as_it_is(folder: int, tmp_path: pathlib.Path) -> None:
    FILES.write_new(folder, "a", b"first", sync=False)
    assert not FILES.write_new(folder, "a", b"second", sync=True)
    os.symlink("/nowhere", tmp_path / "link")
    assert not FILES.write_new(folder, "link", b"x", sync=False)
    assert FILES.read(folder, "a", 10) == b"first"
    assert sorted(os.listdir(tmp_path)) == ["a", "link"]


@pytest.mark.usefixtures("way")
def test_a_stray_temporary_is_in_nobodys_way(folder: int, tmp_path: pathlib.Path) -> None:
    (tmp_path / temporary_name("a")).write_bytes(b"half")
    assert FILES.write_new(folder, "a", b"whole", sync=False)
    assert FILES.read(folder, "a", 10) == b"whole"


@pytest.mark.usefixtures("way")
def test_a_name_as_long_as_the_system_allows_can_be_written(folder: int) -> None:
    assert FILES.write_new(folder, "n" * 255, b"x", sync=False)
    FILES.replace(folder, "n" * 255, b"y")
    assert FILES.read(folder, "n" * 255, 10) == b"y"


def test_replace_leaves_the_new_content_and_nothing_else(folder: int, tmp_path: pathlib.Path) -> None:
    FILES.replace(folder, "a", b"one")
    FILES.replace(folder, "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a"]


def test_append_follows_no_link(folder: int, tmp_path: pathlib.Path) -> None:
    FILES.append(folder, "log", b"a\n")
    FILES.append(folder, "log", b"b\n")
    assert (tmp_path / "log").read_bytes() == b"a\nb\n"
    os.symlink(tmp_path / "elsewhere", tmp_path / "link")
    with pytest.raises(OSError, match="symbolic"):
        FILES.append(folder, "link", b"x")


def test_a_read_stops_at_the_cap(folder: int, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 11)
    with pytest.raises(HostileFile) as caught:
        FILES.read(folder, "a", 10)
    assert caught.value.reason == "too_large"
    assert len(FILES.read(folder, "a", 11)) == 11


def test_a_file_of_somebody_else_is_not_read(folder: int, tmp_path: pathlib.Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    (tmp_path / "a").write_bytes(b"x")
    os.chown(tmp_path / "a", 12345, 12345)
    with pytest.raises(HostileFile) as caught:
        FILES.read(folder, "a", 10)
    assert caught.value.reason == "foreign_owner"


def test_what_is_gone_is_gone(folder: int) -> None:
    with pytest.raises(FileNotFoundError):
        FILES.read(folder, "a", 10)
    assert FILES.facts(folder, "a") is None
    assert not FILES.move(folder, "a", folder, "b")
    assert not FILES.remove(folder, "a")
    assert not FILES.remove_folder(folder, "a")


def test_folders_are_made_on_the_way_but_never_through_a_link_at_the_end(tmp_path: pathlib.Path) -> None:
    FILES.make_folder(str(tmp_path / "a" / "b" / "c"))
    FILES.make_folder(str(tmp_path / "a" / "b" / "c"))
    assert (tmp_path / "a" / "b" / "c").stat().st_mode & 0o777 == 0o700
    os.symlink(tmp_path / "a", tmp_path / "link")
    (tmp_path / "file").touch()
    for name, reason in (("link", "link"), ("file", "not_a_folder")):
        for act in (FILES.make_folder, FILES.open_folder):
            with pytest.raises(HostileFile) as caught:
                act(str(tmp_path / name))
            assert caught.value.reason == reason


def test_names_are_sorted_and_bounded(folder: int, tmp_path: pathlib.Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}").touch()
    assert FILES.names(folder, 100) == [f"{number:02}" for number in range(20)]
    assert FILES.names(folder, 3) == ["00", "01", "02"]
    assert len(FILES.names(folder, 100, scan=5)) == 5


def test_a_lock_keeps_a_second_one_out_until_it_is_closed(folder: int) -> None:
    first = FILES.lock(folder, ".lock")
    assert first is not None
    assert FILES.lock(folder, ".lock") is None
    FILES.close(first)
    second = FILES.lock(folder, ".lock")
    assert second is not None
    FILES.close(second)


def test_the_space_left_is_told(tmp_path: pathlib.Path) -> None:
    assert FILES.free_bytes(str(tmp_path)) > 0
