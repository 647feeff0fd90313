"""The OpenAPI document, completed with what the edge adds to every operation, and its page.

The page is Swagger UI from the package's own files: nothing is fetched from elsewhere.
"""

import functools
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

from spms.core.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)
from spms.core.http import PROBLEM

SCHEMA = {"$ref": "#/components/schemas/ProblemDetails"}
FRAMEWORKS_400 = "Bad request syntax or unsupported method"
"""How the framework describes a refusal that our edge answers in another shape."""
DROPPED = frozenset({"anyOf", "description", "maxLength", "pattern"})
"""What the framework drops of what an item in a list says of itself."""
FORM = "application/x-www-form-urlencoded"
ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "reference.js": "text/javascript",
}
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SPMS API reference</title>
<link rel="stylesheet" href="/reference/swagger-ui.css">
<div id="reference"></div>
<script src="/reference/swagger-ui-bundle.js"></script>
<script src="/reference/reference.js"></script>
</html>
"""


def _response(*kinds: type[Refused]) -> dict[str, Any]:
    words = "; ".join(f"`{kind.code}`: {kind.title()}" for kind in kinds)
    return {"description": words, "content": {PROBLEM: {"schema": SCHEMA}}}


def document(app: Litestar) -> dict[str, Any]:
    """Return the OpenAPI document: the framework's, plus guards and the edge's own refusals."""
    doc: dict[str, Any] = msgspec.to_builtins(app.openapi_schema.to_schema())
    parts = doc.setdefault("components", {})
    parts.setdefault("schemas", {}).pop("ValidationException", None)
    parts["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token from /oauth/token, /sign-in/staff or /sign-in/subscriber",
        }
    }
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            path = doc["paths"].get(route.path_format or "/", {})
            for method in handler.http_methods:
                operation = path.get(method.lower())
                if operation is not None:
                    roles = [r for g in handler.resolve_guards() for r in getattr(g, "roles", ())]
                    _complete(operation, route.path_format, roles)
                    _close(operation.get("requestBody"), parts["schemas"])
                    _bound_items(handler.parsed_data_field, parts["schemas"])
    return doc


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _bound_items(data: FieldDefinition | None, schemas: dict[str, Any]) -> None:
    """Say what each item of a list in a body must be, which the framework does not."""
    if data is None or not _is_struct(data.annotation):
        return
    _, components = msgspec.json.schema_components([data.annotation])
    for name, exact in components.items():
        ours = schemas.get(name, {}).get("properties", {})
        for field, part in exact.get("properties", {}).items():
            if part.get("type") == "array" and ours.get(field, {}).get("type") == "array":
                ours[field]["items"] |= {k: v for k, v in part["items"].items() if k in DROPPED}


def _close(part: Any, schemas: dict[str, Any]) -> None:
    """Say of every object in a JSON request body that unknown fields are refused."""
    if isinstance(part, list):
        for each in part:
            _close(each, schemas)
    elif isinstance(part, dict):
        for name, each in part.items():
            if name == "$ref":
                schema = schemas[str(each).rpartition("/")[2]]
                if schema.get("type") == "object" and "additionalProperties" not in schema:
                    schema["additionalProperties"] = False
                    _close(schema, schemas)
            elif name != FORM:
                _close(each, schemas)


def _complete(operation: dict[str, Any], path: str, roles: list[str]) -> None:
    responses = operation["responses"]
    if responses.get("400", {}).get("description") == FRAMEWORKS_400:
        del responses["400"]
    added: dict[str, dict[str, Any]] = {"400": _response(Invalid), "503": _response(Unavailable)}
    if "{" in path:
        added["404"] = _response(NotFound)
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
        added["413"] = _response(TooLarge)
        added["415"] = _response(UnsupportedMedia)
    if roles:
        operation["security"] = [{"bearer": []}]
        who = ", ".join(sorted({str(role) for role in roles}))
        operation["description"] = f"{operation.get('description', '')}\n\nFor: {who}.".strip()
        added["401"] = _response(Unauthenticated)
        added["403"] = _response(Forbidden)
    for status, response in added.items():
        declared = responses.setdefault(status, response)
        declared.setdefault("content", {}).setdefault(PROBLEM, response["content"][PROBLEM])
    operation["responses"] = dict(sorted(responses.items()))


@functools.lru_cache(maxsize=4)
def _encoded(app: Litestar) -> bytes:
    return msgspec.json.encode(document(app))


@get("/openapi.json", include_in_schema=False, sync_to_thread=False)
def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Serve the OpenAPI document of this very process."""
    return Response(_encoded(request.app), media_type="application/json")


@get("/reference", include_in_schema=False, sync_to_thread=False)
def page() -> Response[str]:
    """Serve the page that shows the document and lets one try it."""
    return Response(PAGE, media_type="text/html", headers={"Content-Security-Policy": POLICY})


@get("/reference/{name:str}", include_in_schema=False, sync_to_thread=False)
def asset(name: str) -> Response[bytes]:
    """Serve one of the page's files."""
    if name not in ASSETS:
        raise NotFoundException
    folder = files("spms") / "static"
    source = folder / name if name == "reference.js" else folder / "swagger-ui" / name
    return Response(
        source.read_bytes(),
        media_type=ASSETS[name],
        headers={"Cache-Control": "public, max-age=86400"},
    )


router = Router("/", route_handlers=[openapi, page, asset])
