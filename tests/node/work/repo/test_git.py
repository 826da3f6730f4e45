"""A git of ours does what we say: nobody else's configuration, hooks, drivers or names, and not for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
from netsky.node.seams.real_files import RealFiles
from netsky.node.seams.real_processes import RealProcesses
from netsky.node.work.repo.git import NO_ATTRIBUTES, Git, GitError, Step, Where, environment
from netsky.node.work.repo.repository import scheme_of

from tests.node.work.repo.world import World, git

HOOKS = (
    "post-checkout", "post-index-change", "reference-transaction", "pre-commit", "pre-push", "update", "pre-auto-gc",
    "post-merge", "fsmonitor-watchman", "sendemail-validate",
)  # fmt: skip


def a_git(folder: Path, program: str = "git") -> Git:
    return Git(RealProcesses(), RealFiles(), str(folder), "git", program=program)


def a_program(folder: Path, text: str) -> str:
    path = folder / "git"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def trap(folder: Path) -> tuple[Path, Path]:
    """A program that leaves a mark, and the mark."""
    mark, program = folder / "mark", folder / "trap"
    program.write_text(f"#!/bin/sh\necho $0 $* >> {mark}\ncat\n")
    program.chmod(0o755)
    return program, mark


async def test_nothing_that_a_repository_or_a_user_configures_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every line of it would leave a mark with a git that is not ours: the last part of the test."""
    world, (program, mark) = World(tmp_path / "w"), trap(tmp_path)
    (world.project / ".gitattributes").write_text("* filter=t diff=t merge=t ident text=auto eol=crlf\n")
    git(world.project, "add", "-A")
    git(world.project, "commit", "-qm", "attributes")
    tree = git(world.project, "rev-parse", "HEAD")
    settings = {
        "core.fsmonitor": program, "core.hooksPath": tmp_path / "hooks", "filter.t.clean": program,
        "filter.t.smudge": program, "filter.t.required": "true", "diff.t.textconv": program, "diff.t.command": program,
        "diff.external": program, "merge.t.driver": program, "core.pager": program, "core.editor": program,
        "credential.helper": f"!{program}", "core.alternateRefsCommand": program, "gpg.program": program,
        "core.askPass": program, "core.sshCommand": program,
    }  # fmt: skip
    (tmp_path / "hooks").mkdir()
    for folder in (tmp_path / "hooks", world.project / ".git" / "hooks"):
        folder.mkdir(exist_ok=True)
        for name in HOOKS:
            (folder / name).symlink_to(program)
    for name, value in settings.items():
        git(world.project, "config", name, str(value))
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text((world.project / ".git" / "config").read_text())
    for name in ("GIT_EXTERNAL_DIFF", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_EDITOR", "GIT_PAGER", "GIT_PROXY_COMMAND"):
        monkeypatch.setenv(name, str(program))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    repository = world.project / ".git"
    (repository / "info").mkdir(exist_ok=True)
    (repository / "info" / "attributes").write_bytes(NO_ATTRIBUTES)
    out = tmp_path / "out"
    out.mkdir()
    where = Where(str(repository), index=str(tmp_path / "index"), work_tree=str(out))
    steps = [
        Step(("read-tree", tree)),
        Step(("checkout-index", "--all", "--force")),
        Step(("add", "-A")),
        Step(("diff-index", "--cached", "-p", tree)),
        Step(("status", "--porcelain")),
        Step(("update-ref", "refs/heads/x", tree)),
        Step(("merge-tree", "--write-tree", tree, "HEAD")),
    ]
    said = await a_git(tmp_path).steps(where, steps)
    assert said.failed is None, said
    assert not mark.exists(), mark.read_text()
    assert (out / "src" / "b.txt").read_bytes() == b"b\n"
    monkeypatch.delenv("GIT_DIR")
    env = {**os.environ, "GIT_INDEX_FILE": str(tmp_path / "index2"), "GIT_WORK_TREE": str(out)}
    (repository / "info" / "attributes").unlink()
    for step in steps[:3]:
        command = ["git", "--git-dir", str(repository), *step.args]
        await trio.run_process(command, env=env, capture_stdout=True, capture_stderr=True, check=False)
    assert mark.exists()


async def test_replaced_objects_and_grafts_change_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = git(world.project, "commit-tree", "-m", "another", git(world.project, "mktree"))
    git(world.project, "replace", world.base, other)
    (world.project / ".git" / "info" / "grafts").write_text(f"{world.base} {other}\n")
    where = Where(str(world.project / ".git"))
    said = await a_git(tmp_path).run(where, "log", "--format=%H %s", world.base)
    assert said.out.decode() == f"{world.base} first\n"


@pytest.mark.parametrize("url", ["ext::sh -c true", "fd::3", "git://host/x", "http://host/x", "../x", "-u", "host:x",
                                 "ssh://-oProxyCommand=x/y", "https://a b/c", "file://x\0", ""])  # fmt: skip
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(GitError) as refused:
        scheme_of(url)
    assert refused.value.code == "url"


async def test_a_protocol_that_was_not_allowed_is_not_spoken(tmp_path: Path) -> None:
    world = World(tmp_path)
    here = Where(str(world.project / ".git"))
    for url in (str(world.project), "ext::touch mark", "https://localhost:1/x"):
        said = await a_git(tmp_path).run(here, "fetch", url)
        assert said.failed == 0
        assert "not allowed" in said.errors


async def test_a_git_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    program = a_program(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/pid; wait")
    with pytest.raises(GitError) as late:
        await a_git(tmp_path, program).run(Where(""), "status", seconds=1)
    assert late.value.code == "git_timed_out"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_a_git_that_says_too_much_is_ended(tmp_path: Path) -> None:
    with pytest.raises(GitError) as much:
        await a_git(tmp_path, a_program(tmp_path, "exec yes")).run(Where(""), "status", out_max=100_000)
    assert much.value.code == "git_said_too_much"


async def test_a_git_that_is_killed_or_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(GitError) as killed:
        await a_git(tmp_path, a_program(tmp_path, "kill -9 $$")).run(Where(""), "status")
    assert killed.value.code == "git_killed"
    with pytest.raises(GitError) as missing:
        await a_git(tmp_path, "/nonexistent/git").run(Where(""), "status")
    assert missing.value.code == "git_missing"


async def test_a_git_that_does_not_read_its_input_holds_nobody_up(tmp_path: Path) -> None:
    said = await a_git(tmp_path, a_program(tmp_path, "echo done")).run(Where(""), "x", stdin=b"x" * (1 << 20))
    assert (said.out, said.failed) == (b"done\n", None)


async def test_which_step_of_a_row_failed_is_known_and_its_words_are_kept_short(tmp_path: Path) -> None:
    program = a_program(tmp_path, 'echo "$@"; [ "$1" != bad ] || { yes "a sentence" | head -9999 >&2; exit 3; }')
    said = await a_git(tmp_path, program).steps(
        Where(""), [Step(("a", "it's; $x")), Step(("b",), text="in"), Step(("bad",)), Step(("never",))]
    )
    assert (said.out, said.failed) == (b"a it's; $x\nb\nbad\n", 2)
    assert "a sentence; a sentence" in said.errors
    assert len(said.errors) <= 500


def test_the_environment_of_a_git_is_ours_alone() -> None:
    found = environment("/opt/bin/git", Where("/r", allow="ssh"))
    assert found["PATH"].split(":")[0] == "/opt/bin"
    assert {name for name in found if not name.startswith("GIT_")} == {
        "PATH", "HOME", "LC_ALL", "SSH_ASKPASS", "XDG_CONFIG_HOME",
    }  # fmt: skip
    assert found["GIT_ALLOW_PROTOCOL"] == "ssh"
    assert environment("git", Where("/r"))["GIT_ALLOW_PROTOCOL"] == "none"


async def test_a_password_in_an_address_stands_in_no_sentence(tmp_path: Path) -> None:
    program = a_program(tmp_path, "echo cannot read https://me:secret@host/x >&2; exit 1")
    said = await a_git(tmp_path, program).run(Where(""), "fetch")
    assert said.errors == "cannot read https://host/x"
