from __future__ import annotations

from pathlib import Path

import pytest
from netsky.node.cli.parser import duration, find, parse, split
from netsky.node.cli.table import LATER, commands
from netsky.node.errors import Usage

from tests.node.cli.conftest import Run, StubNode


def parsed(*words: str) -> object:
    front, rest = split(words)
    command = find(commands(), rest)
    return parse(command, rest[len(command.path) :], front)


def test_global_options_stand_before_or_after_the_verb() -> None:
    for words in (("--home", "/x", "--json", "status"), ("status", "--json", "--home=/x")):
        args = vars(parsed(*words))  # type: ignore[call-overload]
        assert (args["home"], args["json"]) == ("/x", True)


def test_global_options_may_stand_between_the_two_words_of_a_command(run: Run, tmp_path: Path) -> None:
    ran = run("channel", "--home", str(tmp_path / "none"), "--json", "ls")
    assert ran.json["error"]["next"] == "netsky init"
    assert str(tmp_path) in ran.json["error"]["message"]


def test_options_and_arguments_may_be_mixed() -> None:
    args = vars(parsed("send", "--kind", "brief", "worker1", "--thread", "t", "do it"))  # type: ignore[call-overload]
    assert (args["address"], args["text"], args["kind"]) == ("worker1", "do it", "brief")


def test_after_two_dashes_everything_is_the_program(run: Run) -> None:
    args = vars(parsed("agent", "add", "worker1", "--env", "A=1", "--env", "B=2=3", "--", "claude", "--json", "-h"))  # type: ignore[call-overload]
    assert args["command"] == ["claude", "--json", "-h"]
    assert args["env"] == ["A=1", "B=2=3"]
    assert args["json"] is False


def test_a_text_may_begin_with_a_dash() -> None:
    assert vars(parsed("send", "agent0", "- one\n- two"))["text"] == "- one\n- two"  # type: ignore[call-overload]
    assert vars(parsed("send", "agent0", "--", "--json"))["text"] == "--json"  # type: ignore[call-overload]


def test_wait_takes_a_value_only_with_an_equals_sign() -> None:
    assert vars(parsed("send", "--wait", "agent0", "hi"))["wait"] == 60.0  # type: ignore[call-overload]
    assert vars(parsed("send", "--wait=5m", "agent0", "hi"))["wait"] == 300.0  # type: ignore[call-overload]
    assert vars(parsed("send", "agent0", "hi"))["wait"] is None  # type: ignore[call-overload]


@pytest.mark.parametrize(("said", "seconds"), [("5", 5), ("250ms", 0.25), ("1.5s", 1.5), ("15m", 900), ("7d", 604_800)])
def test_a_duration_has_a_unit(said: str, seconds: float) -> None:
    assert duration(said) == seconds


@pytest.mark.parametrize("said", ["", "-1", "1y", "1e9", "٣", "nan", "5 m"])
def test_what_is_no_duration_says_how_to_write_one(said: str, run: Run) -> None:
    ran = run("send", f"--expires={said}", "agent0", "hi")
    assert ran.code == 2
    assert "30s, 15m, 24h or 7d" in ran.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("snd", "agent0", "x"), "netsky send"),
        (("chanel", "ls"), "netsky channel"),
        (("drain", "agent0"), "netsky channel drain"),
        (("channel", "lst"), "netsky channel ls"),
        (("statsu",), "netsky status"),
    ],
)
def test_an_unknown_verb_gets_a_suggestion(words: tuple[str, ...], meant: str, run: Run) -> None:
    ran = run(*words)
    assert ran.code == 2
    assert meant in ran.err


def test_a_verb_like_nothing_we_know_leads_to_help(run: Run) -> None:
    ran = run("qqqqqq")
    assert (ran.code, ran.out) == (2, "")
    assert "next: netsky help" in ran.err


@pytest.mark.parametrize("verb", [verb for line in LATER for verb in line])
def test_a_planned_verb_says_that_it_is_not_here_yet(verb: str, run: Run) -> None:
    ran = run(verb, "anything", "--at-all")
    assert ran.code == 2
    assert "does not have it yet" in ran.err
    assert ran.err.count("\n") == 2


def test_nothing_is_both_planned_and_here() -> None:
    assert not {path[0] for path in commands()} & {verb for line in LATER for verb in line}


