"""Places the hotline calls that are due and judges what is decided.

Runs as calls come due, inside the permitted hours only. A crash in the middle of a call leaves it
`unknown`; it is never placed again as the same attempt.
"""

from jobs.timetable import House
from spms.inspections.calling import pump_calls


async def pump(house: House) -> int:
    """Place some calls."""
    return await pump_calls(house.pool, house.prober, house.clock)
