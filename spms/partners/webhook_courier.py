"""Carries events to SPs' endpoints: takes under a lease, posts without a transaction, records.

Whatever happens between taking and recording, a crash of the process included, leaves a lease that
ends; the event is then posted again, with the same `webhook-id`. At least once, never never.
One slow endpoint holds up only its own: while its posts hang, the round goes on taking for others.
"""

import asyncio
import contextlib
from collections.abc import Callable
from uuid import UUID

import structlog

from spms.core import db
from spms.core.access import job_actor
from spms.core.clock import Clock
from spms.core.db import Pool
from spms.core.instance import instance_secret
from spms.partners import webhook_actions as actions
from spms.partners.webhook_model import Letter, WebhookRules
from spms.partners.webhook_post import Poster
from spms.partners.webhook_signing import body_of, signed_headers

PARALLEL = 128
"""Posts at the same time in one process; how many at one endpoint, the rulebook says."""
LOOK_SECONDS = 0.25
"""How often the queue is looked at while posts are on their way."""
COURIER = job_actor("send_webhooks")

log = structlog.get_logger()


async def pump_webhooks(pool: Pool, clock: Clock, poster: Callable[[], Poster]) -> int:
    """Post what is due until nothing is and return how many posts that were.

    Any number of workers may run this at the same time.
    """
    first = await _take(pool, clock, PARALLEL)
    if not first:
        return 0
    async with poster() as post:
        return await _Round(pool, clock, post).run(first)


class _Taken:
    """What one look at the queue brought."""

    def __init__(
        self, rules: WebhookRules, secret: bytes, letters: list[Letter],
        keys: dict[UUID, list[UUID]],
    ) -> None:  # fmt: skip
        self.rules = rules
        self.secret = secret
        self.letters = letters
        self.keys = keys

    def __bool__(self) -> bool:
        return bool(self.letters)


async def _take(pool: Pool, clock: Clock, limit: int) -> _Taken:
    async with db.transaction(pool) as tx:
        now = clock.now()
        rules = await actions.rules_at(tx, now)
        letters, keys = await actions.take_due(tx, rules, limit=limit, now=now)
        secret = await instance_secret(tx) if letters else b""
    return _Taken(rules, secret, letters, keys)


class _Round:
    """Posts on their way at the same time."""

    def __init__(self, pool: Pool, clock: Clock, post: Poster) -> None:
        self.pool = pool
        self.clock = clock
        self.post = post
        self.running: set[asyncio.Task[None]] = set()

    async def run(self, taken: _Taken) -> int:
        """Go on until nothing is on its way and nothing is due."""
        posted = 0
        try:
            while True:
                for letter in taken.letters:
                    self.running.add(asyncio.create_task(self._carry(letter, taken)))
                if not self.running:
                    return posted
                done, self.running = await asyncio.wait(
                    self.running, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                posted += len(done)
                for task in done:
                    if (error := task.exception()) is not None:
                        # Its lease ends, and it is posted again; the others go on meanwhile.
                        log.error("webhook_not_recorded", kind=type(error).__name__)
                taken = await _take(self.pool, self.clock, PARALLEL - len(self.running))
        finally:
            for task in self.running:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*self.running, return_exceptions=True)

    async def _carry(self, letter: Letter, taken: _Taken) -> None:
        """Post one event and record what came of it."""
        body = body_of(letter)
        headers = signed_headers(
            letter, body, taken.keys[letter.endpoint_id], taken.secret, now=self.clock.now()
        )
        answer = await self.post.post(
            letter.url, body, headers, ports=taken.rules.ports,
            timeout=taken.rules.timeout_seconds,
        )  # fmt: skip
        if answer.http_status is None:
            # Neither the address nor anything that the other side said: it may be a secret.
            log.info("webhook_failed", endpoint=str(letter.endpoint_id), result=answer.result)
        async with db.transaction(self.pool) as tx:
            await actions.record(
                tx, letter, answer, taken.rules, actor=COURIER, now=self.clock.now()
            )
