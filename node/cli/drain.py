"""`netsky channel drain`: an actor's messages, for people, for programs, for a command of one's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from netsky.envelope.render import render
from netsky.node.bus.drain import Drained
from netsky.node.cli.arrivals import Arrivals
from netsky.node.cli.mailbox import Mailbox, as_data
from netsky.node.cli.output import Output
from netsky.node.cli.text import plural, visible
from netsky.node.errors import EXIT_DONE, EXIT_FAILED, Usage

_ACK_LINE_BYTES_MAX = 64 * 1024
_TRUST = {
    "checked": "sealed and stored by this node",
    "unchecked": "the node was down: nobody was asked whether it stored this",
}


def drain(args: Any, out: Output) -> int:
    if args.exec and args.ack_from_stdin:
        raise Usage("--exec and --ack-from-stdin both say when a message was taken: choose one", next="netsky help bus")
    actor = args.node.actor_or_self(args.actor, "channel drain")
    with Mailbox(args.node, actor) as mailbox:
        reader = _Reader(mailbox, args, out)
        if args.ack_from_stdin:
            with Arrivals(args.node, actor) as arrivals:
                return reader.with_acks_from_stdin(arrivals, follow=args.follow)
        reader.one_pass()
        if args.follow and not reader.full:
            with Arrivals(args.node, actor) as arrivals:
                while not reader.full:
                    reader.one_pass()
                    arrivals.wait()
        return reader.finish()


class _Reader:
    """What is done with each message of one drain."""

    def __init__(self, mailbox: Mailbox, args: Any, out: Output) -> None:
        self._mailbox = mailbox
        self._out = out
        self._limit: int | None = args.limit
        self._program: str | None = args.exec
        self._handle: Callable[[Drained], None] = self._show if args.exec is None else self._run_program
        self._in_hand: dict[str, str] = {}  # what was shown and not taken: file name -> the id to say
        self._told = 0
        self._kept = 0
        self._shown = 0
        self._failed = 0

    @property
    def full(self) -> bool:
        return self._limit is not None and self._shown >= self._limit

    def one_pass(self) -> None:
        for item in self._mailbox.envelopes(None if self._limit is None else self._limit - self._shown):
            if item.name in self._in_hand:
                continue  # the node went away and came back; this process has shown it
            self._shown += 1
            self._handle(item)
        for put_away in self._mailbox.put_away[self._told :]:
            self._out.notice(f"refused, now in quarantine: {visible(put_away.name)}: {visible(put_away.sentence)}")
        self._told = len(self._mailbox.put_away)
        self._tell_kept()
        self._out.stdout.flush()

    def _tell_kept(self) -> None:
        """Once each time that it begins, for somebody who follows."""
        count, why = self._mailbox.kept
        if count and not self._kept:
            self._out.notice(f"{plural(count, 'message')} not handed out: {visible(why)}")
        self._kept = count

    def _show(self, item: Drained) -> None:
        self._in_hand[item.name] = item.envelope.id or item.name
        if self._out.json:
            summary = f"{item.envelope.kind or 'text'} from {item.envelope.sender}"
            self._out.answer("channel-drain", summary, as_data(item, self._mailbox.node))
            return
        if item.again:
            self._out.line(self._out.warn("shown before, not taken yet:"))
        self._out.line(render(item.envelope, _TRUST[item.trust]))

    def _run_program(self, item: Drained) -> None:
        """One program for one message: its exit code 0 is the consumer's word that it was taken."""
        assert self._program is not None
        self._out.stdout.flush()
        done = subprocess.run(self._program, shell=True, input=item.data, check=False)  # noqa: S602 - the person's own command line
        if done.returncode == 0:
            self._mailbox.ack(item.name)
        else:
            # It stays claimed, so that this drain does not run into it again at once; the next one shows it first.
            self._failed += 1
            self._in_hand[item.name] = item.envelope.id or item.name
            self._out.notice(f"not taken: {visible(item.name)}: the program ended with {done.returncode}")

    def with_acks_from_stdin(self, arrivals: Arrivals, *, follow: bool) -> int:
        """Shows what comes and takes what stdin names; ends with stdin, or when all that was shown is taken."""
        stdin = sys.stdin.fileno()
        os.set_blocking(stdin, False)
        rest = b""
        while True:
            if not self.full:
                self.one_pass()
            if not self._in_hand and (self.full or not follow):
                return EXIT_DONE
            arrivals.wait(stdin)
            data = _read_some(stdin)
            if data == b"":
                self._take(rest)
                return EXIT_DONE
            *lines, rest = (rest + (data or b"")).split(b"\n")
            for line in lines:
                self._take(line)
            if len(rest) > _ACK_LINE_BYTES_MAX:
                raise Usage("a line on stdin is too long to be an id", next="netsky help bus")

    def _take(self, line: bytes) -> None:
        said = line.decode("utf-8", "replace").strip()
        if not said:
            return
        names = [said] if said in self._in_hand else [name for name, shown in self._in_hand.items() if said == shown]
        if not names:
            self._out.notice(f"not in hand, so not taken: {visible(said[:80])}")
        elif len(names) > 1:  # from two origins: who took one has not taken the other
            which = " or ".join(visible(name) for name in names)
            self._out.notice(
                f"{len(names)} messages in hand have the id {visible(said)}, so none is taken: say {which}"
            )
        else:
            self._mailbox.ack(names[0])
            del self._in_hand[names[0]]

    def finish(self) -> int:
        if self._program is not None:
            taken = self._shown - self._failed
            self._out.notice(f"{plural(taken, 'message')} taken" + (f", {self._failed} not" if self._failed else ""))
            return EXIT_FAILED if self._failed else EXIT_DONE
        if self._shown == 0:
            if self._kept:
                return EXIT_DONE
            self._out.notice(f"nothing waits for {self._mailbox.actor}")
            return EXIT_DONE
        one = next(iter(self._in_hand.values())) if len(self._in_hand) == 1 else "ID…"
        self._out.notice(
            f"{plural(self._shown, 'message')}; nothing is taken until you say so:\n"
            f"  netsky channel ack {self._mailbox.actor} {one}"
        )
        return EXIT_DONE


def _read_some(descriptor: int) -> bytes | None:
    """What is there now; None if nothing is, b"" at the end."""
    try:
        return os.read(descriptor, 65_536)
    except BlockingIOError:
        return None
