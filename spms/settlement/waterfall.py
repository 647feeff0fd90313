"""The month of one SP, worked out step by step: inputs in, rows out. No database, no clock.

Every step takes from what is left and never more than that: what it cannot take it carries, and
the next month begins with it. So nothing is negative, nothing is lost, and to the fen

    gross + returned + credits + brought = everything taken + payable + what is carried of the payable.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from spms.core.errors import Unprocessable
from spms.core.money import BASIS_POINTS, share
from spms.settlement.model import (
    Cut,
    Facts,
    Item,
    Kind,
    MeasureCut,
    RateBase,
    SettlementRules,
    Step,
    Tier,
    Waterfall,
    is_sound,
)

ADDING: Final = (Kind.GROSS, Kind.RETURNED, Kind.CREDITS, Kind.BROUGHT)
"""Steps that bring money instead of taking it."""
EARNED_BEFORE: Final = (Kind.CREDITS, Kind.BROUGHT)
"""What of them a cut leaves alone. `returned` is cut: as a refund it had lowered a cut."""


class UnsoundRules(Unprocessable):
    """These rules cannot be settled by."""

    code = "unsound_rules"


def progressive(amount: int, scale: tuple[Tier, ...]) -> list[tuple[Tier, int]]:
    """Return how much of an amount lies in each tier, lowest first."""
    parts, floor = [], 0
    for tier in scale:
        end = amount if tier.up_to is None else min(amount, tier.up_to)
        parts.append((tier, max(0, end - floor)))
        floor = max(floor, end)
    return parts


def sp_share(base_fen: int, scale: tuple[Tier, ...]) -> int:
    """Return the SP's part of a base, in fen: each tier's own share of the part inside it."""
    return sum(share(part, tier.value) for tier, part in progressive(base_fen, scale))


def total(listed: Sequence[Item]) -> int:
    """Return what some records come to, in fen."""
    return sum(item.amount_fen for item in listed)


def items(listed: Sequence[Item]) -> dict[str, Any]:
    """Show records and what of them the lock is to book: what is not in the book before it."""
    return {"items": listed, "to_book_fen": total([item for item in listed if not item.booked])}


class Pool:
    """What is left while the steps are taken, and the rows that say why."""

    def __init__(self, facts: Facts, rules: SettlementRules) -> None:
        """Begin with nothing."""
        self.facts = facts
        self.rules = rules
        self.left_fen = 0
        self.steps: list[Step] = []

    def add(self, kind: Kind, amount_fen: int, inputs: dict[str, Any]) -> None:
        """Bring money in."""
        self.left_fen += amount_fen
        self.steps.append(
            Step(
                kind=kind, arising_fen=amount_fen, taken_fen=0, left_fen=self.left_fen,
                inputs=inputs,
            )
        )  # fmt: skip

    def take(self, kind: Kind, arising_fen: int, inputs: dict[str, Any]) -> None:
        """Take what arises and what was brought over, as far as it is there; carry the rest."""
        brought_fen = brought(self.facts, kind)
        wanted_fen = arising_fen + brought_fen
        taken_fen = min(wanted_fen, self.left_fen)
        self.left_fen -= taken_fen
        self.steps.append(
            Step(
                kind=kind, arising_fen=arising_fen, brought_fen=brought_fen, taken_fen=taken_fen,
                carried_fen=wanted_fen - taken_fen, left_fen=self.left_fen, inputs=inputs,
            )
        )  # fmt: skip


def brought(facts: Facts, kind: Kind) -> int:
    """Return what the month before could not take of a step, in fen.

    A first multiple that the deposit has paid since, or that was given up or taken back, is owed no
    more.
    """
    carried_fen = facts.carried.get(kind, 0)
    if kind is not Kind.REFUNDS:
        return carried_fen
    return max(0, min(carried_fen + min(0, facts.principal_fen), facts.owed_fen))


def advanced(facts: Facts) -> int:
    """Return the first multiples that this month brings, as far as they are owed, in fen."""
    return max(0, min(facts.principal_fen, facts.owed_fen - brought(facts, Kind.REFUNDS)))


def settle(facts: Facts, rules: SettlementRules) -> Waterfall:
    """Work out a month; raise `UnsoundRules` for rules that name a step twice or not at all."""
    if not is_sound(rules):
        raise UnsoundRules("every step stands once, and every scale rises to no end")
    pool = Pool(facts, rules)
    pool.add(Kind.GROSS, facts.gross_fen, {
        "charges": facts.charges, "late_charges": facts.late_charges, "late_fen": facts.late_fen,
    })  # fmt: skip
    for kind in rules.before_share:
        STEPS[kind](pool)
    _share(pool)
    pool.add(Kind.CREDITS, total(facts.credits), items(facts.credits))
    pool.add(Kind.BROUGHT, facts.carried.get(Kind.BROUGHT, 0), {})
    for kind in rules.after_share:
        STEPS[kind](pool)
    _deposit(pool)
    small = 0 < pool.left_fen < rules.minimum_payout_fen
    return Waterfall(
        steps=tuple(pool.steps),
        payable_fen=0 if small else pool.left_fen,
        payable_carried_fen=pool.left_fen if small else 0,
    )


def _refunds(pool: Pool) -> None:
    """Take first multiples off; what was too much of them comes back where it was taken."""
    facts = pool.facts
    if facts.returned:
        pool.add(Kind.RETURNED, total(facts.returned), items(facts.returned))
    pool.take(Kind.REFUNDS, advanced(facts), {"advanced_fen": facts.principal_fen})


def _rate(pool: Pool, kind: Kind, basis_points: int) -> None:
    of_gross = pool.rules.rate_base is RateBase.GROSS
    base_fen = pool.facts.gross_fen if of_gross else pool.left_fen
    # A rate is a share of this month; what is not there is not owed.
    arising_fen = min(share(base_fen, basis_points), pool.left_fen)
    inputs = {
        "rate_bp": basis_points, "of_fen": base_fen, "rate_base": pool.rules.rate_base,
    }  # fmt: skip
    pool.take(kind, arising_fen, inputs)


def _share(pool: Pool) -> None:
    base_fen, scale = pool.left_fen, pool.rules.sp_share
    tiers = [
        {"up_to_fen": tier.up_to, "sp_bp": tier.value, "part_fen": part,
         "sp_fen": share(part, tier.value)}
        for tier, part in progressive(base_fen, scale)
    ]  # fmt: skip
    sp_fen = sp_share(base_fen, scale)
    inputs = {"base_fen": base_fen, "sp_fen": sp_fen, "tiers": tiers}
    pool.take(Kind.SHARE, base_fen - sp_fen, inputs)


def _controlled(pool: Pool) -> None:
    facts = pool.facts
    pool.take(Kind.CONTROLLED, facts.controlled_fen, {"charges": facts.controlled_charges})


def _mt_fee(pool: Pool) -> None:
    facts, rules = pool.facts, pool.rules
    unbalanced = max(0, facts.mt - facts.mo)
    fee_fen = sum(tier.value * part for tier, part in progressive(unbalanced, rules.mt_fee))
    if unbalanced:
        fee_fen = max(fee_fen, rules.mt_minimum_fen)
    inputs = {
        "mt": facts.mt, "mo": facts.mo, "unbalanced": unbalanced, "free": facts.mt_is_free,
        "minimum_fen": rules.mt_minimum_fen,
    }  # fmt: skip
    pool.take(Kind.MT_FEE, 0 if facts.mt_is_free else fee_fen, inputs)


def cut_rate(cuts: Iterable[Cut], measures: Iterable[MeasureCut], rules: SettlementRules) -> int:
    """Return what breaches and officers' measures cut together, in basis points: all at most."""
    of_breaches = sum(rules.cut_bp[cut.grade] if cut.cut_bp is None else cut.cut_bp for cut in cuts)
    return min(BASIS_POINTS, of_breaches + sum(cut.cut_bp for cut in measures))


