"""What a round of decisions reads, in one statement. Writes nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from spms.authorisation.askers import ActorRow, known
from spms.authorisation.dossier import MonthRow
from spms.authorisation.number import Wishes
from spms.core.access import Actor
from spms.core.clock import business_month
from spms.core.db import Connection

NOTHING_USED: Final[frozenset[UUID]] = frozenset()

# The numbers come as rows: to put them into one value costs as much again as to send them. The
# first row, of no number, has the rest.
_NUMBERS = """
    SELECT k.msisdn, k.body
      FROM unnest(string_to_array($1, ',')) AS asked (msisdn)
      JOIN number_standing k ON k.msisdn = asked.msisdn
"""
# One list per kind of fact, matched outside. Each starts from the keys asked for and finds its rows
# by index: a prepared plan does not know how many keys there will be, and joining the lists, or
# filtering by `= ANY`, may then compare every key with every row.
READ = f"""
    SELECT NULL AS msisdn, json_build_array(
    (SELECT mark FROM standing_mark),
    (SELECT mark FROM access_mark),
    (SELECT json_agg(a) FROM (
        SELECT asked.n - 1 AS n, t.expires_at, c.kind, c.id AS credential_id, c.subject, c.name,
               c.roles, c.epoch
          FROM unnest($3::bytea[]) WITH ORDINALITY AS asked (token_sha256, n)
          JOIN access_token t ON t.token_sha256 = asked.token_sha256
          JOIN credential c ON c.id = t.credential_id
         WHERE t.expires_at > $4 AND t.revoked_at IS NULL AND c.revoked_at IS NULL) a),
    (SELECT json_agg(m) FROM (
        SELECT k.msisdn, k.epoch, k.by_service, k.turn
          FROM unnest($2::text[]) AS asked (msisdn)
          JOIN month_spend k ON k.msisdn = asked.msisdn AND k.month = $5) m),
    (SELECT json_agg(json_build_array(w.msisdn, w.received_at))
       FROM unnest($2::text[]) AS asked (msisdn)
       JOIN leave_wish w ON w.msisdn = asked.msisdn
      WHERE w.received_at <= $4 AND (w.settled_at IS NULL OR w.settled_at > $4)),
    (SELECT json_agg(u.subscription_id)
       FROM unnest($6::text[]) AS asked (msisdn)
       JOIN order_use u ON u.msisdn = asked.msisdn))::text AS body
    UNION ALL {_NUMBERS}
"""


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What the statement's first row has."""

    mark: UUID
    access_mark: UUID
    actors: list[ActorRow] | None
    months: list[MonthRow] | None
    wishes: list[tuple[str, datetime]] | None
    used: list[UUID] | None


_head = msgspec.json.Decoder(Head)


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What the statement returns, all of one instant."""

    mark: UUID
    """Of what `Standing` must have been read under."""
    actors: dict[bytes, Actor]
    """By the tokens that hold."""
    kept: dict[str, str]
    """By number, of those there are."""
    months: list[MonthRow]
    wishes: Wishes
    used: frozenset[UUID]


async def gather(
    read: Connection, numbers: Sequence[str], charged: Sequence[str], ordering: Sequence[str],
    *, at: datetime, tokens: Sequence[bytes],
) -> Gathered:  # fmt: skip
    """Read every fact about numbers as of now.

    Of the `charged` among them also what they spent and whether they wish to leave; of those that
    are asked about an order, which orders are used. `tokens` are SHA-256 of the bearer tokens of
    those who ask.
    """
    # One text instead of an array: that is quicker to send than its elements one by one.
    first, *rows = await read.fetch(
        READ, ",".join(numbers), charged, tokens, at, business_month(at), ordering
    )
    head = _head.decode(first["body"])
    held = head.actors or []
    known.remember(head.access_mark, [(tokens[one.n], one) for one in held])
    wishes: Wishes = {}
    for msisdn, received_at in head.wishes or ():
        wishes.setdefault(msisdn, []).append(received_at)
    return Gathered(
        mark=head.mark, actors={tokens[one.n]: one for one in held},
        kept={row[0]: row[1] for row in rows}, months=head.months or [], wishes=wishes,
        used=frozenset(head.used or ()),
    )  # fmt: skip


KEPT = f"""
    SELECT NULL AS msisdn, json_build_array(
    (SELECT mark FROM standing_mark), (SELECT mark FROM access_mark))::text AS body
    UNION ALL {_NUMBERS}
"""
_marks = msgspec.json.Decoder(tuple[UUID, UUID])


async def gather_kept(
    read: Connection, numbers: Sequence[str], *, at: datetime, tokens: Sequence[bytes]
) -> Gathered | None:
    """Read what is needed where nobody asks about a charge, and who asks has asked before.

    None: somebody has not, or what is remembered of them may be so no longer. `gather` does then.
    """
    asked_under, holders = known.mark, known.holders(tokens, at)
    if holders is None:
        return None
    first, *rows = await read.fetch(KEPT, ",".join(numbers))
    mark, access_mark = _marks.decode(first["body"])
    if tokens and access_mark != asked_under:
        return None
    return Gathered(
        mark=mark, actors=holders, kept={row[0]: row[1] for row in rows}, months=[], wishes={},
        used=NOTHING_USED,
    )  # fmt: skip
