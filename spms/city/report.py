"""The report as a person reads it."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spms.city.model import KindScore, Report
from spms.core.money import yuan


def table(report: Report) -> RenderableType:
    """Return the report as tables that fit into a hundred columns."""
    parts: list[RenderableType] = [
        Text(
            f"City of seed {report.seed}: {report.subscribers} subscribers, {report.days} days, "
            f"{report.companies} companies, {report.services} services"
        ),
        _scores("Wrong charges, by the rule that finds them", report.kinds),
        _scores("Hotlines and broken lines", (*report.hotlines, report.quashed, report.quarantine)),
        _figures(report),
    ]
    parts += [Text(f"! {fault}", style="yellow") for fault in report.faults]
    verdict = (
        Text("everything planted was found, nothing else was, the money agrees", style="green")
        if report.ok
        else Text("NOT everything agrees", style="bold red")
    )
    return Group(*parts, verdict)


def _scores(title: str, scores: Iterable[KindScore]) -> Table:
    made = Table(title=title, title_justify="left", min_width=60)
    made.add_column("kind", no_wrap=True)
    scores = list(scores)
    rules = any(score.mode for score in scores)
    if rules:
        made.add_column("mode")
    for name in ("planted", "found", "false alarms", *(["precision"] if rules else [])):
        made.add_column(name, justify="right")
    totals = [0, 0, 0]
    for score in scores:
        counts = (score.planted, score.found, score.false_alarms)
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        exact = score.planted == score.found and not score.false_alarms
        cells = [score.kind, *([score.mode] if rules else []), *map(str, counts)]
        if rules:
            cells.append("" if score.precision is None else f"{score.precision:.1%}")
        made.add_row(*cells, style=None if exact else "bold red")
    made.add_section()
    made.add_row("all", *([""] if rules else []), *map(str, totals), style="bold")
    return made


def _figures(report: Report) -> Table:
    made = Table(show_header=False, min_width=60)
    due, got = report.consents_due, report.consents
    rows = {
        "charges": f"{report.landed} of {report.charges} landed, in {report.files} files and "
        f"{report.batches} batches; {report.redelivered} files delivered twice",
        "owed to subscribers": f"{yuan(report.owed_fen)} yuan (double)",
        "refunded": f"{yuan(report.refunded_fen)} yuan",
        "booked against SPs": f"{yuan(report.receivable_fen)} yuan",
        "consents": f"{got.asked} of {due.asked} asked, {got.confirmed} of {due.confirmed} "
        f"confirmed, {got.refused} of {due.refused} refused, {got.expired} of {due.expired} "
        "expired",
        "played": f"{report.events} events in {report.seconds:.1f} s, {report.requests} "
        f"requests, {report.retries} tried again",
    }
    for name, value in rows.items():
        made.add_row(name, value)
    return made
