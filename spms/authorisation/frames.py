"""What a gateway sends over its stream, read strictly: MessagePack in the same way as JSON."""

from typing import Annotated, Final
from uuid import UUID

import msgspec

from spms.authorisation.model import DecisionRequest
from spms.authorisation.reading import Unread, sound
from spms.authorisation.reservation_model import ReservationRequest
from spms.core.body import fault
from spms.core.errors import Invalid
from spms.core.packed import refuse_repeats
from spms.core.strict import Malformed, clean_text, scan_json

FRAME_BYTES_MAX: Final = 65_536
TOGETHER_MAX: Final = 256
"""Most questions in one frame."""


class Decide(msgspec.Struct, frozen=True, tag_field="op", tag="decide", forbid_unknown_fields=True):
    """May I …? Nothing is held."""

    id: int
    """The sender's own number of the frame; the answer carries it."""
    question: DecisionRequest


class Short(Unread, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A question that, written down again, has no more than it must have."""


class Heard(Decide, frozen=True, tag_field="op", tag="decide", forbid_unknown_fields=True):
    """The same, while nobody has looked at the question yet."""

    question: Short


class Reserve(
    msgspec.Struct, frozen=True, tag_field="op", tag="reserve", forbid_unknown_fields=True
):
    """May I charge, and will you hold it?"""

    id: int
    question: ReservationRequest


class Capture(
    msgspec.Struct, frozen=True, tag_field="op", tag="capture", forbid_unknown_fields=True
):
    """The service was rendered."""

    id: int
    reservation_id: UUID


class Release(
    msgspec.Struct, frozen=True, tag_field="op", tag="release", forbid_unknown_fields=True
):
    """Give a held charge back."""

    id: int
    reservation_id: UUID


Frame = Decide | Reserve | Capture | Release


Together = Annotated[list[Frame], msgspec.Meta(min_length=1, max_length=TOGETHER_MAX)]
_heard = msgspec.msgpack.Decoder(
    Annotated[list[Heard], msgspec.Meta(min_length=1, max_length=TOGETHER_MAX)]
)
_written = msgspec.msgpack.Encoder()
_json: msgspec.json.Decoder[Frame | Together] = msgspec.json.Decoder(Frame | Together)
_packed: msgspec.msgpack.Decoder[Frame | Together] = msgspec.msgpack.Decoder(Frame | Together)


def read(frame: str | bytes) -> Frame | list[Frame]:
    """Read one frame. Raises `Invalid` without repeating a value."""
    if len(frame) > FRAME_BYTES_MAX:
        raise Invalid(f"a frame has at most {FRAME_BYTES_MAX} bytes")
    try:
        if isinstance(frame, bytes):
            return _decides(frame) or _unpacked(frame)
        raw = frame.encode()
        scan_json(raw)
        return _json.decode(raw)
    except Malformed as error:
        raise Invalid(error.detail, code=error.code) from None
    except msgspec.ValidationError as error:
        raise Invalid("a value does not fit its field", errors=[fault(error)]) from None
    except (msgspec.DecodeError, UnicodeError):
        raise Invalid("the frame cannot be read") from None


def _decides(frame: bytes) -> list[Frame] | None:
    """Read a list of plain questions the quick way; None where it is anything else.

    What was read is written down again, in the shortest way there is, and is as long as the frame
    if that has nothing twice. That costs a tenth of reading it.
    """
    try:
        heard = _heard.decode(frame)
    except (msgspec.DecodeError, UnicodeError):
        return None
    if len(_written.encode(heard)) != len(frame):
        _look_closer(frame)
    return [*heard] if sound([one.question for one in heard]) else None


def _unpacked(frame: bytes) -> Frame | list[Frame]:
    """Read MessagePack as strictly as JSON. Raises `Malformed` and what the decoder raises."""
    read = _packed.decode(frame)
    _look_closer(frame)
    for one in read if isinstance(read, list) else [read]:
        if isinstance(one, Decide) and one.question.content is not None:
            clean_text(one.question.content)
    return read


def _look_closer(frame: bytes) -> None:
    """Raise `Malformed` if a frame that is sound otherwise has a key twice.

    Written down again with all it says, also what may be left out, it is as long as before. All in a
    sound frame is a text, bytes or a whole number, and none of these gets longer. A sender that takes
    more bytes for them than it must has its frames gone over byte by byte.
    """
    if len(_written.encode(msgspec.msgpack.decode(frame))) != len(frame):
        refuse_repeats(frame)
