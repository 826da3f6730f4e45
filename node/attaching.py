"""Files on their way into the node's store, and out of it: what a client does. Standard library and light modules only.

A file is read twice: once for its hash, so that the node can say what it has of it already, and once to be sent. The
node checks the hash at the last byte, so a file that changed in between is refused and never half-sent.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from netsky.envelope.fields import is_attachment_name
from netsky.envelope.limits import ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX
from netsky.node.errors import Conflict, NetskyError, NotFound, Refused, Usage

CHUNK_BYTES = 256 * 1024
"""As base64 it fits into a line of the socket."""

_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

Call = Callable[..., dict[str, Any]]
Request = tuple[str, dict[str, Any]]
Steps = Generator[Request, dict[str, Any], None]
Progress = Callable[[str, int, int], None]
"""Hears (name, bytes done, bytes in all)."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is to be attached, as it was when it was read first."""

    path: str
    name: str
    size: int
    sha256: str

    @property
    def fields(self) -> dict[str, Any]:
        """As the verb `send` takes it."""
        return {"name": self.name, "size": self.size, "sha256": self.sha256}

    def changed(self) -> Conflict:
        return Conflict(
            f"{self.path} changed while it was read: nothing was sent",
            next="wait until it is written, then send it again",
            code="attachment_changed",
        )


def look_at(paths: Sequence[str]) -> list[Source]:
    """Reads each file once. Raises Usage, NotFound, Refused with the sentence for its caller."""
    if len(paths) > ATTACHMENTS_MAX:
        raise Usage(
            f"{len(paths)} attachments; an envelope has at most {ATTACHMENTS_MAX}",
            next="send several messages, or pack the files into one",
            code="attachments_count",
        )
    names: dict[str, str] = {}
    for path in paths:
        name = os.path.basename(os.path.abspath(path))
        if not is_attachment_name(name):
            raise Usage(
                f"{path!r} has a name that no attachment can have: 1 to 255 bytes, nothing invisible",
                next="attach a copy with a plain name",
                code="attachment_name",
            )
        if name in names:
            raise Usage(
                f"{path} and {names[name]} have the same name", next="rename one of them", code="attachment_name"
            )
        names[name] = path
    return [_source(path, name) for name, path in names.items()]


def _source(path: str, name: str) -> Source:
    hasher, size = hashlib.sha256(), 0
    with _opened(path) as descriptor:
        while data := os.read(descriptor, 1 << 20):
            hasher.update(data)
            size += len(data)
            if size > ATTACHMENT_BYTES_MAX:
                raise _too_large(path)
    return Source(path, name, size, hasher.hexdigest())


@contextmanager
def _opened(path: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", next="ls -l", code="no_file") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}", next=f"ls -l {path}", code="unreadable") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Usage(f"{path} is no plain file", next="pack a folder first: tar -czf FILE FOLDER", code="not_a_file")
        if found.st_size > ATTACHMENT_BYTES_MAX:
            raise _too_large(path)
        yield descriptor
    finally:
        os.close(descriptor)


def _too_large(path: str) -> Usage:
    return Usage(
        f"{path} has more than 1 GiB, which is the most for an attachment",
        next="split it: split -b 1G FILE",
        code="attachment_size",
    )


def steps(source: Source) -> Steps:
    """The requests that bring it into the store; the answer to each is sent into the generator (`next_step`)."""
    answer = yield "attach_begin", {"sha256": source.sha256, "size": source.size}
    with _opened(source.path) as descriptor:
        while not answer["held"]:
            offset = answer["offset"]
            data = os.pread(descriptor, min(CHUNK_BYTES, source.size - offset), offset)
            if not data:
                raise source.changed()
            said = base64.b64encode(data).decode()
            answer = yield "attach_put", {"sha256": source.sha256, "offset": offset, "data": said}


def next_step(walk: Steps, answer: dict[str, Any] | None) -> Request | None:
    """The next request of `steps`, None at the end."""
    try:
        return next(walk) if answer is None else walk.send(answer)
    except StopIteration:
        return None


def upload(sources: Sequence[Source], call: Call, progress: Progress = lambda *_: None) -> list[dict[str, Any]]:
    """Brings them all into the store of the node that `call` asks. Returns the fields for `send`."""
    for source in sources:
        walk = steps(source)
        request = next_step(walk, None)
        while request is not None:
            verb, args = request
            try:
                answer = call(verb, **args)
            except NetskyError as error:
                raise (source.changed() if error.code == "attachment_hash" else error) from None
            progress(source.name, answer["offset"], source.size)
            request = next_step(walk, answer)
    return [source.fields for source in sources]


def plain_name(name: str, digest: str) -> str:
    """The name under which an attachment is written: the sender's if it is harmless everywhere, else its hash."""
    harmless = name[0].isalnum() and all(letter.isalnum() or letter in "._-+, ()" for letter in name)
    return name if harmless and is_attachment_name(name) else digest[:32]


def fetch(id: str, found: dict[str, Any], folder: int, call: Call, progress: Progress = lambda *_: None) -> str:  # noqa: A002
    """Writes one attachment into an open folder, under a name that was not there; checked by its hash before it gets
    that name. Returns the name."""
    digest, size = str(found["sha256"]), int(found["size"])
    temporary = f".{digest}.part"
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
    )
    try:
        hasher, at = hashlib.sha256(), 0
        try:
            while at < size:
                data = base64.b64decode(call("attachment_get", id=id, sha256=digest, offset=at)["data"])
                if not data:
                    break
                os.write(descriptor, data)
                hasher.update(data)
                at += len(data)
                progress(str(found["name"]), at, size)
        finally:
            os.close(descriptor)
        if at != size or hasher.hexdigest() != digest:
            raise Refused(
                f"the node's copy of {found['name']!r} is damaged", next=f"netsky trace {id}", code="attachment_hash"
            )
        return _named(folder, temporary, plain_name(str(found["name"]), digest))
    finally:
        os.unlink(temporary, dir_fd=folder)


def _named(folder: int, temporary: str, wanted: str) -> str:
    """Nothing that is there is ever replaced."""
    stem, _, ending = wanted.rpartition(".")
    for number in range(1, 1_000):
        name = wanted if number == 1 else f"{stem}-{number}.{ending}" if stem else f"{wanted}-{number}"
        try:
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            continue
        return name
    raise Conflict(f"{wanted} is there a thousand times", next="name another folder", code="file_exists")
