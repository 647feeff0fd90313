"""A key twice in one map of MessagePack is found, however it is written; nothing else is."""

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.core.packed import refuse_repeats
from spms.core.strict import Malformed

Pairs = list[tuple[Any, Any]]
"""A map as it is written: a key may come twice."""

leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()
    | st.text(max_size=40) | st.binary(max_size=300)
    | st.builds(msgspec.msgpack.Ext, st.integers(-128, 127), st.binary(max_size=20))
)  # fmt: skip
keys = st.text("ab", max_size=2) | st.integers(-40, 200) | st.text(min_size=30, max_size=34)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.lists(st.tuples(keys, inner), max_size=20).map(lambda pairs: {"pairs": pairs})
    ),
    max_leaves=30,
)


def written(value: Any, wide: int) -> bytes:
    """Write a value, its lengths in as many bytes as it takes or in more."""
    if isinstance(value, dict):
        pairs: Pairs = value["pairs"]
        inside = b"".join(written(key, wide) + written(each, wide) for key, each in pairs)
        return head(len(pairs), 0x80, 16, (0xDE, 0xDF), wide) + inside
    if isinstance(value, list):
        inside = b"".join(written(each, wide) for each in value)
        return head(len(value), 0x90, 16, (0xDC, 0xDD), wide) + inside
    if isinstance(value, str):
        raw = value.encode()
        return head(len(raw), 0xA0, 32, (0xD9, 0xDA, 0xDB), wide) + raw
    return msgspec.msgpack.encode(value)


def head(many: int, short: int, below: int, leads: tuple[int, ...], wide: int) -> bytes:
    forms = [bytes([short | many])] if many < below else []
    for lead, kind in zip(leads[::-1], "IHB", strict=False):
        if many < 256 ** struct.calcsize(f">{kind}"):
            forms.append(bytes([lead]) + struct.pack(f">{kind}", many))
    return forms[wide % len(forms)]


def repeats(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(repeats, value))
    if not isinstance(value, dict):
        return False
    names = [(type(key), key) for key, _ in value["pairs"]]
    return len(set(names)) < len(names) or any(repeats(each) for _, each in value["pairs"])


@given(value=values, wide=st.integers(0, 3))
def test_a_map_is_refused_if_and_only_if_it_has_a_key_twice(value: Any, wide: int) -> None:
    packed = written(value, wide)
    if repeats(value):
        with pytest.raises(Malformed, match="duplicate_key"):
            refuse_repeats(packed)
    else:
        refuse_repeats(packed)


def test_a_number_is_not_the_text_that_is_written_with_the_same_byte():
    refuse_repeats(b"\x82\xa1a\x01" + bytes([ord("a")]) + b"\x02")
    with pytest.raises(Malformed, match="duplicate_key"):
        refuse_repeats(b"\x82" + bytes([ord("a")]) + b"\x01" + bytes([ord("a")]) + b"\x02")


@pytest.mark.parametrize(
    "again", [b"\xa1a", b"\xd9\x01a", b"\xda\x00\x01a", b"\xdb\x00\x00\x00\x01a"]
)
def test_the_same_key_is_the_same_with_its_length_in_more_bytes(again: bytes) -> None:
    with pytest.raises(Malformed, match="duplicate_key"):
        refuse_repeats(b"\x82\xa1a\x01" + again + b"\x02")
