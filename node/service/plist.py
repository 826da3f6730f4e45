"""The text of a launchd agent. Pure: a recipe in, a file out.

launchd restarts for ever or never and knows no exit numbers, so the rule that a unit of systemd states (three more
starts within the window, none after certain exit numbers) is a small loop of the shell here.
"""

from __future__ import annotations

import plistlib
from typing import Any

from netsky.node.limits import DESCRIPTORS_WANTED, STOP_SECONDS
from netsky.node.service.heart import BEAT_SECONDS
from netsky.node.service.recipe import (
    ENDED_BY_SIGNAL,
    FOR_A_PERSON,
    RESTART_WAIT_SECONDS,
    RESTART_WINDOW_SECONDS,
    RESTARTS_MAX,
    Recipe,
)

STOP_MARGIN_SECONDS = 5

LOOP = f"""\
# Starts the node; again after a failure, {RESTARTS_MAX} times within {RESTART_WINDOW_SECONDS} s; hands a stop on to it.
node= stopped= starts=
trap 'stopped=1; [ -n "$node" ] && kill -TERM "$node" 2>/dev/null' TERM INT
while [ -z "$stopped" ]; do
    "$@" & node=$!
    [ -n "$stopped" ] && kill -TERM "$node"
    wait "$node"; code=$?
    while [ -n "$stopped" ] && kill -0 "$node" 2>/dev/null; do wait "$node"; code=$?; done
    node=
    case $code in 0|{"|".join(map(str, (*FOR_A_PERSON, *ENDED_BY_SIGNAL)))}) exit "$code" ;; esac
    now=$(/bin/date +%s) kept= count=0
    for at in $starts $now; do
        if [ $((now - at)) -lt {RESTART_WINDOW_SECONDS} ]; then kept="$kept $at" count=$((count + 1)); fi
    done
    starts=$kept
    [ "$count" -gt {RESTARTS_MAX} ] && exit "$code"
    [ -n "$stopped" ] || /bin/sleep {RESTART_WAIT_SECONDS}
done
exit 0
"""


def plist_text(recipe: Recipe, label: str, output: str) -> str:
    """`output` is the file for an interpreter's last words."""
    entries = {
        "Label": label,
        "ProgramArguments": ["/bin/sh", "-c", LOOP, "netsky", *recipe.start_words],
        "EnvironmentVariables": {"PATH": recipe.path},
        "WorkingDirectory": recipe.home,
        "RunAtLoad": True,
        "KeepAlive": False,
        "ExitTimeOut": int(STOP_SECONDS) + STOP_MARGIN_SECONDS,
        "SoftResourceLimits": {"NumberOfFiles": DESCRIPTORS_WANTED, "Core": 0},
        "Umask": 0o077,
        "StandardOutPath": output,
        "StandardErrorPath": output,
    }
    return _noted(entries, recipe)


def heart_plist_text(recipe: Recipe, label: str, output: str) -> str:
    """The second heart: one beat after the other. launchd does not start a second one beside the first."""
    entries = {
        "Label": label,
        "ProgramArguments": list(recipe.beat_words),
        "EnvironmentVariables": {"PATH": recipe.path},
        "StartInterval": BEAT_SECONDS,
        "RunAtLoad": False,
        "SoftResourceLimits": {"Core": 0},
        "Umask": 0o077,
        "StandardOutPath": output,
        "StandardErrorPath": output,
    }
    return _noted(entries, recipe)


def _noted(entries: dict[str, Any], recipe: Recipe) -> str:
    text = plistlib.dumps(entries).decode("utf-8")
    before, start, after = text.partition('<plist version="1.0">')
    note = f"<!-- Written by `netsky service install`, and written anew by it. -->\n<!-- {recipe.line} -->\n"
    return before + note + start + after
