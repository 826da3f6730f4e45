"""Commands of the node itself."""

from netsky.node.cli.table import Argument, Command, Option

_WAIT = Option(("--timeout",), "give up after this long", value="DURATION", form="duration")

COMMANDS = (
    Command(
        ("init",),
        "make this machine's node: home, key and config",
        "netsky.node.cli.lifecycle:init",
        "node",
        ("netsky init --root", "netsky init --label studio-mac"),
        options=(
            Option(("--root",), "make it netsky0, the root: mesh id, owner key and charter too"),
            Option(("--label",), "a free name for people", value="LABEL"),
        ),
        description="Run once. A home that is already there is left as it is. With --root it says where the owner "
        "key lies; take that file offline.",
    ),
    Command(
        ("up",),
        "start the node, with agent0 and N managers beside it",
        "netsky.node.cli.lifecycle:up",
        "node",
        ("netsky up", "netsky up 2", "netsky up --foreground"),
        arguments=(Argument("N", "managers beside agent0: agent1 … agentN", many="optional", is_number=True),),
        options=(
            Option(("--detach",), "return once it answers (the default)"),
            Option(("--foreground",), "stay, log to the terminal, end with Ctrl-C"),
            _WAIT,
        ),
        description="A node that already runs is left alone. Where there is no home yet: netsky init.",
    ),
    Command(
        ("down",),
        "stop the node in order; nothing accepted is lost",
        "netsky.node.cli.lifecycle:down",
        "node",
        ("netsky down",),
        options=(_WAIT,),
    ),
    Command(
        ("restart",),
        "stop it and start it again",
        "netsky.node.cli.lifecycle:restart",
        "node",
        ("netsky restart",),
        options=(_WAIT,),
    ),
    Command(
        ("status",),
        "is it up, what waits, what is wrong",
        "netsky.node.cli.status:status",
        "node",
        ("netsky status", "netsky status --watch", "netsky --json status"),
        options=(Option(("--watch",), "redraw every 2 seconds until Ctrl-C"),),
        primer="is the node up, who is here, what waits",
    ),
    Command(
        ("doctor",),
        "check home, disk, fence and settings, with what to do",
        "netsky.node.cli.doctor:doctor",
        "node",
        ("netsky doctor",),
        description="Changes nothing. Exit 1 when a check failed; the node need not run.",
    ),
    Command(
        ("backup",),
        "one file with all that this node needs to go on",
        "netsky.node.cli.backup:backup",
        "node",
        ("netsky backup /media/usb", "netsky backup netsky1.tar --with-key"),
        arguments=(Argument("FILE", "a new file, or a folder for one", completes="file"),),
        options=(Option(("--with-key",), "with node.key: whoever has the file can be this node"),),
        description="Database, charter, roster, config and schedules; the node may run. Without the key it can only go "
        "on where that still is. More: netsky help backup.",
    ),
    Command(
        ("restore",),
        "go on from a backup, and let the mesh know",
        "netsky.node.cli.backup:restore",
        "node",
        ("netsky restore netsky1.tar",),
        arguments=(Argument("FILE", "what netsky backup made", completes="file"),),
        description="The node must be down. The database of before is kept beside the new one. When the node starts "
        "again, others send once more what it may have lost; what they cannot is told as in doubt.",
    ),
    Command(
        ("service", "install"),
        "have the node at every login and after a crash",
        "netsky.node.cli.service:install",
        "node",
        ("netsky service install",),
        description="A systemd user unit (Linux) or a launchd agent (macOS), one for each home. PATH and programs of "
        "this shell are baked in; typed again it takes over what has changed since.",
    ),
    Command(
        ("service", "status"),
        "does the service run it, and what differs from here",
        "netsky.node.cli.service:status",
        "node",
        ("netsky service status",),
    ),
    Command(
        ("service", "uninstall"),
        "stop the node, remove its service; the home stays",
        "netsky.node.cli.service:uninstall",
        "node",
        ("netsky service uninstall",),
    ),
)
