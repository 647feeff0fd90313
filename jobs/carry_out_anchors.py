"""Signs new anchors and writes them to files outside the database, where no role of it reaches.

As they come. Every worker keeps a directory of its own complete. If the disk is full, nothing is
lost: the files are brought up to date when there is room.
"""

from jobs.timetable import House
from spms.core import anchors, db
from spms.core.signing import open_signer


async def pump(house: House) -> int:
    """Carry out what is new."""
    signer = open_signer(house.settings)
    async with db.transaction(house.pool) as tx:
        return await anchors.carry_out(
            tx, house.settings.anchor_path, signer, now=house.clock.now()
        )
