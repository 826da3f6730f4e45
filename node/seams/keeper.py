"""Stands beside one program, and ends it and all it started when the node lets go of the leash.

Run as a script by the processes seam: `python -I -S keeper.py LEASH LOG CAP OUTPUT KEEP BOUNDS -- PROGRAM...`. It
imports nothing of ours: it starts in a few milliseconds and may be process 1 of a fence. BOUNDS is "" or says what the
program may use; for that, and only then, two files beside this one are loaded.

LEASH is one end of a socket pair. From it the keeper reads one byte for each signal that the program's process group
shall get; its end of file, which the kernel brings about however the node dies, ends everything. Into it the keeper
writes which process the program is, then that it runs or why it could not, then how it ended, a line each. The last
line says as well how many processes there were when it was told to end them, and how many it could not end.

Why not PR_SET_PDEATHSIG alone: it is tied to the thread that started the program, is lost in a program that changes
its user, leaves grandchildren alone, and comes too late when the node dies between fork and prctl. The leash has none
of these holes, needs no particular system, and is unaffected by which thread started what.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import sys

TYPE_CHECKING = False  # what describes types is slow to load, and this stands in front of every program
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from netsky.node.seams.gauge import Gauge
else:
    import _signal as signal  # the same without its enumerations, which take longer to make than all else here

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
LANDLOCK_SCOPE_ABSTRACT_SOCKETS = 1
CHUNK = 64 * 1024
END_TRIES, END_PAUSE_MS = (
    1_000,
    3,
)  # what is not ours to kill (a set-uid program of an unfenced actor) is left after 3 s


class Log:
    """What the program says on stderr, the newest part of it: never more than `cap` bytes on disk."""

    def __init__(self, descriptor: int, cap: int) -> None:
        self.descriptor = descriptor
        self.cap = cap

    def write(self, data: bytes) -> None:
        try:
            os.write(self.descriptor, data)
            size = os.fstat(self.descriptor).st_size
            if size > self.cap:
                kept = os.pread(self.descriptor, self.cap // 2, size - self.cap // 2)
                os.ftruncate(self.descriptor, 0)
                os.write(self.descriptor, b"... older lines were dropped ...\n" + kept[kept.find(b"\n") + 1 :])
        except OSError:
            return  # a full disk costs words of a program, never the program


class Leash:
    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def say(self, line: str) -> None:
        try:
            os.write(self.descriptor, line.encode() + b"\n")
        except OSError:
            return  # nobody listens any more; the next read says so too

    def signals(self) -> bytes | None:
        """The signals asked for, or None once nobody holds the other end."""
        try:
            return os.read(self.descriptor, 64) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None


def become_keeper(inside_fence: bool) -> None:
    """Our own prctls; a system without them has only the process group to end, and the actors' page says so."""
    if not sys.platform.startswith("linux"):
        return
    prctl = ctypes.CDLL(None).prctl
    if inside_fence:
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # the program has our uid: it must not trace us or look into our descriptors
    else:
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # who forks twice to get away becomes our child


def forbid_abstract_sockets() -> None:
    """Abstract sockets belong to the network namespace and so pass the fence; Landlock 6 and later can hold them."""
    libc = ctypes.CDLL(None, use_errno=True)
    rules = (ctypes.c_uint64 * 3)(0, 0, LANDLOCK_SCOPE_ABSTRACT_SOCKETS)
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, rules, 24, 0)
    if ruleset >= 0:
        libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)


def run_program(
    argv: list[str], outputs: tuple[int | None, int], keep: list[int], told: int, narrow: Callable[[], None]
) -> None:
    """In the child: own session and group, usual signals, only its own descriptors, few rights; then the program."""
    output, errors = outputs
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        narrow()
        if output is not None:
            os.dup2(output, 1)
        os.dup2(errors, 2)
        wanted = sorted({told, *keep})
        for low, high in zip([2, *wanted], [*wanted, 65536], strict=True):
            os.closerange(low + 1, high)
        for descriptor in keep:
            os.set_inheritable(descriptor, True)
        os.set_inheritable(told, False)
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as e:
        os.write(told, str(e.errno or errno.EIO).encode())
    finally:
        os._exit(127)


def narrow(inside_fence: bool, gauge: Gauge | None) -> None:
    if inside_fence:
        forbid_abstract_sockets()
    if gauge is not None:
        import narrow as neighbour  # type: ignore[import-not-found]  # noqa: PLC0415

        neighbour.narrow(gauge.bounds, fenced=inside_fence)


def gauge_of(bounds: str, inside_fence: bool) -> Gauge | None:
    if not bounds:
        return None
    # At the end: a module of the interpreter's own may have the name of a file beside this one.
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import gauge  # type: ignore[import-not-found]  # noqa: PLC0415

    found: Gauge = gauge.Gauge(gauge.Bounds(bounds), inside_fence)
    return found


