"""What a gateway sends over its stream, read strictly: MessagePack in the same way as JSON."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple
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
DEPTH: Final = 3
"""A list, in it a frame, in that a question."""


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


class Misfit(NamedTuple):
    """What came in the place of a frame, in a list of them."""

    id: int | None
    """None: it does not say one."""
    refusal: Invalid


Together = Annotated[list[Frame], msgspec.Meta(min_length=1, max_length=TOGETHER_MAX)]
_heard = msgspec.msgpack.Decoder(
    Annotated[list[Heard], msgspec.Meta(min_length=1, max_length=TOGETHER_MAX)]
)
_written = msgspec.msgpack.Encoder()
_json: msgspec.json.Decoder[Frame | Together] = msgspec.json.Decoder(Frame | Together)
_packed: msgspec.msgpack.Decoder[Frame | Together] = msgspec.msgpack.Decoder(Frame | Together)
Apart = Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=TOGETHER_MAX)]
_apart_json: Final = msgspec.json.Decoder(Apart)
_apart_packed: Final = msgspec.msgpack.Decoder(Apart)
_one_json: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)
_one_packed: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)
Reader = msgspec.json.Decoder[Frame] | msgspec.msgpack.Decoder[Frame]


def read(frame: str | bytes) -> Frame | Sequence[Frame | Misfit]:
    """Read one frame, or a list of them: what fits none is refused in its place.

    Raises `Invalid` without repeating a value.
    """
    if len(frame) > FRAME_BYTES_MAX:
        raise Invalid(f"a frame has at most {FRAME_BYTES_MAX} bytes")
    try:
        return _read(frame)
    except Malformed as error:
        raise Invalid(error.detail, code=error.code) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Invalid("the frame cannot be read") from None


def _read(frame: str | bytes) -> Frame | Sequence[Frame | Misfit]:
    try:
        if isinstance(frame, bytes):
            return _decides(frame) or _unpacked(frame)
        raw = frame.encode()
        scan_json(raw)
        return _json.decode(raw)
    except msgspec.ValidationError as error:
        apart = _apart(frame)
        if apart is None:
            raise Invalid("a value does not fit its field", errors=[fault(error)]) from None
        return apart


def _apart(frame: str | bytes) -> list[Frame | Misfit] | None:
    """Read each of a list for itself; None: it is refused as a whole.

    That is no list, one of more than it may have, and in MessagePack one that holds what no frame
    does, or says a thing in more bytes than it must: to look through those costs too much.
    Raises `Malformed` and what the decoders raise.
    """
    try:
        if isinstance(frame, str):
            return [
                _one(place, raw, _one_json) for place, raw in enumerate(_apart_json.decode(frame))
            ]
        parts = _apart_packed.decode(frame)
    except msgspec.ValidationError:
        return None
    held = msgspec.msgpack.decode(frame)
    if not _flat(held, DEPTH) or len(_written.encode(held)) != len(frame):
        return None
    return [_one(place, raw, _one_packed) for place, raw in enumerate(parts)]


def _flat(held: Any, depth: int) -> bool:
    """Whether this is made of what frames are made of. Raises `Malformed` for a hidden character.

    Written down again none of it gets longer, so as long as before it has no key twice.
    """
    if isinstance(held, str):
        clean_text(held)
        return True
    if isinstance(held, list | dict) and depth:
        inside = held if isinstance(held, list) else [*held, *held.values()]
        return all(_flat(one, depth - 1) for one in inside)
    return held is None or isinstance(held, bytes | int)


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


def _one(place: int, raw: msgspec.Raw, reader: Reader) -> Frame | Misfit:
    try:
        read = reader.decode(raw)
    except msgspec.ValidationError as error:
        found = fault(error)
        named = msgspec.structs.replace(found, pointer=f"/{place}{found.pointer}")
        return Misfit(
            _named(raw, reader), Invalid("a value does not fit its field", errors=[named])
        )
    _look_at_text(read)
    return read


def _named(raw: msgspec.Raw, reader: Reader) -> int | None:
    """Return the number by which the sender knows what is no frame."""
    decode = (
        msgspec.json.decode if isinstance(reader, msgspec.json.Decoder) else msgspec.msgpack.decode
    )
    said: Any = decode(raw)
    found = said.get("id") if isinstance(said, dict) else None
    return found if type(found) is int else None


def _look_at_text(read: Frame) -> None:
    if isinstance(read, Decide) and read.question.content is not None:
        clean_text(read.question.content)


def _unpacked(frame: bytes) -> Frame | list[Frame]:
    """Read MessagePack as strictly as JSON. Raises `Malformed` and what the decoder raises."""
    read = _packed.decode(frame)
    _look_closer(frame)
    for one in read if isinstance(read, list) else [read]:
        _look_at_text(one)
    return read


def _look_closer(frame: bytes) -> None:
    """Raise `Malformed` if a frame that is sound otherwise has a key twice.

    Written down again with all it says, also what may be left out, it is as long as before. All in a
    sound frame is a text, bytes or a whole number, and none of these gets longer. A sender that takes
    more bytes for them than it must has its frames gone over byte by byte.
    """
    if len(_written.encode(msgspec.msgpack.decode(frame))) != len(frame):
        refuse_repeats(frame)
