"""`cron.toml` as people write it, break it and as commands change it."""

from __future__ import annotations

import os
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netsky.node.doctor import examine
from netsky.node.home import Home
from netsky.node.init import init_home
from netsky.node.schedule.entries import (
    BadFile,
    Entry,
    Fault,
    blocks,
    entry_text,
    read_entries,
    with_entry,
    without,
)
from netsky.node.schedule.loop import Loop, due_by, loop_text, next_due, read_loop
from netsky.node.schedule.reading import mistakes
from netsky.node.schedule.zones import Zones
from netsky.node.seams.real import real_seams

ZONES = Zones()
FUZZ_CASES = 4_000
MEMORY_MAX = 8 << 20

GOOD = """# our schedules
# kept by hand

[[cron]]   # the nightly one
label = "nightly"
schedule = "30 3 * * *"
target = "agent0"
prompt = \"\"\"
go through the dead letters
[[cron]]
and say what you found\"\"\"
tz = "Europe/Berlin"

# on work days
[[cron]]
label = "report"
schedule = '0 9 * * MON-FRI'
target = "agent1@netsky2"
prompt = "write the report"
missed = "skip"
enabled = false
# the end
"""


def read(text: str | bytes) -> list[Entry]:
    data = text.encode() if isinstance(text, str) else text
    return [entry for entry, _ in read_entries(data, "cron.toml", ZONES, "UTC")]


def fault(text: str | bytes) -> Fault:
    with pytest.raises(BadFile) as bad:
        read(text)
    return bad.value.fault


