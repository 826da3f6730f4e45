"""Runs programs in strict sandboxes, as the user that it is started as: `python cell_driver.py ORDERS`.

ORDERS is a JSON file: the node's home, which walls to use ("" for those that are found), and a list of cells with their
programs. They run beside each other; printed is one JSON object, name -> what came of it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from typing import Any

import trio
from netsky.node.actors.launch import Offered
from netsky.node.errors import NetskyError
from netsky.node.home import Home
from netsky.node.seams.processes import CannotStart
from netsky.node.seams.real import real_seams
from netsky.node.work.cell.cell import Cell, CellLimits
from netsky.node.work.cell.run import Site, offered_here, run_in


async def one(site: Site, order: dict[str, Any]) -> dict[str, Any]:
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in order["cell"].items()}
    limits = replace(CellLimits(), **fields.pop("limits", {}))
    before = time.monotonic()
    try:
        result = await run_in(
            Cell(**fields, limits=limits), order["argv"], stdin=b"", env=order.get("env", {}), site=site,
            unsandboxed=order.get("unsandboxed", False),
        )  # fmt: skip
    except NetskyError as refused:
        return {"refused": refused.message, "next": refused.next}
    except CannotStart as refused:
        return {"refused": str(refused)}
    return {
        "code": result.exit.code, "signal": result.exit.signal, "limit": result.limit, "walled": result.walled,
        "said": result.said.decode("utf-8", "replace"), "errors": result.errors.decode("utf-8", "replace"),
        "sentence": result.sentence(), "seconds": round(time.monotonic() - before, 2), "left": result.exit.left,
        "refused": dict(result.refused),
    }  # fmt: skip


async def main(told: dict[str, Any]) -> None:
    home, seams = Home(told["home"]), real_seams()
    offered = await offered_here(home, seams, os.environ) if told["walls"] else Offered(None, "none was wanted")
    site = Site(home, seams, os.environ, offered)
    found: dict[str, Any] = {"": {"kind": offered.kind, "why_not": offered.why_not}}

    async def run(name: str, order: dict[str, Any]) -> None:
        found[name] = await one(site, order)

    async with trio.open_nursery() as nursery:
        for name, order in told["orders"].items():
            nursery.start_soon(run, name, order)
    print(json.dumps(found))


if __name__ == "__main__":
    with open(sys.argv[1]) as orders:
        trio.run(main, json.load(orders))
