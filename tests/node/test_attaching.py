"""What a client does with files, against a store in memory."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from netsky.envelope.limits import ATTACHMENT_BYTES_MAX
from netsky.node.attaching import CHUNK_BYTES, fetch, look_at, plain_name, upload
from netsky.node.errors import Conflict, NetskyError, NotFound, Refused, Usage


class Store:
    """Answers the verbs as a node does."""

    def __init__(self) -> None:
        self.parts: dict[str, bytearray] = {}
        self.sizes: dict[str, int] = {}
        self.puts = 0

    def __call__(self, verb: str, **args: Any) -> dict[str, Any]:
        name = args["sha256"]
        if verb == "attach_begin":
            self.sizes[name] = args["size"]
            return self._state(name)
        if verb == "attach_put":
            assert args["offset"] == len(self.parts[name])
            self.puts += 1
            self.parts[name] += base64.b64decode(args["data"])
            if self._state(name)["held"] and hashlib.sha256(self.parts[name]).hexdigest() != name:
                raise Refused("wrong", next="again", code="attachment_hash")
            return self._state(name)
        assert verb == "attachment_get"
        data = self.parts[name][args["offset"] : args["offset"] + CHUNK_BYTES]
        return {"data": base64.b64encode(data).decode(), "bytes": len(data)}

    def _state(self, name: str) -> dict[str, Any]:
        offset = len(self.parts.setdefault(name, bytearray()))
        return {"held": offset == self.sizes[name], "offset": offset}


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_files_are_sent_in_chunks_and_what_is_there_is_not_sent_again(tmp_path: Path) -> None:
    data = os.urandom(2 * CHUNK_BYTES + 3)
    paths = [write(tmp_path / "a.bin", data), write(tmp_path / "empty", b"")]
    store, seen = Store(), list[tuple[str, int, int]]()
    fields = upload(look_at(paths), store, lambda *step: seen.append(step))
    assert fields == [
        {"name": "a.bin", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        {"name": "empty", "size": 0, "sha256": hashlib.sha256(b"").hexdigest()},
    ]
    assert store.parts[fields[0]["sha256"]] == data
    assert store.puts == 3
    assert ("a.bin", len(data), len(data)) in seen
    upload(look_at(paths), store)
    assert store.puts == 3


def test_it_goes_on_where_an_earlier_try_was_cut_off(tmp_path: Path) -> None:
    data = os.urandom(2 * CHUNK_BYTES + 3)
    store = Store()
    store.parts[hashlib.sha256(data).hexdigest()] = bytearray(data[: CHUNK_BYTES + 1])
    upload(look_at([write(tmp_path / "a", data)]), store)
    assert store.puts == 2
    assert store.parts[hashlib.sha256(data).hexdigest()] == data


@pytest.mark.parametrize("later", [b"other bytes", b"", b"short", b"other bytes and more"])
def test_a_file_that_changes_between_the_two_reads_is_not_sent(tmp_path: Path, later: bytes) -> None:
    path = tmp_path / "growing"
    sources = look_at([write(path, b"first bytes")])
    path.write_bytes(later)
    with pytest.raises(Conflict) as changed:
        upload(sources, Store())
    assert changed.value.code == "attachment_changed"
    assert "growing" in changed.value.message


def test_what_cannot_be_attached_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(ATTACHMENT_BYTES_MAX + 1)
    (tmp_path / "other").mkdir()
    small, twin = write(tmp_path / "small", b"x"), write(tmp_path / "other" / "small", b"y")
    odd = write(tmp_path / "a\u202egnp.exe", b"x")
    wrong: list[tuple[list[str], type[NetskyError], str]] = [
        ([str(tmp_path / "none")], NotFound, "no_file"),
        ([str(tmp_path / "folder")], Usage, "not_a_file"),
        ([str(tmp_path / "pipe")], Usage, "not_a_file"),
        ([str(tmp_path / "huge")], Usage, "attachment_size"),
        ([small, twin], Usage, "attachment_name"),
        ([odd], Usage, "attachment_name"),
        ([small] * 17, Usage, "attachments_count"),
    ]
    for paths, kind, code in wrong:
        with pytest.raises(kind) as refused:
            look_at(paths)
        assert refused.value.code == code, paths
        assert refused.value.next
    assert len(look_at([write(tmp_path / f"f{at}", b"x") for at in range(16)])) == 16


def stored(data: bytes) -> tuple[Store, dict[str, Any]]:
    store, digest = Store(), hashlib.sha256(data).hexdigest()
    store.parts[digest] = bytearray(data)
    return store, {"name": "report.txt", "size": len(data), "sha256": digest}


def test_attachments_are_written_out_and_nothing_that_is_there_is_replaced(tmp_path: Path) -> None:
    data = os.urandom(CHUNK_BYTES + 9)
    store, one = stored(data)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert fetch("id", one, folder, store) == "report.txt"
        assert fetch("id", one, folder, store) == "report-2.txt"
        os.symlink("/etc/passwd", tmp_path / "elsewhere.txt")
        assert fetch("id", {**one, "name": "elsewhere.txt"}, folder, store) == "elsewhere-2.txt"
    finally:
        os.close(folder)
    assert (tmp_path / "report-2.txt").read_bytes() == data
    assert sorted(os.listdir(tmp_path)) == ["elsewhere-2.txt", "elsewhere.txt", "report-2.txt", "report.txt"]


def test_what_the_store_has_damaged_gets_no_name(tmp_path: Path) -> None:
    store, one = stored(b"right")
    store.parts[one["sha256"]] = bytearray(b"wrong")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(Refused):
            fetch("id", one, folder, store)
    finally:
        os.close(folder)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", [".bashrc", "-rf", "a;rm", "$(x)", "a\nb", "../x", "~", "a`b", "x'y", ".."])
def test_a_name_that_could_do_harm_is_not_used(name: str) -> None:
    assert plain_name(name, "ab" * 32) == "ab" * 16


@pytest.mark.parametrize("name", ["run.log", "Bericht (neu), 2.pdf", "ä.txt", "a+b_c-d"])
def test_a_harmless_name_stays(name: str) -> None:
    assert plain_name(name, "ab" * 32) == name
