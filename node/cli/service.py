"""`netsky service install`, `status`, `beat`, `uninstall`."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from netsky.node.cli.lifecycle import outside
from netsky.node.cli.output import Output
from netsky.node.cli.text import visible
from netsky.node.errors import EXIT_DONE, EXIT_FAILED, NetskyError
from netsky.node.home import Home, check_permissions
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles
from netsky.node.service import here, power
from netsky.node.service.check import findings
from netsky.node.service.manager import Manager, State
from netsky.node.service.recipe import Recipe, differences
from netsky.node.up import down, running_pid


def install(args: Any, out: Output) -> int:
    outside(args, "service install")
    home = args.node.home
    check_permissions(home, RealFiles())
    manager = here.manager_of(home)
    before = here.read_file(manager)
    old = here.own_recipe(manager, before, home)
    recipe = here.recipe_here(home)
    text = manager.text(recipe)
    manager.reach()  # the last question before anything is changed
    change = "unchanged" if text == before else "updated" if old else "installed"
    heart = _write_heart(manager, recipe)
    if change != "unchanged":
        here.write_file(manager, text)
    elif heart == "updated":
        change = "updated"
    manager.load()
    was_running = manager.state().running == "running"
    taken_over = _run(home, manager, was_running=was_running)
    data = {
        "service": manager.name,
        "manager": manager.kind,
        "file": manager.file,
        "change": change,
        "differences": differences(old, recipe) if old else [],
        "pid": power.pid_of(home),
        "taken_over": taken_over,
        "restart_needed": was_running and text != before,
        "heart": sorted(manager.heart(recipe)),
        "lingers": here.lingers(here.user()),
    }
    summary = (
        f"{manager.name} is {'as it was' if change == 'unchanged' else change} and runs the node (pid {data['pid']})"
    )
    out.answer("service-install", summary, data, lambda: _say_installed(summary, data, out))
    return EXIT_DONE


def _write_heart(manager: Manager, recipe: Recipe) -> str:
    """The files of the second heart, as this version has them."""
    wrong = {path: text for path, text in manager.heart(recipe).items() if here.read_text(path) != text}
    for path, text in wrong.items():
        here.own_recipe(manager, here.read_text(path), Home(recipe.home))
        here.write_text(path, text)
    return "updated" if wrong else "unchanged"


def _run(home: Home, manager: Manager, *, was_running: bool) -> bool:
    """The service runs the node afterwards; True if one that ran without it was stopped, in order, for that."""
    if was_running:
        return False
    beside = running_pid(home) is not None
    if beside:
        down(home)
    power.start_service(home, manager)
    return beside


def _say_installed(summary: str, data: dict[str, Any], out: Output) -> None:
    out.line(summary)
    out.line(f"  file   {data['file']}")
    for path in data["heart"]:
        out.line(f"  heart  {path}")
    for sentence in data["differences"]:
        out.line(f"  new    {visible(sentence)}")
    if data["taken_over"]:
        out.notice("the node that ran without it was stopped in order first")
    if data["restart_needed"]:
        out.notice("the node that runs is the one from before; to start the new one: netsky restart")
    if data["lingers"] is False:
        out.notice(
            f"it runs while you are logged in; to have it from boot on: sudo loginctl enable-linger {here.user()}"
        )


def status(args: Any, out: Output) -> int:
    outside(args, "service status")
    home = args.node.home
    manager = here.manager_of(home)
    is_there = os.path.lexists(manager.file)
    found = findings(home)
    state = _state(manager) if is_there else None
    pid, given_up = running_pid(home), _given_up(home)
    data = {
        "service": manager.name,
        "manager": manager.kind,
        "file": manager.file,
        "installed": is_there,
        "state": None if state is None else state.running,
        "restarts": 0 if state is None else state.restarts,
        "pid": pid,
        "lingers": here.lingers(here.user()),
        "heart": _heart(manager) if is_there else None,
        "given_up": given_up,
        "findings": [finding._asdict() for finding in found],
    }
    node = "no node answers" if pid is None else f"the node answers (pid {pid})"
    service = "is not installed" if not is_there else state.running if state else "is installed, its state unknown"
    summary = f"{manager.name} {service}; {node}"

    def human() -> None:
        out.line(summary)
        if is_there:
            out.line(f"second heart: {data['heart']}")
        if given_up:
            out.wrapped(out.warn(f"given up: {visible(given_up)}"), 2)
        for finding in found:
            line = f"{finding.level:<5} {visible(finding.sentence)}"
            out.line(line if finding.level == "ok" else out.warn(line))
            if finding.next:
                out.line(f"      next: {finding.next}")
        if not is_there:
            out.notice("next: netsky service install")

    out.answer("service-status", summary, data, human)
    return EXIT_DONE


def _heart(manager: Manager) -> str:
    """What its timer does, in words."""
    try:
        manager.reach()
        return manager.heart_state() or "beats"
    except NetskyError:
        return "unknown"


def _given_up(home: Home) -> str | None:
    """What the second heart found: whoever keeps the node up has stopped trying."""
    from netsky.node.handoff.intent import GAVE_UP  # noqa: PLC0415
    from netsky.node.markers import Markers  # noqa: PLC0415

    marker = Markers(home, RealFiles()).get(GAVE_UP, RealTime().wall())
    return None if marker is None else marker.reason


def beat(args: Any, out: Output) -> int:
    """One look at the node, by the timer or by hand."""
    from netsky.node.service.beat import beat as look  # noqa: PLC0415

    outside(args, "service beat")
    found = look(args.node.home)
    decision = found.decision
    summary = found.failed or found.done or decision.said
    data = {"word": decision.word, "said": decision.said, "done": found.done, "failed": found.failed}
    out.answer(
        "service-beat", summary, data, lambda: _say_beat(summary, found.done or found.failed, decision.said, out)
    )
    return EXIT_FAILED if found.failed else EXIT_DONE


def _say_beat(summary: str, done: str, said: str, out: Output) -> None:
    """The timer runs it quietly: then what is well needs no line in the journal."""
    if done or not out.quiet:
        out.line(visible(summary))
    if done and done != said:
        out.notice(said)


def _state(manager: Manager) -> State | None:
    """None where it cannot be seen; why stands among the findings."""
    try:
        manager.reach()
        return manager.state()
    except NetskyError:
        return None


def uninstall(args: Any, out: Output) -> int:
    outside(args, "service uninstall")
    home = args.node.home
    manager = here.manager_of(home)
    already = not os.path.lexists(manager.file)
    if not already:
        here.own_recipe(manager, here.read_file(manager), home)
        manager.reach()
        manager.unload()
        for path in manager.heart(here.recipe_here(home)):
            with suppress(FileNotFoundError):
                os.unlink(path)
        os.unlink(manager.file)
        manager.forget()
    data = {"service": manager.name, "file": manager.file, "already": already}
    summary = f"there is no {manager.name}" if already else f"{manager.name} is gone, and the node it ran is stopped"
    out.answer("service-uninstall", summary, data)
    if not already:
        out.notice(f"{home.path} is as it was; to start the node without a service: netsky up")
    return EXIT_DONE
