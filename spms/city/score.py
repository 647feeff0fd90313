"""Compares what the platform found with what was planted. Asks the API only, never the tables."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from spms.city.asking import Asking, Seen
from spms.city.founding import gather
from spms.city.hotlines import BREACHES
from spms.city.model import (
    OBSERVED,
    REVIEWED,
    Consents,
    Fault,
    Hotline,
    KindScore,
    Report,
)
from spms.city.progress import Shown
from spms.city.records import Form, Parcel, Row, Spoiled
from spms.city.stage import Firm, Stage
from spms.city.timeline import Deed, Life

SETTLE_SECONDS = 60.0
"""Longest wait for the audit and the refunds to catch up after the last step."""
POLL_SECONDS = 0.5
READERS = 8
REMARKS_PER_KIND = 5
QUASHED = "quashed"

Planted = Mapping[str, Fault | None]
"""Record id → what was planted on it."""

Breaches = Mapping[tuple[str, str], set[str]]
"""(SP's id, kind) → states of the breaches: two spot checks may both find a line dead."""


class Played(NamedTuple):
    """What was done to the platform."""

    rows: Sequence[Row]
    parcels: Sequence[Parcel]
    events: int
    spoiled: Mapping[int, Mapping[int, str]]
    """Parcel → line number → reason."""
    lives: Sequence[Life]
    asking: Asking
    started: float
    """By `time.monotonic`."""


class Found(NamedTuple):
    """What the platform says."""

    findings: dict[str, frozenset[str]]
    """Record id → findings, of every charge that landed."""
    quarantined: dict[int, dict[int, str]]
    """Parcel → line number → reason."""
    refunded_fen: int
    receivable_fen: int
    breaches: Breaches
    """What was found, and in which states."""
    consents: Consents
    counted: Seen


async def score(stage: Stage, played: Played, shown: Shown) -> Report:
    """Wait until the platform has caught up, ask for everything, and compare."""
    reported = [row for row in played.rows if row.reported]
    owed = sum(2 * (row.price_fen - row.due_fen) for row in reported)
    planted = {stage.names.record_id(row.serial): row.fault for row in reported}
    deadline = time.monotonic() + SETTLE_SECONDS
    shown.say("the audit and the refunds catch up")
    while True:
        receivable, counted = await _receivable(stage), await played.asking.counted()
        caught_up = receivable == owed and counted == played.asking.due
        if caught_up or time.monotonic() > deadline:
            break
        await asyncio.sleep(POLL_SECONDS)
    shown.say("what was found is compared with what was planted")
    return _report(stage, played, await _ask(stage, receivable, counted), planted, owed)


async def _receivable(stage: Stage) -> int:
    """Return what is booked against all of this play's companies, in fen."""
    gate = asyncio.Semaphore(READERS)
    total = 0

    async def one(firm: Firm) -> None:
        nonlocal total
        async with gate:
            answer = await stage.api.get(stage.api.officer, f"/sps/{firm.sp_id}/receivable")
        total += answer["receivable_fen"]

    await gather(one(firm) for firm in stage.firms.values())
    return total


async def _ask(stage: Stage, receivable: int, counted: Seen) -> Found:
    gate = asyncio.Semaphore(READERS)
    findings: dict[str, frozenset[str]] = {}
    quarantined: dict[int, dict[int, str]] = {}
    statuses: Counter[str] = Counter()

    async def one(firm: Firm) -> None:
        async with gate:
            async for charge in stage.api.items(firm.party, "/charge-records"):
                findings[charge["record_id"]] = frozenset(charge["findings"])
            async for relation in stage.api.items(firm.party, "/subscriptions"):
                if relation["kind"] == "monthly":
                    held = relation["active_from"] is not None
                    statuses["confirmed" if held else relation["status"]] += 1
            for parcel, file_id in firm.files.items():
                path = f"/charge-files/{file_id}/quarantine"
                quarantined[parcel] = {
                    line["line_no"]: line["reason"]
                    async for line in stage.api.items(firm.party, path)
                }

    await gather(one(firm) for firm in stage.firms.values())
    refunded = 0
    async for claim in stage.api.items(stage.api.officer, "/claims"):
        if stage.firm_by_id(claim["sp_id"]) is not None:
            refunded += claim["refunded_fen"]
    breaches: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    async for breach in stage.api.items(stage.api.officer, "/breaches"):
        ours = stage.firm_by_id(breach["sp_id"]) is not None
        # Breaches of other kinds follow from charges, which are scored by themselves.
        if ours and breach["kind"] in BREACHES.values():
            breaches[breach["sp_id"], breach["kind"]].add(breach["state"])
    return Found(
        findings=findings, quarantined=quarantined, refunded_fen=refunded,
        receivable_fen=receivable, breaches=breaches, counted=counted,
        consents=Consents(
            asked=statuses.total(), confirmed=statuses["confirmed"],
            refused=statuses["refused"], expired=statuses["expired"] + statuses["awaiting"],
        ),
    )  # fmt: skip


def _report(stage: Stage, played: Played, found: Found, planted: Planted, owed_fen: int) -> Report:
    remarks = list(stage.remarks)
    kinds = compare(planted, found.findings, remarks)
    kinds += compare_counts(played.asking.due, found.counted, remarks)
    hotlines, quashed = compare_hotlines(stage.firms.values(), found.breaches, remarks)
    quarantine = compare_quarantine(played.spoiled, found.quarantined, remarks)
    scores = [*kinds, *hotlines, quashed, quarantine]
    exact = all(s.planted == s.found and s.false_alarms == 0 for s in scores)
    money = owed_fen == found.refunded_fen == found.receivable_fen
    landed = len(found.findings.keys() & planted.keys())
    if landed < len(planted):
        remarks.append(f"{len(planted) - landed} good records did not land")
    if stage.api.bugs:
        remarks.append(f"{len(stage.api.bugs)} requests were answered with a mistake of the "
                       f"platform's own, such as {stage.api.bugs[0]}")  # fmt: skip
    files = [parcel for parcel in played.parcels if parcel.form is not Form.BATCH]
    return Report(
        seed=stage.city.seed,
        subscribers=len(stage.city.people),
        days=stage.city.days,
        companies=len(stage.city.companies),
        services=len(stage.offers),
        began=stage.began,
        kinds=tuple(kinds),
        hotlines=tuple(hotlines),
        quashed=quashed,
        quarantine=quarantine,
        charges=len(planted),
        landed=landed,
        files=len(files),
        batches=len(played.parcels) - len(files),
        redelivered=sum(parcel.again for parcel in files),
        owed_fen=owed_fen,
        refunded_fen=found.refunded_fen,
        receivable_fen=found.receivable_fen,
        consents_due=consents_due(played.lives),
        consents=found.consents,
        events=played.events,
        requests=stage.api.requests,
        retries=stage.api.retries,
        seconds=round(time.monotonic() - played.started, 1),
        faults=tuple(remarks),
        ok=exact and money and landed == len(planted),
    )


def compare(
    planted: Planted, findings: Mapping[str, frozenset[str]], remarks: list[str]
) -> list[KindScore]:
    """Count per kind: planted, found, and findings that no label asks for."""
    missed: defaultdict[str, list[str]] = defaultdict(list)
    false: defaultdict[str, list[str]] = defaultdict(list)
    hits: Counter[str] = Counter()
    wrong = {one: label for one, label in planted.items() if label and label not in OBSERVED}
    for record_id in planted:
        found, label = findings.get(record_id, frozenset()), wrong.get(record_id)
        expected = frozenset() if label is None else frozenset({label.value})
        for kind in found - expected:
            false[kind].append(record_id)
        for kind in expected - found:
            missed[kind].append(record_id)
        hits.update(expected & found)
    for record_id in findings.keys() - planted.keys():
        for kind in findings[record_id]:
            false[kind].append(record_id)
    for words, found_ids in (("not found", missed), ("false alarm", false)):
        for kind, ids in sorted(found_ids.items()):
            remarks.extend(f"{kind} {words}: record {each}" for each in ids[:REMARKS_PER_KIND])
    known = [fault.value for fault in Fault if fault not in OBSERVED]
    counts = Counter(label.value for label in wrong.values())
    return [
        KindScore(kind=kind, planted=counts[kind], found=hits[kind],
                  false_alarms=len(false[kind]), mode=mode(kind))
        for kind in [*known, *sorted(false.keys() - set(known))]
    ]  # fmt: skip


def mode(kind: str) -> str:
    """Return what follows when a rule of the audit strikes (the rulebook's defaults)."""
    if kind in OBSERVED:
        return "observe"
    return "review" if kind in REVIEWED else "refund"


def compare_counts(due: Seen, counted: Seen, remarks: list[str]) -> list[KindScore]:
    """Compare what is only counted: of each company as many as there are, not which."""
    scores = []
    for kind in sorted({*OBSERVED, *(kind for _, kind in counted)}):
        wanted = Counter({who: n for (who, each), n in due.items() if each == kind})
        got = Counter({who: n for (who, each), n in counted.items() if each == kind})
        missed, more = wanted - got, got - wanted
        for words, which in (("too few", missed), ("too many", more)):
            remarks.extend(
                f"{kind}: {n} {words} of company {who}"
                for who, n in sorted(which.items())[:REMARKS_PER_KIND]
            )
        scores.append(
            KindScore(kind=str(kind), planted=wanted.total(), found=(wanted & got).total(),
                      false_alarms=more.total(), mode="observe")
        )  # fmt: skip
    return scores


def compare_hotlines(
    firms: Iterable[Firm], breaches: Breaches, remarks: list[str]
) -> tuple[list[KindScore], KindScore]:
    """Count breaches due, found and false per kind; and those that must have been quashed."""
    due: dict[tuple[str, str], Hotline] = {}
    for firm in firms:
        for line in firm.company.hotlines:
            if line.is_breach:
                due[firm.sp_id, BREACHES[line.story]] = line
    remarks.extend(f"a breach was not found: {kind}" for _, kind in due.keys() - breaches.keys())
    remarks.extend(f"a breach that is none: {kind}" for _, kind in breaches.keys() - due.keys())
    kinds = []
    for kind in sorted({*BREACHES.values(), *(kind for _, kind in breaches)}):
        wanted = {key for key in due if key[1] == kind}
        got = {key for key in breaches if key[1] == kind}
        kinds.append(
            KindScore(kind=kind, planted=len(wanted), found=len(wanted & got),
                      false_alarms=len(got - wanted))
        )  # fmt: skip
    appealed = {key for key, line in due.items() if line.appealed}
    quashed = {key for key, states in breaches.items() if QUASHED in states}
    return kinds, KindScore(
        kind="quashed on appeal", planted=len(appealed), found=len(appealed & quashed),
        false_alarms=len(quashed - appealed),
    )  # fmt: skip


def compare_quarantine(
    spoiled: Mapping[int, Mapping[int, str]],
    quarantined: Mapping[int, Mapping[int, str]],
    remarks: list[str],
) -> KindScore:
    """Count broken lines that were set aside with the right reason, and lines set aside wrongly."""
    due = {(n, line, reason) for n, lines in spoiled.items() for line, reason in lines.items()}
    got = {(n, line, reason) for n, lines in quarantined.items() for line, reason in lines.items()}
    known = {reason.value for reason in Spoiled}
    for words, lines in (("not quarantined as", due - got), ("quarantined as", got - due)):
        for n, line, reason in sorted(lines)[:REMARKS_PER_KIND]:
            extra = "" if reason in known else " (unknown)"
            remarks.append(f"line {line} of parcel {n} {words} {reason}{extra}")
    return KindScore(
        kind="quarantined lines", planted=len(due), found=len(due & got),
        false_alarms=len(got - due),
    )  # fmt: skip


def consents_due(lives: Iterable[Life]) -> Consents:
    """Count from the timeline what must have become of the requests for monthly services."""
    deeds = Counter(event.deed for life in lives for event in life.events)
    asked = sum(deeds[d] for d in (Deed.ORDER, Deed.ASK_SP, Deed.ASK_AGENT, Deed.ASK_WEB))
    confirmed, refused = deeds[Deed.YES], deeds[Deed.NO]
    return Consents(
        asked=asked, confirmed=confirmed, refused=refused, expired=asked - confirmed - refused
    )