def test_a_group_alone_says_what_is_in_it() -> None:
    with pytest.raises(Usage, match="say which: send, drain"):
        find(commands(), ["channel"])


@pytest.mark.parametrize("command", list(commands().values()), ids=lambda command: command.words)
def test_every_command_explains_itself(command: object, run: Run) -> None:
    path = command.path  # type: ignore[attr-defined]
    for words in ((*path, "-h"), ("-h", *path), (*path, "--help")):
        ran = run(*words)
        assert (ran.code, ran.err) == (0, "")
        assert "examples:" in ran.out
        assert f"netsky {' '.join(path)}" in ran.out


@pytest.mark.parametrize("command", list(commands().values()), ids=lambda command: command.words)
def test_every_example_parses(command: object) -> None:
    import shlex

    for example in command.examples:  # type: ignore[attr-defined]
        words = shlex.split(example.replace('eval "$(', "").replace(')"', ""))
        words = words[: next((at for at, word in enumerate(words) if word in ("<", ">", ">>", "&&")), None)]
        assert words[0] == "netsky", example
        assert find(commands(), words[1:] if words[1] != "--json" else words[2:]).path == command.path, example  # type: ignore[attr-defined]
        parsed(*words[1:])


def test_an_option_is_never_abbreviated(run: Run) -> None:
    assert run("send", "--ki", "brief", "agent0", "x").code == 2


def test_a_usage_error_is_two_lines_and_names_the_help(run: Run) -> None:
    ran = run("send", "agent0")
    assert ran.code == 2
    assert ran.err == ("netsky send: the following arguments are required: TEXT\n  next: netsky send -h\n")


def test_a_usage_error_as_json_has_the_one_shape(run: Run) -> None:
    ran = run("send", "--json", "agent0")
    assert ran.json["ok"] is False
    assert ran.json["error"]["exit"] == 2
    assert ran.json["schema"] == "netsky.send/1"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ("{", "data must be JSON"),
        ('{"a":' * 3000 + "1" + "}" * 3000, "data must not be nested deeper"),
        ('{"a": 1, "a": 2}', "data must not name a key twice"),
        ("[1]", "has to be a JSON object"),
        ("\udcff", "data must be UTF-8"),
    ],
    ids=["cut", "deep", "twice", "list", "binary"],
)
def test_data_that_cannot_be_meant_gets_the_rule(data: str, rule: str, run: Run) -> None:
    ran = run("send", "agent0", "hi", "--data", data)
    assert ran.code == 2
    assert rule in ran.err


def test_an_error_does_not_repeat_a_flood_that_was_typed(run: Run) -> None:
    ran = run("status", "x" * 60_000)
    assert ran.code == 2
    assert len(ran.err) < 1_200
    assert ran.err.endswith("characters more)\n  next: netsky status -h\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("send", "agent0", "x", "--expires", "60d"), "--expires: 60d is more than 30d, the most"),
        (("send", "agent0", "x", "--expires", "0s"), "--expires: 0s is less than 1 ms, the least"),
        (("channel", "send", "agent0", "x", "--wait=2d"), "--wait: 2d is more than 1d, the most"),
        (("send", "agent0", "x", "--in-reply-to", "a b"), "--in-reply-to: it must be 1 to 64 printable"),
        (("send", "agent0", "x", "--thread", ""), "--thread: it must be 1 to 64 printable"),
        (("send", "agent0", "x", "--idempotency-key", "k" * 65), "--idempotency-key: it must be 1 to 64 printable"),
        (("agent", "add", "worker1", "--timeout", "2d"), "--timeout: 2d is more than 1d, the most"),
        (("wait", "taken", "x", "--timeout", "8d"), "--timeout: 8d is more than 7d, the most"),
        (("channel", "ls", "agent0", "--limit", "1001"), "--limit: 1001 is more than 1000, the most"),
        (("channel", "ls", "agent0", "--limit", "0"), "--limit: 0 is less than 1, the least"),
    ],
)
def test_a_value_that_no_node_would_take_is_refused_by_the_name_that_was_typed(
    run: Run, node: StubNode, words: tuple[str, ...], said: str
) -> None:
    ran = run(*words)
    assert (ran.code, node.asked) == (2, [])
    assert said in ran.err
