"""An outbox file: how an envelope is sent while the daemon is down, or by a program that knows no socket."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from netsky.envelope.address import parse_address
from netsky.envelope.file import file_name, read_file, write_time
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import EXPIRES_MAX_NS
from netsky.node.bus.folders import open_folder_of, refusing
from netsky.node.errors import Conflict, Usage
from netsky.node.seams.chance import Chance
from netsky.node.seams.files import Files
from netsky.node.seams.time import Time

_CARRIED = (
    "kind",
    "in_reply_to",
    "thread",
    "swarm",
    "idempotency_key",
    "requires_ack",
    "data",
    "attachments",
    "parent",
)


def drop_in_outbox(
    files: Files, time: Time, chance: Chance, *, folder: str, actor: str, draft: Mapping[str, Any], pid: int = 0
) -> str:
    """Writes a draft (the arguments of the verb `send`) into an actor's outbox; durable when it returns its name.

    The envelope's id follows from the file's name: `pid` is who writes in a simulation, else this process.
    `folder` is the actor's channel folder. `from` is forced to the outbox's owner whatever the draft says.
    """
    now = time.wall()
    data = _content(draft, actor, now)
    with refusing(folder), open_folder_of(files, folder, actor) as channel:
        rand32 = int.from_bytes(chance.token(4))
        for seq in range(8):  # so that a clock that stands still cannot hold a sender forever
            name = file_name(now, pid or os.getpid(), rand32, seq, actor)
            if files.write_new(channel.outbox, name, data, sync=True):
                return name
    raise Conflict("the outbox has files of every name that was tried", next="try again")


def _content(draft: Mapping[str, Any], actor: str, now: int) -> bytes:
    fields = {name: draft[name] for name in _CARRIED if draft.get(name) is not None}
    expires = draft.get("expires_in")
    try:
        fields |= {
            "from": actor,
            "to": str(parse_address(str(draft.get("to") or "agent0"))),
            "text": draft.get("text"),
            "ts": write_time(now),
        }
        if expires is not None:
            fields["expires"] = write_time(now + min(int(expires * 10**9), EXPIRES_MAX_NS))
        data = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        read_file(data)  # what the intake would refuse is refused here, to whoever can still change it
    except Invalid as invalid:
        raise Usage(invalid.sentence, next="netsky help limits", code=invalid.code) from None
    except (TypeError, ValueError) as error:
        raise Usage(f"the message cannot be written as JSON: {error}", next="netsky help limits") from None
    return data + b"\n"
