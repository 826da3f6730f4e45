"""Documentation and code say the same: every command, option, exit code, variable and limit, both ways."""

from __future__ import annotations

import re
import shlex
from importlib import resources
from pathlib import Path

import pytest
from netsky.envelope.kinds import KINDS, lane_of
from netsky.node import errors
from netsky.node.cli import run as run_module
from netsky.node.cli.help import topics
from netsky.node.cli.limits import limits, shown
from netsky.node.cli.parser import NotYet, find
from netsky.node.cli.table import GLOBAL_OPTIONS, GROUPS, TOPICS, commands
from netsky.node.errors import Usage
from netsky.node.lab.plugin import SEED_OPTION

from tests.node.cli.conftest import Run

MENTION = re.compile(r"netsky(?: [^`\n|]*)?")
SOURCE = Path(str(resources.files("netsky.node")))


def mentions(text: str) -> list[str]:
    """Every command line that a text names, in backquotes or in a block of code."""
    quoted = re.findall(r"`(netsky [^`]+)`", text)
    blocks = [line for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    return quoted + [line for line in blocks if line.startswith("netsky ")]


@pytest.mark.parametrize("topic", sorted(topics()))
def test_a_topic_is_shown_within_eighty_columns(topic: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = run("help", topic)
    assert ran.code == 0
    assert [line for line in ran.out.splitlines() if len(line) > 80] == []
    assert "`" not in ran.out


def test_the_list_of_topics_is_complete(run: Run) -> None:
    ran = run("help")
    for topic in (
        "start",
        "bus",
        "addresses",
        "kinds",
        "json",
        "exit-codes",
        "environment",
        "files",
        "actors",
        "limits",
    ):
        assert f"  {topic} " in ran.out


@pytest.mark.parametrize("topic", sorted(topics()))
def test_every_command_that_a_topic_names_exists(topic: str) -> None:
    for mention in mentions(topics()[topic]):
        words = shlex.split(mention.partition(" #")[0].partition("  ")[0].rstrip("?.,;"))[1:]
        if not words or words[0].isupper() or words == ["help", "TOPIC"]:
            continue
        words = words[1:] if words[0] == "--json" else words
        try:
            command = find(commands(), words)
        except NotYet:
            assert topic == "trust", mention  # it speaks of the whole design, and says in one line what is not there
            [remark] = [line for line in topics()[topic].splitlines() if "Not in this version yet:" in line]
            assert f"`netsky {' '.join(word for word in words if word.islower())}`" in remark
            continue
        flags = {flag for option in (*command.options, *GLOBAL_OPTIONS) for flag in option.flags} | {
            "-h",
            "--help",
            "--",
        }
        before_program = words[: words.index("--")] if "--" in words else words
        for word in before_program:
            if word.startswith("-") and word != "-":
                assert word.partition("=")[0] in flags, mention


def test_every_topic_that_is_named_exists() -> None:
    named = set()
    for path in (*SOURCE.rglob("*.py"), *SOURCE.rglob("*.md")):
        named |= set(re.findall(r"netsky help ([a-z][a-z-]+)", path.read_text(encoding="utf-8")))
    first_words = {command.path[0] for command in commands().values()}
    assert named - set(topics()) - first_words - {"trust"} == set()


def test_every_command_is_named_in_a_topic() -> None:
    text = "\n".join(topics().values())
    missing = [
        command.words
        for command in commands().values()
        if f"netsky {command.words}" not in text and command.topic != "help"
    ]
    assert missing == []


def test_every_command_has_a_place_in_the_overview() -> None:
    assert {command.topic for command in commands().values()} == {topic for topic, _ in TOPICS}
    assert {path[0] for path in commands() if len(path) > 1} == set(GROUPS)


def test_every_option_named_in_a_topic_exists() -> None:
    known = {flag for command in commands().values() for option in command.options for flag in option.flags}
    known |= {flag for option in GLOBAL_OPTIONS for flag in option.flags} | {"--help", SEED_OPTION}
    for name, text in topics().items():
        if name != "trust":
            assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - known == set(), name


def test_the_exit_codes_are_those_of_the_code() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", topics()["exit-codes"], re.MULTILINE)}
    in_code = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    in_code |= {value for name, value in vars(run_module).items() if name.startswith("EXIT_")}
    assert documented == in_code


def test_the_kinds_and_their_lanes_are_those_of_the_code() -> None:
    documented = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", topics()["kinds"], re.MULTILINE))
    assert documented == {kind: lane_of(kind) for kind in KINDS}


def test_the_kinds_that_can_be_sent_are_those_of_the_code() -> None:
    from netsky.envelope.kinds import SENDABLE

    (kind,) = [option for option in commands()["send",].options if option.flags == ("--kind",)]
    assert set(kind.choices) == SENDABLE


def test_the_variables_are_those_of_the_code() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", topics()["environment"], re.MULTILINE))
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if "lab" not in path.relative_to(SOURCE).parts
    )
    in_code = set(re.findall(r'"(NETSKY_[A-Z]+|NO_COLOR|TERM|COLUMNS|TZ|XDG_RUNTIME_DIR)"', text))
    assert documented == in_code


def test_the_limits_that_a_topic_names_have_these_values() -> None:
    values = {limit.name: shown(limit) for limit in reversed(list(limits()))}
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| `([A-Z_]+)` \|$", topics()["limits"], re.MULTILINE)
    assert len(rows) >= 19
    assert {name: said for said, name in rows} == {name: values[name] for _, name in rows}


def test_every_limit_of_the_code_is_shown_with_a_value(run: Run) -> None:
    text = run("help", "limits").out
    for limit in limits():
        assert limit.name in text


def test_help_of_a_command_is_its_help(run: Run) -> None:
    assert run("help", "channel", "drain").out == run("channel", "drain", "-h").out
    assert run("help", "channel").out == run("channel", "-h").out == run("-h", "channel").out
    assert "channel drain" in run("help", "channel").out
    assert run("help", "send", "--json").json["data"]["topic"] == "send"


def test_help_of_nothing_says_what_there_is(run: Run) -> None:
    ran = run("help", "nothing-like-it")
    assert ran.code == 3
    assert "exit-codes" in ran.err


def test_help_of_a_planned_command_is_not_found(run: Run) -> None:
    assert run("help", "root").code == 3
    with pytest.raises(Usage):
        find(commands(), ["root"])


def test_the_verbs_of_the_sockets_are_those_of_the_table() -> None:
    from netsky.node.verbs import TABLE

    documented = {}
    for names, who in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|", topics()["sockets"], re.MULTILINE):
        documented |= dict.fromkeys(re.findall(r"`(\w+)`", names), who == "all")
    assert documented == {name: verb.actors for name, verb in TABLE.items()}
