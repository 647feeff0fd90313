"""Chains and trees, pure: every change of an entry is named, every proof leads to its root only."""

from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from spms.core.chain import (
    Entry,
    Fact,
    FaultKind,
    Head,
    extend,
    link,
    sha256,
    start_hash,
    subject_digest,
    walk,
)
from spms.core.merkle import Leaf, climb, grow, leaf_hash

AT = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
START = start_hash("consent", subject_digest(b"s" * 32, "8613800000001"))


def facts(number: int) -> list[Fact]:
    return [
        Fact(
            subject="8613800000001", source=f"event:{n}", about=UUID(int=n), kind="request", at=AT,
            public={"text": f"第{n}次", "nothing": None}, private={"actor": "staff:a"},
        )
        for n in range(number)
    ]  # fmt: skip


def chain(number: int = 6) -> list[Entry]:
    serial = count()
    return extend(
        Head(seq=0, hash=START), facts(number), recorded_at=AT, nonce=lambda: f"{next(serial)}"
    )


def found(entries: list[Entry], start: bytes | None = START) -> list[tuple[int, FaultKind]]:
    return [(one.seq, one.kind) for one in walk("consent", "8613800000001", start, entries)]


def refitted(entry: Entry, **values: object) -> Entry:
    """Change an entry and make its hash fit, as one would who knows how."""
    entry = replace(entry, **values)
    return replace(entry, hash=link(entry.prev_hash, sha256(entry.body)))


def test_what_was_written_is_found_whole() -> None:
    assert found(chain()) == []
    assert found([]) == []
    more = extend(Head(seq=6, hash=chain()[-1].hash), facts(3), recorded_at=AT, nonce=lambda: "x")
    assert found(chain() + more) == []


@pytest.mark.parametrize("seq", range(1, 7))
def test_each_way_to_change_an_entry_is_named_with_its_place(seq: int) -> None:
    whole = chain()
    one = whole[seq - 1]
    other_text = one.body.replace(f"第{seq - 1}次", "从未")
    assert other_text != one.body
    cases = {
        FaultKind.ALTERED: [
            replace(one, body=other_text),
            replace(one, body="{}"),
            replace(one, body="not JSON"),
            replace(one, hash=bytes(32)),
            replace(one, prev_hash=bytes(32)),
        ],
        FaultKind.PRIVATE_ALTERED: [replace(one, private="{}")],
        FaultKind.MISLABELLED: [
            replace(one, kind="confirm"), replace(one, source="event:x"),
            replace(one, about=UUID(int=99)), replace(one, at=AT.replace(hour=5)),
            replace(one, recorded_at=AT.replace(hour=5)),
        ],
    }  # fmt: skip
    for kind, changes in cases.items():
        for changed in changes:
            assert (seq, kind) in found([*whole[: seq - 1], changed, *whole[seq:]])
    if seq < 6:
        clever = refitted(one, body=other_text)
        assert found([*whole[: seq - 1], clever, *whole[seq:]]) == [(seq, FaultKind.REPLACED)]
        assert found(whole[: seq - 1] + whole[seq:]) == [(seq, FaultKind.MISSING)]


def test_swapped_inserted_and_foreign_entries_are_named() -> None:
    whole = chain()
    swapped = [replace(whole[1], seq=3), replace(whole[2], seq=2)]
    swapped.sort(key=lambda entry: entry.seq)
    names = found([whole[0], *swapped, *whole[3:]])
    assert (2, FaultKind.MOVED) in names
    assert (3, FaultKind.MOVED) in names
    inserted = [whole[0], refitted(whole[1], source="event:x"),
                *(replace(entry, seq=entry.seq + 1) for entry in whole[1:])]  # fmt: skip
    assert {seq for seq, kind in found(inserted) if kind is FaultKind.MOVED} == set(range(3, 8))
    assert found(whole, start=None) == [(0, FaultKind.FOREIGN)]
    assert found(whole, start=bytes(32)) == [(0, FaultKind.FOREIGN)]


@given(st.integers(1, 70), st.data())
def test_a_path_leads_to_the_root_from_its_own_leaf_and_place_only(
    size: int, data: st.DataObject
) -> None:
    leaves = [
        leaf_hash(Leaf(start_hash=bytes([n]) * 32, seq=n, hash=bytes(32))) for n in range(size)
    ]
    root, paths = grow(leaves)
    place = data.draw(st.integers(0, size - 1))
    assert climb(leaves[place], place, size, paths[place]) == root
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != place or size == 1))
    if other != place:
        assert climb(leaves[other], place, size, paths[place]) != root
        assert climb(leaves[place], other, size, paths[place]) != root
    assert climb(leaves[place], place, size, paths[place] + bytes(32)) is None
    assert climb(leaves[place], size, size, paths[place]) is None
