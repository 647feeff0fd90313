"""The month audit: can everything that stands in a month stand, by the facts as they are known now?"""

from collections.abc import Sequence
from datetime import date

from spms.authorisation.model import CapRules
from spms.charging import month_audit_queries
from spms.charging.month_audit_queries import Contradiction
from spms.core import rulebook
from spms.core.clock import month_range
from spms.core.db import Connection


async def contradictions(read: Connection, month: date) -> Sequence[Contradiction]:
    """Return what stands and should not; caps are the rulebook's at the end of the month."""
    over = month_range(month)
    caps = await rulebook.section(read, CapRules, at=over[1])
    return await month_audit_queries.contradictions(read, over, caps)
