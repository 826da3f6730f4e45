from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from netsky.envelope.file import read_file
from netsky.envelope.limits import TEXT_BYTES_MAX

from tests.node.cli.conftest import Run, StubNode

ACCEPTED = {
    "id": "f" * 32, "origin": "a" * 64, "leaf": "b" * 64, "clock": 5, "duplicate": False, "file": "x.json",
    "destination": "a" * 64, "skewed": False,
}  # fmt: skip


@pytest.fixture
def accepting(node: StubNode) -> StubNode:
    node.verbs["send"] = lambda args: dict(ACCEPTED)
    return node


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_what_was_said_reaches_the_node(run: Run, accepting: StubNode) -> None:
    ran = run(
        *("send", "manager4", "hi\nthere", "--kind", "question", "--in-reply-to", "abc", "--thread", "t"),
        *("--idempotency-key", "k", "--requires-ack", "--data", '{"n": 3}', "--expires", "2h", "--from", "manager0"),
        "--wait=5",
    )
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"stored {'f' * 32} for agent4\n"
    assert accepting.asked == [
        (
            "send",
            {
                "to": "agent4", "text": "hi\nthere", "kind": "question", "in_reply_to": "abc", "thread": "t",
                "idempotency_key": "k", "requires_ack": True, "data": {"n": 3}, "expires_in": 7200.0, "from": "agent0",
                "wait_s": 5.0,
            },
        )
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["-", ""])
@pytest.mark.parametrize("said", [b"", b"\n"])
def test_an_empty_message_is_refused_unless_it_has_data(
    run: Run, accepting: StubNode, monkeypatch: pytest.MonkeyPatch, text: str, said: bytes
) -> None:
    stdin(monkeypatch, said)
    ran = run("send", "agent0", text)
    assert ran.code == 2
    assert "the message is empty: " in ran.err
    assert accepting.asked == []
    stdin(monkeypatch, said)
    assert run("send", "agent0", text, "--data", "{}").code == 0
    assert accepting.asked == [("send", {"to": "agent0", "text": "", "data": {}})]


def test_what_was_not_said_is_not_sent(run: Run, accepting: StubNode) -> None:
    assert run("channel", "send", "agent0", "hi").code == 0
    assert accepting.asked == [("send", {"to": "agent0", "text": "hi"})]


def test_quiet_prints_the_id_alone(run: Run, accepting: StubNode) -> None:
    assert run("send", "-q", "agent0", "hi").out == "f" * 32 + "\n"


def test_a_second_use_of_a_key_is_said(run: Run, node: StubNode) -> None:
    node.verbs["send"] = lambda args: {**ACCEPTED, "duplicate": True}
    assert "stored before" in run("send", "agent0", "hi").out


def test_both_names_of_send_answer_with_one_schema(run: Run, accepting: StubNode) -> None:
    first, second = run("--json", "send", "agent0", "hi").json, run("channel", "send", "agent0", "hi", "--json").json
    assert first["schema"] == second["schema"] == "netsky.send/1"
    assert first["data"] == second["data"]


