"""One large attachment over one hop, from a node's store into the next one's."""

from __future__ import annotations

import os
import time

from netsky.node.attaching import look_at, upload
from netsky.node.bench.figures import Figure
from netsky.node.bench.process import Machine
from netsky.node.client import Client
from netsky.node.errors import NetskyError

SIZE = 256 << 20
PIECE = 1 << 20
WAIT_SECONDS = 120


def attachment_figures(folder: str, origin: Machine, root: Machine) -> list[Figure]:
    """Random bytes from the origin to the root: into the store, and over the link until the envelope's row is there,
    which is when every byte is verified and synced."""
    path = os.path.join(folder, "attachment")
    with open(path, "wb") as file:
        file.writelines(os.urandom(PIECE) for _ in range(SIZE // PIECE))
    with Client.connect(origin.home) as client:
        begun = time.monotonic()
        fields = upload(look_at([path]), client.call)
        stored = time.monotonic() - begun
        spent = [node.cpu_seconds() for node in (origin, root)]
        begun = time.monotonic()
        sent = client.call("send", to="agent0@netsky0", text="", attachments=fields, **{"from": "agent0"})["id"]
        _until_there(root, sent)
        took = time.monotonic() - begun
    cpu = sum(node.cpu_seconds() - before for node, before in zip((origin, root), spent, strict=True))
    os.unlink(path)
    return [
        Figure(
            "attachment_mb_per_s", "attachment over one hop", SIZE / took / 1e6, "MB/s", ">= 150", "verified, synced"
        ),
        Figure("attachment_stored_mb_per_s", "the same from a file into the store", SIZE / stored / 1e6, "MB/s"),
        Figure("attachment_mb_per_cpu_s", "both ends of that hop", SIZE / cpu / 1e6, "MB/s of one processor"),
    ]


def _until_there(root: Machine, sent: str) -> None:
    limit = time.monotonic() + WAIT_SECONDS
    with Client.connect(root.home) as client:
        sql = f"SELECT 1 FROM inbox JOIN messages USING (seq) WHERE messages.id = '{sent}'"  # noqa: S608 - an id of ours
        while not client.call("query", sql=sql)["rows"]:
            if time.monotonic() > limit:
                raise NetskyError("the attachment did not arrive", next="look into the logs", code="not_arrived")
            time.sleep(0.02)
