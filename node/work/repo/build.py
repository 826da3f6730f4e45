"""From a patch to a tree: applied on its base in an index of its own, and carried over to where the branch is now.

What it writes are objects that no ref names: until a commit is made of them, nothing has happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.work.repo.commission import Commission, Conflict, make_commit
from netsky.node.work.repo.gate import check, check_made, read_raw
from netsky.node.work.repo.git import Step
from netsky.node.work.repo.limits import PATCH_FILES_MAX, PATH_BYTES_MAX
from netsky.node.work.repo.patch import PatchFault, Touched
from netsky.node.work.repo.repository import Repository

RAW_MAX = PATCH_FILES_MAX * (PATH_BYTES_MAX + 128)
_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Built:
    tree: str


async def build(repository: Repository, commission: Commission, said: Sequence[Touched], tip: str) -> Built | Conflict:
    """Raises PatchFault if it is not what it says, or not allowed; GitError."""
    tree = await _on_its_base(repository, commission, said)
    if tip == commission.base:
        return Built(tree)
    return await _on_the_tip(repository, commission, tree, tip)


async def _on_its_base(repository: Repository, commission: Commission, said: Sequence[Touched]) -> str:
    repository.clear_index()
    base = commission.base
    result = await repository.change(
        [
            Step(("read-tree", base)),
            Step(("apply", "--cached", "--whitespace=nowarn", "-"), reads=True),
            Step(("write-tree",)),
            Step(("diff-index", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", base)),
        ],
        stdin=commission.patch, index=repository.index, out_max=RAW_MAX,
    )  # fmt: skip
    if result.failed == 1:
        raise PatchFault("patch_does_not_apply", f"it does not apply to its base {base[:12]}: {result.errors}")
    tree, _, raw = result.out_of("apply the patch").partition(b"\n")
    check_made(said, read_raw(raw), commission.scope)
    return tree.decode("ascii")


async def _on_the_tip(repository: Repository, commission: Commission, tree: str, tip: str) -> Built | Conflict:
    """The one rebase: what the patch does to its base, done to what others have made of it."""
    alone = make_commit(commission, tree, commission.base)
    merged = await repository.change(
        [
            Step(("hash-object", "-t", "commit", "-w", "--stdin"), reads=True),
            Step(("merge-base", "--is-ancestor", commission.base, tip)),
            Step(("merge-tree", "--write-tree", "--name-only", "--no-messages", tip, alone.id)),
        ],
        stdin=alone.content, out_max=RAW_MAX,
    )  # fmt: skip
    lines = merged.out.decode("utf-8", "replace").splitlines()[1:]
    if merged.failed == 1 and not merged.errors:
        return Conflict(
            "base_gone", f"its base {commission.base[:12]} is not in the branch {commission.branch} any more"
        )
    if merged.failed == 2 and lines and not merged.errors:
        names = ", ".join(lines[1 : 1 + _NAMES_SHOWN]) + (", …" if len(lines) > 1 + _NAMES_SHOWN else "")
        return Conflict("conflict", f"others have changed the same lines since {commission.base[:12]}: {names}")
    merged.out_of("carry the patch over to where the branch is now")
    carried = lines[0]
    raw = await repository.raw(tip, carried, RAW_MAX)
    if not raw:
        return Conflict("nothing_left", "what it changes is in the branch already")
    try:
        check(read_raw(raw), commission.scope)
    except PatchFault as fault:  # it was allowed where its worker made it: others have moved what it changes
        return Conflict("moved", f"what it changes was moved by others: {fault.sentence}")
    return Built(carried)


async def check_out(repository: Repository, tree: str, folder: str) -> None:
    """The files of a tree, into an empty folder."""
    repository.clear_index()
    result = await repository.change(
        [Step(("read-tree", tree)), Step(("checkout-index", "--all", "--force", "--quiet"))],
        index=repository.index, work_tree=folder,
    )  # fmt: skip
    result.out_of("write the files for the criteria")
