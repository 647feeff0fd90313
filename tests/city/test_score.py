"""The score counts what is missed and what is found without reason, and the report says so."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console

from spms.charging.model import AuditRules, Finding
from spms.city import report
from spms.city.api import client
from spms.city.export import export
from spms.city.model import (
    Company,
    Consents,
    Fault,
    Hotline,
    KindScore,
    LineStory,
    Report,
)
from spms.city.plan import draw
from spms.city.score import (
    compare,
    compare_counts,
    compare_hotlines,
    compare_quarantine,
    mode,
)
from spms.city.stage import Firm

BEGAN = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)


def firm(sp_id: str, *stories: LineStory, appealed: bool = False) -> Firm:
    lines = tuple(Hotline(n=n, story=s, appealed=appealed) for n, s in enumerate(stories))
    company = Company(n=0, name="星河", good=False, hotlines=lines, offers=())
    return Firm(company, sp_id, client("", ""))


def test_a_missed_error_a_wrong_kind_and_a_false_alarm_are_counted_each_under_its_kind() -> None:
    planted = {"a": Fault.DUPLICATE, "b": Fault.DUPLICATE, "c": None, "d": Fault.NO_CONSENT}
    findings = {
        "a": frozenset({"duplicate"}),
        "b": frozenset({"no_consent"}),
        "c": frozenset({"over_cap"}),
        "x": frozenset({"made_up"}),
    }
    remarks: list[str] = []

    scores = {score.kind: score for score in compare(planted, findings, remarks)}

    assert scores["duplicate"] == KindScore(
        kind="duplicate", planted=2, found=1, false_alarms=0, mode="refund"
    )  # fmt: skip
    assert scores["no_consent"] == KindScore(
        kind="no_consent", planted=1, found=0, false_alarms=1, mode="refund"
    )  # fmt: skip
    assert scores["over_cap"].false_alarms == 1
    assert scores["made_up"].false_alarms == 1
    assert len(remarks) == 5


def test_what_is_only_counted_is_compared_by_company_and_too_many_is_a_false_alarm() -> None:
    due = Counter({(0, "no_decision"): 2, (1, "no_decision"): 1, (1, "delivered_not_charged"): 1})
    counted = Counter({(0, "no_decision"): 1, (1, "no_decision"): 4, (1, "odd"): 1})
    remarks: list[str] = []

    scores = {score.kind: score for score in compare_counts(due, counted, remarks)}

    got = {kind: (s.planted, s.found, s.false_alarms, s.precision) for kind, s in scores.items()}
    assert got == {
        "no_decision": (3, 2, 3, 0.4), "delivered_not_charged": (1, 0, 0, None),
        "odd": (0, 0, 1, 0.0),
    }  # fmt: skip
    assert len(remarks) == 4


def test_every_rule_of_the_audit_has_its_mode_and_a_plant_of_its_own() -> None:
    """The city knows the platform's rules by their names only; here the two are held together."""
    rules = AuditRules()

    assert {fault.value for fault in Fault} == {finding.value for finding in Finding}
    for finding in Finding:
        assert mode(finding.value) == rules.mode(finding).value


def test_a_breach_counts_only_for_the_company_and_the_kind_it_was_planted_for() -> None:
    firms = [
        firm("dead", LineStory.NO_ANSWER),
        firm("moved", LineStory.CHANGED, appealed=True),
        firm("network", LineStory.CONGESTION, LineStory.BUSY_ONCE),
    ]
    breaches = {
        ("dead", "hotline_changed"): {"effective"},
        ("moved", "hotline_changed"): {"quashed"},
        ("network", "hotline_unreachable"): {"effective"},
    }

    kinds, quashed = compare_hotlines(firms, breaches, [])

    counts = {score.kind: (score.planted, score.found, score.false_alarms) for score in kinds}
    assert counts == {"hotline_changed": (1, 1, 1), "hotline_unreachable": (1, 0, 1)}
    assert (quashed.planted, quashed.found, quashed.false_alarms) == (1, 1, 0)


def test_an_appealed_breach_that_was_not_quashed_is_missing() -> None:
    firms = [firm("moved", LineStory.CHANGED, appealed=True)]

    _, quashed = compare_hotlines(firms, {("moved", "hotline_changed"): {"appealed"}}, [])

    assert (quashed.planted, quashed.found) == (1, 0)


def test_a_broken_line_counts_only_on_its_line_and_with_its_reason() -> None:
    spoiled = {1: {2: "msisdn_length", 3: "time_old"}, 2: {1: "dup_conflict"}}
    quarantined = {1: {2: "msisdn_length", 3: "time_future"}, 2: {}}
    remarks: list[str] = []

    score = compare_quarantine(spoiled, quarantined, remarks)

    assert (score.planted, score.found, score.false_alarms) == (3, 1, 1)
    assert len(remarks) == 3


def test_the_table_fits_a_hundred_columns_and_marks_what_does_not_agree() -> None:
    none = Consents(asked=0, confirmed=0, refused=0, expired=0)
    made = Report(
        seed=1, subscribers=100_000, days=366, companies=300, services=600, began=BEGAN,
        kinds=(KindScore(kind="duplicate", planted=10**6, found=3, false_alarms=10**6),),
        hotlines=(), quashed=KindScore(kind="quashed on appeal", planted=0, found=0,
                                       false_alarms=0),
        quarantine=KindScore(kind="quarantined lines", planted=0, found=0, false_alarms=0),
        charges=10**7, landed=10**7, files=10**5, batches=10**5, redelivered=10**4,
        owed_fen=10**11, refunded_fen=10**11, receivable_fen=10**11, consents_due=none,
        consents=none, events=10**7, requests=10**8, retries=10**6, seconds=12345.6,
        faults=("duplicate not found: record ABC-1",), ok=False,
    )  # fmt: skip
    console = Console(width=100)
    with console.capture() as capture:
        console.print(report.table(made))
    text = capture.get()

    assert max(map(len, text.splitlines())) <= 100
    assert "NOT everything agrees" in text
    assert "record ABC-1" in text


def test_a_city_as_files_is_the_same_again_and_labels_every_wrong_charge(tmp_path: Path) -> None:
    city = draw(seed=3, subscribers=60, days=5)
    first = export(city, BEGAN, tmp_path / "a")
    export(city, BEGAN, tmp_path / "b")

    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert {str(name) for name in names} >= {
        "sps.ndjson", "events.ndjson", "questions.ndjson", "hotlines.csv", "labels.ndjson",
    }  # fmt: skip
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    charges = "".join(p.read_text() for p in (tmp_path / "a" / "charges").glob("*.csv"))
    labels = [
        msgspec.json.decode(line)
        for line in (tmp_path / "a" / "labels.ndjson").read_bytes().splitlines()
    ]
    assert len(labels) == first["labels"]
    for label in labels:
        if "record_id" in label:
            assert label["record_id"] in charges
            nothing_owed = label["kind"] == Fault.NO_DECISION
            assert 0 <= label["due_fen"] < label["charged_fen"] + nothing_owed
        if "reference" in label:
            assert label["reference"] not in charges
