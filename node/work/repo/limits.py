"""The numbers around git, each with its reason."""

PATCH_BYTES_MAX = 16 << 20
"""Of one patch. What a ticket changes is read by a person: a hundredth of this is a long day."""

PATCH_FILES_MAX = 5_000
"""Changed by one patch: a rename across a large project; more is a mistake or an attack."""

HEADER_LINE_BYTES_MAX = 4_096
"""Of a line that is not content: two quoted paths at their longest do not fit, and nobody has such paths."""

FILE_BYTES_MAX = 32 << 20
"""Of one binary file as it comes out of the patch: what a patch says about itself is believed only up to here."""

PATH_BYTES_MAX = 1_024
PATH_DEPTH_MAX = 64
NAME_BYTES_MAX = 255
"""What every file system in use can hold."""

MESSAGE_BYTES_MAX = 16 * 1024
TITLE_CHARS_MAX = 200
"""Of a commit's message: the rest of the ticket is where the ticket is."""

WORD_CHARS_MAX = 256
"""Of what stands in one line of a message: a key, the name of a run."""

GIT_SECONDS = 120.0
"""Of one step inside one machine. The longest is a checkout of a large repository."""

FETCH_SECONDS = 900.0
"""Of a fetch or a push: a large repository over a slow line."""

GIT_SAID_MAX = 1 << 20
"""Of an answer that is a few lines; who asks for more says so."""

GIT_ERRORS_MAX = 16 * 1024
"""Of what git says about its mistakes."""

CHUNK_BYTES = 64 * 1024

LOCK_OLD_NS = 2 * 10**9
"""A lock of git that is older, while no committer's git runs, is left over from one that was killed: a person's push
has it for milliseconds."""

LOCK_SECONDS = 10.0
"""Until the git processes of a life that was killed are gone, and with them their hold on the repository."""

REBASES_MAX = 1
"""Tries after the first, when the branch moves while a commit is being made."""

PUSH_REFS_MAX = 256
"""Sent with one push; the rest goes with the next."""

PUSH_TRIES_MAX = 5
"""Then a person looks; another commit of the branch tries again."""

LEARNED_AT_ONCE = 500
"""Commits read from the repository in one answer, when the database knows less than it."""

REFS_BYTES_MAX = 64 << 20
"""Of a list of refs: some 400,000 commits."""

THINGS_MAX = 4_096
"""Of one kind, looked at by one `netsky gc`; another one goes on."""
