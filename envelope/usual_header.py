"""The pattern of a header that breaks no rule, so that well over nine of ten are read in half the time.

The careful way (`careful_header` in `wire.py`) encodes again what it decoded, compares, and asks each rule in turn for
its sentence. Bytes that match here and hold fitting times need none of that. `tests/envelope/test_usual.py` holds the
two ways against each other.

Why pattern and decoder cannot take different bytes for the same field. They begin at the same byte. A string's length
stands in its mark; the pattern takes the whole run of ASCII that may stand there, and what it wants next is no ASCII.
Had the string more bytes than the run, it would hold the next mark, and no mark with what the pattern wants behind it
is UTF-8: the decoder refuses it. Had it fewer, each byte left over would be a value of its own, a whole number, and the
sixteen values would be complete before the bytes are: the decoder refuses that too. All other fields have one length.
And each is in shortest form: a string by its mark, a time because it is at least 2^32.
"""

from __future__ import annotations

import re

from netsky.envelope.address import ADDRESS
from netsky.envelope.kinds import KINDS
from netsky.envelope.limits import ID_BYTES_MAX, TIME_MAX

assert (ID_BYTES_MAX, TIME_MAX) == (0x40, 2**63 - 1)  # the pattern is written for them

_MARK = rb"(?:[\xa1-\xbf]|\xd9[\x20-\x40])"
USUAL_ID = rb"%b[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}+" % _MARK
USUAL_KEY = rb"\xc4\x20.{32}"
_ADDRESS = rb"[\xa1-\xbf]%b" % ADDRESS.encode()
_KIND = rb"(?:\xc0|%b)" % b"|".join(bytes((0xA0 + len(kind),)) + kind.encode() for kind in KINDS)
_TOKEN = rb"(?:\xc0|%b[!-~]{1,64}+)" % _MARK
USUAL_TIME = rb"\xcf[\x00-\x7f].{7}"  # up to TIME_MAX
USUAL_TIME_MIN = 2**32
"""A time from here on has no shorter form than the nine bytes of the pattern; it is four seconds past 1970."""

matches_usual_header = re.compile(
    rb"\xdc\x00\x10\x01"
    + (USUAL_ID + USUAL_KEY + _ADDRESS + USUAL_KEY + _ADDRESS + _KIND)
    + (4 * _TOKEN + rb"[\xc2\xc3]" + 3 * USUAL_TIME + _TOKEN),
    re.DOTALL,
).fullmatch
