"""Four ways in which a manager has work done. It does none itself, and it remembers nothing that is not in the node:
each of these may be killed at any line and called again with the run that it had started."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from netsky.node.api import Node
from netsky.node.errors import Conflict, TryLater

Ticket = dict[str, Any]


async def start(node: Node, name: str, tickets: Sequence[Ticket]) -> str:
    """The run, stored and on its way."""
    return str((await node.call("work_run", plan={"name": name, "ticket": list(tickets)}))["run"]["id"])


async def fan_in(node: Node, parts: Sequence[str]) -> str:
    """All at once; the last one begins when they are all committed. Returns when it is."""
    tickets: list[Ticket] = [{"id": part, "title": f"refactor {part}"} for part in parts]
    tickets.append({"id": "together", "after": list(parts), "context_pointers": [f"task:{part}" for part in parts]})
    run = await start(node, "fan-in", tickets)
    found = await node.call("work_wait", run=run, wait_s=600, seconds=700)
    assert found["run"]["state"] == "completed", found["run"]["reason"]
    return run


async def stream(node: Node, run: str) -> AsyncIterator[str]:
    """Tickets of a run in the order in which they are committed, each as soon as it is."""
    seen: set[str] = set()
    while True:
        found = await node.call("work_wait", run=run, wait_s=1)
        for name in await committed(node, run):
            if name not in seen:
                seen.add(name)
                yield name
        if found["run"]["state"] in {"completed", "blocked"}:
            return


async def spawn(node: Node, links: Mapping[str, Sequence[str]], first: str) -> tuple[list[str], list[str]]:
    """A crawl: each page that was read names others, which become children of its ticket. The caps of the node end
    what would not end by itself: a page that comes too soon waits, one too deep is left. Pages read, pages left."""
    run = await start(node, "crawl", [{"id": first}])
    read: list[str] = []
    found: list[tuple[str, str]] = []
    left: list[str] = []
    known = {first}
    while True:
        state = (await node.call("work_wait", run=run, wait_s=1))["run"]["state"]
        new = [name for name in await committed(node, run) if name not in read]
        for page in new:
            read.append(page)
            found += [(page, link) for link in links.get(page, ()) if link not in known]
            known.update(links.get(page, ()))
        found = [(page, link) for page, link in found if not await _is_added(node, run, page, link, left)]
        if not new and not found and state == "completed":
            return read, left


async def _is_added(node: Node, run: str, page: str, link: str, left: list[str]) -> bool:
    """False: not yet."""
    try:
        await node.call("task_add", parent=f"{run}.{page}", ticket={"id": link})
    except TryLater:
        return False
    except Conflict as refused:
        if refused.code != "depth":
            raise
        left.append(link)
    return True


async def pull(node: Node, parts: Sequence[str]) -> dict[str, int]:
    """Nobody hands parts out one by one: they stand in a queue, and a node with a free slot has the next. How many each
    node had in the end."""
    run = await start(node, "queue", [{"id": part} for part in parts])
    await node.call("work_wait", run=run, wait_s=600, seconds=700)
    done = (await node.call("task_ls", run=run, limit=1_000))["tickets"]
    return {name: sum(one["node"] == name for one in done) for name in sorted({one["node"] for one in done})}


async def committed(node: Node, run: str) -> list[str]:
    tickets = (await node.call("task_ls", run=run, state="committed", limit=1_000))["tickets"]
    return [one["id"].rpartition(".")[2] for one in sorted(tickets, key=lambda one: one["since"])]