def test_the_text_may_come_from_stdin(run: Run, accepting: StubNode, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(monkeypatch, "long\ntext ü\n".encode())
    assert run("send", "agent0", "-").code == 0
    assert accepting.asked[0][1]["text"] == "long\ntext ü"


def test_a_text_of_exactly_the_limit_passes(run: Run, accepting: StubNode, monkeypatch: pytest.MonkeyPatch) -> None:
    for tail in (b"", b"\n"):
        stdin(monkeypatch, b"x" * TEXT_BYTES_MAX + tail)
        assert run("send", "agent0", "-").code == 0
    assert {len(args["text"]) for _, args in accepting.asked} == {TEXT_BYTES_MAX}


@pytest.mark.parametrize("said", [b"x" * (TEXT_BYTES_MAX + 1), b"x" * TEXT_BYTES_MAX + b"\n\n", b"x" * 10**6])
def test_a_text_over_the_limit_is_refused_here(
    said: bytes, run: Run, accepting: StubNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, said)
    ran = run("send", "agent0", "-")
    assert ran.code == 2
    assert "48 KiB" in ran.err
    assert accepting.asked == []


def test_a_text_that_is_no_utf8_is_refused(run: Run, accepting: StubNode, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(monkeypatch, b"abc\xff")
    ran = run("send", "agent0", "-")
    assert (ran.code, "not valid UTF-8 (byte 3)" in ran.err) == (2, True)
    assert run("send", "agent0", "abc\udcff").code == 2
    assert accepting.asked == []


@pytest.mark.parametrize(
    "address", ["agent01", "agent0@", "bob", "../agent0", "agent0@netsky1@x", "x" * 200, "\x1b[2J"]
)
def test_a_mistyped_address_names_the_rule(address: str, run: Run, accepting: StubNode) -> None:
    ran = run("send", address, "hi")
    assert ran.code == 2
    assert "next: netsky help addresses" in ran.err
    assert "\x1b" not in ran.err
    assert accepting.asked == []


@pytest.mark.parametrize("data", ["[1]", "{", "3", '"x"'])
def test_data_has_to_be_an_object(data: str, run: Run, accepting: StubNode) -> None:
    ran = run("send", "agent0", "hi", "--data", data)
    assert ran.code == 2
    assert "--data" in ran.err


def test_speaking_as_somebody_else_is_exit_5(run: Run, node: StubNode) -> None:
    error = {
        "code": "not_you",
        "exit": 5,
        "message": "you are worker1 and cannot speak as agent0",
        "next": "leave --from out",
    }
    node.verbs["send"] = lambda args: {"error": error}
    ran = run("send", "agent0", "hi", "--from", "agent0")
    assert ran.code == 5
    assert "cannot speak as" in ran.err


def test_with_the_node_down_it_is_kept_in_the_senders_outbox(run: Run, home: Path) -> None:
    (home / "channels" / "worker1").mkdir(parents=True)
    ran = run("send", "agent0", "done", "--from", "worker1", "--kind", "report", "--data", '{"n": 3}')
    assert ran.code == 0
    assert "the node is down" in ran.err
    assert "netsky up" in ran.err
    (file,) = (home / "channels" / "worker1" / "outbox").glob("*.json")
    assert ran.out == f"kept {file.name}\n"
    envelope = read_file(file.read_bytes())
    assert (envelope.sender, envelope.to, envelope.kind, envelope.text) == ("worker1", "agent0", "report", "done")
    assert envelope.data == b'{"n":3}'


def test_inside_an_actor_the_outbox_is_its_own(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = tmp_path / "channel"
    channel.mkdir()
    monkeypatch.setenv("NETSKY_SOCKET", str(tmp_path / "actor.sock"))
    monkeypatch.setenv("NETSKY_ACTOR", "worker1")
    monkeypatch.setenv("NETSKY_CHANNEL", str(channel))
    ran = run("--json", "send", "agent0", "done")
    assert ran.code == 0
    assert ran.json["data"]["stored"] == "outbox"
    (file,) = (channel / "outbox").glob("*.json")
    assert json.loads(file.read_bytes())["from"] == "worker1"


def test_with_the_node_down_the_shell_speaks_as_the_node_would(run: Run, home: Path) -> None:
    for actor in ("agent0", "owner"):
        (home / "channels" / actor).mkdir(parents=True)
    assert run("--json", "send", "worker1", "x").json["data"]["actor"] == "agent0"
    assert run("--json", "send", "agent0", "x").json["data"]["actor"] == "owner"


def test_with_the_node_down_and_nobody_to_speak_it_is_exit_4(run: Run, home: Path) -> None:
    ran = run("send", "agent0", "x")
    assert ran.code == 4
    assert "--from ACTOR" in ran.err
    assert list(home.rglob("*.json")) == []


def test_without_a_home_nothing_is_kept(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSKY_HOME", str(tmp_path / "nowhere"))
    assert run("send", "agent0", "x", "--from", "worker1").code == 4
    assert not (tmp_path / "nowhere").exists()


def test_an_actor_that_is_not_there_has_no_outbox(run: Run, home: Path) -> None:
    ran = run("send", "agent0", "x", "--from", "worker9")
    assert ran.code == 3
    assert "worker9" in ran.err
