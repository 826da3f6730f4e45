"""How a commit that work begins from comes into a repository of ours: from a remote, or from a bundle that came as an
attachment. Cached by content: what is here once is never fetched again, wherever it would come from."""

from __future__ import annotations

import os
from dataclasses import dataclass

from netsky.node.work.repo.commission import branch_ref, is_commit
from netsky.node.work.repo.git import GitError, Step
from netsky.node.work.repo.limits import FETCH_SECONDS
from netsky.node.work.repo.moves import NOWHERE
from netsky.node.work.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class Source:
    """One of the two. A bundle is the path of a file of ours."""

    url: str = ""
    bundle: str = ""


def base_ref(base: str) -> str:
    """There once a commit is here with all that it needs."""
    return f"refs/netsky/base/{base}"


async def ensure_base(repository: Repository, base: str, source: Source) -> bool:
    """The commit is here afterwards, whole and checked. True if it had to be fetched. GitError `base_missing`, or why
    the source could not be asked."""
    if not is_commit(base):
        raise GitError("base_missing", f"{base!r} is not the whole id of a commit")
    ref = base_ref(base)
    [there] = await repository.look([ref])
    if there is not None:
        return False
    [known] = await repository.look([f"{base}^{{commit}}"])
    if known is not None and await repository.reaches(base):
        await _mark(repository, base)
        return False
    where = source.bundle or source.url
    if not where:
        raise GitError("base_missing", f"the repository does not have {base[:12]}, and no source was named")
    try:
        await repository.fetch(where, [f"{base}:{ref}"])
    except GitError as error:
        if source.bundle or error.code != "fetch_failed":
            raise GitError("base_missing" if source.bundle else error.code, error.sentence) from None
        await repository.fetch(where, ["+refs/heads/*:refs/netsky/from/*"])  # an old server gives only what has a name
        if not await repository.reaches(base):
            raise GitError("base_missing", f"{base[:12]} is in no branch of the source: {error.sentence}") from None
        await _mark(repository, base)
    return True


async def _mark(repository: Repository, base: str) -> None:
    result = await repository.change([Step(("update-ref", base_ref(base), base))])
    result.out_of("mark the base")


async def tip_of(repository: Repository, url: str, branch: str) -> str:
    """Fetches a branch of a remote and says where it is: what a run that names a branch begins from."""
    await repository.fetch(url, [f"+refs/heads/{branch}:refs/netsky/from/{branch}"])
    [found] = await repository.look([f"refs/netsky/from/{branch}"])
    if found is None or found.kind != "commit":
        raise GitError("base_missing", f"the source has no branch {branch}")
    await _mark(repository, found.id)
    return found.id


async def follow(repository: Repository, url: str, branch: str) -> bool:
    """Brings a branch here to where it is there, if it only goes forward. False if both have gone on: a person looks,
    since nothing here is ever rewritten."""
    await repository.fetch(url, ["+refs/heads/*:refs/netsky/from/*"])
    here, there = await repository.look([branch_ref(branch), f"refs/netsky/from/{branch}"])
    if there is None or (here is not None and (here.id == there.id or await repository.is_ancestor(there.id, here.id))):
        return True
    if here is not None and (repository.checked_out(branch) or not await repository.is_ancestor(here.id, there.id)):
        return False
    old = NOWHERE if here is None else here.id
    result = await repository.change([Step(("update-ref", branch_ref(branch), there.id, old))])
    return result.failed is None


async def make_bundle(repository: Repository, base: str, folder: str) -> str:
    """A file with a base and all that it needs, for machines that cannot reach the remote. Made once."""
    path = os.path.join(folder, f"{base}.bundle")
    if not repository.is_file(folder, f"{base}.bundle"):
        repository.clear(folder, [f"{base}.new", f"{base}.new.lock"])
        step = Step(("bundle", "create", "--quiet", os.path.join(folder, f"{base}.new"), base_ref(base)))
        result = await repository.change([step], seconds=FETCH_SECONDS)
        result.out_of("make a bundle")
        repository.rename(folder, f"{base}.new", f"{base}.bundle")
    return path
