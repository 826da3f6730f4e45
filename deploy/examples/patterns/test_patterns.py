"""Each pattern in a mesh of three machines, and what holds when one of them goes away in the middle."""

from __future__ import annotations

import trio
from netsky.node.lab.mesh import Mesh
from patterns import fan_in, pull, spawn, start, stream

PAGES = {"home": ["a", "b"], "a": ["a1", "home"], "b": ["a1", "b1"], "a1": ["deep"], "b1": [], "deep": ["deeper"]}


async def test_the_last_ticket_begins_when_all_parts_are_committed(mesh: Mesh) -> None:
    async with mesh.connect("netsky0") as node:
        run = await fan_in(node, [f"part{number}" for number in range(30)])
        shown = await node.call("task_show", id=f"{run}.together")
    offered = next(step["at"] for step in shown["story"] if step["event"] == "offer")
    done = await mesh["netsky0"].rows("SELECT max(since) FROM work_tickets WHERE id LIKE '%.part%'")
    assert offered >= done[0][0]


async def test_results_are_used_while_others_are_at_work(mesh: Mesh) -> None:
    async with mesh.connect("netsky0") as node:
        names = [f"part{number}" for number in range(12)]
        run = await start(
            node, "stream", [{"id": name, "after": names[max(0, at - 1) : at]} for at, name in enumerate(names)]
        )
        assert [name async for name in stream(node, run)] == names


async def test_a_crawl_ends_although_its_pages_do_not(mesh: Mesh) -> None:
    async with mesh.connect("netsky0") as node:
        read, left = await spawn(node, PAGES, "home")
    assert sorted(read) == ["a", "a1", "b", "b1", "deep", "home"]
    assert left == ["deeper"]


async def test_a_wide_page_waits_for_its_turn_and_all_of_it_is_read(mesh: Mesh) -> None:
    links = {"home": [f"page{number}" for number in range(50)]}
    async with mesh.connect("netsky0") as node:
        read, left = await spawn(node, links, "home")
    assert (len(read), left) == (51, [])


async def test_whoever_is_free_has_the_next_part_also_when_a_machine_goes_away(mesh: Mesh) -> None:
    async with mesh.connect("netsky0") as node, trio.open_nursery() as nursery:
        await pull(node, ["first"])  # with it the others are asked what they can take
        await mesh.advance(3)

        async def away() -> None:
            await trio.sleep(0.1)
            await mesh.crash("netsky2")
            await trio.sleep(90)
            await mesh.start("netsky2")

        nursery.start_soon(away)
        shares = await pull(node, [f"part{number}" for number in range(200)])
    assert sum(shares.values()) == 200
    assert {"netsky0", "netsky1"} <= shares.keys()
