"""The calls' chains, one per called number, as a whole: walked, and handed to the anchors."""

from itertools import groupby
from typing import Final

from spms.core.chain import Fault, FaultKind
from spms.core.db import Connection
from spms.core.heads import Chains
from spms.inspections import queries
from spms.inspections.evidence import FIRST, Sealed, digest, disagrees

CHAINS: Final = Chains(name="call", heads=queries.HEADS, entries=queries.ENTRIES)
"""What the anchors take from the calls."""


async def faults(read: Connection) -> tuple[int, list[Fault]]:
    """Walk every number's calls and compare them with the rows they tell of.

    Returns how many chains there are, and every call at fault.
    """
    chains, found = 0, []
    for number, calls in groupby(await queries.sealed(read), key=lambda one: one.link.number):
        chains += 1
        found += _walk(number, list(calls))
    return chains, found


def _walk(number: str, calls: list[Sealed]) -> list[Fault]:
    found, position, before = [], 0, FIRST
    for one in calls:
        kinds = []
        link = one.link
        if link.sha256 != digest(link.previous_sha256, link.evidence):
            kinds.append(FaultKind.ALTERED)
        elif link.position == position + 1 and link.previous_sha256 != before:
            found.append(_fault(number, position, FaultKind.REPLACED))
        if one.call is None:
            kinds.append(FaultKind.FACT_GONE)
        elif disagrees(link, link.item_id, number, one.call):
            kinds.append(FaultKind.FACT_CHANGED)
        found += [
            _fault(number, gone, FaultKind.MISSING)
            for gone in range(position + 1, link.position)
        ]  # fmt: skip
        found += [_fault(number, link.position, kind) for kind in kinds]
        position, before = link.position, link.sha256
    return found


def _fault(number: str, seq: int, kind: FaultKind) -> Fault:
    return Fault(chain=CHAINS.name, subject=number, seq=seq, kind=kind)