def _grade_cut(pool: Pool) -> None:
    """Cut what this month earned; credits and what was brought over were earned before."""
    cut_bp = cut_rate(pool.facts.cuts, pool.facts.measures, pool.rules)
    before_fen = sum(step.arising_fen for step in pool.steps if step.kind in EARNED_BEFORE)
    of_fen = max(0, pool.left_fen - before_fen)
    inputs = {
        "cut_bp": cut_bp, "of_fen": of_fen, "breaches": pool.facts.cuts,
        "waiting": pool.facts.waiting, "measures": pool.facts.measures,
        "grade_bp": pool.rules.cut_bp,
    }  # fmt: skip
    pool.take(Kind.GRADE_CUT, share(of_fen, cut_bp), inputs)


def _fines(pool: Pool) -> None:
    inputs = items(pool.facts.fines)
    inputs["to_book_fen"] += pool.facts.unbooked_fen
    pool.take(Kind.FINES, total(pool.facts.fines), inputs)


def _debits(pool: Pool) -> None:
    debits = pool.facts.debits
    pool.take(Kind.DEBITS, total(debits), {"items": debits})


def _compensation(pool: Pool) -> None:
    """Recover what is owed beyond the first multiples, which come off the gross."""
    facts = pool.facts
    wanted_fen = facts.owed_fen - brought(facts, Kind.REFUNDS) - advanced(facts)
    taken_fen = min(wanted_fen, pool.left_fen)
    pool.left_fen -= taken_fen
    pool.steps.append(
        # What stays owed is in the book, which the next month reads again: nothing is brought.
        Step(
            kind=Kind.COMPENSATION, arising_fen=wanted_fen, taken_fen=taken_fen,
            left_fen=pool.left_fen,
            inputs={"owed_fen": facts.owed_fen, "still_owed_fen": wanted_fen - taken_fen},
        )
    )  # fmt: skip


def _deposit(pool: Pool) -> None:
    facts = pool.facts
    recovered_fen = sum(
        step.taken_fen for step in pool.steps if step.kind in {Kind.REFUNDS, Kind.COMPENSATION}
    )
    carried_fen = sum(step.carried_fen for step in pool.steps if step.kind is Kind.REFUNDS)
    open_fen = facts.owed_fen - recovered_fen - carried_fen
    covered_fen = min(open_fen, facts.deposit_fen) if pool.rules.call_deposit else 0
    pool.steps.append(
        Step(
            kind=Kind.DEPOSIT, arising_fen=covered_fen, taken_fen=0, left_fen=pool.left_fen,
            inputs={"deposit_fen": facts.deposit_fen, "owed_fen": open_fen},
        )
    )  # fmt: skip


STEPS: Final[Mapping[Kind, Callable[[Pool], None]]] = {
    Kind.REFUNDS: _refunds,
    Kind.BAD_DEBT: lambda pool: _rate(pool, Kind.BAD_DEBT, pool.rules.bad_debt_bp),
    Kind.SERVICE_FEE: lambda pool: _rate(pool, Kind.SERVICE_FEE, pool.rules.service_fee_bp),
    Kind.CONTROLLED: _controlled,
    Kind.MT_FEE: _mt_fee,
    Kind.GRADE_CUT: _grade_cut,
    Kind.FINES: _fines,
    Kind.DEBITS: _debits,
    Kind.COMPENSATION: _compensation,
}
