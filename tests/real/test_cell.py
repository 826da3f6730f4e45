"""The strict sandbox as an unprivileged user: what gets out of it, and what ends that wants to go on for ever.

Once with bubblewrap, once with it out of sight, when plain namespaces do it; and once without walls, since a canary
that cannot sing shows nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from netsky.node.actors import fence as fences
from netsky.node.actors.fence import Fence, Kind
from netsky.node.actors.launch import PROGRAMS
from netsky.node.seams.real_processes import RealProcess, RealProcesses
from netsky.node.work.cell.cell import Cell
from netsky.node.work.cell.walls import Grounds, build

sys.path.insert(0, os.path.dirname(__file__))
from unprivileged import Unprivileged, unprivileged_user  # this folder is no package

HERE = Path(__file__).resolve().parent
OURS = {
    *("its own workspace", "its own scratch", "its own socket", "what it may read", "its own loopback"),
    *("a pseudo terminal", "a child"),
}
"""What must work."""

MEGABYTE = 1 << 20
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def user() -> Iterator[Unprivileged]:
    with unprivileged_user() as found:
        yield found


@dataclass
class Ground:
    """A node's home with everything that must not be seen, and a world outside that would answer."""

    user: Unprivileged
    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "node"

    def workspace(self, name: str) -> Path:
        return self.home / "workspaces" / name / "repo"

    def make(self, path: Path, text: str = "secret") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def lay(self, *workspaces: str) -> None:
        for name in ("node.key", "meta.db", "config.toml", "channels/worker2/inbox/x.json"):
            self.make(self.home / name)
        for name in (*workspaces, "other"):
            self.make(self.workspace(name) / "README")
        self.make(self.home / "context" / "pointer.txt")
        self.make(self.folder / "base.git" / "HEAD")
        self.make(self.folder / "base.git" / "refs/heads/main")
        self.make(self.user.home / ".ssh" / "id_test")
        for name in ("worker1", "worker2"):
            (self.home / "run" / name).mkdir(parents=True)
        (self.home / "logs").mkdir()
        subprocess.run(["chown", "-R", f"{self.user.uid}:{self.user.gid}", self.folder, self.user.home], check=True)
        self.home.chmod(0o700)

    def drive(self, orders: Mapping[str, Any], *, walls: bool = True, path: str | None = None) -> dict[str, Any]:
        told = self.folder / "orders.json"
        told.write_text(json.dumps({"home": str(self.home), "walls": walls, "orders": orders}))
        shutil.copy(HERE / "cell_driver.py", self.folder)
        environ = {"NETSKY_TEST_SECRET": "the node's own", **({} if path is None else {"PATH": path})}
        done = self.user.run([str(self.user.python), str(self.folder / "cell_driver.py"), str(told)], env=environ)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def path_without_bubblewrap(self) -> str:
        folder = self.folder / "bin"
        folder.mkdir()
        for place in ("/usr/sbin", "/usr/bin"):
            for name in os.listdir(place):
                link = folder / name
                if name != "bwrap" and not link.is_symlink():
                    link.symlink_to(f"{place}/{name}")
        return str(folder)

    def order(self, workspace: str, *argv: str, **more: Any) -> dict[str, Any]:
        limits = {"seconds": 20, **more.pop("limits", {})}
        return {
            "argv": argv,
            "env": {"PATH": "/usr/bin:/bin"},
            "cell": {"workspace": str(self.workspace(workspace)), "limits": limits, **more},
        }

    def script(self, workspace: str, text: str, **more: Any) -> dict[str, Any]:
        return self.order(workspace, str(self.user.python), "-c", text, **more)


@contextmanager
def ground(user: Unprivileged, *workspaces: str) -> Iterator[Ground]:
    folder = Path(tempfile.mkdtemp(prefix="netsky-ground-", dir=user.home))
    folder.chmod(0o755)
    it = Ground(user, folder)
    it.lay(*workspaces)
    try:
        yield it
    finally:
        assert not user.processes(), "something of it is left"
        shutil.rmtree(folder)


