"""Header and body as bytes, and back. What decodes is valid, and has no other spelling."""

from __future__ import annotations

import msgpack
from netsky.envelope.fields import (
    Attachment,
    Body,
    Header,
    body_fault,
    header_fault,
    header_values,
    header_values_fault,
)
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import ATTACHMENT_NAME_BYTES_MAX, ATTACHMENTS_MAX, BODY_BYTES_MAX, HEADER_BYTES_MAX
from netsky.envelope.msgpack_form import Reader

_HEADER_HEAD = b"\xdc\x00\x10"  # an array of sixteen: fifteen is the most that the shorter form holds


def encode_header(header: Header) -> bytes:
    """Raises Invalid if a field breaks its rule."""
    fault = header_fault(header)
    if fault is not None:
        raise fault
    data: bytes = msgpack.packb(header_values(header))
    # Sixteen valid fields cannot fill a kibibyte; a new field could, and would be noticed here.
    assert len(data) <= HEADER_BYTES_MAX
    return data


def decode_header(data: bytes) -> Header:
    """Raises Invalid, whatever the bytes are."""
    if len(data) > HEADER_BYTES_MAX:
        raise Invalid("header", f"The header has more than {HEADER_BYTES_MAX} bytes.", "too_large")
    if data[:3] != _HEADER_HEAD:
        raise Invalid("header", "The header must be a msgpack array of 16 fields.", "damaged")
    try:
        # A kibibyte of anything stays small once decoded, and the decoder takes no claimed length beyond it.
        fields = msgpack.unpackb(data, use_list=False)
        # One value has one spelling: decode, encode again, compare.
        same = msgpack.packb(fields) == data
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
    data: bytes = msgpack.packb((body.text, body.data, attachments))
    _check_body_size(data)
    return data


def decode_body(data: bytes) -> Body:
    """Raises Invalid, whatever the bytes are."""
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
