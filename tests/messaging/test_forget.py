"""What messaging drops, and what it keeps for longer; and which links a worker starts."""

import contextlib
from datetime import timedelta

import msgspec
import pytest

from spms.cli import up
from spms.cli.process import Base, StartError
from spms.messaging import actions
from spms.messaging.sandbox import SandboxLink
from tests.messaging.smsc import link_settings, running_smsc

DAY = timedelta(days=1)


async def test_each_kind_of_row_is_kept_for_its_time(tx, owner, now):
    for age in (1, 40, 400):
        at = now - age * DAY
        await owner.execute(
            "INSERT INTO message_receipt (link, link_message_id, delivered, received_at, matched)"
            " VALUES ('l', $1, true, $2, true), ('l', $1 || '-orphan', true, $2, false)",
            str(age), at,
        )  # fmt: skip
        await owner.execute(
            "INSERT INTO one_time_code_request VALUES ('x', gen_random_uuid(), $1)", at
        )
        await owner.execute(
            "INSERT INTO message_in_key VALUES ('l', $1, '8613912340000', $2, gen_random_uuid())",
            str(age), at,
        )  # fmt: skip
        await owner.execute(
            "INSERT INTO message_in_unproven VALUES (gen_random_uuid(), 'l', '', $1, $2)",
            at, at if age == 400 else None,
        )  # fmt: skip
        await owner.execute(
            "INSERT INTO message_in_stray (link, digest, id, why, raw, first_at, last_at)"
            " VALUES ('l', $1::text::bytea, gen_random_uuid(), 'source', '', $2, $3)",
            str(age), now - 500 * DAY, at,
        )  # fmt: skip
    assert await actions.forget(tx, now=now) == 2 + 1 + 3 + 1 + 1 + 1
    receipts = await tx.fetch("SELECT link_message_id FROM message_receipt ORDER BY 1")
    assert [row[0] for row in receipts] == ["1", "1-orphan", "40-orphan"]
    assert await tx.fetchval("SELECT count(*) FROM message_in_key") == 2
    assert await tx.fetchval("SELECT count(*) FROM one_time_code_request") == 0
    assert await tx.fetchval("SELECT count(*) FROM message_in_stray") == 2
    assert await tx.fetchval("SELECT count(*) FROM message_in_unproven") == 2


async def test_a_worker_starts_the_links_that_are_configured(clock, settings):
    def ground(**changes):
        changed = msgspec.structs.replace(settings, **changes)
        return Base(settings=changed, pool=None, clock=clock, embedded=None, migrated=[])

    async with running_smsc() as smsc, contextlib.AsyncExitStack() as stack:
        assert isinstance(await up._link(ground(), stack), SandboxLink)
        links = await up._link(ground(smpp_links=(link_settings(smsc.port),)), stack)
        await smsc.session()
        assert links.parallel == 10
        with pytest.raises(StartError, match="no SMS link"):
            await up._link(ground(sandbox=False), stack)
        with pytest.raises(StartError, match="without TLS"):
            await up._link(ground(smpp_links=(link_settings(1, host="192.0.2.1"),)), stack)
