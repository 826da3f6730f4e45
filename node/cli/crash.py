"""A mistake of ours: the traceback goes into a file, the person gets a sentence with its path."""

from __future__ import annotations

import os
import platform
import tempfile
import traceback

from netsky.node.cli.dial import Dialer
from netsky.node.cli.table import Command
from netsky.node.cli.text import rfc3339
from netsky.node.errors import NetskyError
from netsky.node.seams.real import RealTime


def crashed(error: Exception, command: Command, node: Dialer, time: RealTime) -> NetskyError:
    """What to tell the person, after the rest was written down."""
    path = _write(error, command, node, time)
    kind = type(error).__name__
    if path is None:
        return NetskyError(
            f"netsky {command.words} failed by a mistake of ours ({kind}), and no log of it could be written",
            next="netsky doctor",
            code="crashed",
        )
    return NetskyError(
        f"netsky {command.words} failed by a mistake of ours ({kind}); the details are in {path}",
        next=f"netsky doctor; report it with the last lines of {path}",
        code="crashed",
    )


def _write(error: Exception, command: Command, node: Dialer, time: RealTime) -> str | None:
    now = time.wall()
    story = "".join(traceback.format_exception(error))
    body = (
        f"{rfc3339(now)} netsky {command.words}\n"
        f"python {platform.python_version()} on {platform.system()} {platform.release()}\n\n{story}"
    )
    name = f"cli-crash-{now // 10**9}-{os.getpid()}.txt"
    for folder in (_logs(node), tempfile.gettempdir()):
        if folder is None:
            continue
        path = os.path.join(folder, name)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(body)
        except OSError:
            continue
        return path
    return None


def _logs(node: Dialer) -> str | None:
    """The home's logs, where there is a home; a crash makes no folders of its own."""
    try:
        folder = node.home.logs
    except NetskyError:
        return None
    return folder if os.path.isdir(folder) else None
