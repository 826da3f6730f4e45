"""An actor's channel folder, held open by descriptors.

    channels/<actor>/{inbox,claimed,archive,quarantine,outbox} and, where a published consumer made it, processed

The actor may write to all of it, so nothing about it is believed for long: it is opened anew for each piece of work,
never through a symbolic link, and what stands where a folder belongs is put into quarantine. Files move in one
direction, inbox → claimed → archive (or quarantine), and whoever looks for one looks in that direction.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from netsky.envelope.address import actor_invalid
from netsky.node.bus.quarantine import REASON_BYTES_MAX, REASON_SUFFIX, put_away
from netsky.node.errors import NotFound, Refused
from netsky.node.seams.files import Files, HostileFile

FOLDERS = ("inbox", "claimed", "archive", "quarantine", "outbox")
PROCESSED = "processed"

_REPLACED = "folder_replaced"
_DISPLACED_QUARANTINE = "quarantine.displaced"


@dataclass(slots=True)
class Channel:
    """The open folders of one actor. Use it as a context; the descriptors are good for one piece of work."""

    files: Files
    actor: str
    folder: int
    inbox: int = -1
    claimed: int = -1
    archive: int = -1
    quarantine: int = -1
    outbox: int = -1
    processed: int | None = None
    displaced: list[str] = field(default_factory=list)  # what stood where a folder belongs, now in quarantine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        kept = (self.inbox, self.claimed, self.archive, self.quarantine, self.outbox, self.processed, self.folder)
        self.inbox = self.claimed = self.archive = self.quarantine = self.outbox = self.folder = -1
        self.processed = None
        for descriptor in kept:
            if descriptor is not None and descriptor >= 0:
                self.files.close(descriptor)

    def where(self, name: str) -> str | None:
        """The first folder that holds this name, looked for in the direction in which files move."""
        for folder in ("inbox", "claimed", "archive", PROCESSED, "quarantine"):
            descriptor = getattr(self, folder)
            if descriptor is not None and self.files.facts(descriptor, name) is not None:
                return folder
        return None

    def put_away(self, folder: int, name: str, reason: str, sentence: str) -> str | None:
        return put_away(self.files, folder, name, self.quarantine, reason=reason, sentence=sentence)

    def archived(self) -> tuple[int, ...]:
        """The folders whose files count as taken."""
        return (self.archive,) if self.processed is None else (self.archive, self.processed)


def open_channel(files: Files, channels: str, actor: str) -> Channel:
    """The channel folder of an actor under the folder `channels`, made if it is not there.

    Raises NotFound for what is no actor's name, and HostileFile if the channel folder itself is a link.
    """
    sentence = actor_invalid(actor)
    if sentence is not None:
        raise NotFound(sentence, next="netsky agent ls", code="not_an_actor")
    path = os.path.join(channels, actor)
    try:
        return open_folder_of(files, path, actor)
    except FileNotFoundError:
        files.make_folder(path)
        return open_folder_of(files, path, actor)


def open_folder_of(files: Files, path: str, actor: str = "") -> Channel:
    """The channel folder at this path. Raises FileNotFoundError if there is none."""
    channel = Channel(files, actor, files.open_folder(path))
    try:
        channel.quarantine = _open_own(channel, "quarantine")
        for name in FOLDERS:
            if name != "quarantine":
                setattr(channel, name, _open_own(channel, name))
        if files.facts(channel.folder, PROCESSED) is not None:
            channel.processed = _open_processed(channel)
    except BaseException:
        channel.close()
        raise
    return channel


@contextmanager
def refusing(path: str) -> Iterator[None]:
    """For whoever uses an actor's channel folder from outside: why it cannot be opened, in one sentence for all."""
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"there is no channel folder at {path}", next="netsky agent ls", code="no_channel") from None
    except HostileFile as hostile:
        raise Refused(
            f"the channel folder {path} is not used: {hostile.sentence}",
            next="put the folder itself back there; the node writes what waits into it again",
            code="hostile_folder",
        ) from None


def check_not_replaced(files: Files, path: str) -> None:
    """Raises NotFound or Refused."""
    with refusing(path):
        files.close(files.open_folder(path))


def replaced(files: Files, channels: str, actor: str) -> dict[str, str]:
    """Folders of this actor in whose place something else was found: their path, and where that is kept since.

    It is told until somebody has looked and deleted it there. At most one of each is found: the oldest.
    """
    path = os.path.join(channels, actor)
    found: dict[str, str] = {}
    try:
        folder = files.open_folder(path)
    except (OSError, HostileFile):
        return found  # the sweep says so
    try:
        if files.facts(folder, _DISPLACED_QUARANTINE) is not None:
            found[os.path.join(path, "quarantine")] = os.path.join(path, _DISPLACED_QUARANTINE)
        quarantine = files.open_folder("quarantine", folder)
    except (OSError, HostileFile):
        return found
    finally:
        files.close(folder)
    try:
        for name in FOLDERS:
            if files.facts(quarantine, name) is not None and _was_a_folders_place(files, quarantine, name):
                found[os.path.join(path, name)] = os.path.join(path, "quarantine", name)
    finally:
        files.close(quarantine)
    return found


def _was_a_folders_place(files: Files, quarantine: int, name: str) -> bool:
    """A file may be called like a folder: then its reason is another."""
    try:
        told = json.loads(files.read(quarantine, name + REASON_SUFFIX, REASON_BYTES_MAX))
    except (OSError, HostileFile, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("reason") == _REPLACED


def _open_own(channel: Channel, name: str) -> int:
    """One of the five, made if missing; what is no folder in its place is moved away first."""
    files = channel.files
    try:
        return files.open_folder(name, channel.folder)
    except FileNotFoundError:
        pass
    except HostileFile as hostile:
        if channel.quarantine >= 0:
            why = hostile.sentence
            kept = put_away(files, channel.folder, name, channel.quarantine, reason=_REPLACED, sentence=why)
        else:
            # Quarantine itself was replaced: there is nowhere else to put it but beside the folder.
            kept = _DISPLACED_QUARANTINE
            files.move(channel.folder, name, channel.folder, kept)
        channel.displaced.append(f"{name}: {hostile.sentence}" + (f" (kept as {kept})" if kept else ""))
    files.make_folder(name, under=channel.folder)
    return files.open_folder(name, channel.folder)


def _open_processed(channel: Channel) -> int | None:
    try:
        return channel.files.open_folder(PROCESSED, channel.folder)
    except (FileNotFoundError, HostileFile):
        return None  # it is not ours to make; a link in its place simply counts as nothing
