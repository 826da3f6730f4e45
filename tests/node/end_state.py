"""What is left when all is drained, read from database and folders by the test, as lines of its history."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence

from netsky.node.home import Home
from netsky.node.lab.history import Writer

FOLDERS = ("inbox", "claimed", "archive", "quarantine")


def note_end(history: Writer, home: Home, actors: Sequence[str]) -> list[str]:
    """`deliver` for each row, `archive` for each that is taken and whose file lies there. What lies anywhere else."""
    database = sqlite3.connect(f"file:{home.database}?mode=ro", uri=True)
    rows = database.execute("SELECT actor, file, state, id, leaf FROM inbox JOIN messages USING (seq)").fetchall()
    database.close()
    history.note_all(
        "deliver",
        [{"id": id_, "origin": history.node, "hash": leaf.hex(), "dest": actor} for actor, _, _, id_, leaf in rows],
    )
    lying = {
        (actor, place, name)
        for actor in actors
        for place in FOLDERS
        for name in os.listdir(os.path.join(home.channels, actor, place))
        if not name.startswith(".")
    }
    taken = {(actor, "archive", file): id_ for actor, file, state, id_, _ in rows if state == "taken"}
    history.note_all(
        "archive", [{"id": id_, "origin": history.node} for at, id_ in sorted(taken.items()) if at in lying]
    )
    return [" ".join(at) for at in sorted(lying - taken.keys())]
