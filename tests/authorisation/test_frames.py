"""A frame in MessagePack is read as strictly as one in JSON."""

from typing import Any

import msgspec
import pytest

from spms.authorisation import frames
from spms.authorisation.frames import Decide, Misfit, read
from spms.core.errors import Invalid

MSISDN = "8613800138000"
QUESTION = {"purpose": "charge", "msisdn": MSISDN, "service_code": "100001", "price_fen": 800}
RESERVATION = {"reference": "a", "msisdn": MSISDN, "service_code": "100001", "price_fen": 800}
SOUND: list[dict[str, Any]] = [
    {"op": "decide", "id": 1, "question": QUESTION},
    {"op": "reserve", "id": 2, "question": RESERVATION},
    {"op": "capture", "id": 3, "reservation_id": "0" * 32},
    {"op": "release", "id": 4, "reservation_id": b"0" * 16},
]


class Again(msgspec.Struct, frozen=True):
    """A map with one of its pairs once more."""

    of: dict[str, Any]
    pair: tuple[str, Any]


def written(value: Any) -> bytes:
    """Write MessagePack as it never should be."""
    if isinstance(value, Again):
        pairs = [*value.of.items(), value.pair]
        inside = b"".join(msgspec.msgpack.encode(key) + written(each) for key, each in pairs)
        return bytes([0x80 | len(pairs)]) + inside
    if isinstance(value, dict) and any(isinstance(each, Again) for each in value.values()):
        inside = b"".join(msgspec.msgpack.encode(k) + written(each) for k, each in value.items())
        return bytes([0x80 | len(value)]) + inside
    if isinstance(value, list):
        return bytes([0x90 | len(value)]) + b"".join(map(written, value))
    return msgspec.msgpack.encode(value)


def twice() -> list[tuple[str, Any]]:
    """Return every frame with one key once more, with another value that is as good or shorter."""
    others = {
        "id": 0, "purpose": "message", "msisdn": "8613900000000", "price_fen": 0,
        "service_code": "1", "reference": "b", "reservation_id": "1" * 32,
    }  # fmt: skip
    made: list[tuple[str, Any]] = []
    for frame in SOUND:
        for key in [key for key in frame if key != "question"]:
            again = frame["op"] if key == "op" else others[key]
            made.append((f"{frame['op']} {key}", Again(frame, (key, again))))
        if "question" in frame:
            made.append((f"{frame['op']} question", Again(frame, ("question", frame["question"]))))
            for key in frame["question"]:
                inside = Again(frame["question"], (key, others[key]))
                made.append((f"{frame['op']} {key} inside", frame | {"question": inside}))
    return made


@pytest.mark.parametrize(("name", "frame"), twice())
def test_a_key_for_the_second_time_is_refused_wherever_it_is(name: str, frame: Any) -> None:
    plain = SOUND[0]
    for whole in (frame, [frame], [plain, frame, plain], [SOUND[1], frame]):
        with pytest.raises(Invalid) as refusal:
            read(written(whole))
        assert refusal.value.instance_code == "duplicate_key", name


def test_what_is_written_longer_than_it_must_be_is_read_and_looked_at_more_closely() -> None:
    """A null for what may be left out, and a number in nine bytes."""
    nulls = QUESTION | {"access_number": None, "link_id": None, "content": None}
    some = [{"op": "decide", "id": n, "question": nulls} for n in range(3)]
    assert [one.id for one in _list(read(msgspec.msgpack.encode(some)))] == [0, 1, 2]
    price = msgspec.msgpack.encode("price_fen")
    wide = msgspec.msgpack.encode(SOUND[:1]).replace(
        price + msgspec.msgpack.encode(800), price + b"\xd3" + (800).to_bytes(8)
    )
    (one,) = _list(read(wide))
    assert isinstance(one, Decide)
    assert one.question.price_fen == 800
    again = b"\xa6msisdn" + msgspec.msgpack.encode(MSISDN)
    with pytest.raises(Invalid, match="key twice"):
        read(wide.replace(b"\x84\xa7purpose", b"\x85" + again + b"\xa7purpose"))


