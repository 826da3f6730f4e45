"""The text of a systemd user unit. Pure: a recipe in, a file out."""

from __future__ import annotations

import re

from netsky.node.limits import DESCRIPTORS_WANTED, STOP_SECONDS
from netsky.node.service.heart import BEAT_SECONDS
from netsky.node.service.recipe import (
    BEAT_SECONDS_MAX,
    ENDED_BY_SIGNAL,
    FOR_A_PERSON,
    RESTART_WAIT_SECONDS,
    RESTART_WINDOW_SECONDS,
    RESTARTS_MAX,
    START_SECONDS_MAX,
    Recipe,
)

STOP_MARGIN_SECONDS = 5
"""The node cuts its own stop short after 15 s; systemd is the second line, not the first."""

_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")


def unit_text(recipe: Recipe, name: str) -> str:
    numbers = " ".join(map(str, FOR_A_PERSON))
    stopped = " ".join(map(str, ENDED_BY_SIGNAL))
    return f"""\
# Written by `netsky service install`, and written anew by it. For changes of your own: systemctl --user edit {name}
# {recipe.line}

[Unit]
Description=netsky node of {_percent(recipe.home)}
# The first start and {RESTARTS_MAX} more within the window; then it stays down, and `netsky service status` says why.
StartLimitIntervalSec={RESTART_WINDOW_SECONDS}
StartLimitBurst={RESTARTS_MAX + 1}

[Service]
# It says that it serves once bus, database and links do.
Type=notify
NotifyAccess=main
ExecStart={exec_line(recipe.start_words)}
WorkingDirectory=-{_percent(recipe.home)}
Environment={_quoted("PATH=" + recipe.path)}
Restart=on-failure
RestartSec={RESTART_WAIT_SECONDS}
# Starting again changes nothing after these: they need a person.
RestartPreventExitStatus={numbers}
SuccessExitStatus={stopped}
TimeoutStartSec={START_SECONDS_MAX}
# The node ends its actors itself, in order; what is left after that is killed.
KillMode=mixed
TimeoutStopSec={int(STOP_SECONDS) + STOP_MARGIN_SECONDS}
# An actor that ran out of memory is that actor's end, not the node's.
OOMPolicy=continue
# Tasks get control groups of their own, beneath the one of this service.
Delegate=memory pids
LimitNOFILE={DESCRIPTORS_WANTED}:524288
# No key in a core file.
LimitCORE=0:infinity
UMask=0077
# Fences are namespaces: RestrictNamespaces would forbid them, Private… and Protect… put all into one of their own.
NoNewPrivileges={"yes" if recipe.no_new_privileges else "no"}

[Install]
WantedBy=default.target
"""


def heart_unit_text(recipe: Recipe, name: str, node: str) -> str:
    """What the timer runs: one beat of the second heart, once."""
    return f"""\
# Written by `netsky service install`, and written anew by it. For changes of your own: systemctl --user edit {name}
# {recipe.line}

[Unit]
Description=second heart of the netsky node of {_percent(recipe.home)}
# Beside the node, never bound to it: it has to be able to look when that one hangs, and to start it.
After={node}

[Service]
Type=oneshot
ExecStart={exec_line(recipe.beat_words)}
Environment={_quoted("PATH=" + recipe.path)}
TimeoutStartSec={BEAT_SECONDS_MAX}
UMask=0077
LimitCORE=0:infinity
"""


def heart_timer_text(recipe: Recipe, name: str) -> str:
    return f"""\
# Written by `netsky service install`, and written anew by it. For changes of your own: systemctl --user edit {name}
# {recipe.line}

[Unit]
Description=timer of the second heart of the netsky node of {_percent(recipe.home)}

[Timer]
# By the clock that stands still while the machine sleeps, and never while a beat is at work.
OnActiveSec={BEAT_SECONDS}
OnUnitInactiveSec={BEAT_SECONDS}
AccuracySec=5

[Install]
WantedBy=timers.target
"""


def exec_line(words: tuple[str, ...]) -> str:
    """A command line as ExecStart reads it. In the program's own name a dollar sign is only itself."""
    program, *arguments = words
    return " ".join([_quoted(program), *(_quoted(word.replace("$", "$$")) for word in arguments)])


def _quoted(word: str) -> str:
    word = _percent(word)
    return word if _PLAIN.fullmatch(word) else '"' + word.replace('"', '\\"') + '"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")
