"""Header and body as bytes, and back. What decodes is valid, and has no other spelling."""

from __future__ import annotations

import msgpack
from msgpack import unpackb
from netsky.envelope.fields import (
    Attachment,
    Body,
    Header,
    body_fault,
    has_wrapper_token,
    header_fault,
    header_values,
    header_values_fault,
)
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import (
    ATTACHMENT_NAME_BYTES_MAX,
    ATTACHMENTS_MAX,
    BODY_BYTES_MAX,
    EXPIRES_MAX_NS,
    HEADER_BYTES_MAX,
    TEXT_BYTES_MAX,
)
from netsky.envelope.msgpack_form import Reader
from netsky.envelope.usual_header import USUAL_TIME_MIN, matches_usual_header

_HEADER_HEAD = b"\xdc\x00\x10"  # an array of sixteen: fifteen is the most that the shorter form holds
_pack = msgpack.Packer().pack  # making one at every call costs half as much as packing


def encode_header(header: Header) -> bytes:
    """Raises Invalid if a field breaks its rule."""
    fault = header_fault(header)
    if fault is not None:
        raise fault
    data: bytes = _pack(header_values(header))
    # Sixteen valid fields cannot fill a kibibyte; a new field could, and would be noticed here.
    assert len(data) <= HEADER_BYTES_MAX
    return data


def decode_header(data: bytes) -> Header:
    """Raises Invalid, whatever the bytes are."""
    if matches_usual_header(data):
        try:
            fields = unpackb(data)
        except ValueError:
            return careful_header(data)
        ts, clock, expires = fields[12:15]
        if USUAL_TIME_MIN <= ts < expires <= ts + EXPIRES_MAX_NS and clock >= USUAL_TIME_MIN:
            return Header(*fields)
    return careful_header(data)


def careful_header(data: bytes) -> Header:
    """Every rule in turn, so that the first that is broken can be said."""
    if len(data) > HEADER_BYTES_MAX:
        raise Invalid("header", f"The header has more than {HEADER_BYTES_MAX} bytes.", "too_large")
    if data[:3] != _HEADER_HEAD:
        raise Invalid("header", "The header must be a msgpack array of 16 fields.", "damaged")
    try:
        # A kibibyte of anything stays small once decoded, and the decoder takes no claimed length beyond it.
        fields = unpackb(data, use_list=False)
        # One value has one spelling: decode, encode again, compare.
        same = _pack(fields) == data
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException):
        raise Invalid("header", "The header must be msgpack.", "damaged") from None
    if not same:
        raise Invalid("header", "The header must be in shortest form.", "damaged")
    fault = header_values_fault(fields)
    if fault is not None:
        raise fault
    return Header(*fields)


def encode_body(body: Body) -> bytes:
    """Raises Invalid if a field breaks its rule or the whole is too large."""
    fault = body_fault(body)
    if fault is not None:
        raise fault
    attachments = [(attachment.name, attachment.size, attachment.sha256) for attachment in body.attachments]
    data: bytes = _pack((body.text, body.data, attachments))
    _check_body_size(data)
    return data


def decode_body(data: bytes) -> Body:
    """Raises Invalid, whatever the bytes are."""
    # Most hold only text. One length only fits the whole, so what stands at the end is the absence of data and
    # attachments, and no text; and text that is no longer than it may be leaves the whole within its size.
    end = len(data) - 2
    if end < 2 or data[0] != 0x93 or data[end] != 0xC0 or data[end + 1] != 0x90:
        return careful_body(data)
    mark = data[1]
    if mark == 0xDA and data[2] << 8 | data[3] == end - 4 >= 256:
        start = 4
    elif mark == 0xD9 and data[2] == end - 3 >= 32:
        start = 3
    elif 0xA0 <= mark <= 0xBF and mark - 0xA0 == end - 2:
        start = 2
    else:
        return careful_body(data)
    try:
        text = data[start:end].decode()
    except UnicodeDecodeError:
        return careful_body(data)
    if end - start > TEXT_BYTES_MAX or ("<" in text and has_wrapper_token(text)):
        return careful_body(data)
    return Body(text)


def careful_body(data: bytes) -> Body:
    """Every rule in turn, so that the first that is broken can be said."""
    _check_body_size(data)
    reader = Reader(data, "body")
    if reader.array(3) != 3:
        raise reader.damaged("must have 3 fields")
    text = reader.text(BODY_BYTES_MAX)
    own_data = None if reader.nothing() else reader.binary(BODY_BYTES_MAX)
    attachments = tuple(_attachment(reader) for _ in range(reader.array(ATTACHMENTS_MAX)))
    reader.end()
    body = Body(text, own_data, attachments)
    fault = body_fault(body)
    if fault is not None:
        raise fault
    return body


def _attachment(reader: Reader) -> Attachment:
    if reader.array(3) != 3:
        raise reader.damaged("has an attachment without 3 fields")
    return Attachment(reader.text(ATTACHMENT_NAME_BYTES_MAX), reader.unsigned(), reader.binary(32))


def _check_body_size(data: bytes) -> None:
    if len(data) > BODY_BYTES_MAX:
        raise Invalid(
            "body",
            f"Text, data and attachments have {len(data)} bytes, at most {BODY_BYTES_MAX} are allowed; "
            "send larger things as attachments.",
            "body_too_large",
        )