def test_entries_are_read_with_their_defaults_and_a_prompt_may_look_like_a_head() -> None:
    nightly, report = read(GOOD)
    assert (nightly.label, nightly.tz, nightly.missed, nightly.enabled) == ("nightly", "Europe/Berlin", "last", True)
    assert nightly.prompt == "go through the dead letters\n[[cron]]\nand say what you found"
    assert (report.target, report.tz, report.missed, report.enabled) == ("agent1@netsky2", "UTC", "skip", False)
    assert read("") == read("# nothing\n") == []
    assert read(GOOD.replace("\n", "\r\n"))[1].prompt == "write the report"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('label = "report"', 'label = "nightly"', 16, "is there already, in line 5"),
        ('label = "report"', 'label = "Report!"', 16, "is no name"),
        ('label = "report"', "label = 7", 16, "must be text"),
        ('label = "report"\n', "", 15, "label: is missing"),
        ("'0 9 * * MON-FRI'", "'0 25 * * *'", 17, "'25' is no hour"),
        ("'0 9 * * MON-FRI'", "'0 9 30 2 *'", 17, "never fires"),
        ('"agent1@netsky2"', '"somebody"', 18, "is no actor"),
        ('"agent1@netsky2"', '"manager1"', 18, "write it as agent1"),
        ('"write the report"', '"  "', 19, "is empty"),
        ('"write the report"', '"' + "x" * 17_000 + '"', 19, "more than 16000"),
        ('"skip"', '"later"', 20, "one of last, skip, all"),
        ("false", "0", 21, "true or false"),
        ("enabled = false", "enabeld = false", 21, "is no key of an entry"),
        ("enabled = false", 'tz = "Europe/Nowhere"', 21, "is no time zone"),
        ("enabled = false", "enabled = false\n[cron.more]\na = 1", 22, "is no key"),
        ("enabled = false", "enabled = flase", 21, "this is not TOML"),
        ("enabled = false", "enabled = ", 21, "this is not TOML"),
        ("# the end", "[other]\na = 1", 22, "'other' does not belong here"),
        ("# our schedules", "tz = 'UTC'", 1, "only comments"),
        ("# our schedules", "[cron]", 1, "only comments"),
        ('tz = "Europe/Berlin"', 'tz = "Europe/Berlin', 12, "this is not TOML"),
    ],
)
def test_a_fault_is_named_with_its_line(old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    found = fault(GOOD.replace(old, new))
    assert said in found.sentence
    assert (found.path, found.line) == ("cron.toml", line)


def test_what_is_no_text_or_too_large_is_a_fault() -> None:
    assert fault(b"# a\n# b\xff\n") == Fault("cron.toml", 2, "this is no UTF-8 text")
    assert "larger than 1 MiB" in fault(b"#" * (1 << 21)).sentence
    one = entry_text({"label": "a", "schedule": "* * * * *", "target": "agent0", "prompt": "x"})
    many = "".join(one.replace('"a"', f'"a{number}"') for number in range(2_001))
    assert "more than 2000 entries" in fault(many).sentence
    assert "is not TOML" in fault("[[cron]]\na = " + "[" * 5_000).sentence


def test_an_unfinished_text_in_the_first_of_many_entries_is_found_there_and_soon() -> None:
    one = entry_text({"label": "a", "schedule": "* * * * *", "target": "agent0", "prompt": "x"})
    found = fault('[[cron]]\nlabel = """a\n' + "".join(one.replace('"a"', f'"a{n}"') for n in range(1_000)))
    assert found.line <= 8


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(lambda text: text.strip())


@settings(max_examples=200, deadline=None)
@given(prompt=texts, front=st.sampled_from(["", "# mine", "# mine\n", GOOD, GOOD.rstrip("\n"), "\n\n"]))
def test_an_entry_that_was_added_reads_back_and_is_taken_out_without_a_trace(prompt: str, front: str) -> None:
    values: dict[str, object] = {"label": "new", "schedule": "* * * * *", "target": "agent0", "prompt": prompt}
    text = with_entry(front, entry_text(values))
    assert front.rstrip("\n") in text
    *_, added = read(text)
    assert (added.label, added.prompt) == ("new", prompt)
    *_, (_, block) = read_entries(text.encode(), "cron.toml", ZONES, "UTC")
    left = without(text, block)
    assert left.rstrip("\n") == (text.partition('\n\n[[cron]]\nlabel = "new"')[0]).rstrip("\n")


def test_taking_one_out_keeps_every_comment() -> None:
    [(_, nightly), (_, report)] = list(read_entries(GOOD.encode(), "cron.toml", ZONES, "UTC"))
    left = without(GOOD, nightly)
    assert left.startswith("# our schedules\n# kept by hand\n\n")
    assert left.endswith(GOOD[GOOD.index("\n# on work days") :])
    assert [entry.label for entry in read(left)] == ["report"]
    left = without(GOOD, report)
    assert left.endswith("\n\n# on work days\n# the end\n")
    assert [entry.label for entry in read(left)] == ["nightly"]


def test_blocks_are_the_text_in_pieces() -> None:
    found = list(blocks(GOOD))
    assert "".join(block.text for block in found) == GOOD
    assert [block.first for block in found] == [1, 4, 10, 15]


LOOP = b"""# watch the build
id = "watch"
target = "agent0"
mode = "fixed"
interval_s = 600
prompt = "how is it?"
created = 2026-11-26T03:30:00Z
"""


def damaged(data: bytes, draw: random.Random) -> bytes:
    pieces = (b"[[cron]]", b'"', b"'''", b'"""', b"\\ud800", b"\x00", b"\xff", b"= ", b"[" * 900, b"{", b"1e999", b"\n")
    for _ in range(draw.randint(1, 4)):
        at, end = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
        piece = draw.choice(pieces)
        data = draw.choice((data[:at] + data[end:], data[:at] + piece + data[at:], data[:at] + piece + data[end:]))
    return data[:20_000]


def test_damaged_files_are_read_or_refused_with_a_line_and_nothing_else_happens() -> None:
    draw, refused = random.Random(4), 0
    tracemalloc.start()
    try:
        for number in range(FUZZ_CASES):
            data = damaged(GOOD.encode() if number % 2 else LOOP, draw)
            try:
                list(read_entries(data, "f", ZONES, "UTC")) if number % 2 else read_loop(data, "f", "watch")
            except BadFile as bad:
                refused += 1
                assert 1 <= bad.fault.line <= data.count(b"\n") + 1, (data, bad.fault)  # noqa: PT017
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX
    finally:
        tracemalloc.stop()
    assert FUZZ_CASES // 2 < refused < FUZZ_CASES


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (b'"watch"', b'"other"', 2, "the file is that of 'watch'"),
        (b'"agent0"', b'"nobody"', 3, "is no actor"),
        (b'"fixed"', b'"often"', 4, "one of fixed, dynamic"),
        (b'"fixed"', b'"dynamic"', 5, "belongs to a fixed loop"),
        (b"600", b"5", 5, "must be from 60"),
        (b"600", b"true", 5, "whole number"),
        (b"600", b'"often"', 5, "whole number"),
        (b"interval_s", b"interval", 5, "is no key of a loop"),
        (b'"how is it?"', b"7", 6, "must be text"),
        (b"2026-11-26T03:30:00Z", b"now", 7, "this is not TOML"),
        (b"2026-11-26T03:30:00Z", b"1", 7, "must be a time"),
        (b"build", b"build\xff", 1, "no UTF-8"),
    ],
)
def test_a_fault_in_a_loop_is_named_with_its_line(old: bytes, new: bytes, line: int, said: str) -> None:
    with pytest.raises(BadFile) as bad:
        read_loop(LOOP.replace(old, new), "loops/watch.toml", "watch")
    assert said in bad.value.fault.sentence
    assert bad.value.fault.line == line


