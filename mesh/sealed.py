"""One sealed statement without a body: the form that link seals and routes have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netsky.envelope.batch import Statement, decode_batch, encode_batch, seal, verify_batch
from netsky.envelope.invalid import Invalid


@dataclass(frozen=True, slots=True)
class Sealed:
    """One kind of them, and how it is spoken of when it is refused."""

    type: str
    word: str  # field and code of the error
    name: str
    signer: str  # whose it must be, as a predicate

    def header(self, data: bytes, key: bytes, mesh: bytes) -> bytes:
        """The header, if this key sealed it in this mesh. Raises Invalid, whatever the bytes are."""
        batch = decode_batch(data)
        if batch.type != self.type or batch.key != key or batch.mesh != mesh:
            raise self.invalid(self.signer)
        statement = batch.statements[0]
        if len(batch.statements) != 1 or not isinstance(statement, Statement) or statement.body:
            raise self.invalid("must have one statement with an empty body")
        sentence = verify_batch(batch)
        if sentence is not None:
            raise Invalid(self.word, sentence, self.word)
        return statement.header

    def seal(self, sign: Callable[[bytes], bytes], key: bytes, mesh: bytes, header: bytes) -> bytes:
        return encode_batch(seal(sign, key, self.type, mesh, [Statement(header, b"")]))

    def invalid(self, how: str) -> Invalid:
        return Invalid(self.word, f"{self.name} {how}.", self.word)
