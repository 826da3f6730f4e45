"""`python -m netsky.node.daemon --home H`: the process of a daemon, started by `netsky up` or a service manager.

Signals, exit codes and who is told that it serves; everything else is in run.py.
"""

from __future__ import annotations

import argparse
import errno
import gc
import json
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import trio
from netsky.node.daemon.build import Surroundings
from netsky.node.daemon.exits import (
    EXIT_CRASHED,
    EXIT_GAVE_UP,
    EXIT_LEDGER_BROKEN,
    EXIT_STOP_HUNG,
    EXIT_UNUSABLE,
)
from netsky.node.daemon.node import Node
from netsky.node.daemon.run import run
from netsky.node.errors import EXIT_DONE, NetskyError, TryLater, Unusable
from netsky.node.home import Home
from netsky.node.limits import DESCRIPTORS_WANTED, STOP_SECONDS
from netsky.node.seams.ledger import LedgerBroken
from netsky.node.seams.real import real_seams
from netsky.node.supervise import GaveUp, MustStop, describe

if TYPE_CHECKING:
    from netsky.node.daemon.node import Watch


def main() -> int:
    arguments = _arguments()
    os.umask(0o077)
    raise_descriptor_limit()
    herald = Herald(arguments.report_fd)
    home = Home.find(arguments.home)
    echo = _echo if arguments.foreground else None
    try:
        trio.run(_serve, home, Surroundings(os.getpid(), echo, _watch()), herald)
    except NetskyError as error:
        return _refused(error, herald)
    except LedgerBroken as error:
        return _last_words(f"stopped, because the disk failed: {error}", home, herald, EXIT_LEDGER_BROKEN)
    except (GaveUp, MustStop) as error:
        return _last_words(f"gave up: {error}", home, herald, EXIT_GAVE_UP)
    except Exception as error:  # noqa: BLE001 - the border of the process: a number and a sentence, after the traceback
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            full = TryLater(f"the disk under {home.path} is full", next="free some space there, then: netsky up")
            return _refused(full, herald)
        sys.excepthook(type(error), error, error.__traceback__)
        return _last_words(f"crashed: {describe(error)}", home, herald, EXIT_CRASHED)
    return EXIT_DONE


def _refused(error: NetskyError, herald: Herald) -> int:
    herald.failed(error)
    print(f"netsky: {error.message}\n  next: {error.next}", file=sys.stderr)
    return EXIT_UNUSABLE if isinstance(error, Unusable) else error.exit


class Herald:
    """Tells whoever started us, by a pipe, and the service manager, by its socket."""

    def __init__(self, report_fd: int | None) -> None:
        self._report_fd = report_fd
        if report_fd is not None:
            os.set_inheritable(report_fd, False)

    def ready(self, node: Node) -> None:
        self._report({"ready": node.pid})
        notify_service("READY=1\nSTATUS=serving " + node.identity.name)

    def failed(self, error: NetskyError) -> None:
        said = {"code": error.code, "exit": error.exit, "message": error.message, "next": error.next}
        self._report({"error": said})
        notify_service("STATUS=" + " ".join(error.message.split()))  # a line of its own would be another word to it

    def _report(self, line: dict[str, object]) -> None:
        if self._report_fd is None:
            return
        with suppress(OSError):  # whoever started us may be gone; that is no reason not to serve
            os.write(self._report_fd, json.dumps(line).encode() + b"\n")
            os.close(self._report_fd)
        self._report_fd = None


async def _serve(home: Home, around: Surroundings, herald: Herald) -> None:
    stop = trio.Event()

    def ready(node: Node) -> None:
        gc.collect()
        gc.set_threshold(50_000, 20, 20)
        gc.freeze()  # what a start made stays: later collections need not look at it
        herald.ready(node)

    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_signals, stop)
        try:
            await run(home, real_seams(), around, ready=ready, hung=_hung, stop=stop)
        except Exception as error:  # noqa: BLE001 - raised below, outside of the nursery, which would wrap it
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _signals(stop: trio.Event) -> None:
    """The first SIGTERM or SIGINT begins an orderly stop, within its deadline; the second one ends it at once."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        async for number in received:
            if stop.is_set():
                _end_now(128 + number)
            stop.set()
            notify_service("STOPPING=1")
            break
        with trio.move_on_after(STOP_SECONDS):
            async for number in received:
                _end_now(128 + number)
    _hung("the stop as a whole")


def _hung(task: str) -> NoReturn:
    print(f"netsky: {task} did not stop in time", file=sys.stderr)
    _end_now(EXIT_STOP_HUNG)


def _end_now(code: int) -> NoReturn:
    """As a kill would: what was accepted is on disk, and everything else is put right by the next start."""
    sys.stderr.flush()
    os._exit(code)


def _last_words(sentence: str, home: Home, herald: Herald, code: int) -> int:
    error = NetskyError(f"the node {sentence}", next=f"look into {home.node_log}", code=f"exit_{code}")
    herald.failed(error)
    print(f"netsky: {error.message}\n  next: {error.next}", file=sys.stderr)
    return code


def _watch() -> Watch | None:
    """For those who try a mesh with many faults: what the links of this node store, as lines of one history."""
    folder = os.environ.get("NETSKY_HISTORY")
    if folder is None:
        return None
    from netsky.node.lab.witness import watch_into  # noqa: PLC0415 - not for a node that nobody watches

    return watch_into(folder, os.getpid())


def _echo(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m netsky.node.daemon", description="the daemon of one home")
    parser.add_argument("--home", help="the home (NETSKY_HOME, else ~/.netsky)")
    parser.add_argument("--foreground", action="store_true", help="write the log to stderr as well")
    parser.add_argument("--report-fd", type=int, help="where to tell in one line that it serves, or why not")
    return parser.parse_args()


def raise_descriptor_limit() -> None:
    """A node with many connections needs more than the usual soft limit, and is allowed it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def notify_service(text: str) -> None:
    """The protocol of sd_notify: one datagram to the socket that the service manager named, if it did."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), path if path[0] == "/" else "\0" + path[1:])


if __name__ == "__main__":
    sys.exit(main())