@contextmanager
def world(ground: Ground) -> Iterator[dict[str, str]]:
    """Servers of this machine that answer whoever asks, and a process that stands for the node."""
    name, sockets, uid = f"netsky-cell-{ground.user.uid}", [], ground.user.uid
    open_to_all = f"/tmp/{name}.sock"
    for path in (open_to_all, "\0" + name, *(str(ground.home / end) for end in SOCKETS)):
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen(16)
        sockets.append(listening)
        if not path.startswith("\0"):
            os.chown(path, uid, uid)
    server = socket.create_server(("0.0.0.0", 0))
    port = server.getsockname()[1]
    answering = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    answering.bind(("0.0.0.0", port))
    sockets += [server, answering]

    def answer() -> None:
        while True:
            asked, whom = answering.recvfrom(64)
            if asked == b"end":
                return
            answering.sendto(b"here", whom)

    thread = threading.Thread(target=answer)
    thread.start()
    standing = ground.user.popen(["sleep", "120"])
    try:
        yield {
            "home": str(ground.home), "outside": str(standing.pid), "port": str(port), "unix": open_to_all,
            "address": own_address(), "abstract": name, "user_home": str(ground.user.home),
            "base": str(ground.folder / "base.git"), "readable": str(ground.home / "context"),
            "socket": str(ground.home / "run/worker1"),
        }  # fmt: skip
    finally:
        standing.kill()
        standing.wait()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", ("127.0.0.1", port))
        thread.join()
        for one in sockets:
            one.close()
        os.unlink(open_to_all)


SOCKETS = ("operator.sock", "run/worker1/actor.sock", "run/worker2/actor.sock")


