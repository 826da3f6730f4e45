"""Commands of commits and of what lies about."""

from netsky.node.cli.table import Argument, Command, Option
from netsky.node.limits import LIST_ROWS_MAX

_KEY = Argument("KEY", "an idempotency key, as netsky commit log shows it")

COMMANDS = (
    Command(
        ("commit", "log"),
        "what was committed or was to be, newest first",
        "netsky.node.cli.commits:log",
        "work",
        ("netsky commit log", "netsky commit log --limit 200"),
        options=(
            Option(
                ("--limit",), "at most N rows (50 if not said)", value="N", form="count", least=1, most=LIST_ROWS_MAX
            ),
        ),
    ),
    Command(
        ("commit", "rollback"),
        "take a commit back by another one",
        "netsky.node.cli.commits:rollback",
        "work",
        ("netsky commit rollback build-7",),
        arguments=(_KEY,),
        options=(Option(("--branch",), "where it is, if that is not known", value="BRANCH"),),
        description="The new commit has the key rollback:KEY, and the history stays as it is. What was changed since "
        "in the same lines has to be taken back by hand: exit 7.",
    ),
    Command(
        ("commit", "approve"),
        "let through what waits for a person",
        "netsky.node.cli.commits:approve",
        "work",
        ("netsky commit approve build-7",),
        arguments=(_KEY,),
        description="What is approved is what was shown, and no other patch. It is committed when its run goes on.",
    ),
    Command(
        ("commit", "refuse"),
        "turn down what waits for a person",
        "netsky.node.cli.commits:refuse",
        "work",
        ("netsky commit refuse build-7 --why 'no tests'",),
        arguments=(_KEY,),
        options=(Option(("--why",), "what its worker is told", value="TEXT"),),
    ),
    Command(
        ("gc",),
        "remove workspaces and caches that nobody needs",
        "netsky.node.cli.commits:gc",
        "work",
        ("netsky gc --dry-run", "netsky gc"),
        options=(Option(("--dry-run",), "say what would go, and remove nothing"),),
        description="Only what is archived or pushed or can be made again goes, and where nothing runs; caches go "
        "before sources.",
    ),
)
