"""Companies read what they are told: a feed that nobody reads makes every leaving overdue."""

from datetime import timedelta
from typing import Final

from spms.city.founding import gather
from spms.city.stage import Firm, Stage

EVERY: Final = timedelta(hours=4)
"""At most so long of the city's time lies between a company's two looks, if anything happens."""
PAGE: Final = 100


class News:
    """How far each company has read."""

    def __init__(self, stage: Stage) -> None:
        """Begin at the beginning of every feed."""
        self._stage = stage
        self._cursors: dict[str, str] = {}
        self._read_at = timedelta(0)

    async def step(self, at: timedelta) -> None:
        """Read, if the last time is long enough ago."""
        if at - self._read_at >= EVERY:
            self._read_at = at
            await self.read()

    async def read(self) -> None:
        """Let every company read its feed to the end; coming back for more says what has arrived."""
        await gather(self._of(firm) for firm in self._stage.firms.values())

    async def _of(self, firm: Firm) -> None:
        while True:
            query = {"limit": str(PAGE)}
            if cursor := self._cursors.get(firm.sp_id):
                query["cursor"] = cursor
            page = await self._stage.api.get(firm.party, "/events", **query)
            self._cursors[firm.sp_id] = page["next"]
            if not page["items"]:
                return
