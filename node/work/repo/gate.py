"""The gate in front of a commit: what a patch may change. Pure.

It is passed twice: by what the patch says, before git reads a byte of it, and by what git made of it, a raw diff of two
trees. The second one decides; that both say the same is a rule of its own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from netsky.node.work.repo.limits import PATCH_BYTES_MAX
from netsky.node.work.repo.patch import NOTHING, PatchFault, Touched, read_patch
from netsky.node.work.repo.paths import fault_of, inside, is_attributes

_LINK, _MODULE = "120000", "160000"
_ORDINARY = frozenset({"100644", "100755", NOTHING})


def check_patch(patch: bytes, scope: Sequence[str]) -> list[Touched]:
    """What it says that it touches. Raises PatchFault: the first rule that it breaks."""
    if len(patch) > PATCH_BYTES_MAX:
        raise PatchFault("patch_too_large", f"a patch has at most {PATCH_BYTES_MAX} bytes, this one {len(patch)}")
    touched = read_patch(patch)
    check(touched, scope)
    return touched


def check(touched: Sequence[Touched], scope: Sequence[str]) -> None:
    """The rules, for what a patch says and for what git made of it."""
    seen: dict[str, bytes] = {}
    lines = tuple(scope)
    for one in touched:
        _check_modes(one)
        fault = fault_of(one.path)
        if fault is not None:
            raise PatchFault(*fault)
        path = one.path.decode()
        if not inside(path, lines):
            raise PatchFault("out_of_scope", f"{path!r} is not inside the ticket's fs_write")
        if is_attributes(path) and path not in lines:
            raise PatchFault("attributes", f"{path!r} changes what git does with other files; fs_write must name it")
        folded = unicodedata.normalize("NFKC", path).casefold()
        if folded in seen:
            twice = seen[folded] == one.path
            raise PatchFault(
                "path_twice" if twice else "path_case",
                f"{path!r} is changed twice" if twice else f"{path!r} and another path differ in case alone",
            )
        seen[folded] = one.path


def read_raw(raw: bytes) -> list[Touched]:
    """Of `git diff-tree -r --raw -z --no-renames --full-index`."""
    fields = raw.split(b"\0")
    assert fields.pop() == b""
    assert len(fields) % 2 == 0
    touched = []
    for head, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, new_mode, old_id, new_id, _ = head.decode("ascii").removeprefix(":").split(" ")
        touched.append(Touched(path, old_mode, new_mode, old_id, new_id))
    return touched


def check_made(said: Sequence[Touched], made: Sequence[Touched], scope: Sequence[str]) -> None:
    """What git made of a patch on its own base: allowed, and what the patch said. Raises PatchFault."""
    check(made, scope)
    claims, found = {one.path: one for one in said}, {one.path: one for one in made}
    for path in claims.keys() | found.keys():
        if path not in claims or path not in found or not _agree(claims[path], found[path]):
            name = path.decode("utf-8", "replace")
            raise PatchFault("patch_disagrees", f"what the patch says of {name!r} is not what it does")


def _agree(claim: Touched, fact: Touched) -> bool:
    return (
        claim.old_mode in {"", fact.old_mode}
        and claim.new_mode in {"", fact.new_mode}
        and fact.old_id.startswith(claim.old_id)
        and fact.new_id.startswith(claim.new_id)
    )


def _check_modes(one: Touched) -> None:
    for mode in (one.old_mode, one.new_mode):
        name = one.path.decode("utf-8", "replace")
        if mode == _LINK:
            raise PatchFault("symlink", f"{name!r}: symbolic links are not for patches")
        if mode == _MODULE:
            raise PatchFault("submodule", f"{name!r}: submodules are not for patches")
        if mode and mode not in _ORDINARY:
            raise PatchFault("mode", f"{name!r}: a file has mode 100644 or 100755")
