"""A message of ours as the submit_sm that its SMSC wants: one, or one for each part."""

from typing import Final

from spms.core.settings import SmppSettings
from spms.messaging import smpp_pdu, texts
from spms.messaging.links import LinkRefused
from spms.messaging.model import MessageOut
from spms.messaging.smpp_pdu import Address, ShortMessage, Tag
from spms.messaging.texts import Encoded, Encoding, Header

UDHI: Final = 0x40


def write_parts(
    message: MessageOut, settings: SmppSettings, encoding: Encoding, *, reference: int
) -> list[bytes]:
    """Write the body of each part; a receipt is asked for with every one.

    `reference` (one octet) is what the parts have in common. Raises `LinkRefused` when a number
    does not fit.
    """
    encoded = texts.encode(message.text, encoding)
    parts = texts.parts(encoded)
    if len(parts) > 1 and settings.long_messages == "payload":
        parts = [encoded.whole]
    source = Address(message.sender, settings.source_ton, settings.source_npi)
    to = Address(message.msisdn, settings.destination_ton, settings.destination_npi)
    headers = [
        Header(reference=reference, total=len(parts), number=number)
        for number in range(1, len(parts) + 1)
    ]
    try:
        return [
            smpp_pdu.write_message(
                _message(part, header, encoded, settings, source=source, destination=to)
            )
            for part, header in zip(parts, headers, strict=True)
        ]
    except ValueError as error:
        raise LinkRefused("does_not_fit") from error


def _message(
    part: bytes, header: Header, encoded: Encoded, settings: SmppSettings,
    *, source: Address, destination: Address,
) -> ShortMessage:  # fmt: skip
    content, esm_class, options = part, 0, dict[int, bytes]()
    if header.total > 1 and settings.long_messages == "udh":
        content, esm_class = texts.write_header(header) + part, UDHI
    elif header.total > 1:
        options[Tag.SAR_REFERENCE] = header.reference.to_bytes(2)
        options[Tag.SAR_TOTAL] = bytes((header.total,))
        options[Tag.SAR_NUMBER] = bytes((header.number,))
    elif len(part) > encoded.single:
        content, options = b"", {Tag.MESSAGE_PAYLOAD: part}
    return ShortMessage(
        source=source, destination=destination, content=content,
        data_coding=encoded.data_coding, esm_class=esm_class, registered=int(settings.receipts),
        options=options,
    )  # fmt: skip
