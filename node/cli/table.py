"""The command table: every command, argument and option as data.

Parser, help, completion scripts, primer, schemas' names and the tests are all made from it, so that a command cannot
exist without a summary, an example and a place in the overview. A handler is named by "module:function" and imported
only when its command runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Argument(NamedTuple):
    name: str
    help: str
    many: str = "one"  # "one", "optional", "some" (one or more), "any"
    completes: str = ""  # what the shell offers here: "actor", "file", "topic", or words separated by spaces
    is_number: bool = False


class Option(NamedTuple):
    flags: tuple[str, ...]
    help: str
    value: str = ""  # the name of its value in help; none for a switch
    choices: tuple[str, ...] = ()
    completes: str = ""
    form: str = "text"
    """How the value is read: text, token, count, number, duration (seconds), json; pairs, words (may be repeated)."""
    bare: str = ""  # the value when the flag stands alone (`--wait` beside `--wait=5`)
    least: float = 0  # of a count, a number or a duration
    most: float | None = None

    @property
    def name(self) -> str:
        return self.flags[-1].lstrip("-").replace("-", "_")


class Command(NamedTuple):
    path: tuple[str, ...]
    summary: str
    handler: str
    topic: str
    examples: tuple[str, ...]
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    description: str = ""
    rest: str = ""  # the name of what stands after `--`, given to the handler as a list
    primer: str = ""  # what an agent needs to know about it, in one line; most commands have none
    schema: str = ""  # the schema of its answers when another command already has it

    @property
    def words(self) -> str:
        return " ".join(self.path)

    @property
    def primary(self) -> bool:
        """Listed in the overview; a second name of a command is not."""
        return not self.schema

    @property
    def schema_name(self) -> str:
        return self.schema or "-".join(self.path)


GLOBAL_OPTIONS = (
    Option(("--home",), "the node's folder (else NETSKY_HOME, else ~/.netsky)", value="FOLDER", completes="file"),
    Option(("--json",), "answer as JSON, for programs"),
    Option(("-q", "--quiet"), "only the answer, no notices"),
    Option(("--no-color",), "plain text (NO_COLOR does the same)"),
)

GROUPS = {
    "channel": "the bus: send, read, acknowledge",
    "dead": "what was sent and did not arrive",
    "envelope": "look at one envelope and check its seal",
    "agent": "the actors of this node and their programs",
    "task": "tickets: what is to be done, who has it, what became of it",
    "commit": "what the committer did, what waits for a person, and taking it back",
    "cron": "what this node says to its actors at set times",
    "loop": "what it says to them again and again",
    "bench": "measure this machine",
    "owner": "what you say to the mesh, and what it asks you",
    "service": "let this machine start the node and keep it up",
}
"""First words that are no command by themselves."""


def group_help(group: str, table: Mapping[tuple[str, ...], Command]) -> str:
    lines = [f"netsky {group}: {GROUPS[group]}", ""]
    lines += [f"  {command.words:<24}{command.summary}" for path, command in table.items() if path[0] == group]
    return "\n".join([*lines, "", f"One of them: netsky {group} NAME -h"]) + "\n"


TOPICS = (
    ("node", "The node"),
    ("bus", "Messages"),
    ("look", "What happened"),
    ("actors", "Actors"),
    ("mesh", "The mesh"),
    ("work", "Work"),
    ("time", "Time"),
    ("watch", "Watching"),
    ("owner", "The owner"),
    ("help", "Help and tools"),
)
"""The order of the overview."""

LATER = (
    ("root",),
    ("clone", "ai"),
)
"""First words that the design names and this version does not have."""


def commands() -> dict[tuple[str, ...], Command]:
    """Every command by its path, in the order of the files and within them."""
    from netsky.node.cli.commands import (  # noqa: PLC0415 - the files import this one
        actors,
        bus,
        commits,
        look,
        mesh,
        node,
        owner,
        time,
        tools,
        watch,
        work,
    )

    parts = (node, bus, look, actors, mesh, work, commits, time, watch, owner, tools)
    return {command.path: command for part in parts for command in part.COMMANDS}
