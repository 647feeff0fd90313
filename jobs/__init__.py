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
    audit_deliveries,
    call_hotlines,
    carry_out_anchors,
    check_invariants,
    collect_fines,
    compare_counts,
    correct_prices,
    draw_persons,
    draw_spot_checks,
    expire_prompts,
    expire_reservations,
    find_breaches,
    follow_inspections,
    follow_leavings,
    follow_numbers,
    forget_leftovers,
    handle_messages,
    make_partitions,
    pay_out,
    publish_register,
    push_bills,
    reaudit_charges,
    refund_findings,
    remind_renewals,
    seal_months,
    send_apologies,
    send_messages,
    send_webhooks,
    settle_calendar,
    settle_claims,
    settle_months,
    sum_up_balances,
    sum_up_proofs,
    tell_charges,
    tell_partners,
    watch_cures,
    watch_leaving,
)
from jobs.timetable import ChunkJob, Job, PumpJob, SlotJob

TIMETABLE: Final[Sequence[Job]] = (
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
    SlotJob(name="audit_deliveries", every=timedelta(hours=1), work=audit_deliveries.work),
    # 05:00 in Shanghai. It finds what is due by date, so one slot makes up for any number of days.
    ChunkJob(
        name="seal_months",
        every=timedelta(days=1),
        offset=timedelta(hours=21),
        work=seal_months.work,
        longest=timedelta(hours=1),
    ),
    PumpJob(name="tell_charges", pump=tell_charges.pump),
    # 10:00 in Shanghai, when people are awake; the month is sealed by then.
    ChunkJob(
        name="push_bills",
        every=timedelta(days=1),
        offset=timedelta(hours=2),
        work=push_bills.work,
    ),
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
    # 00:05 in Shanghai. It finds what is due by date, so one slot makes up for any number of days.
    SlotJob(
        name="settle_calendar",
        every=timedelta(days=1),
        offset=timedelta(hours=16, minutes=5),
        work=settle_calendar.work,
    ),
    PumpJob(name="settle_months", pump=settle_months.pump),
    # 01:00 in Shanghai.
    ChunkJob(
        name="compare_counts",
        every=timedelta(days=1),
        offset=timedelta(hours=17),
        work=compare_counts.work,
    ),
    SlotJob(
        name="check_invariants",
        every=timedelta(hours=1),
        work=check_invariants.work,
        longest=timedelta(minutes=50),
    ),
    # 10:00 in Shanghai is 02:00 UTC. A missed day is not made up for: spot checks are of today.
    SlotJob(
        name="draw_spot_checks",
        every=timedelta(days=1),
        offset=timedelta(hours=2),
        work=draw_spot_checks.work,
    ),
    SlotJob(
        name="draw_persons",
        every=timedelta(days=1),
        offset=timedelta(hours=2),
        work=draw_persons.work,
    ),
    # 04:00 in Shanghai: on the first of a month, the month before is over.
    SlotJob(
        name="sum_up_proofs",
        every=timedelta(days=1),
        offset=timedelta(hours=20),
        work=sum_up_proofs.work,
    ),
    PumpJob(name="call_hotlines", pump=call_hotlines.pump),
    PumpJob(name="follow_inspections", pump=follow_inspections.pump),
    PumpJob(name="follow_leavings", pump=follow_leavings.pump),
    # 03:00 in Shanghai: the day before is over, and so is its audit.
    SlotJob(
        name="find_breaches",
        every=timedelta(days=1),
        offset=timedelta(hours=19),
        work=find_breaches.work,
    ),
    SlotJob(name="watch_cures", every=timedelta(minutes=10), work=watch_cures.work),
    SlotJob(name="collect_fines", every=timedelta(minutes=5), work=collect_fines.work),
    ChunkJob(name="send_apologies", every=timedelta(minutes=10), work=send_apologies.work),
    # Tuesday 02:00 in Shanghai; 1 January 1970 was a Thursday.
    SlotJob(
        name="publish_register",
        every=timedelta(days=7),
        offset=timedelta(days=4, hours=18),
        work=publish_register.work,
    ),
    SlotJob(name="anchor_heads", every=timedelta(minutes=10), work=anchor_heads.work),
    PumpJob(name="carry_out_anchors", pump=carry_out_anchors.pump),
    PumpJob(name="tell_partners", pump=tell_partners.pump),
    PumpJob(name="send_webhooks", pump=send_webhooks.pump),
    SlotJob(name="forget_leftovers", every=timedelta(days=1), work=forget_leftovers.work),
)
