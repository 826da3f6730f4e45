"""Two drills of the way to the owner: the owner's command fails, and netsky0 is silent.

Failing is proved in a folder of its own that is thrown away: neither the real command nor a real marker is touched. The
real way is used only where somebody asked for a page, and what it says begins with DRILL.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from netsky.node.drill.proof import Proof
from netsky.node.errors import NetskyError
from netsky.node.escalate import failed, place
from netsky.node.escalate.silence import Silence
from netsky.node.home import Home
from netsky.node.markers import Marker, Markers, decode, path_of
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles
from netsky.node.service.here import own_command
from netsky.node.service.manager import ask

SUBJECT = "DRILL: a test of the way to you"
BODY = "DRILL: nothing is wrong and nothing is to be done. Somebody typed: netsky drill"

DRILL_MARKER = "drill-root-silent"
SILENT_SECONDS = 300
LOOK_SECONDS = 5
SECOND = 10**9

PROGRAM_SECONDS = 120.0
"""For that program with all its tries, each with a deadline."""


def owner_channel(home: Home, proof: Proof, *, page: bool) -> None:
    proof.will("let the program that reaches the owner fail, in a folder of its own, then mend it there")
    with tempfile.TemporaryDirectory(prefix="netsky-drill-") as folder:
        _fails_and_says_so(Path(folder), proof)
    if not page:
        proof.left_out("the real command was not run: netsky drill owner-channel --page")
        return
    proof.will("run the real command, with a text that says DRILL")
    code, said = _escalate(home.path, SUBJECT, BODY)
    way = {"hook": "the owner's command took it", "netsky0": "it is stored for the owner, and netsky0 pages for it"}
    if proof.that(code == 0, "the real way works", _why(said)):
        proof.that(True, way.get(str(said.get("data", {}).get("way")), "it went"))


def _fails_and_says_so(folder: Path, proof: Proof) -> None:
    tries, heard = folder / "tries", folder / "heard"
    _config(folder, f"echo x >> '{tries}'; exit 1")
    code, said = _escalate(str(folder), SUBJECT, BODY)
    proof.need(code != 0, "a command that fails is called failed", _why(said))
    count = len(tries.read_text().splitlines()) if tries.exists() else 0
    proof.that(1 < count <= 5, f"it was tried {count} times, and no more")
    marker = _marker(folder)
    proof.that(marker is not None, f"a marker says so: {'' if marker is None else marker.reason[:200]}")
    _config(folder, f"cat > '{heard}'")
    code, said = _escalate(str(folder), SUBJECT, BODY)
    proof.need(code == 0, "a command that works again is called done", _why(said))
    proof.that(heard.read_text().startswith(SUBJECT), "it got the whole text, which says DRILL")
    proof.that(_marker(folder) is None, "and the marker is cleared by that")


def _config(folder: Path, script: str) -> None:
    command = json.dumps(["/bin/sh", "-c", script])
    (folder / "config.toml").write_text(f'[node]\nname = "netsky1"\n\n[owner]\ncommand = {command}\n')


def _marker(folder: Path) -> Any:
    try:
        return decode(Path(path_of(str(folder), failed.NAME)).read_bytes())
    except OSError:
        return None


def _escalate(home: str, *words: str) -> tuple[int, dict[str, Any]]:
    """The program as anybody would run it: its exit code and its answer."""
    argv = [*own_command(), "--home", home, "--json", "escalate", *words]
    try:
        done = ask(argv, PROGRAM_SECONDS)
    except NetskyError as error:
        return 1, {"summary": error.message}
    try:
        found = json.loads(done.out.splitlines()[-1])
    except (ValueError, IndexError):
        found = {}
    return done.code, found if isinstance(found, dict) else {"summary": done.said}


def _why(said: dict[str, Any]) -> str:
    return str(said.get("summary") or "it said nothing")[:500]


def root_silent(home: Home, proof: Proof, *, page: bool) -> None:
    """The ear for the root is told that it hears nothing. The real one listens on, and the real marker stays."""
    here = place.look(home.path)
    if here.kind != "sibling":
        proof.left_out("this node is no sibling, so no other is its root")
        return
    proof.will(f"tell the ear for netsky0 that it hears nothing for {SILENT_SECONDS} s, by a clock of its own")
    ear, after = Silence(), _silent_after(Silence())
    proof.need(after is not None, "it calls netsky0 silent", f"not within {2 * SILENT_SECONDS} s")
    proof.that(after == SILENT_SECONDS, f"after {after} s, and not sooner")
    for second in range(0, 2 * SILENT_SECONDS, LOOK_SECONDS):
        ear.look(second * SECOND, LOOK_SECONDS * SECOND, SILENT_SECONDS * SECOND, heard=False)
    _mark(home, proof)
    heard = ear.look(2 * SILENT_SECONDS * SECOND, LOOK_SECONDS * SECOND, SILENT_SECONDS * SECOND, heard=True)
    proof.that(heard == "heard" and not ear.is_silent, "a word of netsky0 ends that at once")
    if not here.is_deputy:
        proof.left_out("this node is not the deputy, so it tells nobody of a silent netsky0")
    elif not page:
        proof.left_out("the deputy's own command was not run: netsky drill root-silent --page")
    else:
        code, said = _escalate(home.path, "--test")
        proof.that(code == 0, "the deputy's own command takes a word that says it is a test", _why(said))


def _silent_after(ear: Silence) -> int | None:
    for second in range(0, 2 * SILENT_SECONDS, LOOK_SECONDS):
        if ear.look(second * SECOND, LOOK_SECONDS * SECOND, SILENT_SECONDS * SECOND, heard=False) == "fell_silent":
            return second
    return None


def _mark(home: Home, proof: Proof) -> None:
    """A marker of the drill's own, written, read and cleared like the real one."""
    markers, now = Markers(home, RealFiles()), RealTime().wall()
    reason = "DRILL: netsky0 is not silent; somebody typed netsky drill"
    try:
        markers.put(Marker(DRILL_MARKER, "operator", reason, now, now + 600 * SECOND, "the end of this drill"))
    except OSError as error:
        proof.that(False, "a marker says so", str(error.strerror))
        return
    found = markers.get(DRILL_MARKER, now)
    proof.that(found is not None and found.reason == reason, f"a marker says so: state/{DRILL_MARKER}.json")
    proof.that(markers.clear(DRILL_MARKER) and markers.get(DRILL_MARKER, now) is None, "and it is cleared")
