"""The numbers of schedules, each with its reason."""

CRON_BYTES_MAX = 1 << 20
CRON_ENTRIES_MAX = 2_000
"""Of `cron.toml`: twice what is promised to cost nothing, and more is no longer written by people."""

LOOPS_MAX = 200
LOOP_BYTES_MAX = 64 * 1024
"""Each loop is somebody at work again and again; there are not so many."""

OWN_MAX = 20
"""Entries, and loops, that an actor may add for itself."""

PROMPT_CHARS_MAX = 16_000
"""More belongs into a file that the prompt names. Four bytes each still fit into an envelope."""

LABEL_CHARS_MAX = 32
"""Of a label or a loop's id: with the due time it is an idempotency key, which has 64 bytes."""

LINE_CHARS_MAX = 100
"""Of the five fields."""

LATE_NS = 300 * 10**9
"""A due time counts as missed when it is older than this, or than two rounds of the ticker."""

CATCH_UP_MAX = 24
"""The most that one entry fires in one round, whatever it missed: a day of hours."""

SET_BACK_NS = 24 * 3_600 * 10**9
"""A clock that went back further than this was wrong before: what is due from its new time on fires. Half of why is
that keys of what fired are kept a day."""

YEARS_MAX = 50
"""A schedule without a day in so many years never fires. 29 February on a certain weekday comes within 40."""

INTERVAL_LEAST_S = 60
INTERVAL_MOST_S = 365 * 86_400
"""Of a loop: nothing is due more often than the ticker looks."""

DYNAMIC_S = 1_500
"""When a dynamic loop fires again if nobody says when: an actor that died in the middle never says."""

SLICE_NS = 500_000
"""So long a task works at schedules before others have their turn: half of what any task may hold the loop."""
