"""The numbers of one machine's daemon, each with its reason."""

CONTROL_LINE_BYTES_MAX = 512 * 1024
"""A text of 48 KiB may be six times as long in JSON, and some fields stand beside it."""

CONTROL_PIPELINE_MAX = 256
"""Requests read from one socket before their answers were taken: one group commit's worth."""

INBOX_ENVELOPES_MAX = 1_000
"""Not yet taken by an actor: beyond it the sender hears of it and can decide."""

ACTORS_MAX = 8
"""Actors with a program on one node: a laptop melts long before it runs out of names."""

ACTORS_KNOWN_MAX = 128
"""With a program or without: each has a socket and a folder that is looked at every `[bus] sweep_ms`."""

WORKERS_MAX = 6
"""Workers among them: managers must always find room."""

GROUP_ITEMS_MAX = 256
"""One group commit: some 2 ms of work, so that nobody waits long behind it."""

GROUP_QUEUE_MAX = 1_024
"""Waiting for the next groups; whoever comes later waits outside."""

QUARANTINE_FILES_MAX = 1_000
"""Per actor: enough to see what happened, too few to fill a disk."""

ARCHIVE_AGE_NS = 30 * 86_400 * 10**9
ARCHIVE_BYTES_MAX = 5 << 30
"""What was taken is kept for looking back, for a month or five gibibytes."""

FREE_BYTES_FLOOR = 1 << 30
"""Below it no new envelope is accepted: what is already here must still be able to move."""

CONTROL_ANSWER_BYTES_MAX = 16 << 20
"""An answer may be larger than a request (rows of a query), but never so large that it fills a client."""

CONTROL_QUEUE_BYTES_MAX = 1 << 20
"""Requests of one connection that were read and not answered: beyond it the socket is read no further."""

CONTROL_CONNECTIONS_MAX = 128
"""Per socket. A leaking client is told so long before the daemon lacks descriptors."""

CONTROL_WRITE_SECONDS = 30
"""A client that reads nothing for so long is hung up on: its buffers are ours."""

EVENT_QUEUE_MAX = 1_024
"""Per listener; one that is slower loses the rest and hears how many."""

EVENTS_KEPT = 256
"""For a look back without having listened."""

LOG_BYTES_MAX = 8 << 20
LOG_FILES_MAX = 4
LOG_LINE_BYTES_MAX = 16 * 1024
"""32 MiB of log in all: days of an ordinary node, and nobody's disk."""

STOP_SECONDS = 15.0
"""For an orderly stop in all; what still hangs then is left to the kernel."""

CONFIG_BYTES_MAX = 256 * 1024
"""A config that a person wrote is a hundredth of that."""

CONFIG_LOOK_NS = 2 * 10**9
"""One look at the time stamp of a file every two seconds: changes take hold while the editor is still open."""

ROOT_LEASE_SECONDS = 60
"""Without a word from netsky0, until a sibling ends what netsky0 routed to it: a halt must work although a cable is
cut, and a link that was cut and heals is back within seconds."""

TICK_SECONDS = 60
"""Schedules name minutes, and nobody has to be woken sooner than that."""

PRUNE_EVERY_NS = 600 * 10**9
"""What is over may lie about for ten minutes."""

DESCRIPTORS_WANTED = 8_192
"""Sockets, pipes of actors and connections of links; the usual soft limit of 1,024 is met by a bad day."""

HANDSHAKES_MAX = 32
"""Connections that have not proven a key yet, at once: strangers cost little and are not queued."""

WINDOWS_ENVELOPES = 20_000
WINDOWS_BYTES = 64 << 20
"""What all windows of a node grant together: the reserve above every mark is as large."""

WINDOW_LEAST_ENVELOPES = 64
WINDOW_LEAST_BYTES = 128 * 1024
"""A link with less would wait for an ack after every frame."""

LOOK_AT_FULL_NS = 250 * 10**6
"""Between two looks at the inboxes that are held: a count by an index, while there is one."""

SWEEP_NS = 5 * 10**9
"""Between two looks at what has expired on its way."""

SEND_WAIT_SECONDS_MAX = 24 * 3600.0
"""Waiting for room in an inbox: who needs a day needs another plan."""

WAIT_SECONDS_MAX = 7 * 86_400.0
"""Of `netsky wait`: a run may take days, and a wait that never ends is forgotten."""

LIST_ROWS_MAX = 1_000
"""Of one list for people or a program; more is a query."""
