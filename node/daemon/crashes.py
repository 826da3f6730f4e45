"""Every crash becomes a line of the log, an event and a row, and never another crash."""

from __future__ import annotations

import traceback

from netsky.node.db import observe
from netsky.node.db.group import GroupCommit
from netsky.node.errors import NetskyError
from netsky.node.events import Events
from netsky.node.home import Home
from netsky.node.log import Log
from netsky.node.seams.time import Time
from netsky.node.supervise import Crash, describe

_STOPS = frozenset({"fatal"})
_TRACE_CHARS_MAX = 8_000


class Crashes:
    def __init__(self, home: Home, log: Log, events: Events, group: GroupCommit, time: Time) -> None:
        self._home = home
        self._log = log
        self._events = events
        self._group = group
        self._time = time
        self.count = 0

    def report(self, crash: Crash) -> None:
        """From supervisors."""
        self._record(crash.task, crash.kind, crash.error, node_stops=crash.kind in _STOPS)

    def in_verb(self, verb: str, error: Exception) -> NetskyError:
        """From the control sockets: a mistake of ours in a verb, and the sentence for whoever asked."""
        self._record(f"verb/{verb}", "crashed", error, node_stops=False)
        return NetskyError(
            f"the node made a mistake while it worked on {verb}: {describe(error)}",
            next=f"the traceback stands in {self._home.node_log}; netsky status",
            code="internal",
        )

    def _record(self, task: str, kind: str, error: BaseException | None, *, node_stops: bool) -> None:
        self.count += 1
        said = "" if error is None else describe(error)
        trace = "" if error is None else "".join(traceback.format_exception(error))[-_TRACE_CHARS_MAX:]
        self._log.error("task.crashed", task=task, kind=kind, error=said, trace=trace)
        self._events.publish("crash", task=task, reason=kind, error=said[:500])
        self._group.ride(observe.crashed(self._time.wall(), task, kind, said, node_stops=node_stops))
