"""The config of a node: one table says what may stand in `config.toml`, and the file's comments come from it.

Every key is optional; an unknown one is an error, since a misspelt wish is worse than none. A running daemon keeps
the last good version when a new one does not pass.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from typing import Any

from netsky.mesh.addresses import parse_address, relay_place
from netsky.mesh.limits import DEAD_AFTER_MS_MAX, DEAD_AFTER_NS, HEARTBEAT_MS_MAX, HEARTBEAT_NS
from netsky.mesh.transport import TransportOptions
from netsky.node import limits
from netsky.node.bus.limits import SWEEP_MS, SWEEP_MS_MAX
from netsky.node.errors import Usage
from netsky.node.escalate.limits import COMMAND_WORDS_MAX, SILENT_SECONDS
from netsky.node.escalate.place import command_of
from netsky.node.home import Home
from netsky.node.membership.limits import INSTALL
from netsky.node.owner.limits import PAGE_AFTER_SECONDS
from netsky.node.seams.files import Files, HostileFile
from netsky.node.watch.limits import HANG_SECONDS, HANG_SECONDS_MAX
from netsky.node.work.limits import LIST_MAX, SLOTS, SLOTS_MAX, WORD_CHARS_MAX
from netsky.relay.limits import ROUTES_MAX
from netsky.relay.routes import RouteLine, parse_route

_LABEL = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{WORD_CHARS_MAX - 1}}}", re.ASCII)

ANY_PORT = "0.0.0.0:0"
"""Where a node listens whose config does not say. A root that invites writes the port that it got into its config."""


@dataclass(frozen=True, slots=True)
class Config:
    name: str = "netsky1"
    label: str = ""
    local_work: bool = False
    inbox_envelopes_max: int = limits.INBOX_ENVELOPES_MAX
    free_mib_floor: int = limits.FREE_BYTES_FLOOR >> 20
    archive_days: int = limits.ARCHIVE_AGE_NS // (86_400 * 10**9)
    archive_mib_max: int = limits.ARCHIVE_BYTES_MAX >> 20
    quarantine_files_max: int = limits.QUARANTINE_FILES_MAX
    sweep_ms: int = SWEEP_MS
    observe_days: int = 30
    log_mib: int = limits.LOG_BYTES_MAX >> 20
    log_files: int = limits.LOG_FILES_MAX
    link_bind: str = ""
    link_relays: tuple[str, ...] = ()
    link_n0: bool = False
    heartbeat_ms: int = HEARTBEAT_NS // 10**6
    dead_after_ms: int = DEAD_AFTER_NS // 10**6
    mesh_install: str = INSTALL
    tick_seconds: int = limits.TICK_SECONDS
    owner_command: tuple[str, ...] = ()
    root_silent_s: int = SILENT_SECONDS
    tick_tz: str = ""
    hang_seconds: int = HANG_SECONDS
    owner_page_after_s: int = PAGE_AFTER_SECONDS
    root_lease_s: int = limits.ROOT_LEASE_SECONDS
    work_slots: int = SLOTS
    work_labels: tuple[str, ...] = ()
    work_unsandboxed: bool = False
    routes: tuple[RouteLine, ...] = ()

    @property
    def transport(self) -> TransportOptions:
        return TransportOptions(self.link_bind or ANY_PORT, self.link_relays, self.link_n0)

    @property
    def free_bytes_floor(self) -> int:
        return self.free_mib_floor << 20

    @property
    def sweep_ns(self) -> int:
        return self.sweep_ms * 10**6

    @property
    def heartbeat_ns(self) -> int:
        return self.heartbeat_ms * 10**6

    @property
    def dead_after_ns(self) -> int:
        return self.dead_after_ms * 10**6

    @property
    def archive_age_ns(self) -> int:
        return self.archive_days * 86_400 * 10**9

    @property
    def archive_bytes_max(self) -> int:
        return self.archive_mib_max << 20


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the file: where it stands, which field it sets, what it may be."""

    section: str
    name: str
    field: str
    comment: str
    least: int = 0
    most: int = 0
    """For numbers: the range. For texts: `most` is the length; for lists: of how many."""


