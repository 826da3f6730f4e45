"""Reading an actor's messages with real folders; the node behind the socket is a stub that keeps no rows."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from netsky.envelope.file import file_name, write_time

from tests.node.cli.conftest import Answer, Run, StubNode

NOW = 1_700_000_000 * 10**9
Spawn = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def channel(home: Path) -> Path:
    folder = home / "channels" / "worker1"
    (folder / "inbox").mkdir(parents=True)
    return folder


def put(channel: Path, number: int, text: str = "do it", **fields: object) -> str:
    name = file_name(NOW + number, 1, 7, number, "agent0")
    envelope = {"id": f"id{number:030}", "from": "agent0", "to": "worker1", "kind": "brief", "text": text}
    ready = channel / "inbox" / f".{name}.tmp"
    ready.write_text(json.dumps(envelope | {"ts": write_time(NOW + number)} | fields))
    ready.rename(channel / "inbox" / name)
    return name


def names(channel: Path, folder: str) -> list[str]:
    return sorted(path.name for path in (channel / folder).glob("*.json"))


@pytest.fixture
def asked_node(node: StubNode) -> StubNode:
    node.verbs["claim"] = lambda args: {"files": dict.fromkeys(args["files"], "ok")}
    node.verbs["ack"] = lambda args: {"taken": args["ids"], "unknown": []}
    node.verbs["ping"] = lambda args: {"pid": 1, "ready": True}
    return node


def test_people_see_quoted_text_and_how_to_take_it(run: Run, channel: Path) -> None:
    put(channel, 1, "line one\n[end of envelope]\n\x1b[2J")
    ran = run("channel", "drain", "worker1")
    assert ran.code == 0
    assert "> line one\n> [end of envelope]\n" in ran.out
    assert "\x1b" not in ran.out
    assert "nobody was asked" in ran.out
    assert f"netsky channel ack worker1 id{1:030}" in ran.err


@pytest.mark.parametrize("what", ["link", "file"])
def test_a_replaced_folder_is_refused_in_one_sentence_by_all_that_read_it(
    run: Run, channel: Path, asked_node: StubNode, what: str
) -> None:
    """What was shown may have come from somewhere else, so it is not taken by a word like *all that was shown*."""
    asked_node.verbs["inbox"] = lambda args: {"waiting": [{"id": "a" * 26, "claimed_at": NOW}]}
    channel.rename(channel.parent / "aside")
    if what == "link":
        channel.symlink_to("aside")
    else:
        channel.write_text("x")
    commands = [("drain", "worker1"), ("ack", "worker1", "--shown"), ("tail", "worker1")]
    said = {(ran := run("channel", *words)).err: ran.code for words in commands}
    assert list(said.values()) == [5], said
    assert f"the channel folder {channel} is not used" in next(iter(said))
    assert "ack" not in [verb for verb, _ in asked_node.asked]
    asked_node.stop()
    assert run("send", "agent0", "hi", "--from", "worker1").err in said


def test_reading_takes_nothing(run: Run, channel: Path) -> None:
    name = put(channel, 1)
    run("channel", "drain", "worker1")
    assert names(channel, "claimed") == [name]
    ran = run("channel", "drain", "worker1")
    assert "shown before, not taken yet" in ran.out
    assert names(channel, "archive") == []


def test_programs_get_one_object_a_line(run: Run, channel: Path) -> None:
    for number in range(3):
        put(channel, number, extra={"unknown": True})
    ran = run("channel", "drain", "worker1", "--json")
    assert [line["data"]["envelope"]["id"] for line in ran.lines] == [f"id{number:030}" for number in range(3)]
    assert {line["schema"] for line in ran.lines} == {"netsky.channel-drain/1"}
    assert ran.lines[0]["data"]["envelope"]["extra"] == {"unknown": True}
    assert (ran.lines[0]["data"]["again"], ran.err) == (False, "")
    assert run("channel", "drain", "worker1", "--json").lines[0]["data"]["again"] is True


def test_a_limit_leaves_the_rest(run: Run, channel: Path) -> None:
    for number in range(3):
        put(channel, number)
    assert len(run("channel", "drain", "worker1", "--json", "--limit", "2").lines) == 2
    assert len(names(channel, "inbox")) == 1


def test_an_empty_inbox_says_so_on_stderr(run: Run, channel: Path) -> None:
    ran = run("channel", "drain", "worker1")
    assert (ran.code, ran.out, ran.err) == (0, "", "nothing waits for worker1\n")


def test_a_hostile_file_goes_to_quarantine_and_the_rest_is_shown(run: Run, channel: Path) -> None:
    put(channel, 1)
    (channel / "inbox" / file_name(NOW, 1, 7, 9, "agent0")).write_bytes(b"{not json")
    ran = run("channel", "drain", "worker1")
    assert "> do it" in ran.out
    assert "refused, now in quarantine" in ran.err
    assert len(names(channel, "quarantine")) >= 1


def test_a_program_that_ends_well_takes_its_message(run: Run, channel: Path, tmp_path: Path) -> None:
    put(channel, 1, "one")
    put(channel, 2, "two")
    ran = run("channel", "drain", "worker1", "--exec", f"cat >> {tmp_path}/seen; echo >> {tmp_path}/seen")
    assert ran.code == 0
    assert [json.loads(line)["text"] for line in (tmp_path / "seen").read_text().split("\n") if line] == ["one", "two"]
    assert len(names(channel, "archive")) == 2
    assert "2 messages taken" in ran.err


def test_a_program_that_fails_takes_nothing_and_the_next_message_goes_on(run: Run, channel: Path) -> None:
    first, second = put(channel, 1, "bad"), put(channel, 2, "good")
    ran = run("channel", "drain", "worker1", "--exec", "grep -q good")
    assert ran.code == 1
    assert names(channel, "archive") == [second]
    assert names(channel, "claimed") == [first]
    assert "not taken" in ran.err


def test_with_the_node_up_it_is_asked_first(run: Run, channel: Path, asked_node: StubNode) -> None:
    name = put(channel, 1)
    ran = run("channel", "drain", "worker1", "--exec", "true")
    assert ran.code == 0
    assert asked_node.asked == [
        ("claim", {"actor": "worker1", "files": [name]}),
        ("ack", {"actor": "worker1", "ids": [name]}),
    ]
    assert names(channel, "archive") == [name]


def test_what_the_node_does_not_know_is_not_shown(run: Run, channel: Path, asked_node: StubNode) -> None:
    put(channel, 1)
    asked_node.verbs["claim"] = lambda args: {"files": dict.fromkeys(args["files"], "unknown")}
    ran = run("channel", "drain", "worker1")
    assert ran.out == ""
    assert "did not put it here" in ran.err


def test_a_node_that_goes_away_between_two_words_loses_nothing(run: Run, channel: Path, asked_node: StubNode) -> None:
    name = put(channel, 1)

    def dies(args: Answer) -> Answer:
        asked_node.stop()
        raise ValueError

    asked_node.verbs["ack"] = dies
    assert run("channel", "drain", "worker1", "--exec", "true").code == 0
    assert names(channel, "archive") == [name]


def test_two_ways_of_taking_are_one_too_many(run: Run, channel: Path) -> None:
    assert run("channel", "drain", "worker1", "--exec", "true", "--ack-from-stdin").code == 2


@pytest.mark.parametrize(("actor", "code"), [("worker9", 3), ("bob", 2), ("worker1@netsky1", 2), ("../x", 2)])
def test_a_wrong_actor_gets_a_sentence(actor: str, code: int, run: Run, channel: Path) -> None:
    ran = run("channel", "drain", actor)
    assert ran.code == code
    assert ran.err.count("\n") == 2


def test_without_an_actor_it_asks_for_one(run: Run, channel: Path) -> None:
    ran = run("channel", "drain")
    assert (ran.code, "say which actor" in ran.err) == (2, True)


def test_a_second_drain_of_one_actor_is_told(run: Run, channel: Path, spawn: Spawn) -> None:
    process = spawn("channel", "drain", "worker1", "--follow", "--json")
    put(channel, 1)
    assert process.stdout is not None
    process.stdout.readline()
    ran = run("channel", "drain", "worker1")
    assert ran.code == 7
    assert "netsky channel tail" in ran.err
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    process.communicate()


@pytest.mark.real
def test_following_shows_what_comes_later(channel: Path, spawn: Spawn) -> None:
    process = spawn("channel", "drain", "worker1", "--follow", "--json", "--limit", "2")
    assert process.stdout is not None
    for number in (1, 2):
        put(channel, number)
        assert json.loads(process.stdout.readline())["data"]["envelope"]["id"] == f"id{number:030}"
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out, errors) == (0, "", "")


@pytest.mark.real
def test_a_follower_whose_reader_has_gone_lets_the_next_drain_in(run: Run, channel: Path, spawn: Spawn) -> None:
    put(channel, 1)
    process = spawn("channel", "drain", "worker1", "--follow", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert run("channel", "drain", "worker1").code == 0


@pytest.mark.real
def test_a_consumer_says_on_stdin_what_it_took(channel: Path, spawn: Spawn) -> None:
    first, second = put(channel, 1), put(channel, 2)
    process = spawn("channel", "drain", "worker1", "--json", "--ack-from-stdin")
    assert process.stdin is not None
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.stdin.write(f"{lines[1]['data']['envelope']['id']}\n\nno-such-id\n")
    process.stdin.flush()
    process.stdin.write(lines[0]["data"]["file"] + "\n")
    process.stdin.flush()
    assert process.wait(30) == 0
    assert names(channel, "archive") == [first, second]
    process.communicate()


@pytest.mark.real
def test_an_id_that_two_messages_in_hand_have_takes_neither_and_their_files_do(channel: Path, spawn: Spawn) -> None:
    first, second = put(channel, 1, id="twin"), put(channel, 2, id="twin")
    process = spawn("channel", "drain", "worker1", "--ack-from-stdin")
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write("twin\n")
    process.stdin.flush()
    assert process.stderr.readline().endswith(f"none is taken: say {first} or {second}\n")
    assert names(channel, "claimed") == [first, second]
    process.stdin.write(f"{first}\ntwin\n")
    process.stdin.flush()
    assert process.wait(30) == 0
    assert names(channel, "archive") == [first, second]
    process.communicate()


@pytest.mark.real
def test_a_consumer_that_ends_without_a_word_has_taken_nothing(channel: Path, spawn: Spawn) -> None:
    name = put(channel, 1)
    process = spawn("channel", "drain", "worker1", "--json", "--ack-from-stdin", "--follow")
    assert process.stdout is not None
    process.stdout.readline()
    process.communicate(timeout=30)  # closes its stdin
    assert process.returncode == 0
    assert names(channel, "claimed") == [name]


@pytest.mark.real
def test_a_follower_outlives_its_node(channel: Path, asked_node: StubNode, spawn: Spawn) -> None:
    process = spawn("channel", "drain", "worker1", "--follow", "--json")
    assert process.stdout is not None
    put(channel, 1)
    assert json.loads(process.stdout.readline())["data"]["trust"] == "checked"
    asked_node.stop()
    put(channel, 2)
    assert json.loads(process.stdout.readline())["data"]["trust"] == "unchecked"
    asked_node.start()
    for number in range(3, 40):  # some pass while it dials again
        put(channel, number)
        if json.loads(process.stdout.readline())["data"]["trust"] == "checked":
            break
    else:
        pytest.fail("it never found its node again")
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out, errors) == (143, "", "")


def test_tail_claims_nothing(run: Run, channel: Path) -> None:
    name = put(channel, 1)
    ran = run("channel", "tail", "worker1")
    assert "> do it" in ran.out
    assert "only looked at" in ran.out
    assert names(channel, "inbox") == [name]
    assert not (channel / "claimed").exists()


def test_tail_shows_the_last_few(run: Run, channel: Path) -> None:
    for number in range(5):
        put(channel, number)
    ran = run("channel", "tail", "worker1", "--limit", "2", "--json")
    assert [line["data"]["envelope"]["id"][-1] for line in ran.lines] == ["3", "4"]


def test_tail_passes_over_what_is_no_envelope(run: Run, channel: Path) -> None:
    put(channel, 1)
    (channel / "inbox" / "bad.json").write_bytes(b"\xff")
    (channel / "inbox" / "link.json").symlink_to("/etc/passwd")
    (channel / "inbox" / "folder.json").mkdir()
    ran = run("channel", "tail", "worker1")
    assert ran.code == 0
    assert "> do it" in ran.out
    assert ran.err.count("not shown") == 3
