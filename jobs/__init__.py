"""The whole timetable of SPMS as one list, and nothing else.

A *slot* job runs once per slot of its schedule, whatever the number of workers; the row in
`job_slot` decides. A *pump* empties a queue of rows as soon as something is in it; rows are
claimed with SKIP LOCKED or by their keys, so any number of workers may pump.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from jobs import (
    anchor_heads,
    anchor_journal,
    call_hotlines,
    carry_out_anchors,
    check_invariants,
    correct_prices,
    draw_spot_checks,
    expire_prompts,
    expire_reservations,
    follow_inspections,
    follow_numbers,
    forget_leftovers,
    handle_messages,
    make_partitions,
    pay_out,
    reaudit_charges,
    refund_findings,
    remind_renewals,
    send_messages,
    send_webhooks,
    settle_claims,
    sum_up_balances,
    tell_charges,
    tell_partners,
    watch_leaving,
)
from jobs.timetable import PumpJob, SlotJob

TIMETABLE: Final[Sequence[SlotJob | PumpJob]] = (
    # Partitions first: everything else may need them after the clock has moved.
    SlotJob(name="make_partitions", every=timedelta(hours=6), work=make_partitions.work),
    PumpJob(name="handle_messages", pump=handle_messages.pump),
    PumpJob(name="follow_numbers", pump=follow_numbers.pump),
    SlotJob(name="expire_prompts", every=timedelta(minutes=1), work=expire_prompts.work),
    SlotJob(name="expire_reservations", every=timedelta(minutes=1), work=expire_reservations.work),
    PumpJob(name="send_messages", pump=send_messages.pump),
    SlotJob(name="remind_renewals", every=timedelta(minutes=10), work=remind_renewals.work),
    SlotJob(name="watch_leaving", every=timedelta(minutes=1), work=watch_leaving.work),
    SlotJob(name="reaudit_charges", every=timedelta(minutes=5), work=reaudit_charges.work),
    PumpJob(name="tell_charges", pump=tell_charges.pump),
    PumpJob(name="refund_findings", pump=refund_findings.pump),
    PumpJob(name="settle_claims", pump=settle_claims.pump),
    PumpJob(name="correct_prices", pump=correct_prices.pump),
    PumpJob(name="pay_out", pump=pay_out.pump),
    # 02:00 in Shanghai: the day before is long over.
    SlotJob(
        name="sum_up_balances",
        every=timedelta(days=1),
        offset=timedelta(hours=18),
        work=sum_up_balances.work,
    ),
    PumpJob(name="anchor_journal", pump=anchor_journal.pump),
    SlotJob(name="check_invariants", every=timedelta(hours=1), work=check_invariants.work),
    # 10:00 in Shanghai is 02:00 UTC. A missed day is not made up for: spot checks are of today.
    SlotJob(
        name="draw_spot_checks",
        every=timedelta(days=1),
        offset=timedelta(hours=2),
        work=draw_spot_checks.work,
    ),
    PumpJob(name="call_hotlines", pump=call_hotlines.pump),
    PumpJob(name="follow_inspections", pump=follow_inspections.pump),
    SlotJob(name="anchor_heads", every=timedelta(minutes=10), work=anchor_heads.work),
    PumpJob(name="carry_out_anchors", pump=carry_out_anchors.pump),
    PumpJob(name="tell_partners", pump=tell_partners.pump),
    PumpJob(name="send_webhooks", pump=send_webhooks.pump),
    SlotJob(name="forget_leftovers", every=timedelta(days=1), work=forget_leftovers.work),
)