KEYS = (
    Key("node", "name", "name", "this node's name while it is in no mesh; in a mesh its roster says it", most=16),
    Key("node", "label", "label", "a free name for people", most=64),
    Key("node", "local_work", "local_work", "let work that was typed on a sibling start here without the root"),
    Key("bus", "inbox_max", "inbox_envelopes_max", "envelopes an actor may leave untaken", 1, 100_000),
    Key("bus", "free_mib_floor", "free_mib_floor", "below so many free MiB nothing new is accepted", 16, 1 << 20),
    Key("bus", "archive_days", "archive_days", "how long taken files are kept", 1, 3_650),
    Key("bus", "archive_mib_max", "archive_mib_max", "and how many MiB of them at most", 1, 1 << 30),
    Key("bus", "quarantine_max", "quarantine_files_max", "files kept per quarantine folder", 1, 100_000),
    Key(
        *("bus", "sweep_ms", "sweep_ms"),
        "between two looks at actors' folders, for programs that move files and say nothing; on a node with none, "
        "longer saves power",
        *(50, SWEEP_MS_MAX),
    ),
    Key("observe", "days", "observe_days", "how long rows that only explain (crashes, calls) are kept", 1, 3_650),
    Key("log", "mib", "log_mib", "size of one log file in MiB", 1, 1_024),
    Key("log", "files", "log_files", "how many of them", 1, 64),
    Key(
        "link",
        "bind",
        "link_bind",
        'where links listen, "address:port", "0.0.0.0:7000" for all; empty: any free port',
        most=64,
    ),
    Key("link", "relays", "link_relays", "URLs of relays of yours: netsky help network", most=8),
    Key("link", "n0", "link_n0", "be found and relayed by n0's public servers, which then know your addresses"),
    Key(
        *("link", "heartbeat_ms", "heartbeat_ms"),
        "between two heartbeats on a link that begins from now on",
        *(100, HEARTBEAT_MS_MAX),
    ),
    Key(
        *("link", "dead_after_ms", "dead_after_ms"),
        "a link on which nothing came for so long is over; more than two heartbeats",
        *(300, DEAD_AFTER_MS_MAX),
    ),
    Key("tick", "seconds", "tick_seconds", "between two rounds of watchdog, schedules and the rest", 1, 3_600),
    Key("tick", "tz", "tick_tz", 'the time zone of schedules that name none, "Europe/Berlin"; empty: UTC', most=64),
    Key(
        *("owner", "command", "owner_command"),
        'the program that reaches you, and its arguments, ["/home/me/bin/tell-me"]: netsky help escalation',
        most=COMMAND_WORDS_MAX,
    ),
    Key(
        *("owner", "page_after_s", "owner_page_after_s"),
        "on netsky0: page you for what agent0 has not taken after so many seconds",
        *(60, 86_400),
    ),
    Key(
        *("root", "silent_s", "root_silent_s"),
        "on a sibling: netsky0 counts as silent after so many seconds without a link to it",
        *(5, 86_400),
    ),
    Key(
        *("root", "lease_s", "root_lease_s"),
        "how long a sibling goes on with work that netsky0 routed to it without a word from netsky0, in seconds",
        *(10, 86_400),
    ),
    Key(
        *("watch", "hang_s", "hang_seconds"),
        "an actor that owes something and has not moved for so many seconds is an alarm",
        *(1, HANG_SECONDS_MAX),
    ),
    Key("work", "slots", "work_slots", "tickets that this node works on at once; 0: none", 0, SLOTS_MAX),
    Key("work", "labels", "work_labels", 'what this machine can do, ["gpu"]: tickets may need it', most=LIST_MAX),
    Key(
        *("work", "unsandboxed", "work_unsandboxed"),
        "where this system has no sandbox at all: run commands of tickets without one; each report says so",
    ),
    Key("mesh", "install", "mesh_install", "what a new machine types before `netsky join`", most=500),
)


