"""This machine and this shell: which manager there is, which service a home has, and what would be baked in now."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress

from netsky.node.errors import Conflict, NetskyError, NotFound
from netsky.node.home import Home
from netsky.node.service.launchd import Launchd
from netsky.node.service.manager import WITHOUT_MANAGER, Manager
from netsky.node.service.recipe import FILE_BYTES_MAX, Recipe, absolute_folders, read_recipe, service_name
from netsky.node.service.systemd import Systemd

PROGRAMS = ("git", "bwrap", "unshare", "ssh")
"""What a node and its actors start by name, beside what the operator names."""


def manager_of(home: Home, environ: Mapping[str, str] = os.environ) -> Manager:
    """The service manager of this machine, for the one service that this home has or would have."""
    name = service_name(home.path, Home.find(None, {}).path)
    uid = os.getuid()
    if sys.platform == "darwin":
        return Launchd(f"local.{name}", os.path.expanduser("~/Library/LaunchAgents"), uid, home)
    if sys.platform.startswith("linux"):
        config = environ.get("XDG_CONFIG_HOME", "")
        config = config if config.startswith("/") else os.path.expanduser("~/.config")
        return Systemd(name, os.path.join(config, "systemd", "user"), user(), uid)
    raise NotFound(
        f"netsky knows no service manager of {sys.platform}", next=WITHOUT_MANAGER, code="no_service_manager"
    )


def installed(home: Home) -> Manager | None:
    """The manager, if this home has a service: one look at one file, since every `up` and `down` asks."""
    try:
        manager = manager_of(home)
    except NotFound:
        return None
    return manager if os.path.lexists(manager.file) else None


def read_file(manager: Manager) -> str | None:
    """The text of the service file, None if there is none."""
    return read_text(manager.file)


def read_text(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read(FILE_BYTES_MAX).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def own_recipe(manager: Manager, text: str | None, home: Home) -> Recipe | None:
    """What an existing file was made from. Conflict if somebody else made it: it is not ours to replace or remove."""
    if text is None:
        return None
    recipe = read_recipe(text)
    if recipe is None or recipe.home != home.path:
        raise Conflict(
            f"{manager.file} was not made by netsky for {home.path}",
            next=f"look at it; move it away if nothing needs it: mv {manager.file} {manager.file}.before",
            code="foreign_service_file",
        )
    return recipe


def write_file(manager: Manager, text: str) -> None:
    write_text(manager.file, text)


def write_text(path: str, text: str) -> None:
    """The whole new file or the old one."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError:
        with suppress(OSError):
            os.unlink(beside)
        raise


def recipe_here(home: Home, environ: Mapping[str, str] = os.environ) -> Recipe:
    """What this shell would bake in."""
    folders = absolute_folders(environ.get("PATH", ""))
    if not folders:
        raise NetskyError("PATH of this shell names no absolute folder", next="set PATH, then the same again")
    path = ":".join(folders)
    found = {name: where for name in PROGRAMS if (where := shutil.which(name, path=path)) is not None}
    command = own_command()
    found["netsky" if len(command) == 1 else "python"] = command[0]
    return Recipe(home.path, command, path, found, no_new_privileges=not _is_setuid(found.get("bwrap")))


def lingers(name: str) -> bool | None:
    """Whether the user's services run without a login; None where that question makes no sense."""
    if sys.platform != "linux":
        return None
    return os.path.exists(f"/var/lib/systemd/linger/{name}")


def own_command() -> tuple[str, ...]:
    """How this program was started: the script of an installation by the name that was typed, which an upgrade keeps
    while what it leads to changes; else the interpreter with the module."""
    script = os.path.abspath(sys.argv[0])
    if os.path.basename(script) == "netsky" and os.access(script, os.X_OK):
        return (script,)
    return (sys.executable, "-m", "netsky.node.cli.main")


def _is_setuid(program: str | None) -> bool:
    if program is None:
        return False
    with suppress(OSError):
        return bool(os.stat(program).st_mode & stat.S_ISUID)
    return False


def user() -> str:
    """The login name, or the number of one that has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
