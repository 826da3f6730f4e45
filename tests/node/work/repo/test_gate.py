"""The gate by itself: every hostile patch has its reason, and what git writes passes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.node.work.repo.gate import check_patch
from netsky.node.work.repo.patch import PatchFault, read_patch
from netsky.node.work.repo.paths import fault_of, inside

from tests.node.work.repo import hostile
from tests.node.work.repo.hostile import CASES, Hostile
from tests.node.work.repo.world import World, git

SCOPE = ("src/",)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_patch_is_refused_with_its_reason(case: Hostile) -> None:
    with pytest.raises(PatchFault) as refused:
        check_patch(case.patch, SCOPE)
    assert refused.value.code == case.code, refused.value.sentence


def test_names_are_unique_so_that_none_hides_another() -> None:
    assert len({case.name for case in CASES}) == len(CASES) > 60


@pytest.mark.parametrize(
    ("path", "scope", "allowed"),
    [
        ("src/a", ("src/",), True),
        ("src/a", ("src",), False),
        ("src", ("src/",), False),
        ("src", ("src",), True),
        ("srcs/a", ("src/",), False),
        ("a", ("./",), True),
        ("a", (".",), True),
        ("a", (), False),
        ("a", ("",), False),
        ("a", ("/",), False),
        ("src/a", ("docs/", "src/a"), True),
    ],
)
def test_a_line_of_the_scope_allows_what_it_says(path: str, scope: tuple[str, ...], allowed: bool) -> None:
    assert inside(path, scope) is allowed


@pytest.mark.parametrize(
    "path", ["a", ".github/x", "gitfoo", "a~1", "foo.git", ".gitignore", "ünï/çode", "a b", "Foo::Bar.3pm", "git~x"]
)
def test_ordinary_names_are_allowed(path: str) -> None:
    assert fault_of(path.encode()) is None


def test_attributes_are_allowed_where_the_scope_names_that_very_file() -> None:
    assert check_patch(hostile.new("src/.gitattributes"), ("src/", "src/.gitattributes"))


def test_what_git_writes_of_ordinary_work_passes(tmp_path: Path) -> None:
    world = World(tmp_path)
    src = world.project / "src"
    (src / "bin").write_bytes(bytes(range(256)) * 50)
    (src / 'quo"ted ünï').write_text("x\n")
    (src / "with space").write_text("no end of line")
    (src / "empty").write_text("")
    git(world.project, "add", "-A")
    git(world.project, "commit", "-qm", "more")
    base = git(world.project, "rev-parse", "HEAD")
    (src / "bin").write_bytes(bytes(range(256)) * 50 + b"\0\1")
    (src / 'quo"ted ünï').chmod(0o755)
    (src / "with space").write_text("no end of line\nnow\n")
    (src / "empty").unlink()
    (src / "a.txt").unlink()
    (src / "new tab\there").write_text("-- \ndiff --git a/x b/x\n")
    (src / "script").write_text("#!/bin/sh\n")
    (src / "script").chmod(0o755)
    git(world.project, "add", "-A")
    for options in (["--no-renames"], ["-M"], ["-C", "--find-copies-harder"], ["--full-index"], ["-U0"]):
        text = git(world.project, "diff", "--cached", "--binary", *options, base, "--", ":!src/new*")
        touched = check_patch(f"{text}\n".encode(), SCOPE)
        assert {one.path.decode() for one in touched} >= {"src/bin", "src/empty", 'src/quo"ted ünï', "src/with space"}
    with pytest.raises(PatchFault, match="control characters"):
        check_patch(f"{git(world.project, 'diff', '--cached', '--binary', base)}\n".encode(), SCOPE)


@given(st.binary(max_size=300) | st.text(alphabet='diff-gt ab/\n+@0,1"\\xindewm', max_size=200).map(str.encode))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    for patch in (data, b"diff --git a/x b/x\n" + data, hostile.new("src/x") + data + b"\n"):
        with suppress(PatchFault):
            read_patch(patch)
