"""`netsky demo`: the main job from end to end in a throw-away mesh of three nodes, by the commands that people type."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

from netsky.node.cli.output import Output
from netsky.node.config import with_line
from netsky.node.demo import plan
from netsky.node.demo.show import COMMAND_SECONDS, Show
from netsky.node.errors import NetskyError, TimedOut

MACHINES = ("netsky0", "netsky1", "netsky2")
KILLED = "netsky2"
LABELS = {"netsky1": "laptop", "netsky2": "build-box"}
VERSES = {
    "tide.txt": "The tide comes in, the tide goes out,\nit asks no one what it's about.\n",
    "gulls.txt": "The gulls keep count of every wave\nand none of them was ever saved.\n",
    "shore.txt": "What comes, comes once. What goes, is gone.\nThe shore keeps only what lives on.\n",
    "bell.txt": "A bell was rung. It rang once more\nfor him who slept when it rang before.\n",
    "rope.txt": "Two hands, one rope: the first lets go\nonly when the second says so.\n",
    "lamp.txt": "The lamp went out at half past three.\nThe keeper lit it. So did we.\n",
    "ship.txt": "The ship that sank came home in part;\nthe part that came was cargo, chart\nand every letter, dry.\n",
    "harbour.txt": "One harbour master reads the list\nand knows what came, and what was missed.\n",
}
WORDS = sum(len(text.split()) for text in VERSES.values())
QUESTION = "How many words are in this repository?"
ANSWER_SECONDS = 40.0
_LOOK_SECONDS = 0.05

_MANAGER = "netsky.node.demo.manager"
_WORKER = "netsky.node.demo.counter"
_ANSWERED = "SELECT in_reply_to FROM messages WHERE sender = 'agent0@netsky2'"
_HANDED_OUT = "SELECT id FROM messages WHERE recipient = 'agent0@netsky2' ORDER BY seq"


def demo(args: argparse.Namespace, out: Output) -> int:
    show = Show(tempfile.mkdtemp(prefix="netsky-demo-"), MACHINES, quiet=out.json)
    started = time.monotonic()
    told = False
    try:
        found = tell(show)
        told = True
    finally:
        show.end(running=args.keep and told, files=args.keep)
    found["seconds"] = round(time.monotonic() - started, 1)
    found["homes"] = show.homes if args.keep else None

    def human() -> None:
        out.line(f"\n{found['answer']}: as it should be. Done in {found['seconds']} s.")
        if args.keep:
            out.line("The three nodes are up:")
            for home in show.homes.values():
                out.line(f"    netsky --home {home} status")
            out.line(f"To end it: `down` in place of `status` for each, then remove {show.folder}")
        else:
            out.line("Everything of it is stopped and removed.")
        out.line("yours: netsky init --root, netsky up, netsky help start")

    summary = f"{found['words']} words counted by two machines, one killed in the middle; nothing was lost"
    out.answer("demo", summary, found, human)
    return 0


def tell(show: Show) -> dict[str, Any]:
    """The story. Returns what a test can check."""
    show.title("Three machines: each a node with a home of its own, joined by invitation")
    build_mesh(show)
    show.title("The same manager on each; on the two siblings a worker that counts the words of one file")
    fence = add_actors(show)
    show.title("The owner asks agent0@netsky0, which hands a brief for each file to the siblings' agent0")
    asked = show.ask("netsky0", "send", "agent0", QUESTION)["id"]
    show.title(f"In the middle of it, {KILLED} is killed")
    open_briefs = kill_in_the_middle(show)
    show.say(f"{len(open_briefs)} briefs were open there. It is started again:")
    show.run(KILLED, "up")
    show.title("The answer, up the chain: worker, agent0 of its node, agent0@netsky0, owner")
    reply = answer(show, asked)
    show.title(f"What happened to one brief that {KILLED} had in hand when it died")
    traced = open_briefs[-1]
    show.run("netsky0", "trace", traced)
    show.run(KILLED, "trace", traced)
    show.title("Where to look")
    where_to_look(show)
    show.title("A plan of six tickets over the three: one fails once, one loses its machine, two come after the others")
    planned = plan.act(show, sum(len(VERSES[f"{name}.txt"].split()) for name in ("tide", "gulls", "shore", "bell")))
    return {
        "answer": reply["text"],
        "words": int(reply["text"].split()[0]),
        "expected": WORDS,
        "request": asked,
        "reply": reply["id"],
        "traced": traced,
        "open_when_killed": len(open_briefs),
        "fence": fence,
        "plan": planned,
    }


def build_mesh(show: Show) -> None:
    show.run("netsky0", "init", "--root")
    configure(show.homes["netsky0"], "link", "bind", value="127.0.0.1:0")  # nobody else gets to it
    configure(show.homes["netsky0"], "work", "unsandboxed", value=True)  # counts where there is no sandbox at all
    show.run("netsky0", "up")
    for machine, label in LABELS.items():
        ticket = show.ask("netsky0", "invite", label)["ticket"]
        show.run(machine, "join", "--yes", ticket)
        configure(show.homes[machine], "work", "unsandboxed", value=True)
        show.run(machine, "up")


def configure(home: str, section: str, name: str, *, value: object) -> None:
    config = os.path.join(home, "config.toml")
    with open(config, encoding="utf-8") as file:
        text = file.read()
    with open(config, "w", encoding="utf-8") as file:
        file.write(with_line(text, section, name, value))


def add_actors(show: Show) -> str:
    """Which fence they are behind, "none" if this system has none."""
    make_repository(show.repository)
    show.say(f"a small repository to work on: {show.repository}, {len(VERSES)} files")
    fence = str(show.look("netsky0", "status").get("fence", "none"))
    if fence == "none":
        show.say("this system offers no fence, so programs run with the operator's own rights, confirmed by name")
    hands = {"netsky0": [f"agent0@{machine}" for machine in LABELS]} | {machine: ["worker1"] for machine in LABELS}
    for machine, names in hands.items():
        for actor in ["worker1", "agent0"] if machine in LABELS else ["agent0"]:
            add = ["agent", "add", actor, "--cwd", show.repository]
            add += ["--unfenced", "--confirm", actor] if fence == "none" else []
            add += ["--mode", "per-envelope"] if actor == "worker1" else []
            program = [_WORKER] if actor == "worker1" else [_MANAGER, *names]
            show.run(machine, *add, "--", sys.executable, "-m", *program)
    return fence


def kill_in_the_middle(show: Show) -> list[str]:
    """Once it has answered something and not everything. Returns the ids of the briefs that it had not answered."""
    share = len(VERSES) // len(LABELS)
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        answered = {row[0] for row in show.look("netsky0", "query", _ANSWERED)["rows"]}
        if answered and len(answered) < share:
            handed_out = [str(row[0]) for row in show.look("netsky0", "query", _HANDED_OUT)["rows"]]
            show.kill(KILLED)
            return [brief for brief in handed_out if brief not in answered]
        if time.monotonic() > deadline or len(answered) >= share:
            raise _stuck(show, f"{KILLED} was not met in the middle of its work")
        time.sleep(_LOOK_SECONDS)


def answer(show: Show, asked: str) -> dict[str, Any]:
    """What the owner gets, and that it is right."""
    waiting = ("wait", "reply", asked, "--timeout", f"{ANSWER_SECONDS:.0f}")
    show.say(f"netsky0$ netsky {' '.join(waiting)}")
    try:
        reply: dict[str, Any] = show.look("netsky0", *waiting, hold=False)["reply"]
    except NetskyError as error:
        raise _stuck(show, error.message) from None
    show.say(f"{reply['from']} answers the owner: {reply['text']}")
    if reply["text"].split()[0] != str(WORDS):
        raise _stuck(show, f"the right answer is {WORDS} words")
    return reply


def where_to_look(show: Show) -> None:
    show.say(f"files   {show.folder}/<node>/channels/<actor>/{{inbox,claimed,archive,quarantine,outbox}}")
    show.say(f"log     {show.folder}/<node>/logs/node.log, and <actor>.log beside it")
    show.run("netsky0", "nodes")
    show.run("netsky0", "query", "SELECT sender, recipient, kind, count(*) AS n FROM messages GROUP BY 1, 2, 3")


def _stuck(show: Show, what: str) -> TimedOut:
    """The logs of all who take part stand above the error."""
    for machine in MACHINES:
        show.run(machine, "agent", "logs", "agent0")
    return TimedOut(f"{what}; the logs stand above", next="netsky demo --keep, and look into the homes that it names")


def make_repository(folder: str) -> None:
    os.makedirs(folder)
    for name, text in VERSES.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    if shutil.which("git"):
        who = ["-c", "user.name=netsky demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"]
        for command in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-q", "-m", "Verses"]):
            subprocess.run(["git", "-C", folder, *command], check=True, timeout=COMMAND_SECONDS, capture_output=True)
