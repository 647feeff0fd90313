"""The whole timetable of SPMS as one list, and nothing else.

A *slot* job runs once per slot of its schedule, whatever the number of workers; the row in
`job_slot` decides. A *pump* empties a queue of rows as soon as something is in it; rows are
claimed with SKIP LOCKED or by their keys, so any number of workers may pump.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from jobs import (
    call_hotlines,
    draw_spot_checks,
    expire_prompts,
    follow_inspections,
    follow_numbers,
    forget_leftovers,
    handle_messages,
    make_partitions,
    reaudit_charges,
    refund_findings,
    remind_renewals,
    send_messages,
    tell_charges,
    watch_leaving,
)
from jobs.timetable import PumpJob, SlotJob

TIMETABLE: Final[Sequence[SlotJob | PumpJob]] = (
    # Partitions first: everything else may need them after the clock has moved.
    SlotJob(name="make_partitions", every=timedelta(hours=6), work=make_partitions.work),
    PumpJob(name="handle_messages", pump=handle_messages.pump),
    PumpJob(name="follow_numbers", pump=follow_numbers.pump),
    SlotJob(name="expire_prompts", every=timedelta(minutes=1), work=expire_prompts.work),
    PumpJob(name="send_messages", pump=send_messages.pump),
    SlotJob(name="remind_renewals", every=timedelta(minutes=10), work=remind_renewals.work),
    SlotJob(name="watch_leaving", every=timedelta(minutes=1), work=watch_leaving.work),
    SlotJob(name="reaudit_charges", every=timedelta(minutes=5), work=reaudit_charges.work),
    PumpJob(name="tell_charges", pump=tell_charges.pump),
    PumpJob(name="refund_findings", pump=refund_findings.pump),
    # 10:00 in Shanghai is 02:00 UTC. A missed day is not made up for: spot checks are of today.
    SlotJob(
        name="draw_spot_checks",
        every=timedelta(days=1),
        offset=timedelta(hours=2),
        work=draw_spot_checks.work,
    ),
    PumpJob(name="call_hotlines", pump=call_hotlines.pump),
    PumpJob(name="follow_inspections", pump=follow_inspections.pump),
    SlotJob(name="forget_leftovers", every=timedelta(days=1), work=forget_leftovers.work),
)
