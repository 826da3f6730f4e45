"""The numbers with which a daemon ends, for service managers and `netsky up`. Below 64 are those of the commands."""

from __future__ import annotations

EXIT_LEDGER_BROKEN = 70
"""The disk failed a write or a sync. What is on it is read anew by the next start."""

EXIT_GAVE_UP = 71
"""Tasks crashed again and again; the log and the rows of `crashes` say which."""

EXIT_STOP_HUNG = 72
"""An orderly stop did not end in time, so it was cut short. Nothing accepted is lost by that."""

EXIT_CRASHED = 73
"""A mistake of ours outside every supervised task."""

EXIT_UNUSABLE = 78
"""The database is damaged, foreign or newer: starting again changes nothing. Service files do not restart on it."""

REASONS = {
    EXIT_LEDGER_BROKEN: "the disk failed",
    EXIT_GAVE_UP: "tasks crashed again and again",
    EXIT_STOP_HUNG: "it could not stop in order",
    EXIT_CRASHED: "it crashed",
    EXIT_UNUSABLE: "its database cannot be used",
}
