"""What stands ready for the day on which this node cannot be asked, and, on a sibling, the ear for the root.

Every few seconds: the plain file that the separate program reads is as it should be; and if netsky0 has been silent
for too long, a marker says so, and the deputy tells the owner. The link decides about both, never the marker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsky.node.daemon.node import Fault
from netsky.node.db import observe
from netsky.node.escalate.limits import HOUR_NS, LOOK_NS
from netsky.node.escalate.pages import SILENT_ROOT_KEY
from netsky.node.escalate.place import FACTS_FILE, Facts, Kind
from netsky.node.escalate.silence import Change, Silence
from netsky.node.marker import Marker
from netsky.node.membership.rosters import deputy_of

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

ROOT_SILENT = "root-silent"
CLEAR = "the link to netsky0 comes up"


def facts_of(node: Node) -> Facts:
    roster, _ = node.membership.roster()
    deputy = None if roster is None else deputy_of(roster)
    kind: Kind = "alone" if node.identity.charter is None else "root" if node.identity.root else "sibling"
    return Facts(
        node=node.identity.name,
        kind=kind,
        is_deputy=deputy is not None and deputy.key == node.identity.key,
        deputy=None if deputy is None else deputy.name,
        members=0 if roster is None else sum(not one.revoked for one in roster.members),
        command=node.config.owner_command,
    )


class Lookout:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._silence = Silence()
        self._written: Facts | None = None
        self._marked = 0  # wall clock
        self._may_be_marked = True  # by an earlier life
        node.complaints.append(self._complain)

    async def run(self) -> None:
        time = self._node.seams.time
        while True:
            facts = facts_of(self._node)
            self._keep(facts)
            if facts.kind == "sibling":
                self._listen(facts)
            await time.sleep_until(time.monotonic() + self._period_ns)

    @property
    def _period_ns(self) -> int:
        return min(LOOK_NS, self._node.config.root_silent_s * 10**9 // 5)

    def _keep(self, facts: Facts) -> None:
        if facts == self._written:
            return
        try:
            self._node.markers.write(FACTS_FILE, facts.encode())
        except OSError as error:  # a full disk: tried at each look
            self._node.log.event("escalate.facts_not_kept", level="warn", error=str(error))
            return
        self._written = facts

    def _listen(self, facts: Facts) -> None:
        node, limit = self._node, self._node.config.root_silent_s * 10**9
        change = self._silence.look(node.seams.time.monotonic(), self._period_ns, limit, heard=self._heard())
        if change is not None:
            self._tell(change)
        if not self._silence.is_silent:
            if self._silence.silent_ns == 0 and self._may_be_marked:
                node.markers.clear(ROOT_SILENT)
                self._may_be_marked = False
            return
        self._mark()
        if facts.is_deputy:
            node.pager.silent_root()

    def _heard(self) -> bool:
        """Who says that this node was revoked is not silent."""
        charter = self._node.identity.charter
        seen = None if charter is None else self._node.membership.sightings.of(charter.root_key)
        return seen is not None and (seen.up or seen.revoked_us)

    def _mark(self) -> None:
        """Put anew twice an hour, so that it lapses soon after nobody looks any more."""
        node, now = self._node, self._node.now()
        if 0 <= now - self._marked < HOUR_NS // 2:
            return
        before = node.markers.get(ROOT_SILENT, now)
        since = now - self._silence.silent_ns if before is None else before.data.get("since", now)
        reason = "there has been no link to netsky0"
        try:
            node.markers.put(Marker(ROOT_SILENT, "lookout", reason, now, now + HOUR_NS, CLEAR, {"since": since}))
        except OSError as error:
            node.log.event("root.not_marked", level="warn", error=str(error))
            return
        self._marked, self._may_be_marked = now, True

    def _tell(self, change: Change) -> None:
        node = self._node
        if change == "heard":
            self._marked = 0
            node.pager.withdraw(SILENT_ROOT_KEY)
        event, severity = ("root_silent", "urgent") if change == "fell_silent" else ("root_heard", "normal")
        node.log.event(f"root.{change}", level="warn" if change == "fell_silent" else "info")
        node.events.publish(event)
        row = observe.watchdog_saw(node.now(), event, actor=None, severity=severity, status=change, detail={})
        node.group.ride(row)

    def _complain(self) -> list[Fault]:
        if not self._silence.is_silent:
            return []
        sentence = f"netsky0 has been silent for {self._silence.silent_ns // 10**9} s and more"
        return [Fault(code=ROOT_SILENT, sentence=sentence, next="look at the machine of netsky0")]
