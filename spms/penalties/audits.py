"""What SPs did in the days before, looked at once a day: each finding serves a notice.

Nothing here takes effect by itself: the SP may speak, and a second person decides. The same day
looked at again finds the same breaches, and while one about the same subject is not settled it is
that one (`reporting.report`).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from spms.core import rulebook
from spms.core.access import Actor
from spms.core.clock import business_day, business_month, start_of_day
from spms.core.db import Connection
from spms.partners.model import PartnerRules
from spms.penalties import audit_queries as queries
from spms.penalties.detectors import CONSENT_ERRORS, FROM_ERROR
from spms.penalties.model import BreachKind, Finding, PenaltyRules, Source
from spms.penalties.reporting import report

CHARGE_ERRORS = sorted(set(FROM_ERROR) - {"price_raised", "price_not_filed"})


DAYS_BACK = 3
"""Business days looked at each time: a day that was missed is made up for by the next."""


async def look(tx: Connection, *, actor: Actor, now: datetime) -> int:
    """Look at the business days before `now`; return how many findings there were."""
    rules = await rulebook.section(tx, PenaltyRules, at=now)
    found, until = await _hotlines(tx, now), start_of_day(business_day(now))
    for _ in range(DAYS_BACK):
        since = start_of_day(business_day(until - timedelta(hours=1)))
        for audit in (_charges, _prompts, _claims, _foreign):
            found += await audit(tx, since, until, rules)
        until = since
    for finding in sorted(found, key=lambda one: one.sp_id):
        await report(tx, finding, actor=actor, now=now)
    return len(found)


async def _charges(
    tx: Connection, since: datetime, until: datetime, rules: PenaltyRules
) -> list[Finding]:
    """Find services that had many charges refunded; errors of one kind are counted together."""
    counted: dict[tuple[UUID, UUID, BreachKind, Source], dict[str, int]] = {}
    for row in await queries.wrong_charges(tx, since, until, CHARGE_ERRORS):
        kind, source = FROM_ERROR[row.error]
        errors = counted.setdefault((row.sp_id, row.service_id, kind, source), {})
        errors[row.error] = row.charges
    return [
        Finding(
            sp_id=sp_id, kind=kind, source=source, source_id=f"{service_id}/{business_day(since)}",
            subject=str(service_id), service_ids=[service_id],
            statement=f"{sum(errors.values())} charges of {business_day(since)} were refunded: "
            + ", ".join(sorted(errors)),
        )
        for (sp_id, service_id, kind, source), errors in counted.items()
        if sum(errors.values()) >= _least(errors, rules)
    ]  # fmt: skip


def _least(errors: dict[str, int], rules: PenaltyRules) -> int:
    consent = CONSENT_ERRORS.issuperset(errors)
    return rules.unconsented_charges_a_day if consent else rules.wrong_charges_a_day


async def _prompts(
    tx: Connection, since: datetime, until: datetime, rules: PenaltyRules
) -> list[Finding]:
    """Find SPs that ask people for what these do not want, or for several things at once."""
    unwanted = await queries.unwanted_prompts(
        tx, since, until, least=rules.unwanted_prompts_least,
        percent=rules.unwanted_prompts_percent,
    )  # fmt: skip
    bundled = await queries.bundled(
        tx, since, until, least=rules.bundled_numbers_a_day, minutes=rules.bundle_minutes
    )
    return [
        *_findings(
            unwanted, BreachKind.SPAM, Source.CONSENT_AUDIT, since, subject="unwanted prompts",
            words="of {of} prompts that the SP asked for, {count} were refused or not answered",
        ),
        *_findings(
            bundled, BreachKind.BUNDLED_CONSENT, Source.CONSENT_AUDIT, since, subject="bundles",
            words=f"{{count}} numbers were asked for several services within"
            f" {rules.bundle_minutes} minutes",
        ),
    ]  # fmt: skip


async def _claims(
    tx: Connection, since: datetime, until: datetime, rules: PenaltyRules
) -> list[Finding]:
    """Find SPs that do not answer claims, or object to those that they lose."""
    silent, lost = [
        await queries.claims_lost(tx, since, until, least=least, objected=objected)
        for least, objected in (
            (rules.silent_claims_a_day, False), (rules.lost_objections_a_day, True),
        )
    ]  # fmt: skip
    return [
        *_findings(
            silent, BreachKind.COMPLAINT_UNANSWERED, Source.COMPENSATION, since,
            subject="claims", words="{count} claims got no answer in their time",
        ),
        *_findings(
            lost, BreachKind.REFUND_REFUSED, Source.COMPENSATION, since,
            subject="claims", words="{count} objections to refunds were overruled",
        ),
    ]  # fmt: skip


async def _foreign(
    tx: Connection, since: datetime, until: datetime, rules: PenaltyRules
) -> list[Finding]:
    """Find SPs that want to send or charge under another's number or code."""
    least = rules.foreign_questions_a_day
    numbers = await queries.foreign(tx, since, until, reason="access_number_wrong", least=least)
    codes = await queries.foreign(tx, since, until, reason="service_not_of_sp", least=least)
    return [
        *_findings(
            numbers, BreachKind.SENDER_HIDDEN, Source.CONSENT_AUDIT, since,
            subject="access numbers",
            words="{count} questions named an access number that is not the service's",
        ),
        *_findings(
            codes, BreachKind.PORT_SUBLET, Source.CONSENT_AUDIT, since, subject="service codes",
            words="{count} questions named a service of another SP",
        ),
    ]  # fmt: skip


async def _hotlines(tx: Connection, now: datetime) -> list[Finding]:
    """Find active SPs with fewer hotlines in force than the rulebook asks for by now."""
    least = (await rulebook.section(tx, PartnerRules, at=now)).hotlines_min
    rows = await queries.too_few_hotlines(tx, now, least=least)
    return list(_findings(
        rows, BreachKind.HOTLINES_TOO_FEW, Source.INSPECTION,
        start_of_day(business_month(now)), subject="hotlines",
        words=f"{{count}} hotlines in force; {least} are asked for",
    ))  # fmt: skip


def _findings(
    rows: list[queries.Counted],
    kind: BreachKind,
    source: Source,
    day: datetime,
    *,
    subject: str,
    words: str,
) -> Iterator[Finding]:
    """Make one finding of each SP; the same day's again is the same."""
    for row in rows:
        yield Finding(
            sp_id=row.sp_id, kind=kind, source=source, service_ids=sorted(row.service_ids),
            source_id=f"{row.sp_id}/{business_day(day)}", subject=subject,
            statement=f"{business_day(day)}: " + words.format(count=row.count, of=row.of),
        )  # fmt: skip
