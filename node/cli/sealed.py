"""Does a file say what its origin sealed? Checked here, in the process of whoever asks, from the sealed bytes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from netsky.envelope.batch import Batch, Statement, decode_batch, verify_batch
from netsky.envelope.batch import leaf as leaf_of
from netsky.envelope.fields import Body, Header
from netsky.envelope.file import FileEnvelope, Proof, read_file, to_file
from netsky.envelope.invalid import Invalid
from netsky.envelope.wire import decode_body, decode_header


@dataclass(frozen=True, slots=True)
class Sealed:
    """One statement of a batch whose signature holds."""

    batch: Batch
    header: Header
    body: Body
    leaf: bytes

    def as_file(self, proof: Proof | None = None) -> FileEnvelope:
        return read_file(to_file(self.header, self.body, proof or Proof(self.header.origin, self.header.id, self.leaf)))


class NotProven(Exception):
    """The sentence says which check failed."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What an envelope follows from: its header, and its place under a signature. Its body is nobody else's."""

    id: str
    header: bytes
    body_hash: bytes
    batch: bytes
    via: str


@dataclass(frozen=True, slots=True)
class ProofBytes:
    """As the node's verb `proof` answers, and as FILE.seal holds it. Nothing in it is believed before it is checked."""

    id: str
    batch: bytes
    route: bytes | None
    life: int | None
    number: int | None
    via: str
    causes: tuple[Cause, ...]
    missing: str | None

    @classmethod
    def from_answer(cls, said: Any) -> ProofBytes:
        """Raises NotProven if it has another shape."""
        try:
            route, missing = said["route"], said["missing"]
            return cls(
                id=str(said["id"]),
                batch=bytes.fromhex(said["batch"]),
                route=None if route is None else bytes.fromhex(route),
                life=said["life"],
                number=said["number"],
                via=str(said["via"]),
                causes=tuple(_cause(one) for one in said["causes"]),
                missing=None if missing is None else str(missing),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise NotProven("the sealed bytes cannot be read: they are no proof of this form") from None

    def as_answer(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "batch": self.batch.hex(),
            "route": None if self.route is None else self.route.hex(),
            "life": self.life,
            "number": self.number,
            "via": self.via,
            "causes": [
                {
                    "id": one.id,
                    "header": one.header.hex(),
                    "body_hash": one.body_hash.hex(),
                    "batch": one.batch.hex(),
                    "via": one.via,
                }
                for one in self.causes
            ],
            "missing": self.missing,
        }


def _cause(one: Any) -> Cause:
    return Cause(
        id=str(one["id"]),
        header=bytes.fromhex(one["header"]),
        body_hash=bytes.fromhex(one["body_hash"]),
        batch=bytes.fromhex(one["batch"]),
        via=str(one["via"]),
    )


def open_seal(data: bytes, wanted_id: str, wanted_leaf: bytes | None) -> Sealed:
    """The statement that is meant, after every check of its seal. Raises NotProven."""
    try:
        batch = decode_batch(data)
    except Invalid as wrong:
        raise NotProven(f"the sealed bytes cannot be read: {wrong.sentence}") from None
    if batch.type != "envelope":
        raise NotProven(f"the seal is over a {batch.type}, not over an envelope")
    if (wrong_seal := verify_batch(batch, None)) is not None:
        raise NotProven(f"the seal does not hold: {wrong_seal}")
    for statement in batch.statements:
        if not isinstance(statement, Statement):
            continue
        found = leaf_of(batch.type, batch.mesh, statement.header, statement.body)
        if wanted_leaf is not None and found != wanted_leaf:
            continue
        try:
            header, body = decode_header(statement.header), decode_body(statement.body)
        except Invalid as wrong:
            raise NotProven(f"what was sealed is no envelope: {wrong.sentence}") from None
        if header.id == wanted_id:
            if header.origin != batch.key:
                raise NotProven("the envelope names another origin than the key that sealed it")
            return Sealed(batch, header, body, found)
    raise NotProven("the seal holds, but over other envelopes than this one")


def compare(file: FileEnvelope, sealed: Sealed) -> None:
    """Every field of the file against what was sealed. Raises NotProven naming the first that differs."""
    assert file.proof is not None
    if file.proof.origin != sealed.header.origin:
        raise NotProven("the file names another origin than the seal")
    said = sealed.as_file(file.proof)
    for field in fields(FileEnvelope):
        if getattr(said, field.name) != getattr(file, field.name):
            name = {"sender": "from"}.get(field.name, field.name)
            raise NotProven(f"the file's `{name}` is not what was sealed")