def own_address() -> str:
    """One that is not the loopback, where the machine has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        try:
            it.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(it.getsockname()[0])


FORK_BOMB = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
THREAD_BOMB = (
    "import threading, time\n"
    "while True:\n    try:\n        threading.Thread(target=time.sleep, args=(60,)).start()\n"
    "    except RuntimeError:\n        time.sleep(0.1)\n"
)
DISK_FILL = (
    "import os\nfor n in range(10**6):\n    with open(f'fill{n}', 'wb') as f:\n        f.write(bytes(4 << 20))\n"
)
NAME_FILL = "for n in range(10**6):\n    open(f'name{n}', 'w').close()\n"
HIDDEN_FILL = (
    "import os\nos.mkdir('closed')\nos.chdir('closed')\nos.chmod('.', 0o300)\n"
    "for n in range(10**6):\n    with open(f'fill{n}', 'wb') as f:\n        f.write(os.urandom(4 << 20))\n"
)
SCRATCH_FILL = (
    "import os, sys\n"
    "with open(os.environ['TMPDIR'] + '/big', 'wb', 0) as f:\n"
    "    try:\n        while True:\n            f.write(bytes(1 << 20))\n"
    "    except OSError as e:\n        print(f.tell() >> 20, e.strerror)\n"
)
MEMORY = "held = []\nwhile True:\n    held.append(bytearray(b'x' * (4 << 20)))\n"
MEMORY_OF_CHILDREN = (
    "import os, time\nfor _ in range(12):\n    if os.fork() == 0:\n        held = bytearray(b'x' * (30 << 20))\n"
    "        time.sleep(60)\ntime.sleep(60)\n"
)
MEMORY_NOBODY_MAPS = (
    "import os, time\nheld = []\nwhile True:\n    f = os.memfd_create('x')\n    os.write(f, bytes(4 << 20))\n"
    "    held.append(f)\n    time.sleep(0.002)\n"
)
FLOOD = "import sys\nwhile True:\n    print('x' * 1000)\n"
WORDS_FLOOD = "import sys\nfor _ in range(20000):\n    print('y' * 1000, file=sys.stderr)\nprint('through')\n"
ORPHAN = (
    "import os, signal, sys, time\n"
    "for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n"
    "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(300)\n"
    "    os._exit(0)\n"
)
DEAF = ORPHAN + "time.sleep(300)\n"


SMALL = {"processes": 60, "memory": 200 * MEGABYTE, "growth": 100 * MEGABYTE, "file": 40 * MEGABYTE}


def enders(it: Ground) -> dict[str, Any]:
    small = SMALL
    return {
        "fork bomb": it.script("fork", FORK_BOMB, limits=small),
        "thread bomb": it.script("thread", THREAD_BOMB, limits=small),
        "disk fill, many files": it.script("disk", DISK_FILL, limits=small),
        "disk fill, names alone": it.script("names", NAME_FILL, limits=small | {"growth": 8 * MEGABYTE}),
        "disk fill, one file": it.order("one", "sh", "-c", "yes > big", limits=small),
        "scratch fill": it.script("scratch", SCRATCH_FILL, scratch_bytes=32 * MEGABYTE, limits={"file": 1 << 30}),
        "memory": it.script("memory", MEMORY, limits=small),
        "memory of children": it.script("children", MEMORY_OF_CHILDREN, limits=small),
        "memory that nobody maps": it.script("unmapped", MEMORY_NOBODY_MAPS, limits=small),
        "output flood": it.script("flood", FLOOD, limits=small | {"output": 100_000}),
        "stderr flood": it.script("words", WORDS_FLOOD, limits=small),
        "orphan of one that ends": it.script("orphan", ORPHAN, limits=small),
        "orphan of one that does not": it.script("deaf", DEAF, limits=small | {"seconds": 1.5}),
    }


EXPECTED = {
    "fork bomb": "processes", "thread bomb": "processes", "disk fill, many files": "growth",
    "disk fill, names alone": "growth", "disk fill, a folder that it closed": "growth",
    "disk fill, one file": "file", "scratch fill": "", "memory": "memory", "memory of children": "memory",
    "memory that nobody maps": "memory", "output flood": "output", "stderr flood": "",
    "orphan of one that ends": "", "orphan of one that does not": "time",
}  # fmt: skip


def canary(it: Ground, told: dict[str, str]) -> dict[str, Any]:
    shutil.copy(HERE / "cell_canary.py", it.workspace("canary"))
    return it.order(
        "canary", str(it.user.python), "cell_canary.py", json.dumps(told),
        readable=[told["readable"]], actor_socket=told["socket"],
    )  # fmt: skip


def table(kind: str, found: dict[str, list[Any]], ended: dict[str, Any]) -> str:
    lines = [f"\ncell: {kind}", f"{'attempt':44} {'through':8} what it got"]
    lines += [f"{name:44} {'YES' if through else 'no':8} {got[:100]}" for name, (through, got) in found.items()]
    lines += [f"{'what wants to go on':44} {'ended':8} how"]
    for name, result in ended.items():
        lines.append(f"{name:44} {result['limit'] or 'no':8} {result['seconds']:.1f} s: {result['sentence']}")
    return "\n".join(lines)


WORKSPACES = (
    *("canary", "fork", "thread", "disk", "names", "hidden", "one", "scratch", "memory", "children", "unmapped"),
    *("flood", "words", "orphan", "deaf"),
)


@pytest.mark.parametrize("kind", ["bubblewrap", "unshare"])
def test_nothing_gets_out_of_a_cell_and_everything_in_it_ends(
    user: Unprivileged, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = {"bubblewrap": "bwrap", "unshare": "unshare"}[kind]
    if shutil.which(program) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have {program}")
        pytest.skip(f"{program} is not installed")
    with ground(user, *WORKSPACES) as it, world(it) as told:
        path = it.path_without_bubblewrap() if kind == "unshare" else None
        results = it.drive({"canary": canary(it, told), **enders(it)}, path=path)
        alone = it.script("hidden", HIDDEN_FILL, limits=SMALL)  # it is known by the disk, which others fill as well
        results |= it.drive({"disk fill, a folder that it closed": alone}, path=path)
        assert results.pop("") == {"kind": kind, "why_not": ""}
        grown = {name: size(it.workspace(name)) for name in ("disk", "hidden", "one")}
        links = os.listdir(it.workspace("canary"))
    sung = results.pop("canary")
    assert sung["code"] == 0, sung
    found: dict[str, list[Any]] = json.loads(sung["said"])
    with capsys.disabled():
        print(table(sung["walled"], found, results))
        print("left on the disk:", ", ".join(f"{name} {done >> 20} MiB" for name, done in grown.items()))
    assert {name for name, (got_through, _) in found.items() if got_through} == OURS
    assert {name: result["limit"] for name, result in results.items()} == EXPECTED
    assert results["scratch fill"]["said"] == "32 No space left on device\n"
    assert results["stderr flood"]["said"] == "through\n"
    assert len(results["output flood"]["said"]) == 100_000
    assert grown["one"] <= 41 * MEGABYTE
    assert max(grown.values()) < 4 << 30
    assert "made.txt" in links


SETTINGS = (
    "for name in ('sys/kernel/core_pattern', 'sys/vm/drop_caches', 'sysrq-trigger'):\n"
    "    try:\n        open('/proc/' + name, 'a').close(); print('open', name)\n"
    "    except OSError as e:\n        print(e.strerror)\n"
)
"""Opened, and nothing written."""


@pytest.mark.parametrize("walls", ["fence", "cell"])
@pytest.mark.parametrize("kind", ["bubblewrap", "unshare"])
async def test_where_a_node_runs_as_root_its_programs_cannot_set_the_kernel(
    tmp_path: Path, kind: Kind, walls: str
) -> None:
    if os.getuid() != 0 or shutil.which(PROGRAMS[kind]) is None:
        pytest.skip("needs root and what puts up the walls")
    processes = RealProcesses()
    world = processes.world()
    fence = Fence(()) if walls == "fence" else build(Cell(str(tmp_path)), Grounds("/nowhere", "/nowhere"), world)
    given: dict[str, Any] = {"env": {"PATH": "/usr/bin"}, "cwd": "/", "log": str(tmp_path / "log"), "log_bytes": 10_000}
    argv = [world.python, "-I", "-S", "-c", SETTINGS]
    process = await processes.start(argv, stdin=False, stdout=True, fence=fences.argv(kind, fence, world), **given)
    said = b"".join([some async for some in chunks(process)]).decode().splitlines()
    assert (await process.wait()).code == 0
    assert len(said) == 3
    assert not [line for line in said if line.startswith("open")]


async def chunks(process: RealProcess) -> AsyncIterator[bytes]:
    while some := await process.receive(4096):
        yield some


THROUGH_THE_PROXY = """
import http.client, json, os, socket, sys
from urllib.parse import urlsplit
proxy = urlsplit(os.environ["HTTPS_PROXY"])

