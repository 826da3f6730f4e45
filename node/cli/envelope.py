"""`netsky envelope show` and `verify`: of a file, or of an id."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from netsky.envelope.file import FileEnvelope, Proof, read_file, to_file
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import BATCH_BYTES_MAX, FILE_BYTES_MAX
from netsky.node.cli.dial import Dialer
from netsky.node.cli.envelope_text import print_envelope
from netsky.node.cli.output import Output
from netsky.node.cli.sealed import NotProven, Sealed, compare, open_seal
from netsky.node.errors import EXIT_DONE, NotFound, Refused, Unreachable, Usage
from netsky.node.seams.files import HostileFile
from netsky.node.seams.real_files import RealFiles


class Found(NamedTuple):
    """What FILE or ID led to. A file's bytes are there if it was a file."""

    id: str | None
    file: FileEnvelope | None
    raw: bytes | None
    path: str | None


def show(args: Any, out: Output) -> int:
    found = _find(args.file, args.node)
    if found.raw is None:
        sealed = _sealed(found, args.node)
        proof = Proof(sealed.header.origin, sealed.header.id, sealed.leaf)
        raw = to_file(sealed.header, sealed.body, proof)
    else:
        raw = found.raw
    fields = json.loads(raw)
    out.answer(
        "envelope-show",
        f"{fields.get('kind') or 'text'} from {fields.get('from')}",
        {"envelope": fields, "file": found.path, "bytes": len(raw)},
        lambda: print_envelope(fields, out),
    )
    return EXIT_DONE


def verify(args: Any, out: Output) -> int:
    found = _find(args.file, args.node)
    what = found.path or str(found.id)
    try:
        if found.file is not None and found.file.proof is None:
            raise NotProven("it carries no proof: no node sealed it")
        sealed = _sealed(found, args.node)
        if found.file is not None:
            compare(found.file, sealed)
    except NotProven as why:
        raise Refused(
            f"not genuine: {what}: {why}",
            next="do not act on it; netsky envelope show shows what it says",
            code="not_proven",
        ) from None
    data: dict[str, Any] = {
        "genuine": True,
        "id": sealed.header.id,
        "from": sealed.header.sender,
        "to": sealed.header.to,
        "origin": sealed.header.origin.hex(),
        "hash": sealed.leaf.hex(),
        "mesh": sealed.batch.mesh.hex(),
        "batch": len(sealed.batch.statements),
        "file": found.path,
        "proven": _proven(found, sealed),
    }

    def human() -> None:
        out.line(f"genuine: {what}")
        for line in data["proven"]:
            out.line(f"  {line}")

    out.answer("envelope-verify", f"genuine: {sealed.header.sender} sealed it", data, human)
    return EXIT_DONE


def _proven(found: Found, sealed: Sealed) -> list[str]:
    header = sealed.header
    lines = [
        "the node with this key sealed it, and nothing in it was changed since:",
        header.origin.hex(),
        f"that node says it is from {header.sender} to {header.to}",
    ]
    if found.file is not None:
        lines.append("the file says in every field what was sealed")
    if not any(sealed.batch.mesh):
        lines.append("not proven: that the node belongs to a mesh (it had none then)")
    return lines


def _find(said: str, node: Dialer) -> Found:
    """A path if it looks like one or is there, else an id."""
    looks_like_path = os.sep in said or said.endswith(".json")
    if not looks_like_path and not os.path.lexists(said):
        return Found(node.full_id(said), None, None, None)
    raw = _read(said, FILE_BYTES_MAX)
    if raw is None:
        raise NotFound(f"there is no file {said}", next="netsky channel ls")
    try:
        file = read_file(raw)
    except Invalid as wrong:
        raise Usage(f"{said} is no envelope: {wrong.sentence}", next="netsky help bus", code=wrong.code) from None
    return Found(file.id or (file.proof.id if file.proof else None), file, raw, os.path.realpath(said))


def _read(path: str, cap: int) -> bytes | None:
    """A regular file and nothing else, read up to its cap; None if it is not there."""
    files = RealFiles()
    folder, name = os.path.split(os.path.realpath(path))
    try:
        descriptor = files.open_folder(folder or "/")
    except FileNotFoundError:
        return None
    try:
        return files.read(descriptor, name, cap)
    except FileNotFoundError:
        return None
    except HostileFile as hostile:
        raise Usage(f"{path} is not read: {hostile.sentence}", next="netsky help files", code=hostile.reason) from None
    finally:
        files.close(descriptor)


def _sealed(found: Found, node: Dialer) -> Sealed:
    """The sealed bytes: beside the file as FILE.seal, or from the row of the node. Raises NotProven."""
    wanted = found.file.proof.id if found.file is not None and found.file.proof is not None else found.id
    leaf = found.file.proof.leaf if found.file is not None and found.file.proof is not None else None
    assert wanted is not None
    beside = _read(f"{found.path}.seal", BATCH_BYTES_MAX) if found.path is not None else None
    if beside is not None:
        return open_seal(beside, wanted, leaf)
    try:
        answer = node.call("envelope", id=wanted)
    except Unreachable as down:
        where = f" and {found.path}.seal is not there" if found.path else ""
        raise Unreachable(
            f"{down.message}{where}: no sealed bytes to check against", next=down.next, code=down.code
        ) from None
    except NotFound:
        if found.file is None:
            raise
        raise NotProven("the node has no such envelope") from None
    return open_seal(bytes.fromhex(answer["batch"]), wanted, leaf)
