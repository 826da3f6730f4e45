"""What FILE or ID on a command line led to, and the bytes that prove it: beside the file, or from the node."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from netsky.envelope.file import FileEnvelope, read_file
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import FILE_BYTES_MAX
from netsky.node.cli.dial import Dialer
from netsky.node.cli.sealed import NotProven, ProofBytes, Sealed, open_seal
from netsky.node.errors import NotFound, Unreachable, Usage
from netsky.node.seams.files import HostileFile
from netsky.node.seams.real_files import RealFiles

SEAL_BYTES_MAX = 512 * 1024
"""One envelope, its route and its chain in hex have less than 220,000."""


class Found(NamedTuple):
    """A file's bytes are there if it was a file."""

    id: str | None
    file: FileEnvelope | None
    raw: bytes | None
    path: str | None

    @property
    def what(self) -> str:
        return self.path or str(self.id)


def find(said: str, node: Dialer) -> Found:
    """A path if it looks like one or is there, else an id."""
    looks_like_path = os.sep in said or said.endswith(".json")
    if not looks_like_path and not os.path.lexists(said):
        return Found(node.full_id(said), None, None, None)
    raw = read_plain(said, FILE_BYTES_MAX)
    if raw is None:
        raise NotFound(f"there is no file {said}", next="netsky channel ls")
    try:
        file = read_file(raw)
    except Invalid as wrong:
        raise Usage(f"{said} is no envelope: {wrong.sentence}", next="netsky help bus", code=wrong.code) from None
    return Found(file.id or (file.proof.id if file.proof else None), file, raw, os.path.realpath(said))


def read_plain(path: str, cap: int) -> bytes | None:
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


def seal_path(path: str) -> str:
    """Where FILE.seal stands. The node keeps strange files out of an inbox, so that of a file there stands where the
    file itself will be archived."""
    folder, name = os.path.split(path)
    if os.path.basename(folder) in {"inbox", "claimed"}:
        folder = os.path.join(os.path.dirname(folder), "archive")
    return os.path.join(folder, f"{name}.seal")


def fetch(found: Found, node: Dialer) -> tuple[ProofBytes, Sealed]:
    """The proof and what it seals, once its signature holds. Raises NotProven."""
    proof = found.file.proof if found.file is not None else None
    if found.file is not None and proof is None:
        raise NotProven("it carries no proof: no node sealed it")
    wanted = found.id if proof is None else proof.id
    assert wanted is not None
    got = _beside(found.path) or _from_node(wanted, found, node)
    return got, open_seal(got.batch, wanted, None if proof is None else proof.leaf)


def keep(got: ProofBytes, path: str) -> str:
    """Writes FILE.seal. Returns its path."""
    files, where = RealFiles(), seal_path(path)
    try:
        folder = files.open_folder(os.path.dirname(where))
    except FileNotFoundError:
        raise NotFound(f"there is no folder {os.path.dirname(where)}", next="name a file in a channel") from None
    try:
        files.replace(folder, os.path.basename(where), json.dumps(got.as_answer()).encode() + b"\n")
    finally:
        files.close(folder)
    return where


def _beside(path: str | None) -> ProofBytes | None:
    data = None if path is None else read_plain(seal_path(path), SEAL_BYTES_MAX)
    if data is None:
        return None
    try:
        return ProofBytes.from_answer(json.loads(data))
    except (ValueError, RecursionError):
        raise NotProven("the sealed bytes beside it cannot be read") from None


def _from_node(wanted: str, found: Found, node: Dialer) -> ProofBytes:
    try:
        return ProofBytes.from_answer(node.call("proof", id=wanted))
    except Unreachable as down:
        where = f" and {seal_path(found.path)} is not there" if found.path else ""
        raise Unreachable(
            f"{down.message}{where}: no sealed bytes to check against", next=down.next, code=down.code
        ) from None
    except NotFound as error:
        if found.file is None:
            raise
        raise NotProven(f"the node has nothing to prove it by: {error.message}") from None