def ask(host, port):
    line = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=15)
    line.set_tunnel(host, port)
    try:
        line.request("POST", "/", b"x" * 300_000)
        return line.getresponse().read().decode()
    except OSError as error:
        return str(error)
    finally:
        line.close()

def straight(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
        return "connected"
    except OSError as error:
        return error.strerror

named, other, by_name, gate = sys.argv[1:]
print(json.dumps({
    "named": ask("127.0.0.1", int(named)), "another port": ask("127.0.0.1", int(other)),
    "a name that leads to it": ask("localhost", int(by_name)), "straight": straight("127.0.0.1", int(named)),
    "gates": os.listdir(gate), "children": open("/proc/self/task/%d/children" % os.getpid()).read(),
}))
"""


class Counting(BaseHTTPRequestHandler):
    """Says how many bytes it was given."""

    def do_POST(self) -> None:
        body = f"{len(self.rfile.read(int(self.headers['Content-Length'])))} bytes".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own name
        return


@pytest.mark.parametrize("kind", ["bubblewrap", "unshare"])
def test_a_host_of_the_scope_is_reached_through_the_nodes_proxy_and_nothing_else(user: Unprivileged, kind: str) -> None:
    if kind == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bwrap is not installed")
    with ground(user, "asking", "beside") as it, ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_port
        named = [f"127.0.0.1:{port}", f"localhost:{port}"]
        argv = (str(user.python), "-c", THROUGH_THE_PROXY, str(port), str(port + 1), str(port), str(it.home / "run"))
        beside = it.order("beside", "sleep", "2", hosts=["example.org:443"])
        path = it.path_without_bubblewrap() if kind == "unshare" else None
        results = it.drive({"asking": it.order("asking", *argv, hosts=named), "beside": beside}, path=path)
        server.shutdown()
        thread.join()
        left = os.listdir(it.home / "run")
    assert results[""]["kind"] == kind
    assert results["asking"]["code"] == 0, results
    found = json.loads(results["asking"]["said"])
    assert found["named"] == "300000 bytes"
    assert "403" in found["another port"]
    assert "502" in found["a name that leads to it"]
    assert found["straight"] == "Connection refused"
    assert len(found["gates"]) == 1, "of two cells with a proxy each sees its own"
    assert found["children"] == "", "it has no child that it did not start"
    assert {f"127.0.0.1:{port + 1}", f"localhost:{port}"} <= results["asking"]["refused"].keys()
    assert sorted(left) == ["worker1", "worker2"]


def size(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


def test_the_same_canary_without_walls_gets_nearly_everywhere(user: Unprivileged) -> None:
    with ground(user, "canary") as it, world(it) as told:
        order = canary(it, told)
        refused = it.drive({"it": order}, walls=False)["it"]
        order |= {"unsandboxed": True}
        order["env"] |= {"TMPDIR": str(it.folder)}
        result = it.drive({"it": order}, walls=False)["it"]
    assert "no sandbox" in refused["refused"]
    assert "--unsandboxed" in refused["next"]
    assert result["walled"] == "unsandboxed"
    found: dict[str, list[Any]] = json.loads(result["said"])
    silent = {name for name, (got_through, _) in found.items() if not got_through}
    assert silent <= {
        *("variables of the node", "write into /usr", "write into /etc", "write into /", "write into /dev"),
        *("ptrace of the node", "ptrace of its keeper", "environ of its keeper", "descriptors of its keeper"),
        *("a user namespace", "a mount", "undo a mount", "a set-uid program", "core_pattern", "io_uring", "DNS"),
        *(
            "node.key by a root of before",
            "node.key by its keeper's root",
            "rights",
            "AF_VSOCK, to the host of a virtual machine",
        ),
    }, {name: found[name] for name in silent}
