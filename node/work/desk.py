"""What may be asked of work: each order of the verbs, carried out at the node that gives work out. Who asks is known by
then, and may; the answer is what a program gets as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.db import work_runs, work_tickets
from netsky.node.db.work_runs import Checkpoint, RunRow
from netsky.node.db.work_tickets import Ready, TicketRow
from netsky.node.errors import Conflict, NotFound
from netsky.node.limits import LIST_ROWS_MAX
from netsky.node.work import planning
from netsky.node.work import ticket as tickets

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.verbs.args import Args
    from netsky.node.work.office import Office

STORY_MAX = 200
MOVED = "moved/"
"""A bell: tickets have moved."""
WAIT_SECONDS_MAX = 86_400.0


class Desk:
    def __init__(self, node: Node, office: Office) -> None:
        self._node = node
        self._office = office

    async def run(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:
        plan = args.mapping("plan") or {}
        args.nothing_else()
        started = await planning.start(self._node, self._office, plan, who, cause)
        return {"run": self._run(started.run), "warnings": list(started.warnings), "again": started.again}

    async def wait(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Until a run has ended, or nothing of it moves, or the time is over."""
        id_, wait = args.text("run"), args.seconds("wait_s", 0, WAIT_SECONDS_MAX)
        args.nothing_else()
        signals = self._node.signals
        with trio.move_on_after(wait):
            while True:
                heard = signals.count(MOVED)
                run = await self._found_run(id_)
                if run.state in {"completed", "blocked"}:
                    break
                await signals.wait_beyond(MOVED, heard)
        run = await self._found_run(id_)
        [states] = await self._read(work_tickets.by_state(run.id))
        return {"run": self._run(run), "states": {str(state): count for state, count in states}}

    async def ls(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        run, owner, state = (args.maybe_text(name) or "" for name in ("run", "owner", "state"))
        is_open, limit = args.flag("open"), args.whole("limit", 100, 1, LIST_ROWS_MAX)
        after = args.whole("after", 0, 0, 1 << 62)
        args.nothing_else()
        if owner and "@" not in owner:
            owner = f"{owner}@{self._node.identity.name}"
        asked = work_tickets.listed(run=run, owner=owner, state=state, is_open=is_open, after=after, limit=limit + 1)
        found, runs = await self._read(asked, work_runs.latest(limit))
        rows = work_tickets.rows(found)
        more = rows[limit - 1].seq if len(rows) > limit else None
        return {
            "tickets": [self._line(row) for row in rows[:limit]],
            "more": more,
            "runs": [self._run(one) for one in work_runs.rows(runs) if not run or one.id == run],
        }

    async def show(self, who: str, args: Args, cause: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        id_ = args.text("id")
        args.nothing_else()
        row = await self.found(id_)
        story, before, behind, children, notes = await self._read(
            work_runs.story(row.seq, STORY_MAX),
            work_tickets.before(row.seq),
            work_tickets.behind(row.seq),
            work_tickets.children(row.seq),
            work_runs.notes(row.seq, STORY_MAX),
        )
        steps = [self._step(one) for one in reversed(work_runs.checkpoint_rows(story))]
        return {
            **self._line(row),
            "spec": tickets.shown(tickets.decode(row.spec)),
            "report": None if row.report is None else json.loads(row.report),
            "after": [{"id": one, "state": state} for one, state in before],
            "before": [{"id": one, "state": state} for one, state in behind],
            "children": [one.id for one in work_tickets.rows(children)],
            "story": steps,
            "notes": [{"id": n, "at": at, "author": by, "text": text} for n, at, by, text in notes],
            "waits": self._why_waits(row, [(str(one), str(state)) for one, state in before]),
        }

    # Found by what was typed.

    async def found(self, typed: str) -> TicketRow:
        [exact, near] = await self._read(work_tickets.by_ids([typed]), work_tickets.like(typed, 3))
        rows = work_tickets.rows(exact)
        if rows:
            return rows[0]
        if not near:
            raise NotFound(f"there is no ticket {typed[:80]!a}", next="netsky task ls", code="no_ticket")
        if len(near) > 1:
            names = ", ".join(str(id_) for (id_,) in near)
            raise Conflict(f"{typed[:80]!a} may be {names}", next="say which", code="ambiguous")
        [one] = await self._read(work_tickets.by_ids([str(near[0][0])]))
        return work_tickets.rows(one)[0]

    async def _found_run(self, id_: str) -> RunRow:
        known = self._office.book.runs.get(id_)
        if known is not None:
            return known
        [found] = await self._read(work_runs.by_id(id_))
        if not found:
            raise NotFound(f"there is no run {id_[:80]!a}", next="netsky task ls --runs", code="no_run")
        return work_runs.rows(found)[0]

    async def _read(self, *statements: Any) -> list[Any]:
        return await self._node.group.read(statements)

    # As it is shown.

    def _run(self, run: RunRow) -> dict[str, Any]:
        head: Mapping[str, Any] = json.loads(run.head)
        shown = ("id", "name", "state", "asked_by", "made_at", "changed_at", "reason", "tickets", "open", "failed")
        return {name: getattr(run, name) for name in shown} | dict(head)

    def _line(self, row: TicketRow) -> dict[str, Any]:
        spec = tickets.decode(row.spec)
        shown = ("id", "run", "state", "since", "owner", "node", "tries", "code", "reason", "till", "due", "fence")
        return {name: getattr(row, name) for name in shown} | {
            "title": spec.title,
            "role": spec.role,
            "runtime": spec.runtime,
            "alone": bool(row.alone),
            "waits": self._why_waits(row, ()),
        }

    def _why_waits(self, row: TicketRow, before: Any) -> str:
        """What it waits for, as a sentence; "" if it does not wait."""
        if row.state != "waiting":
            return ""
        missing = [f"{id_} ({state})" for id_, state in before if state != "committed"]
        if row.missing:
            return f"waiting: comes after {', '.join(missing)}" if missing else f"waiting: {row.missing} come before it"
        if row.due > self._node.now():
            return "waiting: until its next try"
        if self._node.halt.hands_out != "all":
            return f"waiting: {self._node.halt.why_kept()}"
        return self._office.waits.get(Ready(row.place, row.alone), "waiting: its turn comes")

    def _step(self, one: Checkpoint) -> dict[str, Any]:
        found = asdict(one) | {"try": one.tried}
        return {name: value for name, value in found.items() if name not in {"tried", "ticket", "run"}}
