"""`netsky demo`: the main job from end to end in a throw-away home, by the very commands that a person would type."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from netsky.node.cli.output import Output
from netsky.node.errors import NetskyError
from netsky.node.home import Home

POEM = """The tide comes in, the tide goes out,
it asks no one what it's about.
The gulls keep count of every wave
and none of them was ever saved.
What comes, comes once. What goes, is gone.
The shore keeps only what lives on.
"""
README = "# A small repository\n\nIt holds one poem. A worker will count its lines.\n"
COMMAND_SECONDS = 60.0
REPLY_SECONDS = 30.0


def demo(args: argparse.Namespace, out: Output) -> int:
    folder = tempfile.mkdtemp(prefix="netsky-demo-")
    show = Show(folder, quiet=out.json)
    started = time.monotonic()
    try:
        found = tell(show)
    finally:
        show.end(keep=args.keep)
    found["seconds"] = round(time.monotonic() - started, 1)
    found["home"] = show.home if args.keep else None

    def human() -> None:
        kept = f"kept: netsky --home {show.home} up" if args.keep else "everything of it is removed"
        out.line(f"\ndone in {found['seconds']} s; {kept}")
        out.line("yours: netsky init --root, netsky up, netsky help start")

    out.answer("demo", f"worker1 counted {found['count']} lines", found, human)
    return 0


def tell(show: Show) -> dict[str, Any]:
    """The story. Returns what a test can check."""
    show.title("A small repository, made for this demo")
    make_repository(show.repository)
    show.say(f"{show.repository}: README.md, poem.txt")

    show.title("A node: one daemon, its own bus of plain files, its own meta.db")
    show.run("init", "--root")
    show.run("up")

    show.title("A worker: any program that reads an envelope and answers")
    program = [sys.executable, "-m", "netsky.node.demo.counter"]
    status = show.ask("status")
    fence = status.get("fence", "none")
    add = ["agent", "add", "worker1", "--mode", "per-envelope", "--cwd", show.repository]
    if fence == "none":
        show.say("this system offers no fence, so the worker runs with the operator's own rights, confirmed by name")
        add += ["--unfenced", "--confirm", "worker1"]
    show.run(*add, "--", *program)

    show.title("agent0 hands out work; the answer comes back the same way")
    work = ["Count the lines of poem.txt.", "--from", "agent0", "--kind", "brief", "--data", '{"file": "poem.txt"}']
    sent = show.ask("send", "worker1", *work)
    reply = wait_for_reply(show, sent["id"])
    count = int(reply["text"].split()[-2])
    show.run("channel", "ack", "agent0", reply["id"])

    show.title("What happened, step by step")
    show.run("trace", sent["id"])

    show.title("Where to look")
    channels = os.path.join(show.home, "channels")
    show.say(f"files   {channels}/<actor>/{{inbox,claimed,archive,quarantine,outbox}}")
    show.say('rows    netsky query "SELECT id, sender, recipient, kind FROM messages"')
    show.run("query", "SELECT id, sender, recipient, kind FROM messages ORDER BY seq")
    return {"count": count, "expected": POEM.count("\n"), "request": sent["id"], "reply": reply["id"], "fence": fence}


def wait_for_reply(show: Show, request: str) -> dict[str, Any]:
    deadline = time.monotonic() + REPLY_SECONDS
    while time.monotonic() < deadline:
        for line in show.lines("channel", "drain", "agent0", "--json"):
            envelope: dict[str, Any] = line["data"]["envelope"]
            if envelope.get("in_reply_to") == request:
                show.say(f"{envelope['from']} answers agent0: {envelope['text']}")
                return envelope
        time.sleep(0.1)
    show.run("agent", "logs", "worker1")
    raise NetskyError(
        f"worker1 did not answer within {REPLY_SECONDS:.0f} s; its log stands above",
        next="netsky demo --keep, and look into the home that it names",
    )


def make_repository(folder: str) -> None:
    os.makedirs(folder)
    for name, text in (("README.md", README), ("poem.txt", POEM)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    if shutil.which("git"):
        who = ["-c", "user.name=netsky demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"]
        for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "A poem"]):
            subprocess.run(["git", "-C", folder, *command], check=True, timeout=COMMAND_SECONDS, capture_output=True)


class Show:
    """Types the commands, shows them and their answers, and cleans up whatever happens."""

    def __init__(self, folder: str, *, quiet: bool) -> None:
        self.folder = folder
        self.home = os.path.join(folder, "home")
        self.repository = os.path.join(folder, "repository")
        self._environ = _environment(os.path.join(folder, "user"))
        self._quiet = quiet

    def title(self, text: str) -> None:
        self.say(f"\n== {text}")

    def say(self, text: str) -> None:
        if not self._quiet:
            print(text, flush=True)

    def run(self, *command: str) -> None:
        """A command whose answer people read."""
        self._type(command)
        self.say(self._finish(command).stdout.rstrip())

    def ask(self, *command: str) -> dict[str, Any]:
        """A command whose answer the story needs: the data of its --json answer."""
        self._type(command)
        data: dict[str, Any] = json.loads(self._finish((*command[:1], "--json", *command[1:])).stdout)["data"]
        return data

    def lines(self, *command: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._finish(command).stdout.splitlines() if line.strip()]

    def end(self, *, keep: bool) -> None:
        """The daemon is stopped and all that was made is removed, on Ctrl-C too."""
        with held_signals():
            self._start_and_wait(("down",))
            if not keep:
                # A long path of the home puts the sockets elsewhere, and only the home says where.
                shutil.rmtree(Home.find(self.home).runtime_folder, ignore_errors=True)
                shutil.rmtree(self.folder, ignore_errors=True)

    def _type(self, command: tuple[str, ...]) -> None:
        shown = " ".join(_quoted(word) for word in command)
        self.say(f"$ netsky {shown}")

    def _argv(self, command: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "netsky.node.cli.main", "--home", self.home, *command]

    def _finish(self, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        with held_signals():
            done = self._start_and_wait(command)
        if done.returncode != 0:
            raise NetskyError(
                f"`netsky {' '.join(command)}` ended with exit code {done.returncode}: {done.stderr.strip()[-500:]}",
                next="netsky demo --keep, then netsky doctor with the home that it names",
            )
        return done

    def _start_and_wait(self, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._argv(command),
            check=False,
            timeout=COMMAND_SECONDS,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=self._environ,
            start_new_session=True,  # a Ctrl-C at the terminal is for the demo, not for the command that it waits for
        )


def _environment(user: str) -> dict[str, str]:
    """A throw-away home of the user, too: a fence makes folders there that it would leave behind in the real one."""
    os.mkdir(user)
    packages = {"PYTHONUSERBASE": base} if (base := site.getuserbase()) else {}
    return {**os.environ, **packages, "HOME": user, "TMUX_TMPDIR": user}


@contextmanager
def held_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal wait for the end of the block: a daemon whose `up` was killed lives on."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda caught, _frame: came.append(caught))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _quoted(word: str) -> str:
    if word == sys.executable:
        return "python"
    return (
        word
        if word and all(char.isalnum() or char in "-_./@:=" for char in word)
        else "'" + word.replace("'", "'\\''") + "'"
    )
