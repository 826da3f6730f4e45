"""`netsky owner …`: what the owner says and gets, in the words and on the screen of a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.send import text_said
from netsky.node.cli.text import age, length, local_time, plural, visible
from netsky.node.client import CALL_SECONDS
from netsky.node.errors import EXIT_DONE, TimedOut, Usage
from netsky.node.owner.asks import answered_by, late_ns

_SHORT = 10
"""Letters of an id at least: what came within the same quarter of a second has them in common."""

_WAIT_AFTER_DEADLINE = 300.0


def inbox(args: Any, out: Output) -> int:
    node: Dialer = args.node
    said = {"do": "inbox", "all": args.all or None, "peek": args.peek or None, "limit": args.limit, "wait_s": args.wait}
    asked = {name: value for name, value in said.items() if value is not None}
    data = node.client().request("owner", asked, timeout=CALL_SECONDS + (args.wait or 0))
    items, waiting = data["items"], data["waiting"]
    summary = f"{plural(waiting, 'item')} waiting, {data['new']} new" if waiting else "nothing waits for you"
    ends = [item["ask"]["deadline"] for item in items if item["ask"] and item["waits"] and not item["answer"]]
    if ends:
        summary += f", {plural(data['asks'], 'ask')}, the first to be answered within {_left(min(ends), out)}"

    def human() -> None:
        out.line(out.bold(summary))
        names = short_ids([item["id"] for item in items])
        for item in items:
            out.line()
            _print_item(item, names[item["id"]], out)
        if waiting > len(items) and not args.all:
            out.line(out.dim(f"\nand {waiting - len(items)} more: netsky owner inbox --limit 200"))
        if items:
            out.line()
            out.wrapped("whole: netsky owner show ID; done with it: netsky owner take ID", 2, out.dim)

    out.answer("owner-inbox", summary, data, human)
    return EXIT_DONE


def show(args: Any, out: Output) -> int:
    data = args.node.call("owner", do="show", id=args.id)
    summary = f"{data['kind']} from {visible(data['from'])}"

    def human() -> None:
        _print_item(data, data["id"], out, whole=True)
        out.line()
        for name, value in (("id", data["id"]), ("thread", data["thread"]), ("origin", data["origin"])):
            if value is not None:
                out.line(out.dim(f"{name:<10} {visible(str(value))}"))
        for name, at in (("seen", data["seen_at"]), ("taken", data["taken_by_agent0_at"]), ("paged", data["paged_at"])):
            if at is not None:
                by = " by agent0" if name == "taken" else ""
                out.line(out.dim(f"{name:<10} {local_time(at)} ({age(at, out.wall())}){by}"))
        if data["attachments"]:
            out.line(out.dim(f"{'files':<10} {data['attachments']}: netsky channel attachments {data['id']}"))

    out.answer("owner-show", summary, data, human)
    return EXIT_DONE


def reply(args: Any, out: Output) -> int:
    data = args.node.call("owner", do="reply", id=args.id, text=text_said(args.text))
    twice = " (you had said so before)" if data["duplicate"] else ""
    summary = f"answered{twice}: it goes to {visible(data['to'])}"
    out.answer("owner-reply", summary, data, lambda: out.line(data["id"] if out.quiet else summary))
    return EXIT_DONE


def take(args: Any, out: Output) -> int:
    data = args.node.call("owner", do="take", ids=list(args.id))
    by = "you see to" if data["by"] != "operator" else "done with"
    summary = f"{by} {plural(len(data['taken']), 'item')}"

    def human() -> None:
        out.line(summary)
        for one in data["open_asks"]:
            end = age(one["deadline"], out.wall())
            out.wrapped(f"{one['id']} has no answer and ends {end}: netsky owner reply {one['id']} TEXT", 2)

    out.answer("owner-take", summary, data, human)
    return EXIT_DONE


def send(args: Any, out: Output) -> int:
    node: Dialer = args.node
    said = {"text": text_said(args.text), "thread": args.thread, "in_reply_to": args.about}
    data = node.call("owner", do="send", **said, idempotency_key=args.idempotency_key)
    summary = f"stored {data['id']} for {data['to']}"
    if args.wait is None:
        out.answer("owner-send", summary, data, lambda: out.line(data["id"] if out.quiet else summary))
        return EXIT_DONE
    answer = _wait(node, data, args.wait, f"{data['to']} has it", out)
    whom = visible(str(answer.get("from", "somebody")))
    human = _answered(f"{whom if '@' in whom else data['to']} answers", answer, out)
    out.answer("owner-send", f"{whom} answered", data | {"answer": answer}, human)
    return EXIT_DONE


def ask(args: Any, out: Output) -> int:
    node: Dialer = args.node
    if args.deadline is None or args.otherwise is None:
        missing = "until when it is to be answered" if args.deadline is None else "what happens without an answer"
        raise Usage(
            f"an ask says {missing}",
            next='netsky owner ask QUESTION --deadline 2h --otherwise "it stays as it is"',
            code="no_deadline" if args.deadline is None else "no_otherwise",
        )
    said = {"text": text_said(args.question), "within": args.deadline, "otherwise": args.otherwise}
    more = {"thread": args.thread, "idempotency_key": args.idempotency_key, "from": getattr(args, "from")}
    data = node.call("owner", do="ask", **said, **more)
    deadline = data["ask"]["deadline"]
    until = f"{local_time(deadline)[:16]} ({age(deadline, out.wall())})"
    summary = f"asked {data['id']}; the owner has until {until}"
    if args.wait is None:
        out.answer("owner-ask", summary, data, lambda: out.line(data["id"] if out.quiet else summary))
        return EXIT_DONE
    limit = min(args.wait, args.deadline + _WAIT_AFTER_DEADLINE)
    answer = _wait(node, data, limit, f"the owner has until {until}", out)
    who = "the owner answers"
    if answered_by(str(answer.get("id", ""))) == "deadline":
        late = _lateness(answer)
        who = f"nobody answered{f', and netsky0 was down or asleep: {late} late' if late else ''}; as you said"
    out.answer("owner-ask", who, data | {"answer": answer}, _answered(who, answer, out))
    return EXIT_DONE


def asks(args: Any, out: Output) -> int:
    data = args.node.call("owner", do="asks", all=args.all or None, limit=args.limit)
    found = data["asks"]
    summary = plural(len(found), "ask") + ("" if args.all else " without an answer")

    def human() -> None:
        out.line(out.bold(summary))
        names = short_ids([one["id"] for one in found])
        for one in found:
            out.line()
            out.line(f"{out.bold(names[one['id']])}  {visible(one['from'])}, {age(one['at'], out.wall())}")
            _quote(one["text"] or "(what it said is no longer kept)", out)
            _print_end(one, out)

    out.answer("owner-asks", summary, data, human)
    return EXIT_DONE


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """The beginnings that tell these apart, all of one length."""
    letters = _SHORT
    while len({one[:letters] for one in ids}) < len(set(ids)):
        letters += 1
    return {one: one[:letters] for one in ids}


def _print_item(item: dict[str, Any], name: str, out: Output, *, whole: bool = False) -> None:
    now = out.wall()
    is_new = item["waits"] and item["seen_at"] is None
    parts = [f"{item['kind']} from {visible(item['from'])}", age(item["at"], now)]
    if item["taken_by_agent0_at"] is not None and item["waits"]:
        parts.append("agent0 sees to it")
    if not item["waits"] and item["answer"] is None:
        parts.append("done")
    title = ", ".join(parts)
    out.line(f"{out.bold(title) if is_new else title}{'' if whole else '  ' + out.dim(name)}")
    if item.get("question"):
        out.wrapped(f"  to your: {visible(item['question'])}", 4, out.dim)
    _quote(item["text"] if item["kept"] else "(what it said is no longer kept)", out)
    if item["cut"]:
        out.line(out.dim(f"  … netsky owner show {name}"))
    if item["ask"] is not None:
        _print_end(item["ask"] | {"answer": item["answer"]}, out)
    elif item["answer"] is not None:
        _print_end({"answer": item["answer"]}, out)
    if item["waits"] and item["kind"] == "question":
        out.line(f"  netsky owner reply {name} TEXT")


def _print_end(ask: dict[str, Any], out: Output) -> None:
    """Until when, and what then; or what became of it."""
    now, answer = out.wall(), ask["answer"]
    if answer is None:
        if ask["deadline"] is None:
            return
        left = ask["deadline"] - now
        until = f"answer within {length(left / 10**9)}" if left > 0 else "its deadline is over"
        out.line(out.warn(f"  {until} (until {local_time(ask['deadline'])[:16]}); else:"))
        _quote(ask["otherwise"] or "", out)
        return
    late = f", {length(answer['late_seconds'])} late" if answer["late_seconds"] else ""
    who = f"nobody answered; at the deadline{late}" if answer["by"] == "deadline" else "answered by the owner"
    out.line(f"  {who}, {age(answer['at'], now)}:")
    _quote(answer["text"] or "", out)


def _left(deadline: int, out: Output) -> str:
    return length(max(0, deadline - out.wall()) / 10**9)


def _quote(text: str, out: Output) -> None:
    """What somebody else wrote: each line behind a bar, so that nothing in it can look like ours."""
    for line in visible(text.strip("\n"), lines=True).split("\n"):
        out.wrapped(f"  | {line}".rstrip(), 4)


def _wait(node: Dialer, data: dict[str, Any], seconds: float, said: str, out: Output) -> dict[str, Any]:
    out.notice(f"stored {data['id']}; {said}; waiting {length(seconds)} at most")
    try:
        found = node.client().request(
            "owner", {"do": "answer", "id": data["id"], "wait_s": seconds}, timeout=seconds + CALL_SECONDS
        )
    except TimedOut as late:
        raise TimedOut(f"{late.message} (waited {length(seconds)})", next=late.next, code=late.code) from None
    answer: dict[str, Any] = found["answer"] or {"text": "(what it said is no longer kept)"}
    return answer


def _lateness(answer: dict[str, Any]) -> str:
    """How late a deadline fired, in words; nothing if it did not."""
    from netsky.envelope.file import read_time  # noqa: PLC0415
    from netsky.envelope.invalid import Invalid  # noqa: PLC0415

    deadline = (answer.get("data") or {}).get("deadline")
    try:
        late = late_ns(deadline, read_time(str(answer.get("ts")), "ts")) if isinstance(deadline, int) else 0
    except Invalid:
        late = 0
    return length(late / 10**9) if late else ""


def _answered(title: str, answer: dict[str, Any], out: Output) -> Callable[[], None]:
    def human() -> None:
        if out.quiet:
            out.line(visible(str(answer.get("text", "")), lines=True))
            return
        out.line(f"{title}:")
        _quote(str(answer.get("text", "")), out)

    return human
