"""What may be asked of work: each order of the verbs, carried out at the node that gives work out. Whether the asker
may is known by then, but for one thing: who asks from a sibling sees and moves only what was asked for there, and
starts work there alone. A sibling that fell into wrong hands commands no other machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.db import work_runs, work_tickets
from netsky.node.db.work_runs import RunRow
from netsky.node.db.work_tickets import TicketRow
from netsky.node.errors import Conflict, NotFound, Refused, Usage
from netsky.node.limits import LIST_ROWS_MAX
from netsky.node.work import changing, planning
from netsky.node.work.limits import LIST_MAX, TEXT_CHARS_MAX
from netsky.node.work.plan import fields
from netsky.node.work.showing import Showing

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.verbs.args import Args
    from netsky.node.work.office import Office

STORY_MAX = 200
MOVED = "moved/"
"""A bell: tickets have moved."""

WAIT_SECONDS_MAX = 7 * 86_400.0
GRANT_SECONDS = 86_400.0
GRANT_SECONDS_MAX = 30 * 86_400.0
REASON_CHARS_MAX = 200


class Desk:
    def __init__(self, node: Node, office: Office) -> None:
        self._node = node
        self._office = office
        self._showing = Showing(node, office)

    async def run(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:
        plan = args.mapping("plan") or {}
        args.nothing_else()
        plan = self._at_home(who, plan)
        started = await planning.start(self._node, self._office, plan, who, cause)
        return {"run": self._showing.run(started.run), "warnings": list(started.warnings), "again": started.again}

    async def add(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:
        """To a run, below a ticket, or as a run of its own."""
        ticket, run_id, parent_id = args.mapping("ticket") or {}, args.maybe_text("run"), args.maybe_text("parent")
        args.nothing_else()
        if run_id is None and parent_id is None:
            plan = self._at_home(who, {"name": "task", "ticket": [{"id": "task", **ticket}]})
            started = await planning.start(self._node, self._office, plan, who, cause)
            return {"ticket": f"{started.run.id}.{plan['ticket'][0]['id']}", "run": started.run.id}
        parent = None if parent_id is None else await self.found(who, parent_id)
        run = await self._found_run(who, parent.run if parent is not None else str(run_id))
        row = await changing.add(
            self._node, self._office, run, self._at_home(who, {"ticket": [ticket]})["ticket"][0], parent
        )
        return {"ticket": row.id, "run": row.run}

    async def wait(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002 - one form for all
        """Until a run has ended, or nothing of it moves, or the time is over."""
        id_, wait = args.text("run"), args.seconds("wait_s", 0, WAIT_SECONDS_MAX)
        args.nothing_else()
        signals = self._node.signals
        with trio.move_on_after(wait):
            while True:
                heard = signals.count(MOVED)
                if (await self._found_run(who, id_)).state in {"completed", "blocked"}:
                    break
                await signals.wait_beyond(MOVED, heard)
        run = await self._found_run(who, id_)
        [states] = await self._read(work_tickets.by_state(run.id))
        return {"run": self._showing.run(run), "states": {str(state): count for state, count in states}}

    async def ls(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        run, owner, state = (args.maybe_text(name) or "" for name in ("run", "owner", "state"))
        is_open, limit = args.flag("open"), args.whole("limit", 100, 1, LIST_ROWS_MAX)
        after = args.whole("after", 0, 0, 1 << 62)
        args.nothing_else()
        if owner and "@" not in owner:
            owner = f"{owner}@{self._node.identity.name}"
        asked = {"run": run, "owner": owner, "state": state, "asked_at": self._elsewhere(who)}
        found, runs = await self._read(
            work_tickets.listed(**asked, is_open=is_open, after=after, limit=limit + 1),
            work_runs.latest(limit, asked["asked_at"]),
        )
        rows = work_tickets.rows(found)
        return {
            "tickets": [self._showing.line(row) for row in rows[:limit]],
            "more": rows[limit - 1].seq if len(rows) > limit else None,
            "runs": [self._showing.run(one) for one in work_runs.rows(runs) if not run or one.id == run],
        }

    async def show(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        id_ = args.text("id")
        args.nothing_else()
        row = await self.found(who, id_)
        return self._showing.whole(
            row,
            await self._read(
                work_runs.story(row.seq, STORY_MAX),
                work_tickets.before(row.seq),
                work_tickets.behind(row.seq),
                work_tickets.children(row.seq),
                work_runs.notes(row.seq, STORY_MAX),
                work_runs.grants([row.seq]),
            ),
        )

    async def tree(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        id_ = args.text("run")
        args.nothing_else()
        run = await self._found_run(who, id_)
        found, pairs = await self._read(
            work_tickets.listed(run=run.id, limit=LIST_ROWS_MAX), work_tickets.edges(run.id, 10 * LIST_ROWS_MAX)
        )
        rows = work_tickets.rows(found)
        names = {row.seq: row.id for row in rows}
        after: dict[str, list[str]] = {row.id: [] for row in rows}
        for ticket, needs in pairs:
            after.setdefault(str(ticket), []).append(str(needs))
        lines = [
            self._showing.line(row)
            | {
                "parent": None if row.parent is None else names.get(row.parent),
                "depth": row.depth,
                "after": after[row.id],
            }
            for row in rows
        ]
        return {"run": self._showing.run(run), "tickets": lines}

    async def cancel(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        id_, run_id, reason = args.maybe_text("id"), args.maybe_text("run"), _reason(args)
        args.nothing_else()
        if (id_ is None) == (run_id is None):
            raise Usage("a ticket or a run: one of the two", next="netsky task cancel -h", code="bad_argument")
        if id_ is not None:
            row = await self.found(who, id_)
            done = await changing.cancel(self._node, self._office, [row], who, reason)
            if not done["cancelled"]:
                raise Conflict(f"{row.id} is {row.state}: too late", next=f"netsky task show {row.id}", code="too_late")
            return done
        run = await self._found_run(who, str(run_id))
        all_done: dict[str, list[str]] = {"cancelled": [], "late": []}
        while rows := [row for row in await changing.open_of(self._node, run.id) if row.id not in all_done["late"]]:
            done = await changing.cancel(self._node, self._office, rows, who, reason)
            for name, ids in done.items():
                all_done[name] += ids
        return all_done

    async def retry(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        id_, reason = args.text("id"), _reason(args)
        args.nothing_else()
        row = await self.found(who, id_)
        return {"retried": await changing.retry(self._node, self._office, row, who, reason)}

    async def unblock(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        id_, seconds = args.text("id"), args.seconds("for_s", GRANT_SECONDS, GRANT_SECONDS_MAX)
        scope = {name: args.texts(name, LIST_MAX, needed=False) for name in fields.SCOPE}
        args.nothing_else()
        if self._elsewhere(who):
            raise Refused("more is allowed on netsky0 alone", next="on netsky0: netsky task unblock", code="authority")
        row = await self.found(who, id_)
        kept = {name: value for name, value in scope.items() if value}
        until = self._node.now() + round(seconds * 1e9)
        envelope = await changing.unblock(self._node, self._office, row, who, scope=kept, until=until)
        return {"ticket": row.id, "allowed": kept, "until": until if kept else None, "envelope": envelope or None}

    async def reasons(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        args.nothing_else()
        if self._elsewhere(who):
            raise Refused("netsky0 alone counts", next="on netsky0: netsky task reasons", code="authority")
        [found] = await self._read(work_tickets.ends())
        names = ("code", "role", "node", "count")
        return {"reasons": [dict(zip(names, row, strict=True)) for row in found]}

    async def note(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        id_, text = args.text("id"), args.text("text")
        args.nothing_else()
        wrong = fields.text(TEXT_CHARS_MAX)(text)
        if wrong is not None or not text.strip():
            raise Usage(f"a note {wrong or 'says something'}", next="netsky note -h", code="bad_note")
        row = await self.found(who, id_)
        at = self._node.now()
        [[(number,)]] = await self._node.group.write([work_runs.note(row.seq, row.run, at, who, text)])
        assert isinstance(number, int)
        return {"note": number, "ticket": row.id, "pointer": f"note:{number}"}

    # Found by what was typed.

    async def found(self, who: str, typed: str) -> TicketRow:
        exact, near = await self._read(work_tickets.by_ids([typed]), work_tickets.like(typed, 3))
        rows = work_tickets.rows(exact)
        if not rows and len(near) > 1:
            names = ", ".join(str(id_) for (id_,) in near)
            raise Conflict(f"{typed[:80]!a} may be {names}", next="say which", code="ambiguous")
        if not rows and near:
            [one] = await self._read(work_tickets.by_ids([str(near[0][0])]))
            rows = work_tickets.rows(one)
        if not rows:
            raise NotFound(f"there is no ticket {typed[:80]!a}", next="netsky task ls", code="no_ticket")
        if rows[0].node != self._elsewhere(who):
            await self._found_run(who, rows[0].run)
        return rows[0]

    async def _found_run(self, who: str, id_: str) -> RunRow:
        run = self._office.book.runs.get(id_)
        if run is None:
            [found] = await self._read(work_runs.by_id(id_))
            run = work_runs.rows(found)[0] if found else None
        elsewhere = self._elsewhere(who)
        if run is None or (elsewhere and not run.asked_by.endswith(f"@{elsewhere}")):
            raise NotFound(f"there is no run {id_[:80]!a}", next="netsky task ls --runs", code="no_run")
        return run

    async def _read(self, *statements: Any) -> Sequence[Any]:
        return await self._node.group.read(statements)

    def _elsewhere(self, who: str) -> str:
        """The sibling that asks; "" if somebody here does."""
        node = who.rpartition("@")[2]
        return "" if node == self._node.identity.name else node

    def _at_home(self, who: str, plan: Mapping[str, Any]) -> dict[str, Any]:
        """A sibling's tickets are for itself."""
        node, found = self._elsewhere(who), plan.get("ticket")
        if node and plan.get("repository"):
            raise Refused(
                f"what is asked for on {node} commits nothing, so it names no repository",
                next="ask for it on netsky0",
                code="authority",
            )
        if not node or not isinstance(found, list):
            return dict(plan)
        kept = []
        for one in found:
            if isinstance(one, dict) and one.get("on", [node]) != [node]:
                raise Refused(
                    f"what is asked for on {node} is done on {node}, not on {json.dumps(one['on'])[:80]}",
                    next="ask for it on netsky0",
                    code="authority",
                )
            kept.append({**one, "on": [node]} if isinstance(one, dict) else one)
        if isinstance(plan.get("defaults"), dict) and "on" in plan["defaults"]:
            plan = {**plan, "defaults": {**plan["defaults"], "on": [node]}}
        return {**plan, "ticket": kept}


def _reason(args: Args) -> str:
    said = args.maybe_text("reason") or ""
    if len(said) > REASON_CHARS_MAX or not said.isprintable():
        raise Usage(
            f"a reason is one line of at most {REASON_CHARS_MAX} letters", next="say it shorter", code="bad_reason"
        )
    return said
