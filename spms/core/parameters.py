"""Query parameters that a path does not declare are refused.

Ignored, a misspelt `?cursor=` in place of `?after=` would give the first page again and again,
and a misspelt filter everything.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any

from litestar import Litestar, Request
from litestar.routes import HTTPRoute

from spms.core.errors import FieldError, Invalid

VERSIONED = "versioned"
"""Handlers whose address carries what they do not read (a digest against stale copies) say so in
`opt` under this name."""
NAME = re.compile(r"[a-z_]{1,40}")


@functools.lru_cache(maxsize=4)
def _declared(app: Litestar) -> Mapping[tuple[str, str], frozenset[str]]:
    """Return which query parameters each path and method declares."""
    return {
        (route.path_format, method): frozenset(p.field_alias for p in model.expected_query_params)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (_, model) in route.route_handler_map.items()
    }


async def refuse_unknown(request: Request[Any, Any, Any]) -> None:
    """Raise `Invalid` (`unknown_parameter`), which names what the path would have understood.

    The unknown name is repeated only where it looks like one: it may be a person's number.
    """
    given = set(request.query_params)
    if not given:
        return
    path = str(request.scope["path_template"])
    known = _declared(request.app).get((path, request.method), frozenset())
    unknown = given - known - set(request.route_handler.opt.get(VERSIONED, ()))
    if unknown:
        words = f"this path knows {', '.join(sorted(known)) or 'no query parameters'}"
        faults = [
            FieldError(
                pointer=f"?{name}" if NAME.fullmatch(name) else "?", code="unknown_parameter",
                detail=words,
            )
            for name in sorted(unknown)
        ]  # fmt: skip
        raise Invalid(words, code="unknown_parameter", errors=faults)
