"""Markers: whole or not there, over when they have lapsed, and nothing that lies in their folder is believed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from netsky.node.home import Home
from netsky.node.markers import Marker, Markers, decode, encode, path_of
from netsky.node.seams.real_files import RealFiles

ONE = Marker("root-silent", "agentinfinity", "netsky0 was not heard", 1_000, 2_000, "the link coming up", {"for": 300})


@pytest.fixture
def markers(tmp_path: Path) -> Markers:
    return Markers(Home(str(tmp_path)), RealFiles())


def test_a_marker_is_read_back_until_it_lapses(markers: Markers, tmp_path: Path) -> None:
    markers.put(ONE)
    assert markers.get("root-silent", 1_999) == ONE
    assert markers.get("root-silent", 2_000) is None
    assert os.path.exists(path_of(str(tmp_path), "root-silent"))
    lasting = replace(ONE, expires=None)
    markers.put(lasting)
    assert markers.get("root-silent", 10**18) == lasting
    assert markers.clear("root-silent")
    assert not markers.clear("root-silent")
    assert markers.get("root-silent", 0) is None


def test_those_that_lapsed_are_removed_when_somebody_looks(markers: Markers, tmp_path: Path) -> None:
    markers.put(ONE)
    markers.put(replace(ONE, name="quiet.agent0", expires=5_000))
    assert [marker.name for marker in markers.live(3_000)] == ["quiet.agent0"]
    assert os.listdir(tmp_path / "state") == ["quiet.agent0.json"]


def test_in_a_home_without_the_folder_nothing_is_marked(markers: Markers) -> None:
    assert markers.live(0) == []
    assert markers.get("root-silent", 0) is None
    assert not markers.clear("root-silent")


def test_what_lies_in_the_folder_and_is_no_marker_of_that_name_says_nothing(markers: Markers, tmp_path: Path) -> None:
    markers.put(ONE)
    folder = tmp_path / "state"
    (folder / "other.json").write_bytes(encode(ONE))
    (folder / "broken.json").write_bytes(encode(ONE)[:40])
    (folder / "link.json").symlink_to(folder / "root-silent.json")
    (folder / "large.json").write_bytes(b" " * 100_000)
    (folder / "folder.json").mkdir()
    assert [marker.name for marker in markers.live(1_500)] == ["root-silent"]


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b'{"name": "x"}', b"\xff", b"[" * 5_000, encode(ONE).replace(b"2000", b"true"),
     encode(ONE).replace(b"1000", b'"1"'), encode(ONE).replace(b'"at"', b'"ta"')],
)  # fmt: skip
def test_what_is_no_marker_is_none(text: bytes) -> None:
    assert decode(text) is None


def test_a_write_that_was_cut_off_leaves_the_old_one_and_hinders_no_new_one(markers: Markers, tmp_path: Path) -> None:
    markers.put(ONE)
    (tmp_path / "state" / ".root-silent.json.part").write_bytes(b"half")
    assert markers.get("root-silent", 0) == ONE
    markers.put(replace(ONE, reason="again"))
    found = markers.get("root-silent", 0)
    assert found is not None
    assert found.reason == "again"
