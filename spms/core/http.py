"""The HTTP edge: the transaction, and problem details (RFC 9457) for every refusal.

A handler names what it needs (`tx`, `read`, `actor`, `now`); the providers here give it. `tx`
commits before the answer leaves: an error at COMMIT is answered as an error.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from spms.core import access, db
from spms.core.body import without_value
from spms.core.clock import Clock
from spms.core.db import NOT_NOW
from spms.core.errors import (
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    RowIsFinal,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)

PROBLEM = "application/problem+json"
TYPE_BASE = "urn:spms:problem:"
RETRY = {"Retry-After": "1"}
TOKEN_LENGTH_MAX = 512
ROW_IS_FINAL = frozenset({
    "row_is_final", "subscription_settled", "leave_wish_settled_once", "leaving_duty_settled",
    "partner_event_placed",
})  # fmt: skip
"""What the triggers of final rows say (migrations 0085 and 0113)."""

log = structlog.get_logger()


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was refused (RFC 9457)."""

    type: str
    """Stable URI of this kind of problem."""
    title: str
    status: int
    code: str
    """The last part of `type`: what a program should look at."""
    detail: str | None = None
    """What the caller can do about it."""
    errors: tuple[FieldError, ...] = ()
    """The fields at fault."""


def problem(refusal: Refused) -> ProblemDetails:
    """Write a refusal as problem details."""
    return ProblemDetails(
        type=TYPE_BASE + refusal.instance_code,
        title=refusal.title(),
        status=refusal.status,
        code=refusal.instance_code,
        detail=refusal.detail,
        errors=refusal.errors,
    )


def refusals(*kinds: type[Refused]) -> dict[int, ResponseSpec]:
    """Declare on a route which refusals it may answer with, grouped by status."""
    grouped: dict[int, list[type[Refused]]] = defaultdict(list)
    for kind in kinds:
        grouped[kind.status].append(kind)
    return {
        status: ResponseSpec(
            data_container=ProblemDetails,
            generate_examples=False,
            media_type=PROBLEM,
            description="; ".join(f"`{kind.code}`: {kind.title()}" for kind in group),
        )
        for status, group in grouped.items()
    }


def answer(refusal: Refused) -> Response[ProblemDetails]:
    """Answer with problem details."""
    return Response(
        problem(refusal),
        status_code=refusal.status,
        media_type=PROBLEM,
        headers={**refusal.headers, "Cache-Control": "no-store"},
    )


def _refused(_: Request[Any, Any, Any], refusal: Refused) -> Response[ProblemDetails]:
    return answer(refusal)


POINTERS = {"query": "?{}", "header": "header {}"}


def _invalid(_: Request[Any, Any, Any], error: ValidationException) -> Response[ProblemDetails]:
    """Name the fields at fault, never the values: they may be a person's number."""
    errors = []
    for entry in error.extra if isinstance(error.extra, list) else []:
        key = str(entry.get("key", ""))
        pointer = POINTERS.get(str(entry.get("source")), "/{}").format(key.replace(".", "/"))
        detail = without_value(str(entry.get("message", "")))
        errors.append(FieldError(pointer=pointer, code="invalid", detail=detail))
    return answer(Invalid("a value does not fit its field", errors=errors))


def _http(_: Request[Any, Any, Any], error: HTTPException) -> Response[ProblemDetails]:
    """Give the framework's own refusals (404, 405, 413, 415 …) the same shape as ours."""
    known: dict[int, type[Refused]] = {
        kind.status: kind
        for kind in (Invalid, Unauthenticated, Forbidden, NotFound, TooLarge, UnsupportedMedia)
    }
    kind = known.get(error.status_code)
    if kind is not None:
        return answer(kind(headers=error.headers))
    title = {405: "This path does not know that method"}.get(error.status_code, "Refused")
    code = {405: "method_not_allowed"}.get(error.status_code, f"http_{error.status_code}")
    details = ProblemDetails(
        type=TYPE_BASE + code, title=title, status=error.status_code, code=code
    )
    return Response(
        details, status_code=error.status_code, media_type=PROBLEM, headers=error.headers or {}
    )


def _database(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemDetails]:
    """Tell bad input (400) and what is final (409) from a database that cannot answer now (503) from a bug (500)."""
    if isinstance(error, asyncpg.DataError):
        return answer(Invalid("a value is outside what can be stored"))
    if isinstance(error, asyncpg.CheckViolationError) and error.constraint_name in ROW_IS_FINAL:
        return answer(RowIsFinal())
    if isinstance(error, NOT_NOW):
        log.warning("database_unavailable", kind=type(error).__name__, path=request.url.path)
        return answer(Unavailable("the database cannot answer now", headers=RETRY))
    return _bug(request, error)


def _several(
    request: Request[Any, Any, Any], errors: ExceptionGroup[Exception]
) -> Response[ProblemDetails]:
    """Answer a failure whose rollback failed too: 503 when the database went away in the middle."""
    away, others = errors.split(NOT_NOW)
    leaf: Exception | None = away or others
    while isinstance(leaf, ExceptionGroup):
        leaf = leaf.exceptions[0]
    return _database(request, leaf or errors)


def _bug(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemDetails]:
    """Log where it happened (no values), and say nothing about our inside."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    log.error("bug", kind=type(error).__name__, path=request.url.path, trace=frames[-6:])
    details = ProblemDetails(
        type=TYPE_BASE + "internal", title="A mistake of ours", status=500, code="internal"
    )
    return Response(details, status_code=500, media_type=PROBLEM)


EXCEPTION_HANDLERS: dict[int | type[Exception], Any] = {
    Refused: _refused,
    ValidationException: _invalid,
    HTTPException: _http,
    asyncpg.PostgresError: _database,
    asyncpg.InterfaceError: _database,
    asyncpg.InternalClientError: _database,
    OSError: _database,
    TimeoutError: _database,
    RecursionError: lambda _request, _error: answer(Invalid(code="too_deep")),
    UnicodeDecodeError: lambda _request, _error: answer(Invalid(code="encoding")),
    ExceptionGroup: _several,
    Exception: _bug,
}


async def _tx(state: State) -> AsyncIterator[db.Connection]:
    """Open the request's transaction; commit before the answer, roll back on any error."""
    async with db.transaction(state.pool) as connection:
        yield connection


async def _read(state: State) -> AsyncIterator[db.Connection]:
    """Open a read-only view of one moment."""
    async with db.snapshot(state.pool) as connection:
        yield connection


async def _now(state: State) -> datetime:
    clock: Clock = state.clock
    return clock.now()


async def _actor(request: Request[Any, Any, Any]) -> access.Actor:
    actor = request.scope.get("user")
    if not isinstance(actor, access.Actor):
        raise Unauthenticated(headers={"WWW-Authenticate": "Bearer"})
    return actor


DEPENDENCIES = {
    "tx": Provide(_tx),
    "read": Provide(_read),
    "now": Provide(_now),
    "actor": Provide(_actor),
}
