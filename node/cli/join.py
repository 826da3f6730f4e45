"""`netsky join`: asks the person, then the root. It brings trio and iroh along, as no everyday command does."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from netsky.node.cli.output import Output
from netsky.node.cli.text import age, length, visible
from netsky.node.errors import EXIT_DONE, Conflict, NotFound, Usage
from netsky.node.version import program_version

if TYPE_CHECKING:
    from netsky.mesh.join import Admission
    from netsky.mesh.ticket import Ticket
    from netsky.node.home import Home

_TICKET_BYTES_MAX = 64 * 1024
_SKEW_NS = 300 * 10**9
_AGAIN = "type the same line again"


def join(args: Any, out: Output) -> int:
    from netsky.node.cli.lifecycle import outside  # noqa: PLC0415
    from netsky.node.init import init_home  # noqa: PLC0415 - brings cryptography
    from netsky.node.membership.joining import check_home  # noqa: PLC0415 - brings trio
    from netsky.node.membership.limits import JOIN_WAIT_SECONDS  # noqa: PLC0415
    from netsky.node.seams.real import RealChance, RealTime  # noqa: PLC0415
    from netsky.node.seams.real_files import RealFiles  # noqa: PLC0415

    outside(args, "join")
    home, files = args.node.home, RealFiles()
    ticket = _ticket(args)
    made_before = os.path.lexists(home.config)
    if made_before:
        check_home(home, files, ticket)
    _explain(ticket, home, out)
    if not args.yes:
        _ask(out)
    if not made_before:
        init_home(home, files, RealChance(), RealTime(), root=False)
        check_home(home, files, ticket)
    admission, words = _locked(home, ticket, args.timeout or JOIN_WAIT_SECONDS, out)
    _answer(home, admission, words, made=not made_before, out=out)
    return EXIT_DONE


def _ticket(args: Any) -> Ticket:
    from netsky.envelope.invalid import Invalid  # noqa: PLC0415
    from netsky.mesh.ticket import read_ticket  # noqa: PLC0415

    if (args.ticket is None) == (args.ticket_file is None):
        raise Usage("say the ticket, or the file that it is in", next="netsky join TICKET", code="bad_argument")
    text = args.ticket if args.ticket_file is None else _file(args.ticket_file)
    try:
        return read_ticket(text)
    except Invalid as invalid:
        raise Usage(invalid.sentence, next="at the root: netsky invite LABEL", code=invalid.code) from None


def _file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_TICKET_BYTES_MAX).decode("ascii", "replace")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", next="bring the ticket file here first", code="no_file") from None


def _explain(ticket: Ticket, home: Home, out: Output) -> None:
    """First of all, and on stderr: whose mesh it is, and what it means."""
    from netsky.node.identity import fingerprint  # noqa: PLC0415

    out.notice(f"This ticket is for the mesh {ticket.mesh.hex()}")
    out.notice(f"  its owner    {fingerprint(ticket.owner_key)}")
    out.notice(f"  its root     {fingerprint(ticket.root_key)}, at {visible(', '.join(ticket.addresses)) or 'a relay'}")
    out.notice(f"  this home    {visible(home.path)}")
    out.notice("Joining means: that root may start programs on this machine, as you.")
    if ticket.ends < out.wall():
        out.notice(
            out.warn(f"By this machine's clock the ticket ended {age(ticket.ends, out.wall())}; the root decides.")
        )


def _ask(out: Output) -> None:
    if out.json or not sys.stdin.isatty():
        raise Usage("nobody is here to confirm it", next="the same line with --yes", code="not_confirmed")
    sys.stderr.write("Join it? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Conflict("nothing was changed", next=f"if you mean it, {_AGAIN}", code="not_confirmed")


def _locked(home: Home, ticket: Ticket, wait_seconds: float, out: Output) -> tuple[Admission, str]:
    """With the home to ourselves: no node starts in it before it knows its name."""
    from netsky.node.home import take_lock  # noqa: PLC0415
    from netsky.node.seams.real_files import RealFiles  # noqa: PLC0415

    lock = take_lock(home, RealFiles())
    if lock is None:
        raise Conflict(
            "the node of this home runs, or another join does", next=f"netsky down, then {_AGAIN}", code="home_in_use"
        )
    try:
        return _run(home, ticket, wait_seconds, out)
    finally:
        lock.release()


def _run(home: Home, ticket: Ticket, wait_seconds: float, out: Output) -> tuple[Admission, str]:
    import trio  # noqa: PLC0415
    from netsky.mesh.trio_loop import trio_as_event_loop  # noqa: PLC0415
    from netsky.node.membership import joining  # noqa: PLC0415
    from netsky.node.seams.real import LazyTransport, RealChance, RealTime  # noqa: PLC0415
    from netsky.node.seams.real_files import RealFiles  # noqa: PLC0415

    around = joining.Around(RealFiles(), RealChance(), RealTime(), LazyTransport())

    shown = _Shown(out)

    async def main() -> Admission:
        with trio_as_event_loop():
            return await joining.join(
                home, around, ticket, program=program_version(), listener=shown, wait_seconds=wait_seconds
            )

    return trio.run(main), " ".join(shown.compared)


class _Shown:
    """What a person sees while it lasts."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._began = out.wall()
        self._trouble = ""
        self._said_pending = False
        self.compared: tuple[str, ...] = ()
        """The six words of the latest connection."""

    def words(self, words: tuple[str, ...]) -> None:
        self.compared = words
        self._out.notice(f"words: {self._out.bold(' '.join(words))}   (netsky nodes at the root shows the same)")

    def clock(self, behind_ns: int) -> None:
        if abs(behind_ns) > _SKEW_NS:
            way = "behind" if behind_ns > 0 else "ahead of"
            by = length(abs(behind_ns) / 1e9)
            self._out.notice(self._out.warn(f"This machine's clock is {by} {way} the root's: set it right."))

    def pending(self) -> None:
        waited = length(max(1.0, (self._out.wall() - self._began) / 1e9))
        line = f"waiting for netsky approve at the root, {waited} so far (Ctrl-C; typed again it goes on)"
        if sys.stderr.isatty() and not self._out.quiet and not self._out.json:
            sys.stderr.write(f"\r{line}")
            sys.stderr.flush()
        elif not self._said_pending:
            self._out.notice(line)
        self._said_pending = True
        self._trouble = ""

    def trouble(self, sentence: str) -> None:
        if sentence != self._trouble:
            self._out.notice(f"{visible(sentence)}; trying again")
        self._trouble = sentence


def _answer(home: Home, admission: Admission, words: str, *, made: bool, out: Output) -> None:
    roster = admission.roster
    member = roster.by_name[admission.name]
    data = {
        "home": home.path,
        "made": made,
        "name": admission.name,
        "label": member.label,
        "mesh": roster.mesh.hex(),
        "words": words,
        "reign": roster.reign,
        "version": roster.version,
        "nodes": [{"name": one.name, "label": one.label} for one in roster.members if not one.revoked],
    }
    summary = f"this machine is {admission.name} ({visible(member.label)}) of the mesh {roster.mesh.hex()[:16]}…"

    def human() -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\n")
        out.line(summary)
        out.notice("next: netsky up")

    out.answer("join", summary, data, human)
