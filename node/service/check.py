"""What `netsky doctor` and `netsky service status` find about the service of a home. It changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

from netsky.node.errors import Conflict, NetskyError, Unreachable
from netsky.node.home import Home
from netsky.node.service.here import installed, own_recipe, read_file, read_text, recipe_here
from netsky.node.service.manager import Manager, State
from netsky.node.service.recipe import Recipe, absolute_folders, differences
from netsky.node.up import running_pid

INSTALL = "netsky service install"


class Finding(NamedTuple):
    level: Literal["ok", "warn", "fail"]
    sentence: str
    next: str = ""


def findings(home: Home) -> list[Finding]:
    """Nothing where this home has no service."""
    manager = installed(home)
    if manager is None:
        return []
    try:
        text = read_file(manager)
        recipe = own_recipe(manager, text, home)
    except Conflict as foreign:
        return [Finding("warn", foreign.message, foreign.next)]
    if recipe is None:
        return [Finding("fail", f"{manager.file} leads nowhere", INSTALL)]
    found = [*_baked(recipe, recipe_here(home)), *_manager(manager, home)]
    if text != manager.text(recipe):
        said = f"{manager.file} is not as this version writes it: changed by hand, or by another version"
        found.append(Finding("warn", said, f"{INSTALL} writes it anew"))
    found += _heart(manager, recipe)
    return found or [Finding("ok", f"{manager.name} runs this node, with the programs that this shell finds")]


def _baked(recipe: Recipe, shell: Recipe) -> Iterator[Finding]:
    """First what is gone, which will fail; then what differs, which may surprise."""
    gone = {name for name, path in recipe.programs.items() if not os.access(path, os.X_OK)}
    for name in sorted(gone):
        level: Literal["warn", "fail"] = "fail" if recipe.programs[name] == recipe.command[0] else "warn"
        yield Finding(level, f"{name}: {recipe.programs[name]}, which the service uses, is gone", INSTALL)
    there = {folder for folder in absolute_folders(shell.path) if os.path.isdir(folder)}
    for sentence in differences(recipe, _only(shell, there)):
        if sentence.partition(":")[0] not in gone:
            yield Finding("warn", sentence, f"{INSTALL} takes over what this shell finds")


def _only(shell: Recipe, there: set[str]) -> Recipe:
    """Without the folders of PATH that do not exist: they make no difference."""
    path = ":".join(folder for folder in absolute_folders(shell.path) if folder in there)
    return Recipe(shell.home, shell.command, path, shell.programs, shell.no_new_privileges)


def _manager(manager: Manager, home: Home) -> Iterator[Finding]:
    try:
        manager.reach()
        state = manager.state()
    except Unreachable as error:
        yield Finding("warn", f"whether the service runs cannot be seen: {error.message}", error.next)
        return
    except NetskyError as error:
        yield Finding("fail", error.message, error.next)
        return
    yield from _state(manager, state, running_pid(home))


def _heart(manager: Manager, recipe: Recipe) -> Iterator[Finding]:
    """The timer that notices a node that hangs."""
    texts = {path: read_text(path) for path in manager.heart(recipe)}
    if None in texts.values():
        yield Finding("warn", "nothing outside notices when this node hangs: the second heart is missing", INSTALL)
        return
    if texts != manager.heart(recipe):
        said = "the second heart is not as this version writes it: changed by hand, or by another version"
        yield Finding("warn", said, f"{INSTALL} writes it anew")
    try:
        manager.reach()
        state = manager.heart_state()
    except NetskyError:
        return  # said above, of the service itself
    if state:
        yield Finding("warn", f"the timer of the second heart does not run ({state})", INSTALL)


def _state(manager: Manager, state: State, pid: int | None) -> Iterator[Finding]:
    if state.running == "failed":
        yield Finding("fail", f"{manager.name} gave up: {state.said}", "netsky up, when the cause is gone")
    elif state.running == "not loaded" and manager.kind == "systemd":
        yield Finding("fail", f"systemd does not know {manager.name}", INSTALL)
    elif pid is not None and state.running in ("stopped", "not loaded"):
        yield Finding("warn", f"the node (pid {pid}) runs beside its service {manager.name}", "netsky restart")
    elif state.running == "waits":
        yield Finding("warn", f"{manager.name} failed and will be started again: {state.said}", "netsky service status")
