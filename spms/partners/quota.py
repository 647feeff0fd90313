"""What an SP may send, as agreed with the operator: versions, each from an instant on.

Authorisation counts and refuses by them (`spms.authorisation.quota`).
"""

from datetime import datetime
from uuid import UUID

from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import Conflict, Unprocessable
from spms.core.ids import new_id
from spms.partners import actions, quota_queries
from spms.partners.quota_model import NewQuota, Quota


class QuotaClash(Conflict):
    """Another quota begins at that very instant, or was agreed at this moment."""

    code = "quota_clash"


async def agree(
    tx: Connection, sp_id: UUID, data: NewQuota, *, actor: Actor, now: datetime
) -> Quota:
    """Put on record what an SP may send from an instant on.

    Raises `NotFound`, `QuotaClash`, or `Unprocessable` when it would begin in the past.
    """
    await actions.get(tx, sp_id)
    starts = data.effective_from or now
    if starts < now:
        raise Unprocessable("a quota cannot begin in the past", code="backdated")
    made = await quota_queries.add(
        tx,
        Quota(
            id=new_id(), sp_id=sp_id, version=0, per_second=data.per_second, per_day=data.per_day,
            per_month=data.per_month, effective_from=starts, reason=data.reason, created_at=now,
            created_by=actor.label,
        ),
    )  # fmt: skip
    if made is None:
        raise QuotaClash
    await audit.note(
        tx, "quota agreed", "sp", sp_id, actor=actor, now=now, reason=data.reason,
        detail={"version": made.version},
    )  # fmt: skip
    return made
