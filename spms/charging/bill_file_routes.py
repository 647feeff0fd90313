"""HTTP about bills as files, for the subscriber and for agents."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, get, post
from litestar.openapi.spec import OpenAPIMediaType, Operation, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import Parameter

from spms.charging import bill, bill_file, bill_sheet
from spms.charging.bill_file import LINES_MAX, MEDIA_TYPES, FileKind
from spms.charging.bill_model import BillFilter
from spms.charging.bill_routes import (
    MONTH,
    Code,
    CodeAsked,
    KindAsked,
    Month,
    RefundedAsked,
    Why,
)
from spms.charging.bill_words import Lang
from spms.charging.model import Kind
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import Forbidden
from spms.core.http import refusals
from spms.core.phone import Msisdn
from spms.subscribers.looks import LooksUsedUp

FormAsked = Annotated[FileKind, Parameter(description="As which kind of file")]


@dataclass
class FileOperation(Operation):
    """An operation that answers with one of several kinds of file."""

    def __post_init__(self) -> None:
        """Say which they are."""
        answer: Any = (self.responses or {}).get("200")
        if answer is not None:
            bytes_of = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
            answer.content = {
                kind.partition(";")[0]: OpenAPIMediaType(schema=bytes_of)
                for kind in MEDIA_TYPES.values()
            }


class BillFileSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose bill, of which month, as what, and why."""

    msisdn: Msisdn
    month: Annotated[str, msgspec.Meta(pattern=MONTH, examples=["2026-03"])]
    form: FileKind
    reason: Why
    lang: Lang = Lang.ZH
    sp_code: Code | None = None
    service_code: Code | None = None
    kind: Kind | None = None
    refunded: bool = False
    """Only lines of which something was given back."""


def headers(name: str, form: FileKind) -> dict[str, str]:
    """Return the headers of a file."""
    return {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}.{form.value}"',
    }


async def answered(sheet: bill_sheet.Sheet, name: str, form: FileKind) -> Response[bytes]:
    """Answer with a sheet as a file."""
    content = await bill_file.written(sheet, form)
    return Response(content, media_type=MEDIA_TYPES[form], headers=headers(name, form))


@get(
    "/my/bill/file", guards=[only(Role.SUBSCRIBER)], responses=refusals(Forbidden),
    media_type="text/csv", operation_class=FileOperation,
)  # fmt: skip
async def my_bill_file(
    *, month: Month, form: FormAsked, read: Connection, actor: Actor, lang: Lang = Lang.ZH,
    sp_code: CodeAsked = None, service_code: CodeAsked = None, kind: KindAsked = None,
    refunded: RefundedAsked = False,
) -> Response[bytes]:  # fmt: skip
    """Give the signed-in subscriber her bill of a month as CSV, XLSX or PDF."""
    wanted = BillFilter(sp_code=sp_code, service_code=service_code, kind=kind, refunded=refunded)
    found = await bill.whole(read, month, wanted, limit=LINES_MAX[form], actor=actor)
    return await answered(bill_sheet.of_bill(found, lang, wanted), f"bill-{month}", form)


@post(
    "/bills/file", status_code=200, guards=[only(Role.AGENT)], responses=refusals(LooksUsedUp),
    media_type="text/csv", operation_class=FileOperation,
)  # fmt: skip
async def searched_file(
    data: BillFileSearch, tx: Connection, actor: Actor, now: datetime
) -> Response[bytes]:
    """Give an agent a number's bill of a month as a file; the look and its reason are recorded."""
    wanted = BillFilter(
        sp_code=data.sp_code, service_code=data.service_code, kind=data.kind,
        refunded=data.refunded,
    )  # fmt: skip
    found = await bill.searched_whole(
        tx,
        data.msisdn,
        data.month,
        wanted,
        reason=data.reason,
        limit=LINES_MAX[data.form],
        actor=actor,
        now=now,
    )
    return await answered(
        bill_sheet.of_bill(found, data.lang, wanted), f"bill-{data.month}", data.form
    )


router = Router("/", route_handlers=[my_bill_file, searched_file], tags=["charging"])
