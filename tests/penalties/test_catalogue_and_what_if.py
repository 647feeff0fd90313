"""The catalogue is whole; a changed rulebook is tried on the past before it takes force."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from jobs import TIMETABLE
from spms.charging.model import Finding as ChargeFinding
from spms.core.errors import NotAllowed
from spms.core.machine import advance
from spms.partners.model import Measure
from spms.partners.rules import company_key
from spms.penalties.catalogue import CATALOGUE, terms
from spms.penalties.detectors import FOUND_BY, FROM_ERROR, REPORTED_BY_PEOPLE
from spms.penalties.model import BreachKind, Grade, PenaltyRules, Remedy, RemedyAction, Source
from spms.penalties.register_queries import Linked, Past
from spms.penalties.rules import REMEDIES, WORSE, escalation_points, rank_of
from spms.penalties.what_if import compare, months_before
from tests import make

NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)
RULES = PenaltyRules()
DOC = (Path(__file__).parents[2] / "docs" / "penalties.md").read_text("utf-8")
LINES = DOC.splitlines()


def test_every_kind_has_one_line_with_a_source_a_name_and_a_reporter_and_stands_in_the_manual():
    assert set(CATALOGUE) == set(BreachKind)
    assert len(CATALOGUE) == 51  # as many as the source has (domain §1.10 P1)
    assert all(o.rule and o.name and Source.OFFICER in o.causes for o in CATALOGUE.values())
    assert {o.grade for o in CATALOGUE.values() if o.interim} == {Grade.GRAVE}
    for offence in CATALOGUE.values():
        assert f"| {offence.kind} | {offence.name} | {offence.grade} |" in DOC
    for kind, source in FROM_ERROR.values():
        assert source in CATALOGUE[kind].causes
    prices = {"price_raised", "price_not_filed"}  # wrong prices, seen closer
    assert set(FROM_ERROR) == {f.value for f in ChargeFinding} | prices
    reported = {cause for o in CATALOGUE.values() for cause in o.causes}
    assert reported == set(Source) - {Source.ESCALATION, Source.LINKAGE}


def test_of_every_kind_the_manual_says_which_job_finds_it_or_why_people_report_it():
    assert set(FOUND_BY).isdisjoint(REPORTED_BY_PEOPLE)
    assert set(FOUND_BY) | set(REPORTED_BY_PEOPLE) == set(BreachKind)
    jobs = {job.name for job in TIMETABLE}
    for kind, job in FOUND_BY.items():
        assert job in jobs
        assert any(
            f"| {kind} |" in line and f"| [{job}](jobs/{job}.md) |" in line for line in LINES
        )
    for kind, why in REPORTED_BY_PEOPLE.items():
        assert any(f"| {kind} |" in line and f"| {why} |" in line for line in LINES)


@pytest.mark.parametrize(
    ("grade", "points", "cut", "fine", "days"),
    [
        (Grade.GENERAL, 10, 10, 500_000, 5),
        (Grade.SERIOUS, 30, 30, 1_000_000, 3),
        (Grade.GRAVE, 60, 50, 20_000_000, 0),
    ],
)
def test_a_grade_brings_what_the_design_says(grade, points, cut, fine, days):
    got = terms(BreachKind.SPAM, RULES, grade=grade)
    assert (got.points, got.cut_percent, got.fine_fen, got.cure_working_days) == (
        points, cut, fine, days,
    )  # fmt: skip
    assert got.suspended is (grade is Grade.GENERAL)


def test_escalations_add_up_to_the_higher_grade():
    general, serious, grave = (terms(BreachKind.SPAM, RULES, grade=grade) for grade in Grade)
    assert general.points + escalation_points(general, serious) == serious.points
    assert serious.points + escalation_points(serious, grave) == grave.points
    assert escalation_points(grave, grave) == grave.points
    assert WORSE[Grade.GRAVE] is Grade.GRAVE


@pytest.mark.parametrize(("left", "name"), [(100, "A"), (95, "A"), (94, "B"), (60, "C"), (59, "-")])
def test_what_an_sp_may_apply_for_depends_on_what_is_left(left, name):
    rank = rank_of(left, RULES)
    assert (rank.name, rank.high_price) == (name, name == "A")


@pytest.mark.parametrize("over", [Remedy.CLOSED, Remedy.ESCALATED, Remedy.VOID])
@pytest.mark.parametrize("action", RemedyAction)
def test_a_cure_that_is_over_stays_over(over, action):
    with pytest.raises(NotAllowed):
        advance(REMEDIES, over, action)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("津门信息有限公司", "津门信息股份有限公司"),
        ("津门 信息 有限公司", "津门信息集团"),
        ("ABC Info Co., Ltd", "ＡＢС info"),
    ],
)
def test_a_legal_form_does_not_make_another_company(one, other):
    assert company_key(one) == company_key(other)
    assert company_key("公司") == "公司"


def past(kind, days, **other):
    fields = {
        "id": uuid4(), "sp_id": make_id, "sp_code": "900001", "sp_name": "津门", "kind": kind,
        "grade": Grade.SERIOUS, "points": 30, "service_ids": [], "source_kind": "officer",
        "decided_at": NOON + timedelta(days=days), "caused_by": None, "remedy": Remedy.DUE,
    } | other  # fmt: skip
    return Past(**fields)


make_id = uuid4()


def test_the_same_past_under_other_rules():
    first = past(BreachKind.SPAM, 0)
    breaches = [
        first,
        past(BreachKind.SPAM, 9, caused_by=first.id, source_kind=Source.ESCALATION),
        past(BreachKind.BAD_PRESS, 1, sp_id=uuid4(), sp_code="900002"),
    ]
    stricter = PenaltyRules(grades={BreachKind.SPAM: Grade.GRAVE})
    hit, spared = compare(breaches, [], RULES, stricter)
    assert (hit.now.left, hit.then.left, hit.differs) == (40, -20, True)
    assert Measure.OFFLINE in hit.then.measures
    assert Measure.OFFLINE not in hit.now.measures
    assert (hit.now.fine_fen, hit.then.fine_fen) == (21_000_000, 40_000_000)
    assert (spared.differs, spared.now.left) == (False, 90)
    assert all(not fared.differs for fared in compare(breaches, [], RULES, RULES))


def test_a_fine_that_was_suspended_counts_when_the_breach_was_not_cured():
    cured = past(BreachKind.BAD_PRESS, 0, remedy=Remedy.CLOSED)
    late = past(BreachKind.BAD_PRESS, 1, remedy=Remedy.ESCALATED)
    [fared] = compare([cured, late], [], RULES, RULES)
    assert fared.now.fine_fen == 500_000


def test_linkage_is_tried_like_any_other_rule_and_what_it_carried_is_carried_anew():
    breach = past(BreachKind.SPAM, 0)
    other, stranger = uuid4(), uuid4()
    carried = past(BreachKind.SPAM, 0, sp_id=other, source_kind=Source.LINKAGE)
    linked = [
        Linked(sp_id=sp_id, sp_code=code, sp_name="津门", company=company)
        for sp_id, code, company in (
            (breach.sp_id, "900001", "津门"), (other, "900002", "津门"), (stranger, "900003", "他"),
        )
    ]  # fmt: skip
    on = msgspec.structs.replace(RULES, linkage_from=Grade.SERIOUS)
    for before in ([breach], [breach, carried]):
        fared = {one.sp_id: one for one in compare(before, linked, RULES, on)}
        assert set(fared) == {breach.sp_id, other}
        assert (fared[other].now.left, fared[other].then.left) == (100, 70)
        assert fared[other].then.fine_fen == 0
        assert not fared[breach.sp_id].differs
    grave = msgspec.structs.replace(RULES, linkage_from=Grade.GRAVE)
    assert other not in {one.sp_id for one in compare([breach], linked, RULES, grave)}


def test_months_before_crosses_the_year():
    assert months_before(date(2026, 3, 1), 0) == date(2026, 3, 1)
    assert months_before(date(2026, 3, 1), 3) == date(2025, 12, 1)


async def test_over_http_a_draft_is_tried_and_nothing_changes(case, http, sign_in):
    await case.effective(BreachKind.SPAM)
    officer = await sign_in(make.OFFICER)
    await case.later(hours=1)
    body = {"rules": {"points": {"general": 10, "serious": 100, "grave": 100}}, "months": 6}
    answer = await http.post("/penalty-what-ifs", json=body, headers=officer)
    assert answer.status_code == 200, answer.text
    (fared,) = answer.json()["sps"]
    assert (fared["now"]["left"], fared["then"]["left"]) == (70, 0)
    assert "offline" in fared["then"]["measures"]
    assert await case.left() == 70
    bad = await http.post("/penalty-what-ifs", json={"rules": {"point": 1}}, headers=officer)
    assert bad.status_code == 400