def children() -> list[int]:
    """Our children as the kernel lists them; empty where it does not."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as listing:
            return [int(word) for word in listing.read().split()]
    except (OSError, ValueError):
        return []


def population(inside_fence: bool) -> int:
    """How many processes the program is now, with all that it started; 1 where the system does not tell."""
    parents = {}
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return 1
    for number in numbers:
        try:
            with open(f"/proc/{number}/stat", encoding="utf-8", errors="replace") as facts:
                state, parent = facts.read().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in "ZX":
            parents[number] = int(parent)
    me = os.getpid()
    if me not in parents:
        return 1  # no /proc, or that of somebody else
    if inside_fence:
        return len(parents) - 1
    ours, more = {me}, True
    while more:
        found = {number for number, parent in parents.items() if parent in ours and number not in ours}
        ours |= found
        more = bool(found)
    return len(ours) - 1


def end_all(group: int, inside_fence: bool) -> None:
    """Kills whatever is left: as process 1 all of the namespace, else the group and all that became our child."""
    for _ in range(END_TRIES):
        try:
            if inside_fence:
                os.kill(-1, signal.SIGKILL)
            else:
                os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        if not inside_fence:
            for child in children():
                try:
                    os.kill(child, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    continue
        try:
            gone, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not gone:
            select.poll().poll(END_PAUSE_MS)


def signal_program(group: int, numbers: bytes) -> None:
    for number in numbers:
        try:
            os.killpg(group, number)
        except (OSError, ValueError):
            continue


def ended(program: int) -> int | None:
    """The program's wait status once it ended; reaps whatever else was left to us on the way."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == program:
            found = status


def watch(
    program: int, leash: Leash, words: int, wake: int, *, log: Log, inside_fence: bool, gauge: Gauge | None
) -> tuple[int | None, int, str]:
    """Until the program ended (its status), or the leash was dropped or a bound exceeded (None). And how many processes
    there were when somebody first asked for the end of it: 0 if nobody did. And the bound."""
    poll = select.poll()
    asked = 0
    for descriptor in (leash.descriptor, words, wake):
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(None if gauge is None else gauge.wait_ms())}
        if leash.descriptor in ready:
            numbers = leash.signals()
            asked = asked or population(inside_fence)
            if numbers is None:
                return None, asked, ""
            signal_program(program, numbers)
        if words in ready:
            said = os.read(words, CHUNK)
            if said:
                log.write(said)
            else:
                poll.unregister(words)
        if wake in ready:
            os.read(wake, CHUNK)
            status = ended(program)
            if status is not None:
                return status, asked, ""
        exceeded = "" if gauge is None else gauge.look()
        if exceeded:
            return None, asked or population(inside_fence), exceeded


def last_words(words: int, log: Log) -> None:
    os.set_blocking(words, False)
    for _ in range(1024):
        try:
            said = os.read(words, CHUNK)
        except BlockingIOError:
            return
        if not said:
            return
        log.write(said)


def started(told: int) -> int | None:
    """The error number with which the program could not be executed, or None: its end of the pipe closed by exec."""
    said = os.read(told, 16)
    return int(said) if said else None


def main(arguments: list[str]) -> int:
    leash_text, log_text, cap, output_kind, keep_text, bounds_text, separator, *argv = arguments
    assert separator == "--"
    assert argv
    leash, log = Leash(int(leash_text)), Log(int(log_text), int(cap))
    inside_fence = os.getpid() == 1
    keep = [int(number) for number in keep_text.split(",") if number]
    gauge = gauge_of(bounds_text, inside_fence)
    become_keeper(inside_fence)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wake, woken = os.pipe()
    for descriptor in (leash.descriptor, wake, woken):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    words, errors = os.pipe()
    told, telling = os.pipe()
    gate, opening = os.pipe()
    program = os.fork()
    if program == 0:
        signal.set_wakeup_fd(-1)
        os.setsid()
        os.close(opening)
        if not os.read(gate, 1):  # we died before the node knew of it
            os._exit(127)
        output = errors if output_kind == "log" else None
        run_program(argv, (output, errors), keep, telling, lambda: narrow(inside_fence, gauge))
    if gauge is not None:
        gauge.begin()
    leash.say(f"program {program}")  # first: whatever it does to us, the node can end its group
    os.write(opening, b"!")
    for descriptor in (errors, telling, gate, opening):
        os.close(descriptor)
    doors = () if gauge is None or gauge.bounds.door < 0 else (gauge.bounds.door,)
    for descriptor in (0, 1, *keep, *doors):  # its ends of its pipes: only with it alone do they close when it does
        os.close(descriptor)
    failure = started(told)
    os.close(told)
    if failure is not None:
        os.waitpid(program, 0)
        leash.say(f"cannot {failure}")
        return 127
    leash.say("runs")
    status, asked, exceeded = watch(program, leash, words, wake, log=log, inside_fence=inside_fence, gauge=gauge)
    end_all(program, inside_fence)
    left = population(inside_fence) if asked else 0
    last_words(words, log)
    code = -signal.SIGKILL if status is None else os.waitstatus_to_exitcode(status)
    leash.say((f"exit {code}" if code >= 0 else f"signal {-code}") + f" {asked} {left} {exceeded}")
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
