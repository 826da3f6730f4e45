"""From a plan to commits: real git, real sandboxes, nodes in memory."""

from __future__ import annotations

from pathlib import Path

from tests.node.work.repo.world import git
from tests.node.work.yard import Project, bare, ended, keys, started, writes, yard


async def test_a_worker_changes_a_clone_and_its_patch_is_committed_once(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        first = writes("first", "echo more >> src/a.txt", success_criteria=["grep -q more src/a.txt"])
        second = writes("second", "cat src/a.txt > src/b.txt", after=["first"])
        run = await started(root, project.plan(first, second))
        assert await ended(root, run) == {"state": "completed", "committed": 2}
        assert keys(root) == ["key-first", "key-second"]
        assert git(bare(root), "show", "main:src/b.txt") == "a\nmore"
        shown = await root.ask("task_show", id="first")
        assert shown["report"]["changed_files"] == ["src/a.txt"]
        assert shown["report"]["walled"] in {"bubblewrap", "namespaces"}
        assert shown["report"]["commands_run"][0]["exit"] == 0
        assert [step["event"] for step in shown["story"]] == ["add", "offer", "take", "report", "verify", "commit"]
        assert git(project.path, "rev-parse", "main") == project.tip, "a person's repository stays as it is"
