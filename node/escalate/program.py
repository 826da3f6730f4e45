"""`netsky escalate`: the short way to the owner, a program of its own.

It works with the daemon hung, the database locked and the disk full, because it asks none of them: it reads one
setting, runs one command, and says by its exit code whether that took it. On a sibling the way is netsky0, by one
request to the own daemon; a daemon that is dead or hangs leaves a marker, and the deputy alone may then use its own
command. It imports the standard library and this folder, nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from netsky.node.escalate import failed, hook, place, wording
from netsky.node.escalate.ask import NoAnswer, ask
from netsky.node.escalate.limits import PAUSES, STDIN_BYTES_MAX, STDIN_SECONDS, TRIES
from netsky.node.escalate.place import Place

OWNER = "owner@netsky0"
WATCHDOG = "agentinfinity"
NO_NETSKY0 = "unknown_node"
IN_HOOK = "NETSKY_SUBJECT"
"""Set for the owner's command: whoever finds it set runs inside one."""

_EXITS = {"usage": 2, "no_home": 3, "no_owner_command": 3, "not_running": 4, "in_hook": 5, "timed_out": 6}
_SET = 'set command = ["PROGRAM"] under [owner] in {}/config.toml: netsky help escalation'


class Failed(Exception):
    """It reached nobody, as far as is known."""

    def __init__(self, code: str, sentence: str, next_step: str, exit_code: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.next = next_step
        self.exit = exit_code or _EXITS.get(code, 1)


@dataclass(frozen=True, slots=True)
class Word:
    """What is to be said, and how it was asked for."""

    subject: str
    body: str
    is_silent_root: bool = False
    is_test: bool = False


@dataclass(slots=True)
class Said:
    way: str = ""
    """hook or netsky0."""
    summary: str = ""
    tries: int = 0
    id: str | None = None
    output: str = ""
    notices: list[str] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    """`argv` as after `netsky`: global options may stand before the word `escalate`, which may be missing."""
    began = time.monotonic()
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    said = Said()
    try:
        args = _parse(words)
        _run(args, os.environ, said)
    except Failed as error:
        _tell_failure(error, said, as_json=as_json)
        return error.exit
    except KeyboardInterrupt:
        return 130
    took = round((time.monotonic() - began) * 1000)
    if as_json:
        data = {"way": said.way, "tries": said.tries, "took_ms": took, "id": said.id, "output": said.output}
        _print_json("escalate", {"ok": True, "summary": said.summary}, {"data": data | {"notices": said.notices}})
    else:
        _notices(said, quiet=args.quiet)
        sys.stdout.write(said.summary + "\n")
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Failed("usage", f"netsky escalate: {message}", "netsky escalate -h")


def _parse(words: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="netsky escalate", allow_abbrev=False, description="Tells the owner, by the shortest way.")
    parser.add_argument("subject", metavar="SUBJECT", nargs="?", help="one line")
    parser.add_argument("body", metavar="BODY", nargs="?", help="more text; - reads it from standard input")
    parser.add_argument("--test", action="store_true", help="prove the way with a word that says it is a test")
    parser.add_argument("--silent-root", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--home", metavar="FOLDER", help="the node's folder (else NETSKY_HOME, else ~/.netsky)")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="only the answer")
    parser.add_argument("--no-color", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_intermixed_args(_without_verb(words))
    fixed = args.test or args.silent_root
    if fixed == bool(args.subject) or (fixed and args.body):
        parser.error("give a SUBJECT, or --test without one")
    return args


def _without_verb(words: list[str]) -> list[str]:
    at = verb_at(words)
    return words if at is None else [*words[:at], *words[at + 1 :]]


def verb_at(words: Sequence[str]) -> int | None:
    """Where the word `escalate` stands as the command, behind global options alone."""
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "--":
        at += 2 if words[at] == "--home" else 1
    return at if at < len(words) and words[at] == "escalate" else None


def _run(args: argparse.Namespace, environ: Mapping[str, str], said: Said) -> None:
    if IN_HOOK in environ:
        raise Failed(
            "in_hook", "the owner's command calls escalate itself, and would so for ever", "change the command"
        )
    word = _word(args)
    if args.home is None and environ.get("NETSKY_SOCKET"):
        _as_actor(word, environ["NETSKY_SOCKET"], said)
        return
    home = place.home_path(args.home, environ)
    try:
        here = place.look(home)
    except place.NotOurs as error:
        raise Failed(error.code, error.sentence, f"ls -ld {home}", 5) from None
    except OSError as error:
        reason = "there is no home at" if isinstance(error, FileNotFoundError) else f"{error.strerror}:"
        raise Failed(
            "no_home", f"{reason} {home}, so no command of the owner is known", "netsky --home FOLDER"
        ) from None
    said.notices += here.doubts
    try:
        _from_home(word, here, environ, said)
    except Failed as error:
        not_marked = failed.write(home, error.sentence, word.subject)
        if not_marked is not None:
            said.notices.append(f"nor could that be noted in {home}/state: {not_marked}")
        raise
    failed.clear(home)


def _word(args: argparse.Namespace) -> Word:
    if args.test:
        return Word(wording.TEST_SUBJECT, wording.TEST_BODY, is_test=True)
    if args.silent_root:
        return Word(wording.SILENT_SUBJECT, wording.SILENT_BODY, is_silent_root=True)
    subject = wording.one_line(args.subject)
    if not subject:
        raise Failed("usage", "netsky escalate: the SUBJECT has no letter in it", "netsky escalate -h")
    text = _stdin() if args.body == "-" else args.body or ""
    return Word(subject, wording.body(text))


def _stdin() -> str:
    """As much as is taken of it: until its end, or until nothing more comes."""
    data = b""
    try:
        while len(data) < STDIN_BYTES_MAX and (sys.stdin.isatty() or select.select([0], [], [], STDIN_SECONDS)[0]):
            more = os.read(0, 65_536)
            if not more:
                break
            data += more
    except (OSError, ValueError, AttributeError):  # closed: then there is no body
        pass
    return data[:STDIN_BYTES_MAX].decode("utf-8", "replace")


def _from_home(word: Word, here: Place, environ: Mapping[str, str], said: Said) -> None:
    """By the own command where that is the way, else by netsky0, else by the command of a deputy."""
    if here.pages_itself:
        _by_command(word, here, environ, said)
        return
    if word.is_silent_root and not here.is_deputy:
        raise Failed("not_deputy", f"{here.node} is not the deputy", "on netsky0: netsky deputy NAME", 5)
    if here.is_deputy and (word.is_silent_root or word.is_test):
        _by_command(word, here, environ, said)
        return
    try:
        _by_socket(word, place.operator_socket(here.home), said, sender=WATCHDOG)
    except Failed as error:
        if not here.is_deputy:
            raise
        said.notices.append(f"{error.sentence}; this is the deputy, so its own command is used")
        _by_command(word, here, environ, said)


def _as_actor(word: Word, socket_path: str, said: Said) -> None:
    try:
        try:
            _by_socket(word, socket_path, said, sender=None)
        except Failed as error:
            if error.code != NO_NETSKY0:
                raise
            _ask(socket_path, "page", {"subject": word.subject, "body": word.body})
            said.way, said.summary = "hook", "the node tells the owner, once in 15 minutes for each actor"
    except Failed as error:
        later = "netsky send owner@netsky0 TEXT --kind escalation waits in your outbox until the node is back"
        raise Failed(error.code, error.sentence, later if error.exit in (4, 6) else error.next, error.exit) from None


def _by_socket(word: Word, path: str, said: Said, sender: str | None) -> None:
    text = wording.as_envelope_text(word.subject, word.body)
    args: dict[str, Any] = {"to": OWNER, "kind": "escalation", "text": text}
    if sender is not None:
        args["from"] = sender
    said.way, said.tries = "netsky0", said.tries + 1
    data = _ask(path, "send", args)
    said.id = str(data.get("id"))
    said.summary = f"stored for the owner as {said.id}; netsky0 pages for it"


def _ask(path: str, verb: str, args: dict[str, Any]) -> dict[str, Any]:
    """The data of the answer; raises Failed as the node said it."""
    try:
        answer = ask(path, verb, args)
    except NoAnswer as none:
        more = "; it may still take it when it goes on" if none.code == "timed_out" else ""
        raise Failed(none.code, f"{none.sentence}{more}", "netsky doctor") from None
    if answer.get("ok") is not True:
        error = answer.get("error")
        found = error if isinstance(error, dict) else {}
        exit_code = found.get("exit") if found.get("exit") in range(1, 9) else 1
        sentence = str(found.get("message") or "the node refused it without saying why")
        raise Failed(str(found.get("code") or "failed"), sentence, str(found.get("next") or "netsky doctor"), exit_code)
    data = answer.get("data")
    return data if isinstance(data, dict) else {}


def _by_command(word: Word, here: Place, environ: Mapping[str, str], said: Said) -> None:
    if not here.command:
        raise Failed("no_owner_command", f"{here.node} has no command that reaches the owner", _SET.format(here.home))
    said.way = "hook"
    variables = {name: value for name, value in environ.items() if not name.startswith("NETSKY_")}
    variables |= {IN_HOOK: word.subject, "NETSKY_FROM": here.node}
    text = wording.as_input(word.subject, word.body)
    for number in range(1, TRIES + 1):
        said.tries = number
        tried = hook.run_once(here.command, text, variables, "/")
        said.output = tried.output
        if tried.ok:
            times = "" if number == 1 else f" at try {number} of {TRIES}"
            said.summary = f"{here.command[0]} took it{times}"
            return
        said.notices.append(f"try {number}: {here.command[0]}: {tried.reason}")
        if not tried.again or number == TRIES:
            break
        time.sleep(PAUSES[number - 1])
    times = "once" if said.tries == 1 else f"{said.tries} times"
    last_words = " ".join(wording.one_line(tried.output[-400:]).split())
    more = f"; its last words: {last_words}" if last_words else ""
    sentence = f"{here.command[0]} was tried {times} and did not take it: {tried.reason}{more}"
    raise Failed("not_taken", sentence, "mend that command, then: netsky escalate --test")


def _tell_failure(error: Failed, said: Said, *, as_json: bool) -> None:
    if as_json:
        shown = {"code": error.code, "exit": error.exit, "message": error.sentence, "next": error.next}
        _print_json("escalate", {"ok": False, "summary": error.sentence}, {"error": shown})
        return
    _notices(said, quiet=False)
    sentence = wording.body(error.sentence)
    sys.stderr.write(f"{sentence if sentence.startswith('netsky ') else f'netsky: {sentence}'}\n  next: {error.next}\n")


def _notices(said: Said, *, quiet: bool) -> None:
    if not quiet:
        sys.stderr.write("".join(f"netsky: {wording.body(notice)}\n" for notice in said.notices))


def _print_json(schema: str, front: dict[str, Any], back: dict[str, Any]) -> None:
    now = time.time_ns()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now // 10**6 % 1000:03d}Z"
    shape = {"schema": f"netsky.{schema}/1", **front, "generated_at": moment, **back}
    sys.stdout.write(json.dumps(shape, ensure_ascii=False, separators=(",", ":")) + "\n")
