"""Words of work on their way to another node, and the reading of those that came. Forms only; who may say what is
checked by whoever hears it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from netsky.envelope.fields import Attachment
from netsky.envelope.limits import SKEW_NS
from netsky.node.bus import between
from netsky.node.bus.draft import Draft
from netsky.node.db.work_held import HeldRow
from netsky.node.work import ticket as tickets
from netsky.node.work.fence import Fence, read_fence
from netsky.node.work.limits import LEASE_NS, LIST_MAX, SLOTS_MAX, WORD_CHARS_MAX
from netsky.node.work.plan import fields
from netsky.node.work.report import Report, read_report
from netsky.node.work.runtime import Job
from netsky.node.work.start import read_start
from netsky.node.work.ticket import Spec

AGENT = "agent0"
_SHORT_NS = LEASE_NS + SKEW_NS
"""What is only worth something as long as a lease."""


@dataclass(frozen=True, slots=True)
class Beat:
    """A node says that it is there, what it offers and what it holds."""

    slots: int
    labels: tuple[str, ...] = ()
    halted: bool = False
    held: tuple[tuple[str, str], ...] = ()
    """(task_id, fence) at work there."""


def ticket(job: Job, node: str) -> Draft:
    about: dict[str, Any] = {"task_id": job.task_id, "fence": str(job.fence), "try": job.tried}
    about["spec"] = json.loads(tickets.encode(job.spec))
    if job.context:
        about["context"] = [list(one) for one in job.context]
    if job.start is not None:
        about["start"] = asdict(job.start)
    title = f"{job.task_id}: {job.spec.title}" if job.spec.title else job.task_id
    attached = () if job.start is None else job.start.attachments
    key = f"ticket/{job.fence}"
    return _draft(between.TICKET, f"{AGENT}@{node}", title, about, key, lasts=_SHORT_NS, attached=attached)


def cancel(task_id: str, fence: str, node: str) -> Draft:
    about = {"task_id": task_id, "fence": fence}
    return _draft(between.CANCEL, f"{AGENT}@{node}", f"cancel {task_id}", about, f"cancel/{fence}")


def report(row: HeldRow, root: str, attached: tuple[Attachment, ...] = ()) -> Draft:
    about = {"task_id": row.ticket, "fence": row.fence, "report": json.loads(row.report or "{}")}
    said = about["report"]
    text = " ".join(part for part in (row.ticket, said.get("ended", ""), said.get("code", "")) if part)
    return _draft(
        *(between.REPORT, f"{AGENT}@{root}", text, about, f"report/{row.fence}"),
        in_reply_to=row.envelope or None,
        attached=attached,
    )


def want(node: str) -> Draft:
    """netsky0 has work: what can this node take?"""
    return _draft(between.WANT, f"agentinfinity@{node}", "what can you take?", {}, None, lasts=_SHORT_NS)


def beat(one: Beat, root: str) -> Draft:
    about = {"slots": one.slots, "labels": list(one.labels), "halted": one.halted, "held": [list(p) for p in one.held]}
    text = f"{len(one.held)} of {one.slots} slots at work"
    return _draft(between.BEAT, f"agentinfinity@{root}", text, about, None, lasts=_SHORT_NS)


def ask(verb: str, args: Mapping[str, Any], root: str, key: str) -> Draft:
    return _draft(between.ASK, f"{AGENT}@{root}", f"work: {verb}", {"verb": verb, "args": dict(args)}, key)


def answer(to: str, asked: str, said: Mapping[str, Any]) -> Draft:
    about = {**said, "asked": asked}
    return _draft(between.ANSWER, to, "work: answer", about, f"answer/{asked}"[:64], in_reply_to=asked)


def _draft(
    schema: str,
    to: str,
    text: str,
    about: Mapping[str, Any],
    key: str | None,
    *,
    lasts: int | None = None,
    in_reply_to: str | None = None,
    attached: tuple[Attachment, ...] = (),
) -> Draft:
    return Draft(
        to=to,
        text=text,
        kind=between.kind_of(schema),
        idempotency_key=key,
        data={"schema": schema, **about},
        expires_in_ns=lasts,
        in_reply_to=in_reply_to,
        attachments=attached,
    )


# What came. None: it has not the form, and whoever sent it is no node of this version.


def read_job(about: Mapping[str, Any]) -> Job | None:
    task_id, fence, tried, spec = (about.get(name) for name in ("task_id", "fence", "try", "spec"))
    found = read_fence(fence)
    if not _is_id(task_id) or found is None or not isinstance(tried, int) or not isinstance(spec, dict):
        return None
    read, start = read_spec(spec), read_start(about.get("start"))
    if read is None or (start is None and about.get("start") is not None):
        return None
    assert isinstance(task_id, str)
    context = about.get("context", [])
    if not isinstance(context, list) or not all(map(_is_found, context)):
        return None
    return Job(task_id, found, tried, read, start, tuple((pointer, text) for pointer, text in context))


def read_spec(found: Mapping[str, Any]) -> Spec | None:
    """By the same table of fields as a plan: what netsky0 sends is checked like what a person wrote."""
    kept = {name: value for name, value in found.items() if value not in ("", [], {})}
    if fields.faults(fields.SPEC, kept, ()):
        return None
    return tickets.of_mapping(kept)


def read_cancel(about: Mapping[str, Any]) -> tuple[str, Fence] | None:
    task_id, fence = about.get("task_id"), read_fence(about.get("fence"))
    if not isinstance(task_id, str) or not _is_id(task_id) or fence is None:
        return None
    return task_id, fence


def read_reported(about: Mapping[str, Any]) -> tuple[str, str, Report | str] | None:
    """(task_id, fence, the report or what is wrong with it)."""
    task_id, fence = about.get("task_id"), read_fence(about.get("fence"))
    if not isinstance(task_id, str) or not _is_id(task_id) or fence is None:
        return None
    return task_id, str(fence), read_report(about.get("report"))


def read_beat(about: Mapping[str, Any]) -> Beat | None:
    slots, labels, halted, held = (about.get(name) for name in ("slots", "labels", "halted", "held"))
    if isinstance(slots, bool) or not isinstance(slots, int) or not 0 <= slots <= SLOTS_MAX:
        return None
    if not isinstance(labels, list) or not isinstance(held, list) or not isinstance(halted, bool):
        return None
    if len(labels) > LIST_MAX or not all(isinstance(one, str) and fields.LABEL.fullmatch(one) for one in labels):
        return None
    pairs = [(one[0], one[1]) for one in held if isinstance(one, list) and len(one) == 2 and _is_pair(one)]
    if len(pairs) != len(held) or len(pairs) > 2 * SLOTS_MAX:
        return None
    return Beat(slots, tuple(labels), halted, tuple(pairs))


def _is_found(one: object) -> bool:
    return isinstance(one, list) and len(one) == 2 and all(isinstance(part, str) for part in one)


def _is_pair(one: Sequence[object]) -> bool:
    return _is_id(one[0]) and read_fence(one[1]) is not None


def _is_id(said: object) -> bool:
    return isinstance(said, str) and 0 < len(said) <= 2 * WORD_CHARS_MAX and said.isascii() and said.isprintable()
