"""Machines that exist only as paths, for what is computed from a look at one."""

from __future__ import annotations

import fnmatch
import posixpath
from dataclasses import dataclass, field


@dataclass
class Machine:
    """A world of paths: folders end with a slash, links have a target."""

    paths: set[str]
    links: dict[str, str] = field(default_factory=dict)
    uid: int = 1000
    python: str = "/usr/bin/python3"
    code: tuple[str, ...] = ("/usr",)
    home: str = "/home/u"

    def __post_init__(self) -> None:
        for path in list(self.paths):
            while (path := posixpath.dirname(path.rstrip("/"))) != "/":
                self.paths.add(path + "/")

    def real(self, path: str) -> str | None:
        for link, target in self.links.items():
            if path == link or path.startswith(link + "/"):
                return self.real(target + path.removeprefix(link))
        return path if path in self.paths or path + "/" in self.paths else None

    def is_folder(self, path: str) -> bool:
        return path + "/" in self.paths

    def link(self, path: str) -> str | None:
        return self.links.get(path)

    def writable(self, folder: str) -> bool:
        return folder.startswith((self.home, "/tmp"))

    def matching(self, pattern: str) -> list[str]:
        names = {path.rstrip("/") for path in self.paths} | set(self.links)
        return sorted(n for n in names if fnmatch.fnmatch(n, pattern) and n.count("/") == pattern.count("/"))
