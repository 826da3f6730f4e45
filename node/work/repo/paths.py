"""Which names a patch may use: pure, and stricter than git, because the commit goes to machines that we do not know.

What one file system takes for an ordinary name is `.git` on another: HFS+ ignores some characters, NTFS ignores
trailing dots and spaces, knows a short second name for each file, and streams behind a colon; both ignore case.
"""

from __future__ import annotations

import re
import unicodedata

from netsky.node.work.repo.limits import NAME_BYTES_MAX, PATH_BYTES_MAX, PATH_DEPTH_MAX

_IGNORED_BY_HFS = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_SHORT_NAMES = re.compile(r"(git|gitmod|gi7eb[a-f0-9]|gi7eba|gitatt|gi7d29)~[0-9]+")
_MODULES, _ATTRIBUTES = ".gitmodules", ".gitattributes"


def as_others_see(name: str) -> str:
    """A name as the most forgiving file system compares it."""
    bare = _IGNORED_BY_HFS.sub("", unicodedata.normalize("NFKC", name)).casefold()
    return bare.split(":", 1)[0].rstrip(". ")


def fault_of(path: bytes) -> tuple[str, str] | None:
    """A stable word and a sentence if no patch may touch this path, whatever its scope."""
    if not path or len(path) > PATH_BYTES_MAX:
        return "path_length", f"a path has 1 to {PATH_BYTES_MAX} bytes"
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return "path_encoding", "a path is not UTF-8"
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        return "path_control", "a path holds control characters"
    if text.startswith("/") or "\\" in text or re.match(r"[A-Za-z]:", text):
        return "path_outside", f"{text!r} is not a path below the repository's root"
    names = text.split("/")
    if len(names) > PATH_DEPTH_MAX:
        return "path_length", f"a path has at most {PATH_DEPTH_MAX} parts"
    for name in names:
        fault = _fault_of_name(name)
        if fault is not None:
            return fault[0], f"{text!r}: {fault[1]}"
    return None


def _fault_of_name(name: str) -> tuple[str, str] | None:
    if name in {"", ".", ".."}:
        return "path_outside", "a part of it is empty or leads elsewhere"
    if len(name.encode()) > NAME_BYTES_MAX:
        return "path_length", f"a part of it has more than {NAME_BYTES_MAX} bytes"
    seen = as_others_see(name)
    if seen in {"", ".git"} or _SHORT_NAMES.fullmatch(seen):
        return "path_git", "git's own files are not a patch's to touch, under no spelling of their name"
    if seen == _MODULES:
        return "submodule", "submodules are not for patches"
    if seen == _ATTRIBUTES and name != _ATTRIBUTES:
        return "path_git", "another spelling of .gitattributes"
    return None


def is_attributes(path: str) -> bool:
    """A file that changes what git does with others."""
    return path.rpartition("/")[2] == _ATTRIBUTES


def inside(path: str, scope: tuple[str, ...]) -> bool:
    """Whether one of these lines allows it: "src/" is all below it, "src" that path alone, "./" everything."""
    return any(
        line in {".", "./"} or (path.startswith(line) and path != line if line.endswith("/") else path == line)
        for line in scope
    )
