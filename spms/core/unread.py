"""What cannot be read as HTTP at all (an unknown method, a broken line) is refused as problem details.

Nothing of it reaches the application: there is no request to hand on.
"""

from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from spms.core.http import PROBLEM, ProblemDetails

BODY: Final = msgspec.json.encode(
    ProblemDetails(
        type="urn:spms:problem:http_malformed",
        title="This is no HTTP request that can be read",
        status=400,
        code="http_malformed",
        detail="use a method of RFC 9110 (GET, POST, …) and well formed lines",
    )
)


class Unread(HttpToolsProtocol):
    """One connection."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - its words are for nobody
        """Refuse, and close: where the next request would begin is not known."""
        headers = [
            *self.server_state.default_headers, (b"content-type", PROBLEM.encode()),
            (b"content-length", b"%d" % len(BODY)), (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]  # fmt: skip
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[400] + head + b"\r\n" + BODY)
        self.transport.close()
