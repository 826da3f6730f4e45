"""The owner's traffic over real daemons and iroh: an ask of netsky2, the answer, and the proof of it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.mesh import Mesh, until

pytestmark = pytest.mark.real


def test_an_ask_of_netsky2_is_answered_by_the_owner_and_proven_there_though_netsky0_is_killed(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, routes="", actors=1)
    try:
        mesh.build()
        root, two = mesh.root, mesh.siblings[1]
        said = (
            "owner",
            "ask",
            "drop the old table?",
            "--deadline",
            "2h",
            "--otherwise",
            "it stays",
            "--from",
            "agent1",
        )
        asked = two.netsky(*said)["id"]
        [item] = until(lambda: root.netsky("owner", "inbox", "--peek")["items"])
        assert (item["id"], item["from"]) == (asked, f"agent1@{two.name}")
        two.kill()
        replied = root.netsky("owner", "reply", asked[:16], "Drop it.")["id"]
        root.kill()  # it said that the answer was stored, and nobody has it yet
        root.up(1)
        two.up(1)
        reply = two.netsky("wait", "reply", asked, "--timeout", "40")["reply"]
        assert (reply["id"], reply["from"], reply["text"]) == (replied, "owner@netsky0", "Drop it.")
        proven = two.netsky("channel", "verify", replied)
        assert (proven["proven"], proven["answered"], proven["owner"]) == (True, "owner", True)
        assert proven["route"] is not None
        [mine] = two.netsky("query", f"SELECT count(*) FROM messages WHERE in_reply_to = '{asked}'")["rows"]
        assert mine == [1]
        assert root.netsky("owner", "inbox")["items"] == []
        [done] = root.netsky("owner", "asks", "--all")["asks"]
        assert (done["answer"]["by"], done["answer"]["text"]) == ("owner", "Drop it.")
    finally:
        mesh.end()