def test_what_is_written_as_short_as_can_be_is_not_gone_over_byte_by_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That costs more than all else about reading it."""
    looked: list[bytes] = []
    monkeypatch.setattr(frames, "refuse_repeats", looked.append)
    nulls = SOUND[0] | {"question": QUESTION | {"link_id": None, "content": None}}
    for some in (SOUND[:1] * 100, [nulls] * 100, SOUND, SOUND[1:2] * 100):
        assert len(_list(read(msgspec.msgpack.encode(some)))) == len(some)
    assert not looked
    read(b"\xdc\x00\x04" + msgspec.msgpack.encode(SOUND)[1:])
    assert len(looked) == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [("a\x00b", "nul_char"), ("a\u202eb", "control_char"), ("a\x1bb", "control_char")],
)
@pytest.mark.parametrize("many", [0, 1, 3])
def test_a_text_has_no_hidden_characters(text: str, code: str, many: int) -> None:
    """In neither form: they hide from the rules on what a message may say."""
    asked = {"purpose": "message", "msisdn": MSISDN, "service_code": "100001", "content": text}
    frame = {"op": "decide", "id": 1, "question": asked}
    whole: Any = [*SOUND[:1], frame, *SOUND[:1]][:many] if many else frame
    whole = [frame] if many == 1 else whole
    for form in (msgspec.msgpack.encode(whole), msgspec.json.encode(whole).decode()):
        with pytest.raises(Invalid) as refusal:
            read(form)
        assert refusal.value.instance_code == code


MISFITS: list[tuple[Any, int | None, str]] = [
    (SOUND[0] | {"id": 7, "question": QUESTION | {"msisdn": "86138"}}, 7, "/1/question/msisdn"),
    (SOUND[0] | {"question": QUESTION | {"price_fen": -1}}, 1, "/1/question/price_fen"),
    (SOUND[1] | {"op": "hold"}, 2, "/1/op"),
    (SOUND[2] | {"reservation_id": "no"}, 3, "/1/reservation_id"),
    (SOUND[2] | {"more": 1}, 3, "/1"),
    ({"op": "capture", "id": "4"}, None, "/1/id"),
    ({"op": "capture", "id": True}, None, "/1/id"),
    ({}, None, "/1"),
    ([], None, "/1"),
    (None, None, "/1"),
    ("a", None, "/1"),
    ({"op": "\U0001f4b0 13 800 138 000", "id": 5}, 5, "/1/op"),
]


@pytest.mark.parametrize(("wrong", "named", "pointer"), MISFITS)
def test_what_fits_no_frame_is_refused_in_its_place_and_the_others_are_read(
    wrong: Any, named: int | None, pointer: str
) -> None:
    whole = [SOUND[0], wrong, SOUND[2]]
    for form in (msgspec.msgpack.encode(whole), msgspec.json.encode(whole).decode()):
        first, misfit, last = _list(read(form))
        assert (first.id, last.id) == (1, 3)
        assert isinstance(misfit, Misfit)
        assert misfit.id == named
        (found,) = misfit.refusal.errors
        assert found.pointer == pointer
        assert MSISDN not in str(found)
        assert "138 000" not in str(found)


@pytest.mark.parametrize(
    "whole", [[], [{}] * (frames.TOGETHER_MAX + 1), {}, None, 1, SOUND[0] | {"id": None}]
)
def test_what_is_no_list_of_as_many_as_may_be_is_refused_as_a_whole(whole: Any) -> None:
    for form in (msgspec.msgpack.encode(whole), msgspec.json.encode(whole).decode()):
        with pytest.raises(Invalid, match="does not fit"):
            read(form)


HIDDEN = {"purpose": "message", "msisdn": MSISDN, "service_code": "100001", "content": "a\x00b"}


@pytest.mark.parametrize("more", [{}, {"x": 1}])
def test_a_hidden_character_beside_a_misfit_still_has_the_whole_frame_refused(more: Any) -> None:
    whole = [{}, {"op": "decide", "id": 1, "question": HIDDEN} | more]
    for form in (msgspec.msgpack.encode(whole), msgspec.json.encode(whole).decode()):
        with pytest.raises(Invalid) as refusal:
            read(form)
        assert refusal.value.instance_code == "nul_char"


LONGER = b"\xca\x3f\xc0\x00\x00"
"""A number with a point in four bytes: written down again it has eight."""
TWICE = Again(SOUND[0], ("id", 1))


@pytest.mark.parametrize(
    "form",
    [
        written([{}, TWICE]),
        b"\x92" + written(TWICE) + LONGER,
        b"\x92" + written({"op": "decide", "id": 1, "question": Again(QUESTION, ("msisdn", "1"))})
        + b"\x96" + LONGER * 6,
        b"\x91" * 60_000 + b"\xc0",
        b"\x92\x80" + b"\x91" * 60_000 + b"\xc0",
        b"\x92\xcc\x01\xdc\x52\x08" + b"\x81\xa0\x80" * 21_000,
        b"\x92\x80\x81\x80\x01",
        b"\x92\x80\xd6\xff\x00\x00\x00\x01",
    ],
)  # fmt: skip
def test_what_no_frame_is_made_of_has_the_whole_list_refused(
    form: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key twice could hide behind it, and to look for one byte by byte would keep all others waiting."""
    monkeypatch.delattr(frames, "refuse_repeats")
    with pytest.raises(Invalid):
        read(form)


def _list(told: Any) -> list[Any]:
    assert isinstance(told, list)
    return told
