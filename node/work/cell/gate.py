"""The one way out of a cell whose scope names hosts: a proxy with a socket of its own, as long as the program lives."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from netsky.node.errors import NetskyError, Usage
from netsky.node.seams import Seams
from netsky.node.seams.processes import CannotStart
from netsky.node.work.cell import connect
from netsky.node.work.cell.connect import Target
from netsky.node.work.cell.proxy import Proxy

SOCKET = "proxy.sock"
PORT = 3128
"""In a network that is the cell's own, so nobody else has it."""

URL = f"http://127.0.0.1:{PORT}"
FOLDER = "cell-"
"""With eight digits as long as the name of an actor may be, so that the socket's path is short enough."""


@dataclass(frozen=True, slots=True)
class Gate:
    folder: str = ""
    """What the cell shows of it; "" if there is no way out at all."""
    refused: Mapping[str, str] = field(default_factory=dict)

    def before(self, python: str) -> list[str]:
        """What stands in front of the program."""
        if not self.folder:
            return []
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forward.py")
        return [python, "-I", "-S", script, os.path.join(self.folder, SOCKET), str(PORT), "--"]

    @property
    def variables(self) -> dict[str, str]:
        """As the programs of the world read them, some in small letters and some in large ones."""
        if not self.folder:
            return {}
        small = {"https_proxy": URL, "http_proxy": URL, "no_proxy": "localhost,127.0.0.1,::1"}
        return small | {name.upper(): value for name, value in small.items()}


def scope(hosts: Sequence[str]) -> frozenset[Target]:
    """Usage where one of the hosts is none."""
    try:
        return connect.scope(hosts)
    except ValueError as error:
        raise Usage(f"{error}.", next="name hosts as HOST:PORT", code="bad_host") from None


@asynccontextmanager
async def open_gate(hosts: Sequence[str], runtime_folder: str, seams: Seams) -> AsyncIterator[Gate]:
    if not hosts:
        yield Gate()
        return
    proxy = Proxy(scope(hosts), seams.sockets)
    files, name = seams.files, f"{FOLDER}{seams.chance.token(4).hex()}"
    folder = os.path.join(runtime_folder, name)
    files.make_folder(folder)
    refused: Exception | None = None
    try:
        listener = await seams.sockets.listen(os.path.join(folder, SOCKET))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(proxy.serve, listener)
                try:
                    yield Gate(folder, proxy.refused)
                except (CannotStart, NetskyError) as error:  # raised as itself, not in a group
                    refused = error
                nursery.cancel_scope.cancel()
        finally:
            listener.close()
    finally:
        runtime = files.open_folder(runtime_folder)
        files.remove_folder(runtime, name)
        files.close(runtime)
    if refused is not None:
        raise refused


def sweep(runtime_folder: str, seams: Seams) -> None:
    """Gates of a node that ended while programs ran: at a start nobody uses them any more."""
    files = seams.files
    runtime = files.open_folder(runtime_folder)
    try:
        for name in files.names(runtime, LEFT_MAX, LEFT_MAX):
            if name.startswith(FOLDER):
                folder = files.open_folder(name, runtime)
                files.remove(folder, SOCKET)
                files.close(folder)
                files.remove_folder(runtime, name)
    finally:
        files.close(runtime)


LEFT_MAX = 1_024
"""Looked at: actors and cells of a node are tens."""
