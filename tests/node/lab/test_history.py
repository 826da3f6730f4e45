from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from netsky.node.lab.history import Appended, Writer, read_history

# Writes for ever, a line in one write; the file ends wherever it is killed.
PROGRAM = """
import sys
from netsky.node.lab.history import Appended, Writer
write = Writer(Appended(sys.argv[1]), lambda: 7, node=sys.argv[2], by="client")
n = 0
while True:
    n += 1
    write.note("submit_ok", id=str(n), origin="o", value="x" * (n % 3000))
    if n == 1:
        print("ready", flush=True)
"""


def test_a_line_has_what_its_witness_is_and_what_he_saw(tmp_path: Path) -> None:
    path = str(tmp_path / "h")
    appended = Appended(path)
    writer = Writer(appended, iter(range(1, 9)).__next__, node="netsky1", by="actor", boot=3)
    writer.note("claim", id="a", dest="agent1")
    writer.note_all("archive", [{"id": "a"}, {"id": "b"}])
    appended.close()
    head = {"node": "netsky1", "boot": 3, "by": "actor"}
    assert list(read_history(path)) == [
        {"t": 1, **head, "ev": "claim", "id": "a", "dest": "agent1"},
        {"t": 2, **head, "ev": "archive", "id": "a"},
        {"t": 2, **head, "ev": "archive", "id": "b"},
    ]
    assert (tmp_path / "h").read_bytes().splitlines()[1] == (
        b'{"t":1,"node":"netsky1","boot":3,"by":"actor","ev":"claim","id":"a","dest":"agent1"}'
    )


def test_a_field_that_the_format_does_not_have_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="colour"):
        Writer([].append, lambda: 1, node="n", by="test").note("start", colour="red")


def test_no_file_is_no_history(tmp_path: Path) -> None:
    assert list(read_history(str(tmp_path / "none"))) == []


def test_half_a_line_damages_no_other(tmp_path: Path) -> None:
    path = tmp_path / "h"
    path.write_bytes(b'\n{"t":1,"ev":"start"}\n{"t":2,"e')
    for _ in range(2):
        appended = Appended(str(path))
        Writer(appended, lambda: 3, node="n", by="test").note("crash")
        appended.close()
    assert [event["t"] for event in read_history(str(path))] == [1, 3, 3]
    assert path.read_bytes().count(b"\n") == 4


@pytest.mark.real
def test_sigkill_loses_no_line_that_was_written_and_mixes_none(tmp_path: Path) -> None:
    path = str(tmp_path / "h")
    for round_ in range(3):
        writers = [
            subprocess.Popen([sys.executable, "-c", PROGRAM, path, f"{round_}{at}"], stdout=subprocess.PIPE)
            for at in range(3)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        while os.stat(path).st_size < (round_ + 1) * 2_000_000:
            assert all(writer.poll() is None for writer in writers)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
    seen: dict[str, list[int]] = {}
    for event in read_history(path):
        seen.setdefault(event["node"], []).append(int(event["id"]))
    assert len(seen) == 9
    for numbers in seen.values():
        assert numbers == list(range(1, len(numbers) + 1))
