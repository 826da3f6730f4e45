"""The node on which cells stand, asked once in its life which walls there are."""

from __future__ import annotations

from collections.abc import Mapping

import trio
from netsky.node.home import Home
from netsky.node.seams import Seams
from netsky.node.work.cell.run import Site, offered_here


class Cells:
    def __init__(self, home: Home, seams: Seams, environ: Mapping[str, str]) -> None:
        self._home = home
        self._seams = seams
        self._environ = environ
        self._site: Site | None = None
        self._trying = trio.Lock()

    async def site(self) -> Site:
        """When the first is wanted and not before: it starts a program."""
        async with self._trying:
            if self._site is None:
                offered = await offered_here(self._home, self._seams, self._environ)
                self._site = Site(self._home, self._seams, self._environ, offered)
            return self._site
