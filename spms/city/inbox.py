"""What people read on their phones: the sandbox's inbox, polled until an SMS has come."""

import asyncio
import re
import time
from enum import Enum
from typing import NamedTuple

from spms.city.api import Api
from spms.city.model import CityError, Json
from spms.core.phone import mask

WAIT_SECONDS = 90.0
"""Longest wait for one SMS; longer than the platform may be away."""
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.5
OPERATOR = "10010"
"""Where people text to before any SMS told them better."""


class Sms(Enum):
    """What tells one SMS of the platform from another, in Chinese or English."""

    PROMPT = re.compile(r"(?:回复|reply )Y ?(?P<code>[0-9]{4})")
    WELCOME = re.compile("您已订购|You now have")
    LEFT = re.compile("退订成功|You have left")
    LIST = re.compile(r"(?m)^1\. ")
    NOTHING = re.compile("您没有在用的业务|You have no services")
    CODE = re.compile(r"(?:验证码 ?|^)(?P<code>[0-9]{6})(?![0-9])")


class Found(NamedTuple):
    """An SMS that was waited for."""

    text: str
    sender: str
    at: str
    """When it was shown, by the clock of whoever carried it."""
    code: str
    """The prompt's or the one-time code, where it has one."""


class Phone:
    """One person's phone. Not to be polled by two at once."""

    def __init__(self, api: Api, msisdn: str) -> None:
        """Nothing has been read yet."""
        self.msisdn = msisdn
        self.operator = OPERATOR
        self._api = api
        self._seq = 0
        self._unread: list[Json] = []

    async def wait(self, sms: Sms, about: str = "") -> Found:
        """Wait for an SMS of a kind that names something; each is found once."""
        found = await self.expect(sms, about, seconds=WAIT_SECONDS)
        if found is None:
            raise CityError(
                f"waited {WAIT_SECONDS:.0f} s for an SMS ({sms.name.lower()}"
                f"{' about ' + about if about else ''}) to {mask(self.msisdn)}: is a worker "
                "running?"
            )
        return found

    async def expect(self, sms: Sms, about: str = "", *, seconds: float) -> Found | None:
        """Wait for an SMS for a while; None when it does not come."""
        deadline = time.monotonic() + seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            await self._poll()
            found = self._take(sms, about)
            if found is not None:
                self.operator = found.sender
                return found
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE_SECONDS)

    async def _poll(self) -> None:
        answer = await self._api.post(
            None, "/sandbox/inbox", {"msisdn": self.msisdn, "after": self._seq}
        )
        for message in answer.body["messages"]:
            self._seq = max(self._seq, message["seq"])
            if message["direction"] == "to_phone":
                self._unread.append(message)

    def _take(self, sms: Sms, about: str) -> Found | None:
        # A service's name ends in its number: 12 is not 1.
        named = re.compile(re.escape(about) + "(?![0-9])")
        for place, message in enumerate(self._unread):
            match = sms.value.search(message["text"])
            if match is not None and (not about or named.search(message["text"])):
                del self._unread[place]
                code = match.groupdict().get("code", "")
                return Found(message["text"], message["other"], message["at"], code)
        return None
