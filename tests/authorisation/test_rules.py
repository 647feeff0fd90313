"""The decision without a database: each reason alone, several at once, and what is not judged."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.authorisation.content import ContentFact
from spms.authorisation.explanation import checks, differences, for_sp
from spms.authorisation.explanation_model import Verdict
from spms.authorisation.model import (
    BarFact,
    CapRules,
    Facts,
    NumberFact,
    OwnCaps,
    Purpose,
    PushRules,
    QuotaFact,
    Reason,
    RelationFact,
    RestrictionFact,
    SentFact,
    ServiceFact,
)
from spms.authorisation.rules import CHECKS, choose, judge, outcomes
from spms.subscribers.model import Language

CAPS = CapRules()
SP, OTHER = uuid4(), uuid4()
SINCE = datetime(2026, 3, 1, tzinfo=UTC)

SERVICE = ServiceFact(
    id=uuid4(), code="100001", sp_id=SP, kind="monthly", status="online", access_number="106900",
    access_number_sp_id=SP, tariff_id=uuid4(), tariff_version=1, tariff_price_fen=800,
    notice_id=uuid4(), notice_version=1, category="information",
)  # fmt: skip
ON_DEMAND = msgspec.structs.replace(SERVICE, kind="on_demand")
NUMBER = NumberFact(state="active", epoch=1, event_id=uuid4())
RELATION = RelationFact(
    id=uuid4(), epoch=1, price_fen=800, live=True, active_from=SINCE,
    consent_kind="confirmation", consent_price_fen=800,
)  # fmt: skip
ORDER = msgspec.structs.replace(RELATION, consent_kind="order")
WAITING = msgspec.structs.replace(
    RELATION, live=False, active_from=None, consent_kind=None, consent_price_fen=None
)


def some_facts(**values: Any) -> Facts:
    """Return facts of a charge that may go, but for `values`."""
    usual: dict[str, Any] = {
        "purpose": Purpose.CHARGE, "price_fen": 800, "sp_id": SP, "sp_status": "active",
        "service": SERVICE, "number": NUMBER, "relation": RELATION, "caps": CAPS,
    }  # fmt: skip
    return Facts(**(usual | values))


def service(**values: Any) -> ServiceFact:
    return msgspec.structs.replace(SERVICE, **values)


def relation(**values: Any) -> RelationFact:
    return msgspec.structs.replace(RELATION, **values)


def held(measure: str, service_id: UUID | None = None) -> tuple[RestrictionFact, ...]:
    fact = RestrictionFact(
        id=uuid4(), measure=measure, cause_kind="breach", cause_id="b1", service_id=service_id
    )
    return (fact,)


QUOTA = QuotaFact(id=uuid4(), version=1, per_second=5, per_day=50, per_month=900)
PUSH: dict[str, Any] = {"purpose": Purpose.MESSAGE, "price_fen": 0, "quota": QUOTA}
CATEGORY_CAP = CapRules(category_month_fen={"information": 10_000})
ALLOWED = {
    "the last fen under the category's cap": {"caps": CATEGORY_CAP, "spent_category_fen": 9200},
    "another category's cap": {
        "caps": CapRules(category_month_fen={"games": 1}), "spent_category_fen": 9201,
    },
    "a charge in quiet hours": {"quiet": True},
    "the last message of the second, the day and the month": PUSH | {
        "sent": SentFact(second=4, day=49, month=899),
    },
    "as many as come": PUSH | {
        "quota": QuotaFact(id=uuid4(), version=1), "sent": SentFact(second=9, day=9, month=9),
    },
    "a charge of an SP that has sent all it may": {
        "quota": QUOTA, "sent": SentFact(second=9, day=99, month=999),
    },
    "an approved text": PUSH | {
        "content": ContentFact(bound=True, template_id=uuid4(), template_version=1),
    },
    "no text where none is needed": PUSH | {"content": ContentFact(given=False)},
    "an answer to an order in quiet hours": {
        "service": ON_DEMAND, "relation": ORDER, "purpose": Purpose.MESSAGE, "price_fen": 0,
        "quiet": True,
    },
    "a confirmed monthly charge": {},
    "a message to a live relation": {"purpose": Purpose.MESSAGE, "price_fen": 0},
    "a message beyond every cap": {
        "purpose": Purpose.MESSAGE, "price_fen": 0, "spent_service_fen": 3000,
        "spent_total_fen": 10_000,
    },
    "an order": {"service": ON_DEMAND, "relation": ORDER},
    "a confirmed on-demand relation": {"service": ON_DEMAND},
    "a message for a used order": {
        "service": ON_DEMAND, "relation": msgspec.structs.replace(ORDER, used=True),
        "purpose": Purpose.MESSAGE, "price_fen": 0,
    },
    "a message in the trial": {
        "purpose": Purpose.MESSAGE, "price_fen": 0,
        "relation": msgspec.structs.replace(RELATION, free=True, charge_from=SINCE),
    },
    "the right access number": {"access_number": "106900"},
    "the agreed price after the tariff rose": {"service": service(tariff_price_fen=1000)},
    "the agreed price while the new tariff has no notice": {
        "service": service(tariff_price_fen=1000, notice_id=None, notice_version=None),
    },
    "the last fen under the service cap": {
        "service": ON_DEMAND, "relation": ORDER, "spent_service_fen": 2200,
        "spent_total_fen": 2200,
    },
    "a month of which other services were charged": {"spent_total_fen": 2200},
    "the last fen under the total cap": {"spent_total_fen": 9200},
    "above the operator's caps, within her own": {
        "service": ON_DEMAND, "relation": ORDER,
        "spent_service_fen": 2201, "spent_total_fen": 9201,
        "own_caps": OwnCaps(service_month_fen=3001, total_month_fen=10_001),
    },
    "a message while a wish to leave waits": {
        "purpose": Purpose.MESSAGE, "price_fen": 0, "leave_received_at": SINCE,
    },
    "a measure that does not stop charges": {"restrictions": held("no_new_subscriptions")},
    "settlement held": {"restrictions": held("settlement_held")},
}  # fmt: skip


@pytest.mark.parametrize("values", ALLOWED.values(), ids=ALLOWED)
def test_it_is_allowed(values: dict[str, Any]) -> None:
    facts = some_facts(**values)
    assert judge(facts, facts.caps) == ()


def test_quiet_hours_may_pass_midnight_or_be_none() -> None:
    night, noon = PushRules(), PushRules(quiet_from_hour=12, quiet_to_hour=14)
    assert [hour for hour in range(24) if night.quiet(hour)] == [*range(7), 22, 23]
    assert [hour for hour in range(24) if noon.quiet(hour)] == [12, 13]
    never = PushRules(quiet_from_hour=5, quiet_to_hour=5)
    assert not any(never.quiet(hour) for hour in range(24))


ALONE = [
    ("sp_not_active", {"sp_status": "closed"}),
    ("sp_not_active", {"sp_status": None}),
    ("sp_offline", {"restrictions": held("offline")}),
    ("service_unknown", {"service": None, "relation": None}),
    ("service_not_of_sp", {"service": service(sp_id=OTHER), "relation": None}),
    ("service_not_online", {"service": service(status="offline")}),
    ("service_not_online", {"service": service(status="withdrawn")}),
    ("service_shielded", {"restrictions": held("shielded")}),
    ("service_shielded", {"restrictions": held("shielded", SERVICE.id)}),
    ("service_shielded", {"restrictions": held("offline", SERVICE.id)}),
    ("access_number_wrong", {"access_number": "106901"}),
    (
        "access_number_wrong",
        {"access_number": "106900", "service": service(access_number_sp_id=OTHER)},
    ),
    ("access_number_wrong", {"service": service(access_number_sp_id=OTHER)}),
    ("trial", {"relation": relation(free=True, charge_from=SINCE)}),
    ("price_mismatch", {"price_fen": 801}),
    ("price_mismatch", {"price_fen": 799}),
    ("price_mismatch", {"relation": relation(price_fen=500, consent_price_fen=500)}),
    ("price_mismatch", {"relation": relation(consent_price_fen=500)}),
    ("price_mismatch", {"purpose": Purpose.MESSAGE, "price_fen": 800}),
    ("number_unknown", {"number": None, "relation": None}),
    ("number_suspended", {"number": NumberFact(state="suspended", epoch=1, event_id=uuid4())}),
    ("number_terminated", {"number": NumberFact(state="terminated", epoch=1, event_id=uuid4())}),
    ("no_consent", {"relation": None}),
    ("no_consent", {"relation": relation(consent_kind=None, consent_price_fen=None)}),
    ("no_consent", {"relation": ORDER}),  # an order is not enough for a monthly service
    ("no_consent", {"relation": None, "purpose": Purpose.MESSAGE, "price_fen": 0}),
    ("consent_pending", {"relation": WAITING}),
    ("barred_all", {"bars": (BarFact(id=uuid4(), scope="all"),)}),
    (
        "barred_all",
        {"bars": (BarFact(id=uuid4(), scope="all"),), "purpose": Purpose.MESSAGE, "price_fen": 0},
    ),
    ("barred_sp", {"bars": (BarFact(id=uuid4(), scope="sp"),)}),
    ("barred_category", {"bars": (BarFact(id=uuid4(), scope="category"),)}),
    ("leave_received", {"leave_received_at": SINCE}),
    (
        "order_used",
        {"service": ON_DEMAND, "relation": msgspec.structs.replace(ORDER, used=True)},
    ),
    ("quiet_hours", {"purpose": Purpose.MESSAGE, "price_fen": 0, "quiet": True}),
    ("cap_category", {"caps": CATEGORY_CAP, "spent_category_fen": 9201}),
    ("cap_service", {"own_caps": OwnCaps(service_month_fen=799)}),
    ("cap_total", {"own_caps": OwnCaps(total_month_fen=0)}),
    (
        "cap_service",
        {
            "service": ON_DEMAND,
            "relation": ORDER,
            "spent_service_fen": 2201,
            "spent_total_fen": 2201,
        },
    ),
    ("month_used", {"spent_service_fen": 1, "spent_total_fen": 1}),
    ("month_used", {"spent_service_fen": 800, "spent_total_fen": 800}),
    ("cap_total", {"spent_total_fen": 9201}),
    ("sp_quota", PUSH | {"sent": SentFact(second=0, day=50, month=50)}),
    ("sp_quota", PUSH | {"sent": SentFact(second=0, day=0, month=900)}),
    ("sp_rate", PUSH | {"sent": SentFact(second=5, day=5, month=5)}),
    ("content_forbidden", PUSH | {"content": ContentFact(forbidden=("lottery",))}),
    ("content_not_approved", PUSH | {"content": ContentFact(bound=True)}),
    ("content_not_approved", PUSH | {"content": ContentFact(given=False, bound=True)}),
]


@pytest.mark.parametrize(("reason", "values"), ALONE)
def test_one_thing_is_wrong_and_only_that_is_named(reason: str, values: dict[str, Any]) -> None:
    facts = some_facts(**values)
    assert judge(facts, facts.caps) == (reason,)


def test_every_reason_is_met_alone() -> None:
    # Without a notice nobody can have agreed, unless it was to earlier terms, which go on.
    assert {reason for reason, _ in ALONE} == set(Reason) - {Reason.NO_NOTICE}


NO_NOTICE = {"service": service(notice_id=None, notice_version=None)}
TOGETHER = [
    (["no_notice", "no_consent"], NO_NOTICE | {"relation": None}),
    (["no_notice", "consent_pending"], NO_NOTICE | {"relation": WAITING}),
    (
        ["no_notice", "no_consent"],
        NO_NOTICE | {"relation": relation(consent_kind=None, consent_price_fen=None)},
    ),
    (
        ["no_notice", "no_consent"],
        {"service": service(tariff_id=None, tariff_price_fen=None), "relation": None},
    ),
    (
        ["sp_not_active", "sp_offline", "service_not_online", "number_suspended"],
        {
            "sp_status": "closed", "restrictions": held("offline"),
            "service": service(status="draft"),
            "number": NumberFact(state="suspended", epoch=1, event_id=uuid4()),
        },
    ),
    (
        ["service_shielded", "access_number_wrong", "price_mismatch", "no_consent"],
        {
            "restrictions": held("shielded"), "access_number": "106901", "price_fen": 900,
            "relation": None,
        },
    ),
    (
        ["month_used", "cap_service", "cap_total"],
        {"spent_service_fen": 3000, "spent_total_fen": 10_000},
    ),
    (["leave_received", "month_used"], {"leave_received_at": SINCE, "spent_service_fen": 800}),
    (
        ["order_used", "cap_service"],
        {
            "service": ON_DEMAND, "relation": msgspec.structs.replace(ORDER, used=True),
            "spent_service_fen": 3000, "spent_total_fen": 3000,
        },
    ),
    (
        ["quiet_hours", "sp_quota", "sp_rate", "content_forbidden", "content_not_approved"],
        PUSH | {
            "quiet": True, "sent": SentFact(second=5, day=50, month=50),
            "content": ContentFact(forbidden=("loan", "lottery"), bound=True),
        },
    ),
    (
        ["service_unknown", "number_unknown"],
        {"service": None, "number": None, "relation": None, "price_fen": 1},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("reasons", "values"), TOGETHER)
def test_everything_that_is_wrong_is_named_in_order(
    reasons: list[str], values: dict[str, Any]
) -> None:
    assert judge(some_facts(**values), CAPS) == tuple(reasons)


def test_prices_cannot_be_tried_to_learn_what_a_person_spends() -> None:
    facts = some_facts(
        service=ON_DEMAND, relation=ORDER, price_fen=900, spent_service_fen=3000,
        spent_total_fen=10_000,
    )  # fmt: skip
    assert judge(facts, CAPS) == ("price_mismatch",)


def test_nothing_is_told_about_relations_with_another_sp() -> None:
    facts = some_facts(service=service(sp_id=OTHER), price_fen=1)
    assert judge(facts, CAPS) == ("service_not_of_sp",)


def test_the_rules_in_force_decide_about_caps() -> None:
    facts = some_facts(
        service=ON_DEMAND, relation=ORDER, spent_service_fen=200, spent_total_fen=200
    )
    assert judge(facts, CapRules(service_month_fen=1000)) == ()
    assert judge(facts, CapRules(service_month_fen=999)) == ("cap_service",)


def test_checks_come_in_the_order_of_the_closed_list() -> None:
    assert list(CHECKS) == list(Reason)


def test_the_oldest_unused_order_is_judged_first() -> None:
    old, new = relation(id=uuid4()), relation(id=uuid4())
    used = relation(id=uuid4(), used=True)
    assert choose([used, old, new], epoch=1) is old
    assert choose([used], epoch=1) is used
    assert choose([WAITING, old], epoch=1) is old
    assert choose([WAITING], epoch=1) is WAITING
    assert choose([], epoch=1) is None


def test_a_link_id_means_one_order_and_no_other() -> None:
    old, new = relation(id=uuid4(), link_id="0" * 20), relation(id=uuid4(), link_id="1" * 20)
    assert choose([old, new], epoch=1, link_id="1" * 20) is new
    assert choose([old, new], epoch=1, link_id="2" * 20) is None
    assert choose([old, new], epoch=2, link_id="1" * 20) is None


def test_a_relation_of_the_numbers_earlier_owner_does_not_count() -> None:
    assert choose([relation(epoch=1)], epoch=2) is None


FACTS = st.builds(
    some_facts,
    purpose=st.sampled_from(Purpose),
    price_fen=st.sampled_from([0, 1, 800, 1_000_000]),
    access_number=st.sampled_from([None, "106900", "106901"]),
    sp_status=st.sampled_from([None, "active", "closed"]),
    restrictions=st.sampled_from([(), held("offline"), held("shielded", SERVICE.id)]),
    service=st.sampled_from([None, SERVICE, ON_DEMAND, service(sp_id=OTHER), service(
        tariff_id=None, tariff_price_fen=None, tariff_version=None, notice_id=None)]),
    number=st.sampled_from([None, NUMBER, NumberFact(
        state="terminated", epoch=1, event_id=uuid4())]),
    relation=st.sampled_from([None, RELATION, ORDER, WAITING, relation(used=True),
        relation(free=True, charge_from=SINCE)]),
    spent_service_fen=st.integers(0, 4000),
    spent_total_fen=st.integers(0, 11_000),
    quota=st.sampled_from([None, QUOTA, QuotaFact(id=uuid4(), version=2)]),
    sent=st.sampled_from([None, SentFact(second=0, day=0, month=0),
        SentFact(second=9, day=99, month=999)]),
    content=st.sampled_from([None, ContentFact(), ContentFact(forbidden=("loan",)),
        ContentFact(given=False, bound=True), ContentFact(bound=True, template_id=uuid4(),
        template_version=3)]),
)  # fmt: skip


@given(FACTS)
def test_an_allowed_charge_has_a_consent_a_notice_and_an_agreed_price(facts: Facts) -> None:
    if judge(facts, CAPS) == () and facts.purpose is Purpose.CHARGE:
        assert facts.relation is not None
        assert facts.relation.consent_kind is not None
        assert facts.service is not None
        assert facts.service.notice_id is not None
        assert facts.price_fen == facts.relation.price_fen
        assert (facts.spent_total_fen or 0) + facts.price_fen <= CAPS.total_month_fen


@given(FACTS)
def test_every_decision_can_be_told_in_sentences_that_match_its_answer(facts: Facts) -> None:
    for language, end in ((Language.EN, "."), (Language.ZH, "。")):
        for show_total in (True, False):
            told = checks(facts, show_total=show_total, language=language)
            assert [check.reason for check in told] == list(Reason)
            assert all(check.sentence.endswith(end) for check in told)
            failed = tuple(check.reason for check in told if check.verdict is Verdict.FAILED)
            assert failed == judge(facts, facts.caps)


@given(FACTS)
def test_recorded_facts_are_read_back_as_they_were(facts: Facts) -> None:
    assert msgspec.json.decode(msgspec.json.encode(facts), type=Facts) == facts


def test_every_cause_of_a_restriction_in_force_is_named() -> None:
    causes = [("breach", "b-1", None), ("officer", "o-2", None), ("breach", "b-3", SERVICE.id)]
    facts = some_facts(restrictions=tuple(
        RestrictionFact(id=uuid4(), measure="offline", cause_kind=kind, cause_id=cause, service_id=of)
        for kind, cause, of in causes
    ))  # fmt: skip
    for language in Language:
        told = {
            one.reason: one.sentence for one in checks(facts, show_total=True, language=language)
        }
        assert all(cause in told[Reason.SP_OFFLINE] for cause in ("b-1", "o-2"))
        assert "b-3" in told[Reason.SERVICE_SHIELDED]
    assert judge(facts, CAPS) == ("sp_offline", "service_shielded")


def test_an_sp_is_not_told_what_the_person_spends_elsewhere() -> None:
    facts = some_facts(spent_total_fen=9337)
    told = " ".join(check.sentence for check in checks(facts, show_total=False))
    assert "93.37" not in told
    assert "93.37" in " ".join(check.sentence for check in checks(facts, show_total=True))
    assert msgspec.json.decode(msgspec.json.encode(for_sp(facts)))["spent_total_fen"] is None


def test_an_sp_is_told_since_when_only_of_a_service_of_its_own() -> None:
    facts = some_facts()
    assert facts.service is not None
    service = msgspec.structs.replace(facts.service, status_since=datetime(2026, 1, 1, tzinfo=UTC))
    for sp_id, told in ((service.sp_id, service.status_since), (uuid4(), None)):
        seen = for_sp(msgspec.structs.replace(facts, service=service, sp_id=sp_id)).service
        assert seen == msgspec.structs.replace(service, status_since=told)


def test_differences_name_the_checks_that_came_out_otherwise() -> None:
    before, after = some_facts(), some_facts(relation=None, sp_status="closed")
    assert differences(before, before) == ()
    assert set(differences(before, after)) == {
        Reason.SP_NOT_ACTIVE, Reason.NO_CONSENT, Reason.TRIAL, Reason.MONTH_USED,
        Reason.CAP_SERVICE, Reason.CAP_TOTAL,
    }  # fmt: skip


def test_a_check_that_does_not_apply_is_not_called_passed() -> None:
    verdicts = dict(outcomes(some_facts(service=None, relation=None), CAPS))
    assert verdicts[Reason.PRICE_MISMATCH] is None
    assert verdicts[Reason.NO_CONSENT] is None


def test_an_sp_is_not_told_what_cap_a_person_set_over_everybody() -> None:
    facts = some_facts(own_caps=OwnCaps(total_month_fen=4321))
    assert for_sp(facts).own_caps == OwnCaps()
    said = {check.reason: check.sentence for check in checks(facts, show_total=False)}
    assert "43.21" not in said[Reason.CAP_TOTAL]
