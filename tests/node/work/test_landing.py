"""From a plan to commits: real git, real sandboxes, nodes in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

from netsky.node.blobs.collect import collect
from netsky.node.lab.mesh import until

from tests.node.work.repo.world import git
from tests.node.work.yard import Project, bare, ended, keys, started, writes, yard

WHO = "-c user.name=a -c user.email=a@b"


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


async def test_bad_workers_get_a_reason_and_the_branch_stays(tmp_path: Path) -> None:
    """Each as a ticket of one run: none may keep another from its end."""
    project = Project(tmp_path / "project")
    bad = {
        "escapes": ("echo x > README.md", "out_of_scope"),
        "links": ("ln -s /etc/passwd src/link", "symlink"),
        "nests": (f"git init -q src/x && git -C src/x {WHO} commit -q --allow-empty -m x", "submodule"),
        "lies": ("""echo '{"ended":"done"}'; exit 3""", "exit_lied"),
        "garbles": (r"printf '\377\376\000'", "report_not_text"),
        "malforms": ("""echo '{"ended":"splendid"}'""", "report_malformed"),
        "boasts": ("""echo '{"ended":"done","patch_id":"00","changed_files":["a"]}'""", "report_malformed"),
        "oversizes": ("""printf '{"ended":"done","text":"%050000d"}' 7""", "report_too_large"),
        "floods": ("yes", "limit_output"),
        "hangs": ("sleep 60", "limit_time"),
        "fails": ("echo why >&2; exit 7", "exit_7"),
        "displeases": ("echo bad >> src/a.txt", "criteria"),
        "is-not-there": ("", "no_program"),
    }
    plan = project.plan(
        *(writes(name, script, constraints={"max_retries": 0}) for name, (script, _) in bad.items()),
        writes("good", "echo good > src/good.txt"),
    )
    for one in plan["ticket"]:
        if one["id"] == "hangs":
            one["constraints"]["timeout_ms"] = 1_500
        if one["id"] == "displeases":
            one["success_criteria"] = ["! grep -q bad src/a.txt"]
        if one["id"] == "is-not-there":
            one["command"] = ["no-such-program"]
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        run = await started(root, plan)
        assert await ended(root, run) == {"state": "blocked", "blocked": len(bad), "committed": 1}
        found = (await root.ask("task_ls", run=run))["tickets"]
        codes = {one["id"].partition(".")[2]: one["code"] for one in found if one["state"] == "blocked"}
        assert codes == {name: code for name, (_, code) in bad.items()}
        assert keys(root) == ["key-good"]
        assert git(bare(root), "diff", "--name-only", project.tip, "main") == "src/good.txt"


async def test_what_the_worker_does_to_its_own_git_decides_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    hostile = (
        f"echo ours > src/a.txt; git add -A; git {WHO} commit -qm mine; git checkout -q --orphan other; "
        "git config core.fsmonitor 'touch /tmp/x'; "
        "printf '[core]\\n\\tworktree = /\\n' >> .git/config; rm -f .git/index"
    )
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        run = await started(root, project.plan(writes("work", hostile)))
        assert await ended(root, run) == {"state": "completed", "committed": 1}
        assert git(bare(root), "show", "main:src/a.txt") == "ours"
        assert git(bare(root), "rev-parse", "main^") == project.tip


async def test_a_plan_without_its_base_starts_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        for wrong, code in [
            ({"base": "0" * 40}, "base_missing"),
            ({"base": "nowhere"}, "fetch_failed"),
            ({"branch": "no..branch"}, "bad_branch"),
            ({"branch": ""}, "bad_branch"),
            ({"repository": "relative/path"}, "url"),
            ({"repository": "ext::sh -c id"}, "url"),
            ({"repository": str(tmp_path / "nowhere")}, "fetch_failed"),
        ]:
            refused = await root.refusal("work_run", plan=project.plan(writes("work", "true"), **wrong))
            assert refused["code"] == code, (wrong, refused)
        assert await root.rows("SELECT count(*) FROM work_runs") == [(0,)]


async def test_two_that_change_the_same_line_are_tried_again_from_what_was_committed(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    script = 'while [ ! -e src/go ] && [ $NETSKY_TRY = 1 ] && [ -n "$WAITS" ]; do :; done; echo {0} >> src/a.txt'
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        both = [writes(name, script.replace("{0}", name)) for name in ("left", "right")]
        run = await started(root, project.plan(*both))
        assert await ended(root, run) == {"state": "completed", "committed": 2}
        assert sorted(keys(root)) == ["key-left", "key-right"]
        assert sorted(git(bare(root), "show", "main:src/a.txt").split()) == ["a", "left", "right"]
        reasons = {one["code"]: one["count"] for one in (await root.ask("task_reasons"))["reasons"]}
        assert reasons == {"conflict": 1}


async def test_a_manager_cannot_write_and_nothing_is_taken_from_it(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    script = "touch src/mine && exit 5; grep -q a src/a.txt"
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        run = await started(root, project.plan(writes("plan", script, role="manager")))
        assert await ended(root, run) == {"state": "completed", "committed": 1}
        assert (await root.ask("task_show", id="plan"))["report"].get("patch_id") is None
        assert keys(root) == []


async def test_criteria_of_work_that_changes_nothing_look_at_what_it_began_with(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        good = writes("good", "true", success_criteria=["test -e src/a.txt", "! touch src/mine"])
        bad = writes("bad", "true", success_criteria=["test -e src/b.txt"], constraints={"max_retries": 0})
        run = await started(root, project.plan(good, bad))
        assert await ended(root, run) == {"state": "blocked", "committed": 1, "blocked": 1}
        assert (await root.ask("task_show", id="bad"))["code"] == "criteria"
        assert list((Path(root.home.path) / "workspaces").glob("demo-*")) == []


async def test_siblings_get_a_bundle_and_send_patches_back(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    async with yard(tmp_path, 1) as mesh:
        root = mesh["netsky0"]
        far = {"on": ["netsky1"]}
        first = writes("first", "echo one > src/one.txt", **far)
        second = writes("second", "cat src/one.txt src/one.txt > src/two.txt", after=["first"], **far)
        run = await started(root, project.plan(first, second))
        assert await ended(root, run) == {"state": "completed", "committed": 2}
        assert keys(root) == ["key-first", "key-second"]
        assert git(bare(root), "show", "main:src/two.txt") == "one\none"
        assert {one["node"] for one in (await root.ask("task_ls", run=run))["tickets"]} == {"netsky1"}
        assert str(project.path) not in str(await mesh["netsky1"].rows("SELECT body FROM messages"))


async def test_what_a_person_has_to_see_waits_and_is_committed_when_approved(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        seen = writes("seen", "echo seen > src/seen", review="person")
        unseen = writes("unseen", "echo unseen > src/unseen", review="person")
        run = await started(root, project.plan(seen, unseen))
        assert await ended(root, run) == {"state": "blocked", "blocked": 2}
        shown = await root.ask("task_show", id="seen")
        assert shown["code"] == "review"
        assert shown["reason"].endswith("netsky commit approve key-seen")
        assert keys(root) == []
        await root.ask("commit_decide", key="key-unseen", approved=False, why="no tests")
        await root.ask("commit_decide", key="key-seen", approved=True)
        assert await ended(root, run) == {"state": "blocked", "blocked": 1, "committed": 1}
        assert keys(root) == ["key-seen"]
        story = (await root.ask("task_show", id="unseen"))["story"]
        assert (story[-1]["event"], story[-1]["reason"]) == ("refuse", "by operator@netsky0: no tests")


async def test_a_branch_is_pushed_after_its_commits(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    git(tmp_path, "clone", "-q", "--bare", str(project.path), "there.git")
    there = tmp_path / "there.git"
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        two = [writes("one", "echo 1 > src/1"), writes("two", "echo 2 > src/2", after=["one"])]
        run = await started(root, project.plan(*two, push=str(there)))
        assert await ended(root, run) == {"state": "completed", "committed": 2}

        async def pushed() -> bool | None:
            return {one["push"] for one in (await root.ask("commit_log"))["commits"]} == {"pushed"} or None

        await until(pushed)
        assert git(there, "rev-parse", "main") == git(bare(root), "rev-parse", "main")
        assert git(there, "rev-parse", "main~2") == project.tip


async def test_a_scope_that_was_widened_holds_for_the_next_try(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        run = await started(
            root, project.plan(writes("docs", "echo more >> README.md", constraints={"max_retries": 0}))
        )
        assert await ended(root, run) == {"state": "blocked", "blocked": 1}
        await root.ask("task_unblock", id="docs", fs_write=["README.md"], for_s=60)
        assert await ended(root, run) == {"state": "completed", "committed": 1}
        assert git(bare(root), "show", "main:README.md") == "a project\nmore"


async def test_a_database_from_before_the_commit_commits_nothing_twice(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        root.configure("work", "slots", 0)
        await root.stop()
        await root.start(mesh.nursery)
        run = await started(root, project.plan(writes("once", "date +%s%N > src/once")))
        await root.stop()
        shutil.copy(root.home.database, tmp_path / "before.db")
        root.configure("work", "slots", 2)
        await root.start(mesh.nursery)
        assert await ended(root, run) == {"state": "completed", "committed": 1}
        tip = git(bare(root), "rev-parse", "main")
        await root.stop()
        shutil.copy(tmp_path / "before.db", root.home.database)
        await root.start(mesh.nursery)
        assert await ended(root, run) == {"state": "completed", "committed": 1}
        assert git(bare(root), "rev-parse", "main") == tip
        assert keys(root) == ["key-once"]


async def test_bytes_of_a_patch_stay_as_long_as_its_ticket_needs_them(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    async with yard(tmp_path) as mesh:
        root = mesh["netsky0"]
        run = await started(root, project.plan(writes("seen", "echo seen > src/seen", review="person")))
        assert await ended(root, run) == {"state": "blocked", "blocked": 1}
        later = root.node.now() + 2 * 3600 * 10**9
        assert await collect(root.node.blobs, root.node.group, later) == 0
        await root.ask("commit_decide", key="key-seen", approved=True)
        assert await ended(root, run) == {"state": "completed", "committed": 1}
        assert await collect(root.node.blobs, root.node.group, later) == 1


async def test_what_a_ticket_points_to_is_found_beside_its_clone(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    async with yard(tmp_path, 1) as mesh:
        root = mesh["netsky0"]
        refused = await root.refusal(
            "work_run",
            plan=project.plan(writes("lost", "true", context_pointers=["file:src/no", "file:../a", "file:src/a.txt"])),
        )
        assert (refused["code"], "'../a', 'src/no'" in refused["message"]) == ("bad_context", True)
        first = writes("first", """echo '{"ended":"done","text":"what I found"}'""")
        script = "grep -q 'what I found' ../context/01-task-first && ! touch ../context/x && cp src/a.txt src/b.txt"
        second = writes("second", script, after=["first"], on=["netsky1"], context_pointers=["task:first", "file:src"])
        run = await started(root, project.plan(first, second))
        assert await ended(root, run) == {"state": "completed", "committed": 2}
        assert keys(root) == ["key-second"]
