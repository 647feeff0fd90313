"""An apology to every affected number (点对点致歉, domain P3), in chunks, each number once."""

from datetime import datetime
from uuid import UUID

from spms.core.db import Connection
from spms.messaging.actions import send_many
from spms.messaging.model import MessageKind, Outgoing
from spms.penalties import fine_queries
from spms.penalties.catalogue import CATALOGUE
from spms.penalties.fine_queries import OpenApology
from spms.penalties.model import BreachKind

CHUNK = 500


def text_of(apology: OpenApology) -> str:
    """Return what the affected are told."""
    name = CATALOGUE[BreachKind(apology.kind)].name
    return (
        f"尊敬的用户：经查，{apology.sp_name}提供的业务存在“{name}”的违约行为，已依约处理。"
        "对由此给您带来的不便深表歉意。多收费用将双倍返还，详询10010。"
    )


async def send_chunk(
    tx: Connection, position: str | None, *, now: datetime
) -> tuple[str | None, int]:
    """Send the next apologies from a position on; return the next position (null: all sent).

    A number that has its letter about a breach gets no second one.
    """
    breach_id, _, after = (position or "").partition("/")
    apology = await fine_queries.next_apology(tx, UUID(breach_id) if breach_id else None)
    if apology is None:
        return None, 0
    if str(apology.breach_id) != breach_id:
        after = ""
    rows = await fine_queries.write_letters(tx, apology, after, limit=CHUNK, now=now)
    letters = [
        Outgoing(
            msisdn=msisdn, text=text_of(apology), kind=MessageKind.INFO, about_kind="breach",
            about_id=apology.breach_id,
        )
        for msisdn, new in rows
        if new
    ]  # fmt: skip
    await send_many(tx, letters, now=now)
    if len(rows) < CHUNK:
        await fine_queries.apologised(tx, apology.breach_id, at=now)
        return f"{apology.breach_id}/", len(letters)
    return f"{apology.breach_id}/{rows[-1][0]}", len(letters)