def read_config(home: Home, files: Files) -> Config:
    """The config of this home, or Usage with the file, the key and the rule."""
    folder = files.open_folder(home.path)
    try:
        data = files.read(folder, "config.toml", limits.CONFIG_BYTES_MAX)
    except FileNotFoundError:
        raise Usage(f"{home.config} is missing", next=f"netsky --home {home.path} init", code="no_config") from None
    except HostileFile as hostile:
        raise Usage(f"{home.config} cannot be read: {hostile.sentence}", next="make it a plain file of yours") from None
    finally:
        files.close(folder)
    return parse_config(data, home.config)


def parse_config(data: bytes, path: str) -> Config:
    try:
        found = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise _fault(path, f"is not TOML: {error}") from None
    known = {(key.section, key.name): key for key in KEYS}
    values: dict[str, Any] = {}
    for section, entries in found.items():
        if section == "routes":
            values["routes"] = _routes(path, entries)
            continue
        if not isinstance(entries, dict) or section not in {key.section for key in KEYS}:
            raise _fault(path, f"has {section!r}, which is not one of its sections {_sections()}")
        for name, value in entries.items():
            key = known.get((section, name))
            if key is None:
                raise _fault(path, f"has the unknown key {name!r} in [{section}]; known are {_names(section)}")
            wrong = _wrong(key, value)
            if wrong is not None:
                raise _fault(path, f"[{section}] {name}: {wrong}")
            values[key.field] = tuple(value) if isinstance(value, list) else value
    if values.get("link_n0") and values.get("link_relays"):
        raise _fault(path, "[link] n0: is n0's relays, and relays names others; keep one of the two")
    config = Config(**values)
    if config.dead_after_ms <= 2 * config.heartbeat_ms:
        heartbeat = config.heartbeat_ms
        raise _fault(path, f"[link] dead_after_ms: must be more than {2 * heartbeat}, two heartbeats of {heartbeat} ms")
    return config


def _routes(path: str, entries: object) -> tuple[RouteLine, ...]:
    """Any name, and a line after it: what the owner lets pass between two nodes."""
    if not isinstance(entries, dict) or len(entries) > ROUTES_MAX:
        raise _fault(path, f"[routes] must be a section of at most {ROUTES_MAX} lines")
    lines = []
    for name, text in entries.items():
        line = parse_route(name, text) if isinstance(text, str) else "must be text"
        if isinstance(line, str):
            raise _fault(path, f"[routes] {name}: {line}")
        lines.append(line)
    return tuple(lines)


def default_text(config: Config) -> str:
    """A `config.toml` that says what each line means. Lines with a default stand as comments."""
    lines = ["# The config of this node. Unknown keys are errors; `netsky status` shows a fault in this file.", ""]
    section = ""
    standard = Config()
    for key in KEYS:
        if key.section != section:
            section = key.section
            lines += ["", f"[{section}]"]
        value = getattr(config, key.field)
        set_here = value != getattr(standard, key.field) or key.field == "name"
        lines += [f"# {key.comment}", f"{'' if set_here else '# '}{key.name} = {_toml(value)}"]
    return "\n".join([*lines, *_ROUTES_HELP]) + "\n"


def with_line(text: str, section: str, name: str, value: object) -> str:
    """The text of a config with this key set: in its place if it stands there, commented out or not, else added."""
    wanted = f"{name} = {_toml(value)}"
    lines, inside = text.splitlines(), False
    for at, line in enumerate(lines):
        if line.startswith("["):
            if inside:
                return "\n".join([*lines[:at], wanted, *lines[at:]]) + "\n"
            inside = line.strip() == f"[{section}]"
        elif inside and line.lstrip("# ").partition("=")[0].strip() == name:
            return "\n".join([*lines[:at], wanted, *lines[at + 1 :]]) + "\n"
    return "\n".join([*lines, *([] if inside else ["", f"[{section}]"]), wanted]) + "\n"


