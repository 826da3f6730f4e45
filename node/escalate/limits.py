"""The numbers of escalation, each with its reason. Standard library only: the separate program reads them too."""

TRY_SECONDS = 20.0
"""For one run of the owner's command: a mail server that greets slowly, and no more."""

GRACE_SECONDS = 1.0
"""Between SIGTERM and SIGKILL for a command that did not end in time."""

TRIES = 3
PAUSES = (1.0, 4.0)
"""Between the tries: a hiccup of the network is over, an outage is not; the daemon and people try again later."""

WORST_SECONDS = TRIES * (TRY_SECONDS + GRACE_SECONDS + 5.0) + sum(PAUSES)
"""The whole program, when everything hangs, and what must be killed dies slowly."""

OUTPUT_BYTES_KEPT = 4 * 1024
"""Of what the command says: the end, where the error stands."""

OUTPUT_BYTES_MAX = 1024 * 1024
"""A command that says more than that floods, and is ended."""

SUBJECT_LETTERS_MAX = 200
BODY_LETTERS_MAX = 16 * 1024
"""A page is read on a telephone. Longer ones are cut, never refused: the owner has to hear of it."""

STDIN_BYTES_MAX = 256 * 1024
STDIN_SECONDS = 20.0
"""For a body from a pipe that says nothing more."""

ACCEPT_SECONDS = 5.0
"""For the daemon of a sibling to store an escalation: it takes milliseconds, unless it hangs."""

COMMAND_WORDS_MAX = 32
COMMAND_LETTERS_MAX = 4_096

MARKER_DAYS = 7
"""So long a failed escalation shows in `status`, if none goes through before."""

HOUR_NS = 3_600 * 10**9

COOLDOWN_NS = 900 * 10**9
"""Between two pages of one key: whoever was told an hour ago that it lasts does not look sooner for being told more."""

SILENT_ROOT_COOLDOWN_NS = HOUR_NS
"""Between two words of the deputy: they are the only ones that reach the owner from anywhere but netsky0."""

PAGES_MAX = 64
"""Different keys that wait; the oldest goes first when there are more, and is counted."""

KEYS_MAX = 128
KEY_LETTERS_MAX = 80
"""Keys that are remembered with their last page: above the number of actors and parts that can be in trouble, and as
a file within what is read of one."""

AGAIN_NS = 60 * 10**9
AGAIN_CAP_NS = COOLDOWN_NS
"""A page that did not go is tried again after a minute, then two, four, up to the cooldown."""

PAGE_TRIES_MAX = 12
"""Some two hours; then it is dropped with a row. Whoever sees that its cause lasts asks for it anew."""

DELIVER_SECONDS = 600.0
"""For a page whose sender waits: it stands behind others, each of which may hang for its whole time."""

MARK_TRIES = 3
"""So many runs of the program that failed in turn show as a fault of the node."""

SILENT_SECONDS = 300
"""Without a link to netsky0 until a sibling says that netsky0 is silent: a restart, or a tunnel, takes less."""

LOOK_NS = 5 * 10**9
"""Between two looks of the lookout; a file on disk and one flag of the link are all that it reads."""
