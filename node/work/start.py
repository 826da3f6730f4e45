"""Which files a try begins with: a commit of a repository, and how its node gets it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from netsky.envelope.fields import Attachment
from netsky.envelope.limits import ATTACHMENT_BYTES_MAX

_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
URL_CHARS_MAX = 500
BUNDLE = "base.bundle"
PATCH = "patch"

_FIELDS = ("repository", "base", "bundle", "size")


@dataclass(frozen=True, slots=True)
class Start:
    repository: str
    """As the plan says it. Its name alone where the node could not reach it anyway."""
    base: str
    bundle: str = ""
    """SHA-256 of a blob that came along, with the base and all that it needs; "" where the repository is asked."""
    size: int = 0

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        return (Attachment(BUNDLE, self.size, bytes.fromhex(self.bundle)),) if self.bundle else ()

    def with_bundle(self, sha256: str, size: int) -> Start:
        return replace(self, bundle=sha256, size=size)


def encode(start: Start | None) -> str:
    return "" if start is None else json.dumps(asdict(start), separators=(",", ":"))


def decode(text: str) -> Start | None:
    """Of what `encode` wrote."""
    return Start(**json.loads(text)) if text else None


def read_start(found: object) -> Start | None:
    """From elsewhere; None if it is none."""
    if not isinstance(found, Mapping) or set(found) != set(_FIELDS):
        return None
    values = [found[name] for name in _FIELDS]
    repository, base, bundle, size = values
    if not all(isinstance(text, str) for text in values[:3]) or isinstance(size, bool) or not isinstance(size, int):
        return None
    good = (
        0 < len(repository) <= URL_CHARS_MAX
        and repository.isprintable()
        and _COMMIT.fullmatch(base) is not None
        and (not bundle or _SHA256.fullmatch(bundle) is not None)
        and 0 <= size <= ATTACHMENT_BYTES_MAX
    )
    return Start(repository, base, bundle, size) if good else None
