"""House rules as tests: who may import whom, where clocks and chance may stand, how long things may get."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("envelope", "mesh", "relay", "node")
MAY_IMPORT = {
    "envelope": {"envelope"},
    "mesh": {"envelope", "mesh"},
    "relay": {"envelope", "mesh", "relay"},
    "node": set(PACKAGES),
}
TOP_LEVEL = {*PACKAGES, "tests", "deploy", "README.md", "LICENSE", "pyproject.toml", "requirements.lock"}
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

# A module that must not be imported -> the only places where it may be, with the reason beside it.
ONLY_IN = {
    "asyncio": ("mesh/trio_loop.py",),  # iroh and aiosqlite ask for a loop; one file knows how to answer
    "sqlite3": (
        "node/db/",
        "node/lab/",
    ),  # one package holds all SQL of a node; the lab looks into databases from outside
    "apsw": ("node/lab/pages/",),  # a disk that forgets under SQLite
    "random": ("node/lab/",),  # chance is a seam; a simulation draws it from a seed
    "uuid": (),
    "secrets": ("node/seams/real.py",),
    "time": (
        *("node/seams/real.py", "node/cli/", "node/bench/", "node/demo/", "node/lab/sim.py"),  # no nodes
        *(f"node/escalate/{name}.py" for name in ("program", "hook", "ask", "failed")),  # a program of its own
        "node/seams/gauge.py",  # so is this, beside a program that it looks at
    ),
    # from numbers given
    "datetime": ("node/cli/", "envelope/file.py", "node/schedule/", "node/verbs/schedules.py", "node/lab/clock.py"),
    "iroh": ("mesh/iroh_transport.py",),
    "threading": (),
    "subprocess": (
        "node/up.py",
        "node/service/manager.py",
        "node/cli/",
        "node/demo/",
        "node/bench/",
        "node/lab/campaign.py",
        "node/actors/fence_probe.py",
        "node/escalate/hook.py",
    ),
}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\n")  # fmt: skip
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def sources() -> list[Path]:
    return [path for path in tracked("*.py") if path.relative_to(ROOT).parts[0] in PACKAGES]


def imports(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole name of what is imported"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def test_the_top_level_holds_what_the_plan_names() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} == TOP_LEVEL


def test_imports_point_one_way() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources()
        for line, name in imports(path)
        if name.startswith("netsky.") and name.split(".")[1] not in MAY_IMPORT[path.relative_to(ROOT).parts[0]]
    ]
    assert not wrong


def test_code_imports_itself_only_under_the_name_netsky() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in tracked("*.py")
        for line, name in imports(path)
        if name.split(".")[0] in PACKAGES
    ]
    assert not wrong


@pytest.mark.parametrize("module", sorted(ONLY_IN))
def test_a_guarded_module_is_imported_only_where_it_belongs(module: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources()
        for line, name in imports(path)
        if name.split(".")[0] == module and not str(path.relative_to(ROOT)).startswith(ONLY_IN[module] or ("nowhere",))
    ]
    assert not wrong, f"{module} stands outside {ONLY_IN[module] or 'its seam'}"


def test_the_pure_folders_know_no_loop_no_files_and_no_process() -> None:
    driven = ("trio_loop.py", "iroh_transport.py", "driver.py", "inbox.py", "outlet.py", "blob_streams.py")
    pure = {"envelope": (), "relay": (), "mesh": driven}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources()
        for line, name in imports(path)
        if (folder := path.relative_to(ROOT).parts[0]) in pure
        and path.name not in pure[folder]
        and name.split(".")[0] in {"trio", "os", "pathlib", "socket", "shutil", "tempfile"}
    ]
    assert not wrong


def test_no_function_and_no_file_grows_past_its_bound() -> None:
    wrong = []
    for path in sources():
        text = path.read_text()
        if text.count("\n") > FILE_LINES_MAX:
            wrong.append(f"{path.relative_to(ROOT)} has {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {length} lines")
    assert not wrong


def test_no_mark_of_unfinished_work_is_left_behind() -> None:
    marks = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")))
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("*.py", "*.md", "*.sh", "*.sql", "*.toml")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert not wrong


def test_no_module_holds_mutable_state() -> None:
    def mutable(value: ast.expr) -> bool:
        return isinstance(value, ast.List | ast.Set) or (isinstance(value, ast.Dict) and not value.keys)

    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and mutable(node.value)
        and not any(isinstance(t, ast.Name) and t.id == "__all__" for t in getattr(node, "targets", []))
    ]  # fmt: skip
    assert not wrong


def test_no_machine_path_and_no_registry_host_is_named() -> None:
    forbidden = re.compile(
        "(?<!node)/" + "work/|/" + "root/|pypi" + r"\.org|files\.python" + r"hosted|registry\.npm|deb\.debian"
    )
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if forbidden.search(line)
    ]
    assert not wrong


def test_every_folder_of_the_product_has_a_readme() -> None:
    folders = (*PACKAGES, "tests", "node/db", "node/bus", "node/actors", "node/lab", "deploy")
    wrong = [name for name in folders if not (ROOT / name / "README.md").exists()]
    assert not wrong


def test_the_coverage_floor_only_rises() -> None:
    log = subprocess.run(
        ["git", "log", "--reverse", "-p", "--format=", "--", "deploy/coverage-floor"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    floors = [float(line[1:]) for line in log.splitlines() if re.fullmatch(r"\+\d+(\.\d+)?", line)]
    floors.append(float((ROOT / "deploy/coverage-floor").read_text()))
    assert floors == sorted(floors)


@pytest.mark.parametrize("verb", ["send", "status", "channel", "trace", "query", "wait", "events", "help", "agent"])
def test_an_everyday_command_imports_no_heavy_library(verb: str) -> None:
    heavy = ("trio", "iroh", "rich", "click", "msgspec", "asyncio", "cryptography")
    command = [sys.executable, "-X", "importtime", "-m", "netsky.node.cli.main", verb, "--home", "/nonexistent", "-h"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-500:]
    lines = [line for line in done.stderr.splitlines() if "import time:" in line]
    names = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in lines}
    assert "argparse" in names
    assert not names & set(heavy)
