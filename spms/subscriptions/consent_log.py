"""The consent log (同意日志): what happened to a number's relations, in words nobody can change.

Told in the transaction of the facts: who asked and how, the prompt's exact text, when the network
and the handset had it, the reply, refusal, silence, ending; with the versions of tariff, notice and
rulebook, and each message with the PDUs that carried it. One hash chain per number (`core.chain`).

The log is told from the rows, not beside them: `record` tells whatever is not told yet. So no step
can be told twice, a step that forgot to call it is told by the next one, and a row that was
changed behind our back no longer says what the log says.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from spms.core import chain_log
from spms.core.chain import Fact, Fault, FaultKind, same_fact, start_hash, subject_digest, walk
from spms.core.db import Connection
from spms.subscriptions import consent_log_queries as queries

CHAIN: Final = "consent"
FROM_OUTSIDE: Final = ("subject", "source", "about", "kind", "at")
NOT_FOR_OUTSIDERS: Final = ("actor", "reason", "raw", "pdu")
"""Names of people inside the house, what they noted, and PDUs with their text, which hold the number."""

BATCH: Final = 500


async def record(tx: Connection, numbers: Sequence[str], *, now: datetime) -> int:
    """Tell in these numbers' logs what is not told yet; return how many entries that were.

    The last thing in a transaction that changes relations, so that nothing waits for it.
    """
    if not numbers:
        return 0
    rows = await queries.untold(tx, sorted(set(numbers)))
    return await chain_log.append(tx, CHAIN, [fact_of(dict(row)) for row in rows], now=now)


async def record_all(tx: Connection, *, since: datetime, now: datetime) -> int:
    """Tell what nobody told since an instant: prompts that were sent and delivered meanwhile."""
    told = 0
    while numbers := await queries.untold_numbers(tx, since=since, limit=BATCH):
        told += await record(tx, numbers, now=now)
    return told


def fact_of(row: Mapping[str, Any]) -> Fact:
    """Return what one row of the statements tells."""
    told = {name: value for name, value in row.items() if name not in FROM_OUTSIDE}
    hidden = {name: told.pop(name) for name in NOT_FOR_OUTSIDERS}
    told["party"] = (hidden["actor"] or "network").partition(":")[0]
    return Fact(
        subject=row["subject"], source=row["source"], about=row["about"], kind=row["kind"],
        at=row["at"], public=told, private=hidden,
    )  # fmt: skip


async def faults(read: Connection, numbers: Sequence[str]) -> list[Fault]:
    """Walk numbers' logs and compare them with the rows they tell of; name whatever differs."""
    salts = await chain_log.salts(read, CHAIN, numbers)
    entries = await chain_log.entries(read, CHAIN, numbers)
    facts: dict[str, dict[str, Fact]] = {}
    for row in await queries.everything(read, numbers):
        facts.setdefault(row["subject"], {})[row["source"]] = fact_of(dict(row))
    found: list[Fault] = []
    for number in numbers:
        own, real = entries.get(number, []), facts.get(number, {})
        salt = salts.get(number)
        start = None if salt is None else start_hash(CHAIN, subject_digest(salt, number))
        if own or salt is not None:
            found += walk(CHAIN, number, start, own)
        for entry in own:
            fact = real.get(entry.source)
            if fact is None:
                found.append(_fault(number, entry.seq, FaultKind.FACT_GONE))
            elif not same_fact(entry, fact):
                found.append(_fault(number, entry.seq, FaultKind.FACT_CHANGED))
        told = {entry.source for entry in own}
        untold = [source for source in real if source not in told and source[:6] == "event:"]
        found += [_fault(number, 0, FaultKind.FACT_UNTOLD) for _ in untold]
    return found


def _fault(number: str, seq: int, kind: FaultKind) -> Fault:
    return Fault(chain=CHAIN, subject=number, seq=seq, kind=kind)


async def numbers(read: Connection, *, after: str, limit: int) -> list[str]:
    """Return the numbers that have a log or should have one, in order."""
    return await queries.numbers(read, after=after, limit=limit)
