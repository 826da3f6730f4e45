"""Verbs of attachments: bytes of files come in and go out by the caller's own socket.

The node never opens a path that a caller names: behind a fence nobody sees the node's files, and nobody gets at one
by asking the node to attach it.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from netsky.envelope.fields import Attachment
from netsky.envelope.limits import ATTACHMENT_BYTES_MAX
from netsky.envelope.wire import decode_body
from netsky.node.blobs.limits import CHUNK_BYTES
from netsky.node.db import messages
from netsky.node.errors import NotFound, Usage
from netsky.node.verbs.args import Args
from netsky.node.verbs.look import visible_rows

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node

_HEX = 64


async def attach_begin(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Whether the blob is here, and from which byte on it is wanted."""
    digest = _digest(args)
    size = args.whole("size", 0, 0, ATTACHMENT_BYTES_MAX)
    args.nothing_else()
    offset = await node.blobs.begin(caller.name, digest, size)
    return {"held": offset is None, "offset": size if offset is None else offset}


def attached(said: list[dict[str, Any]]) -> tuple[Attachment, ...]:
    """The attachments of a draft; that their blobs are here is checked when it is accepted."""
    found = []
    for one in said:
        fields = Args("send", one)
        size = fields.whole("size", 0, 0, ATTACHMENT_BYTES_MAX)
        found.append(Attachment(fields.text("name"), size, _digest(fields)))
        fields.nothing_else()
    return tuple(found)


async def attach_put(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """The next bytes, as base64."""
    digest = _digest(args)
    offset = args.whole("offset", 0, 0, ATTACHMENT_BYTES_MAX)
    said = args.text("data")
    args.nothing_else()
    try:
        data = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        raise Usage("attach_put: data must be base64", next="netsky help sockets", code="bad_argument") from None
    if not 1 <= len(data) <= CHUNK_BYTES:
        raise Usage(
            f"attach_put: data has {len(data)} bytes, 1 to {CHUNK_BYTES} are taken",
            next="netsky help sockets",
            code="bad_argument",
        )
    held = await node.blobs.append(caller.name, digest, offset, data)
    if node.blobs.settle_due(caller.name, digest):
        await node.blobs.settle(caller.name, digest)
    return {"held": held, "offset": offset + len(data)}


async def attachments(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """What is attached to an envelope that the caller sent or got."""
    id = args.text("id")  # noqa: A001 - the envelope's word
    args.nothing_else()
    found = await _of(node, caller, id)
    return {"id": id, "attachments": [shown(node, caller, one) for one in found]}


async def attachment_get(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """A chunk of one of them, as base64; none behind its end."""
    id = args.text("id")  # noqa: A001
    digest = _digest(args)
    offset = args.whole("offset", 0, 0, ATTACHMENT_BYTES_MAX)
    args.nothing_else()
    if digest not in {one.sha256 for one in await _of(node, caller, id)}:
        raise NotFound(f"{id} has no such attachment", next=f"netsky channel attachments {id}", code="unknown_blob")
    with node.blobs.reading(digest) as chunk:
        data = chunk(offset, CHUNK_BYTES)
    return {"data": base64.b64encode(data).decode(), "bytes": len(data)}


def shown(node: Node, caller: Caller, one: Attachment) -> dict[str, Any]:
    """`path` only for who can open it: behind a fence the store is not there, the socket is."""
    path = node.blobs.path(one.sha256) if caller.is_operator or not caller.fenced else None
    return {"name": one.name, "size": one.size, "sha256": one.sha256.hex(), "path": path}


async def _of(node: Node, caller: Caller, id: str) -> tuple[Attachment, ...]:  # noqa: A002
    await visible_rows(node, caller, id)
    [found] = await node.ledger.transaction([messages.by_id(id)])
    row, *_ = messages.rows(found)
    if row.body is None:
        raise NotFound(f"the content of {id} is no longer kept", next=f"netsky trace {id}", code="pruned")
    return decode_body(row.body).attachments


def _digest(args: Args) -> bytes:
    said = args.text("sha256")
    try:
        digest = bytes.fromhex(said) if len(said) == _HEX else b""
    except ValueError:
        digest = b""
    if not digest:
        raise Usage(f"{args.verb}: 'sha256' must be 64 hex digits", next="netsky help sockets", code="bad_argument")
    return digest
