"""HTTP about charge files: SPs deliver them, watch them land, and get a signed receipt."""

import re
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

from spms.charging import files
from spms.charging.file_model import (
    ChargeFile,
    ChargeFileReport,
    Encoding,
    FileFormat,
    Packing,
    QuarantinedLine,
    Upload,
)
from spms.charging.files import FileNotDone
from spms.charging.model import COLUMNS
from spms.charging.spooling import (
    LINES_MAX,
    ArchivePolicy,
    DigestMismatch,
    EncodingSuspect,
    EncodingUnsupported,
    FileEmpty,
    FileTooLarge,
    HeaderWrong,
    Manifest,
)
from spms.core import signing
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import FieldError, Invalid, NotFound, UnsupportedMedia
from spms.core.evidence_routes import answered_json
from spms.core.http import refusals
from spms.core.pack import seal
from spms.core.paging import Cursor, CursorInvalid, Limit, Page

FORMATS = {"text/csv": FileFormat.CSV, "application/x-ndjson": FileFormat.NDJSON}
PACKINGS = {"application/gzip": Packing.GZIP, "application/zip": Packing.ZIP}
CHARSETS = {encoding.value: encoding for encoding in Encoding}
SHA256 = "^[0-9a-fA-F]{64}$(?!\\n)"


@dataclass
class FileUpload(Operation):
    """The upload as OpenAPI describes it: the body is the file itself."""

    def __post_init__(self) -> None:
        """Describe the body, which the handler reads as a stream."""
        media_types = (*FORMATS, *PACKINGS)
        self.request_body = RequestBody(
            required=True,
            description=f"At most 1,000,000 lines. CSV with the header `{','.join(COLUMNS)}`, or "
            "one JSON object with these keys per line; as it is, or as a gzip or zip of one member. "
            "UTF-8, or GB18030 when `charset=gb18030` says so.",
            content={media_type: OpenAPIMediaType(schema=Schema()) for media_type in media_types},
        )


@post(
    "/charge-files",
    status_code=201,
    guards=[only(Role.SP)],
    operation_class=FileUpload,
    responses={
        **refusals(
            FileTooLarge, HeaderWrong, FileEmpty, ArchivePolicy, EncodingUnsupported,
            EncodingSuspect, DigestMismatch,
        ),
        200: ResponseSpec(ChargeFile, description="This very file had landed before"),
    },
)  # fmt: skip
async def deliver(
    *,
    request: Request[Any, Any, Any],
    state: State,
    actor: Actor,
    charge_format: Annotated[
        FileFormat | None,
        HeaderParameter(name="X-Charge-Format", description="What is inside a gzip or zip"),
    ] = None,
    sha256: Annotated[
        str | None,
        HeaderParameter(
            name="X-Charge-SHA256", pattern=SHA256,
            description="Manifest: SHA-256 of the content after decompression, hexadecimal",
        ),
    ] = None,
    lines: Annotated[
        int | None,
        HeaderParameter(
            name="X-Charge-Lines", ge=0, le=LINES_MAX,
            description="Manifest: lines of data, without the header",
        ),
    ] = None,
) -> Response[ChargeFile]:  # fmt: skip
    """Deliver a charge file.

    Answered when the whole of it has landed; meanwhile `GET /charge-files?sha256=…` shows how far
    it is. After a break send the same file again and it is continued. A file that had landed
    before is answered with what became of it. With a manifest, a file that was cut or mixed up on
    its way is refused whole.
    """
    _counted(request)
    receipt, known = await files.receive(
        request.stream(),
        upload=_upload(request, charge_format),
        manifest=Manifest(sha256=sha256, lines=lines),
        pool=state.pool,
        clock=state.clock,
        directory=state.settings.data_path / "spool",
        limit_bytes=state.settings.file_limit_bytes,
        actor=actor,
    )
    return Response(receipt, status_code=200 if known else 201)


@get("/charge-files", guards=[only(Role.SP)], responses=refusals(CursorInvalid))
async def own_files(
    read: Connection,
    actor: Actor,
    sha256: Annotated[
        str | None, Parameter(pattern=SHA256, description="Only the file with this content")
    ] = None,
    after: Cursor = None,
    limit: Limit = 50,
) -> Page[ChargeFile]:
    """List one's charge files and how far each is, newest first."""
    return await files.listed(read, actor=actor, sha256=sha256, cursor=after, limit=limit)


@get("/charge-files/{file_id:uuid}", guards=[only(Role.SP)], responses=refusals(NotFound))
async def file_report(file_id: UUID, read: Connection, actor: Actor) -> ChargeFileReport:
    """Show how far a file is, and why lines of it were quarantined."""
    return await files.report(read, file_id, actor=actor)


@get(
    "/charge-files/{file_id:uuid}/receipt.json",
    guards=[only(Role.SP)],
    responses=refusals(NotFound, FileNotDone),
)
async def file_receipt(
    file_id: UUID, tx: Connection, state: State, actor: Actor, now: datetime
) -> Response[dict[str, Any]]:
    """Give the signed receipt of a file that has landed: its digest and what became of its lines.

    `spms verify` checks it offline.
    """
    told = await files.receipt(tx, file_id, actor=actor)
    await signing.publish(tx, state.signer, now=now)
    return answered_json(seal(msgspec.to_builtins(told), state.signer))


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


def _counted(request: Request[Any, Any, Any]) -> None:
    """Refuse a number of lines that is not written in plain digits: `1e3` is none."""
    written = request.headers.get("x-charge-lines")
    if written is not None and re.fullmatch("[0-9]{1,7}", written) is None:
        fault = FieldError(
            pointer="header X-Charge-Lines", code="invalid", detail="digits and nothing else"
        )
        raise Invalid("a value does not fit its field", errors=[fault])


def _upload(request: Request[Any, Any, Any], inside: FileFormat | None) -> Upload:
    """Read from the headers what the body is; raise `UnsupportedMedia`."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("send a compressed file as its own type, without Content-Encoding")
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    media_type = media_type.strip()
    name, _, value = (parameters.strip() or "charset=utf-8").partition("=")
    encoding = CHARSETS.get(value.strip('"')) if name == "charset" else None
    if encoding is None:
        raise UnsupportedMedia("a charge file is UTF-8, or GB18030 with charset=gb18030")
    if media_type in PACKINGS:
        if inside is None:
            raise UnsupportedMedia("name what is inside in X-Charge-Format: csv or ndjson")
        return Upload(form=inside, encoding=encoding, packing=PACKINGS[media_type])
    if media_type not in FORMATS:
        raise UnsupportedMedia(f"this path reads {', '.join((*FORMATS, *PACKINGS))}")
    return Upload(form=FORMATS[media_type], encoding=encoding)


router = Router(
    "/",
    route_handlers=[deliver, own_files, file_report, file_receipt, quarantine],
    tags=["charging"],
)
