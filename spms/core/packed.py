"""MessagePack as strict as JSON (`core/strict.py`): no key twice in one map.

The decoder takes the last of two equal keys. This walks over what it has already read, so it need
not doubt the form; no detail repeats a value.
"""

from typing import Final, NamedTuple

from spms.core.strict import Fault, Malformed


class Lead(NamedTuple):
    """What the first byte of a value says."""

    kind: str
    """`sized`, `text` (bytes as well), `array` or `map`."""
    many: int
    """How many bytes, items or pairs, unless the next bytes say it; of `sized`, with the first byte."""
    width: int = 0
    """How many bytes say how many."""
    more: int = 0
    """Bytes besides: the kind of an extension."""


SIZED, TEXT, ARRAY, MAP = "sized", "text", "array", "map"

_WIDE: Final = {
    0xC4: Lead(TEXT, 0, 1), 0xC5: Lead(TEXT, 0, 2), 0xC6: Lead(TEXT, 0, 4),
    0xC7: Lead(TEXT, 0, 1, 1), 0xC8: Lead(TEXT, 0, 2, 1), 0xC9: Lead(TEXT, 0, 4, 1),
    0xCA: Lead(SIZED, 5), 0xCB: Lead(SIZED, 9),
    0xCC: Lead(SIZED, 2), 0xCD: Lead(SIZED, 3), 0xCE: Lead(SIZED, 5), 0xCF: Lead(SIZED, 9),
    0xD0: Lead(SIZED, 2), 0xD1: Lead(SIZED, 3), 0xD2: Lead(SIZED, 5), 0xD3: Lead(SIZED, 9),
    0xD4: Lead(SIZED, 3), 0xD5: Lead(SIZED, 4), 0xD6: Lead(SIZED, 6), 0xD7: Lead(SIZED, 10),
    0xD8: Lead(SIZED, 18),
    0xD9: Lead(TEXT, 0, 1), 0xDA: Lead(TEXT, 0, 2), 0xDB: Lead(TEXT, 0, 4),
    0xDC: Lead(ARRAY, 0, 2), 0xDD: Lead(ARRAY, 0, 4), 0xDE: Lead(MAP, 0, 2), 0xDF: Lead(MAP, 0, 4),
}  # fmt: skip
_LEADS: Final = [
    *[Lead(SIZED, 1)] * 0x80,  # small numbers
    *[Lead(MAP, pairs) for pairs in range(0x10)],
    *[Lead(ARRAY, items) for items in range(0x10)],
    *[Lead(TEXT, length) for length in range(0x20)],
    *[_WIDE.get(byte, Lead(SIZED, 1)) for byte in range(0xC0, 0xE0)],  # nil, false, true
    *[Lead(SIZED, 1)] * 0x20,  # small negative numbers
]

_SPANS: Final = bytes(
    0 if lead.width or lead.kind in {ARRAY, MAP} else lead.many + (lead.kind is TEXT)
    for lead in _LEADS
)
"""How long a value is whose first byte says that alone; 0 where more has to be read."""
_BEGINS: Final = bytes(1 + lead.width if lead.kind is TEXT else 0 for lead in _LEADS)
"""Where a key begins: a text is the same text with its length in however many bytes."""


def refuse_repeats(packed: bytes) -> None:
    """Refuse well-formed MessagePack with the same key twice in one map, however it is written.

    Raises `Malformed` (`duplicate_key`). Linear in its size; it goes as deep as the value does, so
    let a decoder that knows how deep a value may be read it first.
    """
    _value(packed, 0)


def _value(packed: bytes, at: int) -> int:
    """Return where the value ends that begins here."""
    kind, many, width, more = _LEADS[packed[at]]
    if kind is SIZED:
        return at + many
    at += 1
    if width:
        many = int.from_bytes(packed[at : at + width])
        at += width
    if kind is TEXT:
        return at + more + many
    if kind is MAP:
        return _map(packed, at, many)
    for _ in range(many):
        at = _value(packed, at)
    return at


def _map(packed: bytes, at: int, pairs: int) -> int:
    keys: set[bytes | tuple[bytes]] = set()
    for _ in range(pairs):
        lead = packed[at]
        span = _SPANS[lead]
        end = at + span if span else _value(packed, at)
        text = _BEGINS[lead]
        key = packed[at + text : end]
        keys.add(key if text else (key,))  # the number 97 is not the text "a"
        span = _SPANS[packed[end]]
        at = end + span if span else _value(packed, end)
    if len(keys) < pairs:
        raise Malformed(Fault.DUPLICATE_KEY, "a map has a key twice")
    return at