def test_a_loop_reads_back_as_it_was_written() -> None:
    for loop in (
        Loop("a", "agent0", 'say "hi"\n\\ \x1b', "fixed", 60, "2026-11-26T03:30:00+00:00"),
        Loop("b.c_d-1", "agent1@netsky3", "x", "dynamic", None, "2026-11-26T03:30:00+00:00"),
    ):
        assert read_loop(loop_text(loop).encode(), "f", loop.id) == loop


def test_a_fixed_loop_keeps_its_step_and_a_dynamic_one_counts_from_now() -> None:
    second = 10**9
    fixed, dynamic = Loop("a", "agent0", "x", "fixed", 100), Loop("b", "agent0", "x", "dynamic")
    assert [next_due(fixed, 1_000 * second, now * second) // second for now in (1_000, 1_099, 1_100, 5_050)] == [
        1_100, 1_100, 1_200, 5_100,
    ]  # fmt: skip
    assert next_due(dynamic, 1_000 * second, 1_050 * second) == 2_550 * second
    assert due_by(5_000, 100, 4_950) == 5_000
    assert due_by(5_000, 100, 1_000) == 1_100


def test_the_doctor_names_the_lines_while_the_node_is_down(tmp_path: Path) -> None:
    home = Home(str(tmp_path / "home"))
    seams = real_seams()
    init_home(home, seams.files, seams.chance, seams.time, root=True)
    assert mistakes(home, seams.files) == []
    Path(home.at("cron.toml")).write_text(GOOD.replace("'0 9 * * MON-FRI'", "'0 9 31 2 *'"))
    os.mkdir(home.at("loops"), 0o700)
    Path(home.at("loops", "watch.toml")).write_bytes(LOOP.replace(b"600", b"5"))
    Path(home.at("loops", "link.toml")).symlink_to(home.config)
    Path(home.at("loops", "notes.txt")).write_text("not a loop")
    found = {(os.path.basename(fault.path), fault.line) for fault in mistakes(home, seams.files)}
    assert found == {("cron.toml", 17), ("watch.toml", 5), ("link.toml", 1)}
    said = [check.sentence for check in examine(home, seams.files, seams.time) if check.name == "schedules"]
    assert len(said) == 3
    assert "cron.toml, line 17" in said[0]
