"""Each command but `escalate`: from argv to an exit code. Here and only here errors become what a person or program
sees."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from netsky.node.cli import parser
from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output, output_for
from netsky.node.cli.table import GROUPS, Command, commands, group_help
from netsky.node.errors import EXIT_DONE, EXIT_FAILED, NetskyError
from netsky.node.seams.real import RealTime

EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_PIPE_CLOSED = 128 + signal.SIGPIPE
EXIT_TERMINATED = 128 + signal.SIGTERM


class Terminated(BaseException):
    """SIGTERM came, or the terminal was closed. Like KeyboardInterrupt: `finally` runs, and nothing else catches it."""


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def main(words: list[str]) -> int:
    _prepare_streams()
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup said so
                signal.signal(number, _terminate)
        code = _guarded(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except Terminated:
        code = EXIT_TERMINATED
    except BrokenPipeError:
        code = EXIT_PIPE_CLOSED
    except OSError as error:  # the answer itself could not be written: a full disk behind `> file`
        code = EXIT_FAILED
        _say_unwritten(error)
    if code in (EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_PIPE_CLOSED):
        _forget_streams()
    return code


def _say_unwritten(error: OSError) -> None:
    """By the one stream that is left, if it is; what was buffered for the other must not fail once more."""
    with suppress(OSError):
        sys.stderr.write(f"netsky: the answer could not be written: {error.strerror or error}\n  next: netsky doctor\n")
        sys.stderr.flush()
    _forget_streams()


def _prepare_streams() -> None:
    """Whatever the locale, no letter can make a print fail; a closed stdout or stderr is one that swallows, and a
    closed stdin one that is empty."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - lives as long as we do
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - lives as long as we do
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _forget_streams() -> None:
    """What is still buffered goes nowhere: the interpreter's last flush must not complain about a closed pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):
            continue


def _guarded(words: list[str]) -> int:
    time = RealTime()
    command: Command | None = None
    front: dict[str, Any] = {"json": "--json" in words}
    try:
        front, rest = parser.split(words)
        if front["version"]:
            rest = ["version"]
        if not rest:
            from netsky.node.cli.help import overview  # noqa: PLC0415

            return overview(output_for(None, front, time.wall))
        table = commands()
        front, rest = parser.pull_forward(front, rest)
        if len(rest) == 1 and rest[0] in GROUPS and front["help"]:
            raise parser.HelpAsked(group_help(rest[0], table))
        command = parser.find(table, rest)
        after = rest[len(command.path) :] + (["-h"] if front["help"] else [])
        if "--json" in after and not (command.rest and "--" in after and after.index("--") < after.index("--json")):
            front["json"] = True
        args = parser.parse(command, after, front)
    except parser.HelpAsked as asked:
        sys.stdout.write(asked.text)
        return EXIT_DONE
    except NetskyError as error:
        output_for(command, front, time.wall).error(error)
        return error.exit
    out = output_for(command, vars(args), time.wall)
    args.node = Dialer(args.home)
    return _run(command, args, out, time)


def _run(command: Command, args: Any, out: Output, time: RealTime) -> int:
    try:
        return _load(command.handler)(args, out)
    except NetskyError as error:
        out.error(error)
        return error.exit
    except BrokenPipeError:
        raise
    except OSError as error:
        out.error(_machine_error(error, command))
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the border of the program: logged, and told in one sentence
        from netsky.node.cli.crash import crashed  # noqa: PLC0415

        out.error(crashed(error, command, args.node, time))
        return EXIT_FAILED
    finally:
        args.node.close()


def _load(handler: str) -> Callable[[Any, Output], int]:
    module, _, function = handler.partition(":")
    found: Callable[[Any, Output], int] = getattr(importlib.import_module(module), function)
    return found


def _machine_error(error: OSError, command: Command) -> NetskyError:
    where = f": {error.filename}" if error.filename else ""
    return NetskyError(
        f"netsky {command.words}: {error.strerror or error}{where}", next="netsky doctor", code="machine"
    )