class LiveConfig:
    """The config in force, and what is wrong with the file if it is an older one."""

    def __init__(self, home: Home, files: Files) -> None:
        self._home = home
        self._files = files
        self._seen = self._mark()
        self.current = read_config(home, files)
        self.fault: str | None = None

    def look(self) -> bool:
        """Reads the file again if it was touched. True if something changed, for better or worse."""
        before = (self.current, self.fault)
        try:
            mark = self._mark()
            if mark == self._seen:
                return False
            self._read()
        except OSError:
            return False  # the machine has no descriptor left, say: the next look sees it
        self._seen = mark
        return (self.current, self.fault) != before

    def _read(self) -> None:
        try:
            found = read_config(self._home, self._files)
            if found.name != self.current.name:
                raise _fault(self._home.config, "[node] name cannot change while the node runs: netsky restart")
            self.current, self.fault = found, None
        except Usage as error:
            self.fault = error.message

    def _mark(self) -> tuple[int, int, int] | None:
        folder = self._files.open_folder(self._home.path)
        try:
            facts = self._files.facts(folder, "config.toml")
        finally:
            self._files.close(folder)
        return None if facts is None else facts.mark


def _wrong(key: Key, value: object) -> str | None:
    standard = getattr(Config(), key.field)
    if isinstance(standard, bool):
        return None if isinstance(value, bool) else "must be true or false"
    if isinstance(standard, int):
        if isinstance(value, bool) or not isinstance(value, int):
            return "must be a whole number"
        return None if key.least <= value <= key.most else f"must be from {key.least} to {key.most}"
    if isinstance(standard, tuple):
        return _WRONG_LIST[key.field](key, value)
    if not isinstance(value, str):
        return "must be text"
    if len(value) > key.most or not value.isprintable():
        return f"must be at most {key.most} printable characters"
    return _wrong_text(key, value)


def _wrong_text(key: Key, value: str) -> str | None:
    if key.field == "name":
        return node_name_wrong(value)
    if key.field == "link_bind" and value and parse_address(value) is None:
        return 'must be "address:port" with an IP address, 0.0.0.0 for all; port 0 for any'
    return None


def _wrong_relays(key: Key, value: object) -> str | None:
    if not isinstance(value, list) or len(value) > key.most:
        return f"must be a list of at most {key.most} URLs"
    for url in value:
        if not isinstance(url, str) or len(url) > 200 or not url.isprintable() or relay_place(url) is None:
            return 'each must be the URL of a relay, like "https://relay.example.org"'
    return None if len(set(value)) == len(value) else "names a relay twice"


def _wrong_command(key: Key, value: object) -> str | None:  # noqa: ARG001 - one form for all lists
    found = command_of(value)
    return found if isinstance(found, str) else None


def _wrong_labels(key: Key, value: object) -> str | None:
    if not isinstance(value, list) or len(value) > key.most:
        return f"must be a list of at most {key.most} words"
    good = all(isinstance(one, str) and _LABEL.fullmatch(one) for one in value)
    return None if good else "each must be a word of letters, digits, dots, dashes and underscores"


_WRONG_LIST = {"owner_command": _wrong_command, "link_relays": _wrong_relays, "work_labels": _wrong_labels}


def node_name_wrong(name: str) -> str | None:
    """Whether a node may be called so: netsky0 to netsky9999, one spelling for each."""
    number = name.removeprefix("netsky")
    if number == name or not number.isascii() or not number.isdigit() or str(int(number)) != number:
        return "must be netsky and a number, like netsky1"
    return None if int(number) <= 9_999 else "ends at netsky9999"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = "".join(f"\\u{ord(c):04x}" if c in '"\\' or not c.isprintable() else c for c in value)
        return f'"{escaped}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value)


def _sections() -> str:
    return ", ".join(dict.fromkeys(key.section for key in KEYS))


def _names(section: str) -> str:
    return ", ".join(key.name for key in KEYS if key.section == section)


def _fault(path: str, sentence: str) -> Usage:
    return Usage(f"{path} {sentence}", next=f"correct {path}; netsky doctor checks it", code="bad_config")


_ROUTES_HELP = (
    "",
    "[routes]",
    "# on netsky0: what may pass between two other nodes, beside the authority table; * is any actor, or all kinds",
    '# review = "agent4@netsky1 -> agent2@netsky2: text reply"',
)

assert {*(key.field for key in KEYS), "routes"} == {field.name for field in fields(Config)}
