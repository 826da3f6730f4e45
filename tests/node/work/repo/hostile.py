"""Patches that try to get out, by name: published ones and some of ours. What each must be refused for."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

from netsky.node.work.repo.limits import PATCH_BYTES_MAX


@dataclass(frozen=True)
class Hostile:
    name: str
    patch: bytes
    code: str
    known: str = ""
    """Where it was published."""


EMPTY = "0" * 40
BLOB = "e965047ad7c57865823c7d992b1d046ea66edf78"  # "Hello\n"


def new(path: str, *, mode: str = "100644", lines: tuple[str, ...] = ("Hello",), quoted: str = "") -> bytes:
    """A patch that makes a file; `quoted` is the path as git would quote it."""
    a, b = (f'"a/{quoted}"', f'"b/{quoted}"') if quoted else (f"a/{path}", f"b/{path}")
    text = f"diff --git {a} {b}\nnew file mode {mode}\nindex {EMPTY}..{BLOB}\n--- /dev/null\n+++ {b}\n"
    text += f"@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines)
    return text.encode("utf-8", "surrogateescape")


def link(path: str, target: str) -> bytes:
    head = f"diff --git a/{path} b/{path}\nnew file mode 120000\nindex {EMPTY}..{BLOB}\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1 @@\n+{target}\n\\ No newline at end of file\n".encode()


def module(path: str) -> bytes:
    head = f"diff --git a/{path} b/{path}\nnew file mode 160000\nindex {EMPTY}..{'1' * 40}\n--- /dev/null\n"
    return f"{head}+++ b/{path}\n@@ -0,0 +1 @@\n+Subproject commit {'1' * 40}\n".encode()


def binary(path: str, kind: str, size: int, data: bytes) -> bytes:
    lines = []
    packed = zlib.compress(data)
    for at in range(0, len(packed), 52):
        part = packed[at : at + 52]
        length = chr(64 + len(part)) if len(part) <= 26 else chr(70 + len(part))
        lines.append(length + base64.b85encode(part, pad=True).decode())
    head = (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex {EMPTY}..{BLOB}\nGIT binary patch\n{kind} {size}\n"
    )
    return (head + "\n".join(lines) + "\n\n").encode()


def renamed(old: str, new_name: str, kind: str = "rename") -> bytes:
    return (
        f"diff --git a/{old} b/{new_name}\nsimilarity index 100%\n{kind} from {old}\n{kind} to {new_name}\n"
    ).encode()


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


BOMB = varint(10) + varint(4 << 30) + b"\xff\x00\x00\x00\x00\xff\xff\xff" * 10
CHANGED = new("src/ok.txt").replace(b"a/src/ok.txt", b"a/src/other.txt", 1)

CASES = (
    Hostile("a path that climbs", new("../out.txt"), "path_outside", "CVE-2015-1196, patch(1)"),
    Hostile("a path that climbs from inside", new("src/../../out.txt"), "path_outside", "CVE-2023-25652, git apply"),
    Hostile("an absolute path", new("/tmp/netsky-out.txt"), "path_outside"),
    Hostile("a path with an empty part", new("src//x"), "path_outside"),
    Hostile("a part that is a dot", new("src/./x"), "path_outside"),
    Hostile("a drive", new("C:/out.txt"), "path_outside"),
    Hostile("backslashes", new("src\\..\\out", quoted="src\\\\..\\\\out"), "path_outside", "CVE-2019-1354"),
    Hostile("git's own folder", new(".git/hooks/post-checkout", mode="100755"), "path_git"),
    Hostile("git's own folder, deeper", new("src/.git/config"), "path_git"),
    Hostile("git's own folder in capitals", new(".GIT/config"), "path_git", "CVE-2014-9390"),
    Hostile("git's own folder for HFS+", new(".g\u200cit/config", quoted=".g\\342\\200\\214it/config"), "path_git",
            "CVE-2014-9390"),
    Hostile("git's own folder for HFS+, otherwise", new("\ufeff.git/x", quoted="\\357\\273\\277.git/x"), "path_git"),
    Hostile("git's own folder by its short name", new("git~1/config"), "path_git", "CVE-2014-9390"),
    Hostile("git's own folder by another short name", new("src/GIT~2/config"), "path_git", "CVE-2019-1353"),
    Hostile("git's own folder and a stream", new(".git::$INDEX_ALLOCATION/config"), "path_git", "CVE-2019-1352"),
    Hostile("git's own folder and a dot", new(".git./config"), "path_git"),
    Hostile("git's own folder and a space", new(".git /config"), "path_git"),
    Hostile("git's own folder, full width", new("\uff0egit/x", quoted="\\357\\274\\216git/x"), "path_git"),
    Hostile("a name of spaces and dots", new("src/. ./x"), "path_git"),
    Hostile("submodules", new(".gitmodules"), "submodule", "CVE-2018-17456, CVE-2018-11235"),
    Hostile("submodules by a short name", new("GITMOD~1"), "path_git", "CVE-2019-1387"),
    Hostile("submodules in another case", new(".GitModules"), "submodule"),
    Hostile("a submodule", module("src/sub"), "submodule", "CVE-2024-32002"),
    Hostile("attributes", new("src/.gitattributes"), "attributes", "CVE-2022-23521; filters and merge drivers"),
    Hostile("attributes for HFS+",
            new("src/.gitattr\u200dibutes", quoted="src/.gitattr\\342\\200\\215ibutes"), "path_git"),
    Hostile("a link that leads out", link("src/out", "../../.."), "symlink"),
    Hostile("a link, and a write through it", link("src/out", "/tmp") + new("src/out/netsky-out.txt"), "symlink",
            "CVE-2023-23946, git apply"),
    Hostile("a file that becomes a link",
            b"diff --git a/src/b.txt b/src/b.txt\nold mode 100644\nnew mode 120000\n", "symlink"),
    Hostile("set-user-id", new("src/x", mode="104755"), "mode"),
    Hostile("a folder's mode", new("src/x", mode="040000"), "mode"),
    Hostile("a mode of nothing", new("src/x", mode="000000"), "patch_format"),
    Hostile("out of the scope", new("other/x"), "out_of_scope"),
    Hostile("beside the scope", new("srcs/x"), "out_of_scope"),
    Hostile("renamed out of the scope", renamed("src/b.txt", "b.txt"), "out_of_scope"),
    Hostile("renamed into the scope", renamed("other.txt", "src/other.txt"), "out_of_scope"),
    Hostile("copied out of the scope", renamed("src/b.txt", "b.txt", "copy"), "out_of_scope"),
    Hostile("one name above, another below", CHANGED, "patch_format"),
    Hostile("+++ names another file", new("src/x").replace(b"+++ b/src/x", b"+++ b/../x"), "patch_format"),
    Hostile("--- names another file", new("src/x").replace(b"--- /dev/null", b"--- a/../x"), "patch_format"),
    Hostile("rename lines beside another head",
            renamed("src/b.txt", "src/c.txt").replace(b"rename to src/c.txt", b"rename to ../c.txt"), "patch_format"),
    Hostile("half a rename", b"diff --git a/src/b.txt b/src/b.txt\nrename from src/b.txt\n", "patch_format"),
    Hostile("twice", new("src/x") + new("src/x"), "path_twice"),
    Hostile("twice in another case", new("src/x") + new("src/X"), "path_case", "CVE-2021-21300"),
    Hostile("a mode said twice",
            new("src/x").replace(b"new file", b"new file mode 100644\nnew file", 1), "patch_format"),
    Hostile("new and deleted", new("src/x").replace(b"index", b"deleted file mode 100644\nindex", 1), "patch_format"),
    Hostile("words before it", b"From: me\n\n" + new("src/x"), "patch_format"),
    Hostile("words after it", new("src/x") + b"-- \n2.39\n", "patch_format"),
    Hostile("a patch without git's head", b"--- a/src/b.txt\n+++ b/src/b.txt\n@@ -1 +1 @@\n-b\n+c\n", "patch_format"),
    Hostile("a hunk that is longer than it says",
            new("src/x", lines=("1", "2")).replace(b"+1,2", b"+1,1"), "patch_format"),
    Hostile("a hunk that is shorter than it says", new("src/x").replace(b"+1,1", b"+1,9"), "patch_format"),
    Hostile("a hunk of absurd numbers", new("src/x").replace(b"+1,1", b"+1,99999999999999999999"), "patch_format"),
    Hostile("a name that had to be quoted", new('src/a"b'), "patch_format"),
    Hostile("a name quoted wrongly", new("x", quoted="src/\\8x"), "patch_format"),
    Hostile("a name with a line's end", new("x", quoted="src/a\\nb"), "path_control"),
    Hostile("a name with NUL", new("x", quoted="src/a\\000b"), "path_control"),
    Hostile("a name that is not text", new("x", quoted="src/\\377"), "path_encoding"),
    Hostile("a long name", new("src/" + "n" * 256), "path_length"),
    Hostile("a deep name", new("src/" + "d/" * 70 + "x"), "path_length"),
    Hostile("a name as long as a book", new("src/" + "d" * 5_000), "patch_format"),
    Hostile("huge", new("src/x", lines=("x" * PATCH_BYTES_MAX,)), "patch_too_large"),
    Hostile("binary that says it is huge", binary("src/x", "literal", 8 << 30, b"x"), "file_too_large"),
    Hostile("a delta that grows", binary("src/x", "delta", len(BOMB), BOMB), "file_too_large"),
    Hostile("binary that is none", binary("src/x", "literal", 1, b"x").replace(b"\n\n", b"\n()\n\n"), "patch_format"),
    Hostile("binary of another kind", binary("src/x", "liberal", 1, b"x"), "patch_format"),
    Hostile("binary without its bytes", b"diff --git a/src/x b/src/x\nnew file mode 100644\nindex 0000000..1111111\n"
            b"Binary files /dev/null and b/src/x differ\n", "patch_format"),
    Hostile("nothing", b"", "patch_empty"),
    Hostile("a head and nothing", b"diff --git a/src/x b/src/x\n", "patch_format"),
    Hostile("many files", b"".join(new(f"src/{n}") for n in range(5_001)), "patch_files"),
    Hostile("no end", new("src/x")[:-1], "patch_format"),
)  # fmt: skip

DISAGREE = (
    Hostile("another content than it says", new("src/x", lines=("Not that",)), "patch_disagrees"),
    Hostile("lines that are not there", b"diff --git a/src/b.txt b/src/b.txt\n--- a/src/b.txt\n+++ b/src/b.txt\n"
            b"@@ -1 +1 @@\n-not there\n+c\n", "patch_does_not_apply"),
    Hostile("a new file that is there", new("src/b.txt"), "patch_does_not_apply"),
    Hostile("another mode than it has", b"diff --git a/src/b.txt b/src/b.txt\nindex 6178079..f2ad6c7 100755\n"
            b"--- a/src/b.txt\n+++ b/src/b.txt\n@@ -1 +1 @@\n-b\n+c\n", "patch_disagrees"),
    Hostile("a folder where a file is", new("src/b.txt/x"), "patch_does_not_apply"),
)  # fmt: skip
"""Well formed, and refused by what git makes of them."""
