"""The numbers of an envelope, each with its reason. Nodes refuse by them, so a change is a new version."""

TEXT_BYTES_MAX = 48 * 1024
"""What published consumers of the file form take, measured in UTF-8; larger things are attachments."""

BODY_BYTES_MAX = 60 * 1024
"""Text, data and the list of attachments together: what a file of 64 KiB can hold beside its other fields."""

HEADER_BYTES_MAX = 1024
"""All that a router decodes: sixteen short fields, and nothing that a stranger could make it hold."""

FILE_BYTES_MAX = 64 * 1024
"""A published consumer reads no further."""

FILE_PROOF_BYTES = 512
"""Set aside in a file for the proof, so that whether an envelope fits depends on what its sender wrote alone."""

ID_BYTES_MAX = 64
"""Room for a UUID or a SHA-256 in hex."""

ADDRESS_BYTES_MAX = 96
"""An actor and its node; today's longest takes 24."""

DATA_DEPTH_MAX = 32
"""Nesting of `data`: deeper than any report, far from every parser's own limit."""

ATTACHMENTS_MAX = 16
"""An envelope names a few files; a tree of files is one archive."""

ATTACHMENT_NAME_BYTES_MAX = 255
"""The longest file name of common filesystems."""

ATTACHMENT_BYTES_MAX = 1 << 30
"""One blob, so that a full disk is met by refusing one thing and not half of it."""

BATCH_MAX = 64
"""Statements under one signature: beyond it a signature's share of the work is already small."""

BATCH_BYTES_MAX = BATCH_MAX * (HEADER_BYTES_MAX + BODY_BYTES_MAX + 16) + 256
"""The largest batch that can be written: every statement full, with its length prefixes, and the fields in front."""

TIME_MAX = 2**63 - 1
"""Nanoseconds since 1970 are stored in signed 64 bits: they last until the year 2262."""

SECOND_NS = 10**9
HOUR_NS = 3_600 * SECOND_NS
DAY_NS = 24 * HOUR_NS

SKEW_NS = 300 * SECOND_NS
"""How far a cause's clock may run ahead of ours and still be followed: laptops that sleep drift by minutes."""

EXPIRES_WORK_NS = 24 * HOUR_NS
"""Work that nobody took in a day has been asked again or done by hand."""

EXPIRES_REPLY_NS = 7 * DAY_NS
"""An answer is worth keeping over a week in which a laptop stayed shut."""

EXPIRES_MAX_NS = 30 * DAY_NS
"""Every node remembers ids until they expire, so that has to end."""

assert TEXT_BYTES_MAX < BODY_BYTES_MAX < FILE_BYTES_MAX - FILE_PROOF_BYTES
assert BODY_BYTES_MAX < 2**16  # a bin16 holds every body, so the batch needs no third length form
assert EXPIRES_WORK_NS < EXPIRES_REPLY_NS < EXPIRES_MAX_NS
