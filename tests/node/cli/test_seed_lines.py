"""Every command line of the documents that this system comes from: it runs as written, or says why it does not.

A line in which several commands follow one another is split where each begins.
"""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

import pytest
from netsky.node.cli.parser import find, parse, split
from netsky.node.cli.table import LATER, commands

from tests.node.cli.conftest import Run, StubNode


class Line(NamedTuple):
    text: str
    reason: str = ""  # why not yet, or not at all; empty if it runs


CLONES = "clones belong to the issue that builds work: tickets, leases, workspaces"
RUNTIMES = "model calls belong to the issue that builds the runtime adapters"
CHANNELS = "not at all as a verb of its own: the owner is reached by the pages and mail of `netsky owner`"

LINES = (
    Line("netsky clone brief briefs/session5.md --type codex --workspace session5 --agent 7", CLONES),
    Line('netsky channel send agent7 "tighten the diagram labels" --from agent0'),
    Line('netsky imessage send --owner "wave landed"', CHANNELS),
    Line('netsky email send --from cody@example.com --to cody@example.com --subject "canary" --text "ok"', CHANNELS),
    Line('netsky loop create 15m "check the next merge window"'),
    Line('netsky cron add morning-brief "0 11 * * *" agent0 /morning-brief'),
    Line('netsky ai run --model codex-gpt-5.4 --detach "summarize this diff"', RUNTIMES),
    Line("netsky clone brief briefs/fix-transport.md --type codex --workspace transport-fix --agent 4", CLONES),
    Line('netsky channel send agent4 "focus on replay and backpressure" --from agent0'),
    Line('netsky loop create 10m "check the clone result and harvest if green"'),
    Line('netsky cron add morning-brief "0 11 * * *" agent0 /morning-brief'),
    Line('netsky ai run --model codex-gpt-5.4 --detach "summarize today\'s crash markers"', RUNTIMES),
)  # fmt: skip
RUNS = [line for line in LINES if not line.reason]
WAITS = [line for line in LINES if line.reason]


def words(line: Line) -> list[str]:
    said = shlex.split(line.text)
    assert said[0] == "netsky"
    return said[1:]


def test_every_line_stands_here() -> None:
    assert len(LINES) == 12  # eight lines, one of which holds five commands


@pytest.mark.parametrize("line", RUNS, ids=lambda line: line.text)
def test_a_line_runs_as_written(line: Line, run: Run, node: StubNode) -> None:
    said = words(line)
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "channel": ("send", {"from": "agent0", "text": said[3]}),
        "loop": ("loop_create", {"prompt": said[-1], "every": {"15m": 900, "10m": 600}.get(said[2])}),
        "cron": ("cron_add", {"label": "morning-brief", "schedule": "0 11 * * *", "prompt": "/morning-brief"}),
    }
    node.verbs["send"] = lambda args: {"id": "i" * 32, "duplicate": False}
    node.verbs["loop_create"] = lambda args: {"id": "loop1", "target": "agent0", "interval_s": 900}
    entry = {
        "label": "morning-brief",
        "target": "agent0",
        "words": "At 11:00 every day",
        "next": [],
        "through_root": False,
    }
    node.verbs["cron_add"] = lambda args: entry | {"fault": None, "tz": "UTC"}
    ran = run(*said)
    assert (ran.code, ran.err) == (0, "")
    verb, expected = asked[said[0]]
    assert node.asked[0][0] == verb
    assert expected.items() <= node.asked[0][1].items()


@pytest.mark.parametrize("line", WAITS, ids=lambda line: line.text)
def test_a_line_that_does_not_run_is_one_sentence_and_exit_2(line: Line, run: Run) -> None:
    ran = run(*words(line))
    assert ran.code == 2
    assert ran.err.count("\n") == 2
    planned = any(words(line)[0] in verbs for verbs in LATER)
    assert ("does not have it yet" in ran.err) == planned == (line.reason != CHANNELS)


def test_what_runs_is_parsed_without_a_node_too() -> None:
    for line in RUNS:
        front, rest = split(words(line))
        command = find(commands(), rest)
        parse(command, rest[len(command.path) :], front)
