"""The second act of the demo: a plan of six tickets over the three machines, with a failure and a death in it, and the
branch that comes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netsky.node.demo.show import COMMAND_SECONDS, Show
from netsky.node.errors import TimedOut

PLAN_SECONDS = 40.0
BRANCH = "counted"
SLOW = "shore"
FAILS = "gulls"
KILLED = "netsky2"
_LOOK_SECONDS = 0.1
_DONE_FOR = {"exit_1": "failed once, and was tried again", "node_died": "its machine died, and it was tried again"}


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    script: str
    node: str
    after: tuple[str, ...] = ()
    criteria: str = ""

    @property
    def title(self) -> str:
        return {"sum": "Add them up", "tell": "Say it in words"}.get(self.name, f"Count {self.name}.txt")


def steps(words: int) -> list[_Step]:
    """`words`: how many there are in the files that are counted."""
    fails = "[ $NETSKY_TRY = 1 ] && { echo 'not yet' >&2; exit 1; }; "
    return [
        _Step("tide", "wc -w < tide.txt > counts/tide", "netsky0"),
        _Step(FAILS, f"{fails}wc -w < gulls.txt > counts/gulls", "netsky1"),
        _Step(SLOW, "sleep 2; wc -w < shore.txt > counts/shore", KILLED),
        _Step("bell", "wc -w < bell.txt > counts/bell", "netsky1"),
        _Step(
            "sum", "cat counts/* | paste -sd+ | sed 's/^/echo $((/; s/$/))/' | sh > counts/sum", "netsky0",
            ("tide", FAILS, SLOW, "bell"), f"test $(cat counts/sum) = {words}",
        ),
        _Step("tell", 'echo "$(cat counts/sum) words" > counts/README', "netsky1", ("sum",), "test -s counts/README"),
    ]  # fmt: skip


def act(show: Show, words: int) -> dict[str, Any] | None:
    """What a test can check; None where there is no git."""
    if shutil.which("git") is None:
        show.say("git is not installed here, so that this part is left out")
        return None
    path = os.path.join(show.folder, "plan.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(_plan(words))
    for line in _plan(words).splitlines()[:14]:
        show.say(f"    {line}")
    show.say("    …")
    run = str(show.ask("netsky0", "run", path, "--no-wait")["run"]["id"])
    show.say(f"{run} is on its way")
    _until(show, run, lambda tickets: tickets[SLOW]["state"] == "leased")
    show.say(f"{KILLED} is at work on {SLOW}:")
    show.kill(KILLED)
    show.run(KILLED, "up")
    _until(show, run, lambda tickets: all(one["state"] == "committed" for one in tickets.values()))
    show.run("netsky0", "task", "show", f"{run}.{SLOW}")
    return _summary(show, run)


def _plan(words: int) -> str:
    text = f"""name = "count"
repository = "repository"
base = "main"
branch = "{BRANCH}"

[defaults]
runtime = "command"
"""
    for step in steps(words):
        text += f"""
[[ticket]]
id = "{step.name}"
title = "{step.title}"
command = ["sh", "-c", '''mkdir -p counts; {step.script}''']
permission_scope = {{ fs_write = ["counts/"] }}
idempotency_key = "count-{step.name}"
on = ["{step.node}"]
"""
        if step.after:
            names = ", ".join(f'"{name}"' for name in step.after)
            text += f"after = [{names}]\nsuccess_criteria = ['''{step.criteria}''']\n"
    return text


def _until(show: Show, run: str, done: Any) -> None:
    deadline = time.monotonic() + PLAN_SECONDS
    while True:
        tickets = _tickets(show, run)
        if done(tickets):
            return
        if time.monotonic() > deadline or any(one["state"] in {"blocked", "dead"} for one in tickets.values()):
            show.run("netsky0", "task", "ls", "--run", run)
            raise TimedOut(
                f"{run} did not come to its end", next="netsky demo --keep, and look into the homes that it names"
            )
        time.sleep(_LOOK_SECONDS)


def _tickets(show: Show, run: str) -> dict[str, dict[str, Any]]:
    found = show.look("netsky0", "task", "ls", "--run", run, hold=False)["tickets"]
    return {one["id"].rpartition(".")[2]: one for one in found}


def _summary(show: Show, run: str) -> dict[str, Any]:
    commits = {one["key"]: one["commit"] for one in show.look("netsky0", "commit", "log")["commits"]}
    rows, whys = [("ticket", "on", "commit", "what happened")], {}
    for name, ticket in _tickets(show, run).items():
        story = show.look("netsky0", "task", "show", ticket["id"])["story"]
        whys[name] = [step["code"] for step in story if step["event"] == "again"]
        said = ", ".join(_DONE_FOR.get(code, code) for code in whys[name]) or "done at once"
        rows.append((name, ticket["node"], commits[f"count-{name}"][:12], said))
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    for row in rows:
        show.say("    " + "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())
    branch = _git(show, "log", "--format=%h %s", BRANCH, "--", "counts")
    show.say(f"the branch {BRANCH}, {len(branch)} commits, one for each key:")
    for line in branch:
        show.say(f"    {line}")
    said = _git(show, "show", f"{BRANCH}:counts/README")[0]
    return {"run": run, "commits": len(branch), "again": _codes(whys), "said": said}


def _codes(whys: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: codes for name, codes in whys.items() if codes}


def _git(show: Show, *words: str) -> list[str]:
    """What is in the repository of netsky0, in which it commits."""
    folder = os.path.join(show.homes["netsky0"], "repos")
    [bare] = [name for name in os.listdir(folder) if name.endswith(".git")]
    done = subprocess.run(
        ["git", "--git-dir", os.path.join(folder, bare), *words],
        check=True, capture_output=True, text=True, timeout=COMMAND_SECONDS,
    )  # fmt: skip
    return done.stdout.splitlines()
