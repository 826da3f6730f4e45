"""The numbers of the owner's desk, each with its reason."""

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS

PAGE_AFTER_SECONDS = 600
"""Of a setting: what agent0 has not taken in ten minutes it may never take."""

ASK_LEAST_NS = MINUTE_NS
ASK_MOST_NS = 30 * DAY_NS
"""A minute is the least in which a person can be asked; a month is as long as an envelope lives."""

LATE_NS = MINUTE_NS
"""A deadline that fires later than this says how late: what is sooner is the pace of the desk."""

LAST_CALL_MOST_NS = HOUR_NS
"""An ask that nobody has seen is paged for once more when a quarter of its time is left, an hour at most."""

PAGE_GAP_NS = 15 * MINUTE_NS
"""Between two pages that can wait: what comes meanwhile is one digest."""

URGENT_GAP_NS = 5 * MINUTE_NS
"""Between two pages of escalations: the first goes out at once, a storm of them is twelve in an hour."""

LAST_CALL_GAP_NS = MINUTE_NS
"""Between a last call and whatever page went before."""

GATHER_NS = 5 * MINUTE_NS
"""Last calls that fall due so soon go out with those that are due."""

PAGE_TRIES = 5
"""Of one page, each of which is some tries of the program that pages; then its failure is the marker's to tell."""

PAGE_AGAIN_NS = MINUTE_NS
"""Before the second try of a page that did not go out; twice as long before each one after it."""

JUMP_NS = MINUTE_NS
"""So much more wall clock than steady clock between two looks: the machine slept, or its clock was set."""

SETTLE_NS = 2 * MINUTE_NS
"""After such a jump no deadline fires for so long: a clock that was wrong is put right, and a person who has just
opened the lid can still answer."""

LOOK_SECONDS = 60.0
"""Between two looks that no bell asked for."""

FOLDED_AFTER_NS = DAY_NS
"""What was seen, or taken by agent0, and asks nothing, is put away after a day."""

UNREAD_AFTER_NS = 7 * DAY_NS
"""What was paged for and never looked at is put away after a week: a full inbox refuses the next escalation."""

CROWDED_PART = 2
"""Of what an inbox may hold: beyond this half, reports that were told make room for what has to be."""

OTHERWISE_BYTES_MAX = 4 * 1024
"""What happens without an answer is a sentence or two."""

EXCERPT_LETTERS = 280
"""Of a text in a list or a page: enough to know whether to look."""

EXCERPT_LINES = 6

PAGE_ITEMS_MAX = 8
"""Told one by one in a page; of the others it says how many they are."""

LOOK_ITEMS = 500
"""Read in one look: the longest that waits comes first, and the next look follows at once if there is more."""

READ_ITEMS = 64
"""Bodies decoded in one turn: a millisecond."""

PAGES_AT_ONCE = 4

PAUSE_NS = 250_000_000
"""After a look: a burst of a hundred items is four looks in a second, not a hundred."""

ANSWER_LASTS_NS = 30 * DAY_NS
"""An answer, and with it the key that makes it the only one, lives as long as an envelope may."""

LIST_MAX = 200
"""Items in one answer."""

TOOK_MAX = 64
"""Ids of one `take`."""

THREAD_BYTES = 6
"""Of chance in the name of a thread: short enough to type."""
