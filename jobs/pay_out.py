"""Hands refunds to the billing gateway, and asks about those whose outcome is unknown.

A process that dies between the gateway and the row leaves a lease that ends: then it is asked,
never sent again blindly.
"""

from jobs.timetable import House
from spms.compensation import payout


async def pump(house: House) -> int:
    """Hand over some."""
    return await payout.pump(house.pool, payout.gateway_of(house.settings), house.clock)
