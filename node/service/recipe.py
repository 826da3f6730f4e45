"""What a service file is made from: facts of the shell in which it was installed. Pure; the texts are made from it.

Each file carries its recipe as one line of JSON in a comment, so that what was baked in can be compared later without
reading the syntax of a service manager back.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from netsky.node.daemon.exits import EXIT_UNUSABLE
from netsky.node.errors import EXIT_CONFLICT, EXIT_NOT_FOUND, EXIT_REFUSED, EXIT_USAGE, Usage

FILE_BYTES_MAX = 256 * 1024
"""A service file of ours is some two kilobytes; a PATH may be long."""

RESTARTS_MAX = 3
RESTART_WINDOW_SECONDS = 600
RESTART_WAIT_SECONDS = 2
"""A node that fails is started again three times within ten minutes; what fails more often needs a person."""

START_SECONDS_MAX = 90
"""Until it says that it serves: a start after a crash checks the whole database."""

BEAT_SECONDS_MAX = 300
"""For one look of the second heart: an end with its deadlines, a start that checks the whole database, a page."""

FOR_A_PERSON = (EXIT_USAGE, EXIT_NOT_FOUND, EXIT_REFUSED, EXIT_CONFLICT, EXIT_UNUSABLE)
"""Exit numbers after which starting again changes nothing: a fault in the config, no home, others can read the home,
another node runs here, the database cannot be used."""

ENDED_BY_SIGNAL = (130, 143)
"""A second Ctrl-C or SIGTERM: somebody wanted it to end."""

_LINE = re.compile(r"netsky-recipe: (\{.*\})")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Recipe:
    home: str
    command: tuple[str, ...]
    """What starts the node, by absolute path; it goes on with the words of `start_words`."""
    path: str
    """PATH of the installing shell, for the programs of actors."""
    programs: Mapping[str, str] = field(default_factory=dict)
    """Name → absolute path of what the node and its actors need, as that shell found it; what it did not is absent."""
    no_new_privileges: bool = True
    """False where bubblewrap is setuid root: it could not put up a fence then."""

    def __post_init__(self) -> None:
        for what, text in (("home", self.home), ("program", "".join(self.command)), ("PATH", self.path)):
            if found := _UNFIT.search(text):
                raise Usage(
                    f"the {what} {text[:200]!r} holds {found.group()!r}, which no service file can carry",
                    next=f"use a {what} without it",
                    code="unfit_for_a_service",
                )
        if "$" in self.command[0]:  # no service manager has one way to write that for a program
            raise Usage(
                f"the program {self.command[0]!r} lies under a name with a dollar sign",
                next="install netsky elsewhere: deploy/install.sh",
                code="unfit_for_a_service",
            )

    @property
    def start_words(self) -> tuple[str, ...]:
        """The whole command line: stays in the foreground, and leaves logging to the log file."""
        return (*self.command, "--home", self.home, "--quiet", "up", "--foreground")

    @property
    def beat_words(self) -> tuple[str, ...]:
        """What the timer runs."""
        return (*self.command, "--home", self.home, "--quiet", "service", "beat")

    @property
    def line(self) -> str:
        """Without two dashes in a row, which an XML comment may not hold."""
        return "netsky-recipe: " + json.dumps(asdict(self), sort_keys=True).replace("--", "-\\u002d")


def read_recipe(text: str) -> Recipe | None:
    """The recipe that a service file carries; None if it is not one of ours."""
    found = _LINE.search(text)
    if found is None:
        return None
    try:
        said = json.loads(found.group(1))
        programs = {str(name): str(path) for name, path in said["programs"].items()}
        command = tuple(str(word) for word in said["command"])
        return Recipe(str(said["home"]), command, str(said["path"]), programs, bool(said["no_new_privileges"]))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, Usage):
        return None


def service_name(home: str, standard_home: str) -> str:
    """`netsky` for the usual home; for another one its folder's name and a mark of its whole path."""
    if home == standard_home:
        return "netsky"
    plain = re.sub(r"[^a-z0-9]+", "-", os.path.basename(home).lower()).strip("-")[:24]
    mark = hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
    return "-".join(part for part in ("netsky", plain, mark) if part)


def absolute_folders(path: str) -> tuple[str, ...]:
    """The folders of a PATH that mean the same from everywhere, each once."""
    return tuple(dict.fromkeys(folder for folder in path.split(":") if folder.startswith("/")))


def differences(service: Recipe, shell: Recipe) -> list[str]:
    """What the service would find elsewhere, or not at all, as sentences."""
    found = []
    for name in sorted({*service.programs, *shell.programs}):
        there, here = service.programs.get(name), shell.programs.get(name)
        if there != here:
            told = f"is {there}" if there else "was not there when it was installed"
            found.append(f"{name}: for the service it {told}, in this shell it is {here or 'not found'}")
    known = absolute_folders(service.path)
    if more := [folder for folder in absolute_folders(shell.path) if folder not in known]:
        shown = ", ".join(more[:3]) + (f" and {len(more) - 3} more" if len(more) > 3 else "")
        found.append(f"PATH: this shell looks into {shown}, the service does not")
    return found
