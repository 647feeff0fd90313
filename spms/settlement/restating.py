"""Back from a statement to the facts it was worked out from: its own inputs say all of them. Pure."""

from typing import Any

import msgspec

from spms.settlement.model import Cut, Facts, Item, Kind, MeasureCut, Step, Waterfall
from spms.settlement.waterfall import total


def facts_behind(worked: Waterfall) -> Facts:
    """Return facts that settle to these very steps under the rules of then."""
    of = {step.kind: step for step in worked.steps}
    gross, messages = of[Kind.GROSS].inputs, of[Kind.MT_FEE].inputs
    cuts, fines = of[Kind.GRADE_CUT].inputs, _items(of[Kind.FINES])
    to_book_fen = of[Kind.FINES].inputs.get("to_book_fen")
    return Facts(
        gross_fen=of[Kind.GROSS].arising_fen, charges=gross["charges"],
        late_fen=gross["late_fen"], late_charges=gross["late_charges"],
        principal_fen=of[Kind.REFUNDS].inputs["advanced_fen"],
        controlled_fen=of[Kind.CONTROLLED].arising_fen,
        controlled_charges=of[Kind.CONTROLLED].inputs["charges"],
        mt=messages["mt"], mo=messages["mo"], mt_is_free=messages["free"],
        cuts=_cuts(cuts["breaches"]), waiting=_cuts(cuts["waiting"]),
        measures=msgspec.convert(
            msgspec.to_builtins(cuts.get("measures", ())), tuple[MeasureCut, ...]
        ),
        fines=fines,
        debits=_items(of[Kind.DEBITS]), credits=_items(of[Kind.CREDITS]),
        returned=_items(of[Kind.RETURNED]) if Kind.RETURNED in of else (),
        owed_fen=of[Kind.COMPENSATION].inputs["owed_fen"],
        deposit_fen=of[Kind.DEPOSIT].inputs["deposit_fen"], carried=_carried(worked.steps),
        unbooked_fen=0 if to_book_fen is None
        else to_book_fen - total([item for item in fines if not item.booked]),
    )  # fmt: skip


def _cuts(listed: Any) -> tuple[Cut, ...]:
    return msgspec.convert(msgspec.to_builtins(listed), tuple[Cut, ...])


def _items(step: Step) -> tuple[Item, ...]:
    return msgspec.convert(msgspec.to_builtins(step.inputs["items"]), tuple[Item, ...])


def _carried(steps: tuple[Step, ...]) -> dict[Kind, int]:
    brought = {step.kind: step.brought_fen for step in steps if step.brought_fen}
    refunds = next(step for step in steps if step.kind is Kind.REFUNDS)
    if (advanced_fen := refunds.inputs["advanced_fen"]) < 0:
        # What was taken back of them came off what was brought.
        brought[Kind.REFUNDS] = refunds.brought_fen - advanced_fen
    of = next(step for step in steps if step.kind is Kind.BROUGHT)
    return brought | ({Kind.BROUGHT: of.arising_fen} if of.arising_fen else {})
