"""The operator's desk: agents who take one another's turn.

An agent may look at so many numbers in an hour and on a day. Whoever has is relieved by a colleague,
and where nobody has looks left, one more is taken on.
"""

import asyncio

from spms.city.api import CONFLICT, Answer, Api, staff
from spms.city.model import Json

TOO_MANY = 429


class Desk:
    """Does over the API what an agent does."""

    def __init__(self, api: Api) -> None:
        """Begin with the one agent there is."""
        self._api = api
        self._agents = [api.agent]
        self._turn = 0
        self._change = asyncio.Lock()

    async def post(
        self, path: str, body: Json, *, fine: tuple[int, ...] = (), key: str | None = None
    ) -> Answer:
        """Send as whoever's turn it is; `fine` and `key` are as in `Api.post`."""
        tried = 0
        while True:
            turn = self._turn
            agent = self._agents[turn]
            answer = await self._api.post(agent, path, body, fine=(*fine, TOO_MANY), key=key)
            if answer.status != TOO_MANY:
                return answer
            tried += 1
            async with self._change:
                if turn == self._turn:
                    await self._next(everybody=tried >= len(self._agents))

    async def _next(self, *, everybody: bool) -> None:
        """Let the next agent take over: a new one when everybody has looked as often as one may."""
        if everybody:
            login = f"agent-{len(self._agents) + 1}"
            # A play that is taken up again finds the colleagues of before, and knows what they sign in with.
            password = f"{(self._api.agent.body or {})['password']}-{login}"
            told = {"login": login, "password": password, "roles": ["agent"]}
            await self._api.post(self._api.admin, "/staff", told, fine=(CONFLICT,))
            self._agents.append(staff(login, password))
            self._turn = len(self._agents) - 1
        else:
            self._turn = (self._turn + 1) % len(self._agents)
