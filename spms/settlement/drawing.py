"""From counted figures to statements: the facts of some SPs, the waterfall, the text that is hashed."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from spms.core.db import Connection
from spms.settlement import draw_queries as queries
from spms.settlement.life_model import Drawn, Statement, StatementPeriod, StatementSp
from spms.settlement.model import Facts, Figure, Item, Kind, SettlementRules, Window
from spms.settlement.punished import Punished, punished
from spms.settlement.rules import mt_is_free, settlement_id
from spms.settlement.waterfall import settle

FORMAT: Final = "spms-settlement/1"


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """One SP with everything that its month is settled from."""

    row: queries.SpRow
    facts: Facts


def facts_of(
    row: queries.SpRow,
    figures: dict[str, Figure],
    penal: Punished,
    adjustments: Sequence[queries.AdjustmentRow],
    *,
    window: Window,
    rules: SettlementRules,
) -> Facts:
    """Put one SP's figures together."""

    def records(kind: str) -> int:
        return figures[kind].records if kind in figures else 0

    def fen(kind: str) -> int:
        return figures[kind].amount_fen if kind in figures else 0

    def items(kind: str) -> tuple[Item, ...]:
        return tuple(
            Item(id=each.id, amount_fen=each.amount_fen, about=each.about)
            for each in adjustments if each.kind == kind
        )  # fmt: skip

    return Facts(
        gross_fen=fen("charged") + fen("late"), charges=records("charged") + records("late"),
        late_fen=fen("late"), late_charges=records("late"), principal_fen=row.advanced_fen,
        controlled_fen=fen("controlled"), controlled_charges=records("controlled"),
        mt=records("mt"), mo=records("mo"),
        mt_is_free=mt_is_free(row.activated_at, window.month, rules),
        cuts=penal.cuts, waiting=penal.waiting, measures=penal.measures,
        fines=penal.fines + items("fine"), debits=items("debit"),
        credits=penal.owed_back + items("credit"), returned=penal.returned,
        owed_fen=row.owed_fen, deposit_fen=row.deposit_fen,
        carried={Kind(kind): amount for kind, amount in row.carried.items()},
        unbooked_fen=row.unbooked_fen,
    )  # fmt: skip


async def gather(
    read: Connection,
    rows: Sequence[queries.SpRow],
    *,
    window: Window,
    rules: SettlementRules,
    counted: Sequence[Figure] | None = None,
) -> list[Gathered]:
    """Load what some SPs' months are settled from; `counted` replaces the figures that were kept."""
    ids = [row.id for row in rows]
    figures: dict[UUID, dict[str, Figure]] = defaultdict(dict)
    if counted is None:
        counted = await queries.figures(read, window.month, ids)
    for figure in counted:
        figures[figure.sp_id][figure.kind] = figure
    penal = await punished(read, ids, window)
    adjustments: dict[UUID, list[queries.AdjustmentRow]] = defaultdict(list)
    for adjustment in await queries.adjustments(read, ids):
        adjustments[adjustment.sp_id].append(adjustment)
    return [
        Gathered(
            row=row,
            facts=facts_of(
                row, figures[row.id], penal[row.id], adjustments[row.id],
                window=window, rules=rules,
            ),
        )
        for row in rows
    ]  # fmt: skip


def canonical(statement: Statement) -> str:
    """Write a statement in its one form: sorted keys, no spaces."""
    return msgspec.json.encode(statement, order="sorted").decode()


def draw(gathered: Gathered, *, window: Window, rules: SettlementRules) -> Drawn:
    """Work out one SP's month and write its next revision."""
    row = gathered.row
    worked = settle(gathered.facts, rules)
    of = settlement_id(row.id, window.month)
    body = canonical(
        Statement(
            format=FORMAT, settlement_id=of, revision=row.revision + 1,
            sp=StatementSp(id=row.id, code=row.code, name=row.name),
            period=StatementPeriod(
                month=window.month, from_at=window.from_at, until_at=window.until_at,
                cut_off_before=window.cut_off_before, cut_off_at=window.cut_off_at,
            ),
            rulebook_version=window.rulebook_version, steps=worked.steps,
            payable_fen=worked.payable_fen, payable_carried_fen=worked.payable_carried_fen,
            follows=row.follows.hex(),
        )
    )  # fmt: skip
    return Drawn(
        settlement_id=of, revision=row.revision + 1, sp_id=row.id, month=window.month,
        follows=row.follows, body=body,
        sha256=hashlib.sha256(row.follows + body.encode()).digest(), waterfall=worked,
    )  # fmt: skip
