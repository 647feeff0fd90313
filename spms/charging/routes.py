"""HTTP about charges: SPs deliver records and files, people and agents read the bill."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.params import HeaderParameter, Parameter

from spms.charging import actions, bill, files
from spms.charging.bill_model import Bill, LineExplained
from spms.charging.files import (
    ArchivePolicy,
    EncodingUnsupported,
    FileEmpty,
    FileTooLarge,
    HeaderWrong,
)
from spms.charging.model import (
    COLUMNS,
    ChargeFile,
    ChargeFileReport,
    FileFormat,
    Landing,
    OwnCharge,
    QuarantinedLine,
    RecordBatch,
)
from spms.charging.parsing import read_body
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import Forbidden, NotFound, UnsupportedMedia
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page
from spms.core.phone import Msisdn

MONTH = r"^20[0-9]{2}-(?:0[1-9]|1[0-2])$(?!\n)"
Month = Annotated[
    str,
    Parameter(pattern=MONTH, description="Business month (Asia/Shanghai)"),
]
Why = Annotated[
    str,
    msgspec.Meta(
        min_length=2,
        max_length=200,
        description="Kept in the audit log: a ticket, a call, a request of the holder",
    ),
]

FORMATS = {"text/csv": FileFormat.CSV, "application/x-ndjson": FileFormat.NDJSON}
GZIP = "application/gzip"


class BillSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose bill, of which month, and why it is looked at."""

    msisdn: Msisdn
    month: Annotated[str, msgspec.Meta(pattern=MONTH, examples=["2026-03"])]
    reason: Why
    after: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    """`next` of the page before this one."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class LineSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which line of whose bill, and why it is looked at."""

    msisdn: Msisdn
    charge_id: UUID
    reason: Why


@dataclass
class FileUpload(Operation):
    """The upload as OpenAPI describes it: the body is the file itself."""

    def __post_init__(self) -> None:
        """Describe the body, which the handler reads as a stream."""
        media_types = (*FORMATS, GZIP)
        self.request_body = RequestBody(
            required=True,
            description=f"UTF-8, at most 1,000,000 lines. CSV with the header `{','.join(COLUMNS)}`"
            ", or one JSON object with these keys per line; as it is, or as a gzip of one member",
            content={media_type: OpenAPIMediaType(schema=Schema()) for media_type in media_types},
        )


@post("/charge-records", status_code=200, guards=[only(Role.SP)])
async def land(data: RecordBatch, tx: Connection, actor: Actor, now: datetime) -> Landing:
    """Deliver charge records.

    Good ones land with a verdict, bad ones are quarantined; both are said line by line. Sending a
    record again is harmless.
    """
    lines = [read_body(number, record) for number, record in enumerate(data.records, start=1)]
    return await actions.land(tx, lines, sp_id=actor.sp_id, file_id=None, actor=actor, now=now)


@post(
    "/charge-files",
    status_code=201,
    guards=[only(Role.SP)],
    operation_class=FileUpload,
    responses={
        **refusals(FileTooLarge, HeaderWrong, FileEmpty, ArchivePolicy, EncodingUnsupported),
        200: ResponseSpec(ChargeFile, description="This very file had landed before"),
    },
)
async def deliver(
    request: Request[Any, Any, Any],
    state: State,
    actor: Actor,
    charge_format: Annotated[
        FileFormat | None,
        HeaderParameter(name="X-Charge-Format", description="What is inside an application/gzip"),
    ] = None,
) -> Response[ChargeFile]:
    """Deliver a charge file.

    Answered when the whole of it has landed; after a break send the same file again and it is
    continued. A file that had landed before is answered with its receipt.
    """
    form, gzip = _format(request, charge_format)
    receipt, known = await files.receive(
        request.stream(),
        form=form,
        gzip=gzip,
        pool=state.pool,
        clock=state.clock,
        directory=state.settings.data_path / "spool",
        limit_bytes=state.settings.file_limit_bytes,
        actor=actor,
    )
    return Response(receipt, status_code=200 if known else 201)


@get("/charge-files/{file_id:uuid}", guards=[only(Role.SP)], responses=refusals(NotFound))
async def file_report(file_id: UUID, read: Connection, actor: Actor) -> ChargeFileReport:
    """Show how far a file is, and why lines of it were quarantined."""
    return await files.report(read, file_id, actor=actor)


@get(
    "/charge-files/{file_id:uuid}/quarantine",
    guards=[only(Role.SP)],
    responses=refusals(NotFound, CursorInvalid),
)
async def quarantine(
    file_id: UUID, read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[QuarantinedLine]:
    """List a file's quarantined lines with their reasons, in the file's order."""
    return await files.quarantine(read, file_id, actor=actor, cursor=after, limit=limit)


@get("/charge-records", guards=[only(Role.SP)], responses=refusals(CursorInvalid))
async def own_charges(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[OwnCharge]:
    """List an SP's own charges with their verdicts, newest first."""
    return await bill.sp_charges(read, actor=actor, cursor=after, limit=limit)


@get("/my/bill", guards=[only(Role.SUBSCRIBER)], responses=refusals(CursorInvalid, Forbidden))
async def my_bill(
    month: Month, read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Bill:
    """Show the signed-in subscriber what she was charged for in a month."""
    return await bill.own_bill(read, month, actor=actor, cursor=after, limit=limit)


@get(
    "/my/bill/lines/{charge_id:uuid}",
    guards=[only(Role.SUBSCRIBER)],
    responses=refusals(NotFound, Forbidden),
)
async def my_line(charge_id: UUID, read: Connection, actor: Actor) -> LineExplained:
    """Explain one line of the signed-in subscriber's bill: decision, tariff, both consents."""
    return await bill.own_line(read, charge_id, actor=actor)


@post(
    "/bills/search", status_code=200, guards=[only(Role.AGENT)], responses=refusals(CursorInvalid)
)
async def search_bill(data: BillSearch, tx: Connection, actor: Actor, now: datetime) -> Bill:
    """Show a number's bill to an agent; the look-up and its reason are recorded."""
    return await bill.searched_bill(
        tx,
        data.msisdn,
        data.month,
        reason=data.reason,
        cursor=data.after,
        limit=data.limit,
        actor=actor,
        now=now,
    )


@post(
    "/bills/lines/search", status_code=200, guards=[only(Role.AGENT)], responses=refusals(NotFound)
)
async def search_line(
    data: LineSearch, tx: Connection, actor: Actor, now: datetime
) -> LineExplained:
    """Explain one line of a number's bill to an agent; the look-up and its reason are recorded."""
    return await bill.searched_line(
        tx, data.msisdn, data.charge_id, reason=data.reason, actor=actor, now=now
    )


def _format(request: Request[Any, Any, Any], inside: FileFormat | None) -> tuple[FileFormat, bool]:
    """Read from the headers what the body is; raise `UnsupportedMedia`."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia(f"send a compressed file as {GZIP}, without Content-Encoding")
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    media_type = media_type.strip()
    if parameters.strip() not in {"", "charset=utf-8"}:
        raise UnsupportedMedia("a charge file is UTF-8")
    if media_type == GZIP:
        if inside is None:
            raise UnsupportedMedia("name what is inside in X-Charge-Format: csv or ndjson")
        return inside, True
    if media_type not in FORMATS:
        raise UnsupportedMedia(f"this path reads {', '.join(FORMATS)} or {GZIP}")
    return FORMATS[media_type], False


router = Router(
    "/",
    route_handlers=[
        land,
        deliver,
        file_report,
        quarantine,
        own_charges,
        my_bill,
        my_line,
        search_bill,
        search_line,
    ],
    tags=["charging"],
)
