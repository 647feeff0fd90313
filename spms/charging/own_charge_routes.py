"""HTTP by which an SP reads its own charges: pages, totals, files. They are routed in `routes`."""

from typing import Annotated, Any

from litestar import Response, get
from litestar.datastructures import State
from litestar.params import Parameter
from litestar.response import Stream

from spms.charging import own_charges
from spms.charging.bill_file import LINES_MAX, MEDIA_TYPES, FileKind
from spms.charging.bill_file_routes import FileOperation, FormAsked, answered, headers
from spms.charging.bill_model import BillTotals
from spms.charging.bill_routes import MONTH, CodeAsked, KindAsked, Month, RefundedAsked
from spms.charging.bill_words import Lang
from spms.charging.own_charge_model import OwnCharge, OwnFilter
from spms.charging.own_charges import MonthNeeded
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page

MonthAsked = Annotated[
    str | None,
    Parameter(pattern=MONTH, description="Business month (Asia/Shanghai); a filter needs one"),
]


@get(
    "/charge-records", guards=[only(Role.SP)], responses=refusals(CursorInvalid, MonthNeeded)
)  # fmt: skip
async def own_page(
    *, read: Connection, actor: Actor, month: MonthAsked = None, service_code: CodeAsked = None,
    kind: KindAsked = None, refunded: RefundedAsked = False, after: Cursor = None,
    limit: Limit = 50,
) -> Page[OwnCharge]:  # fmt: skip
    """List an SP's own charges with their verdicts and corrections, newest first."""
    wanted = OwnFilter(service_code=service_code, kind=kind, refunded=refunded)
    return await own_charges.page(read, month, wanted, actor=actor, cursor=after, limit=limit)


@get("/charge-records/totals", guards=[only(Role.SP)])
async def own_totals(
    *, month: Month, read: Connection, actor: Actor, service_code: CodeAsked = None,
    kind: KindAsked = None, refunded: RefundedAsked = False,
) -> BillTotals:  # fmt: skip
    """Show what an SP's own charges of a month come to."""
    wanted = OwnFilter(service_code=service_code, kind=kind, refunded=refunded)
    return await own_charges.totals(read, month, wanted, actor=actor)


@get(
    "/charge-records/file", guards=[only(Role.SP)], media_type="text/csv",
    operation_class=FileOperation,
)  # fmt: skip
async def own_file(
    *, month: Month, form: FormAsked, state: State, read: Connection, actor: Actor,
    lang: Lang = Lang.ZH, service_code: CodeAsked = None, kind: KindAsked = None,
    refunded: RefundedAsked = False,
) -> Response[Any]:  # fmt: skip
    """Give an SP its own charges of a month as CSV (all of them), XLSX or PDF."""
    wanted = OwnFilter(service_code=service_code, kind=kind, refunded=refunded)
    if form is FileKind.CSV:
        pieces = own_charges.csv_pieces(state.pool, month, wanted, lang, actor=actor)
        name = f"charges-{month}"
        return Stream(pieces, media_type=MEDIA_TYPES[form], headers=headers(name, form))
    sheet = await own_charges.sheet(read, month, wanted, lang, limit=LINES_MAX[form], actor=actor)
    return await answered(sheet, f"charges-{month}", form)
