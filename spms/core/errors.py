"""The tree of refusals. Each knows its HTTP status and a stable code (RFC 9457 problem details).

Refused
├── Invalid               400   the request cannot be read as what it claims to be
├── Unauthenticated       401   no valid credential
├── Forbidden             403   a valid credential that may not do this
├── NotFound              404   missing, or not yours: the answer is the same
├── Conflict              409   the state of the thing does not allow it
│   └── NotAllowed              … because its transition table has no such move
├── TooLarge              413   over a published limit
├── UnsupportedMedia      415   not a content type this route reads
├── Unprocessable         422   readable, but a rule refuses what it says
├── TooManyRequests       429   over a published rate
└── Unavailable           503   try again later; nothing was done

A room declares its own refusals as subclasses with a `code` of their own. The first line of the
class's docstring is the problem's title; the detail says what the caller can do. A detail never
repeats an MSISDN or the raw value that was sent.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong with one field of the request."""

    pointer: str
    """JSON pointer into the body, `?name` for a query parameter, or `header name`."""
    code: str
    """Stable machine-readable reason."""
    detail: str | None = None
    """What would have been right."""


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error of ours
    """Refused."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
    ) -> None:
        """Say what was refused; `code` overrides the class's own for a one-off reason."""
        super().__init__(detail or self.title())
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.instance_code = code or type(self).code

    @classmethod
    def title(cls) -> str:
        """Return the human-readable name of this kind of refusal."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0].rstrip(".")


class Invalid(Refused):
    """The request is not well formed."""

    status = 400
    code = "invalid"


class Unauthenticated(Refused):
    """A valid access token is needed."""

    status = 401
    code = "unauthenticated"


class Forbidden(Refused):
    """This credential may not do that."""

    status = 403
    code = "forbidden"


class NotFound(Refused):
    """There is no such thing, or it is not yours."""

    status = 404
    code = "not_found"


class Conflict(Refused):
    """The state of the thing does not allow it."""

    status = 409
    code = "conflict"


class RowIsFinal(Conflict):
    """It was decided, ended or handled meanwhile, and stays so."""

    code = "final"


class NotAllowed(Conflict):
    """No such move from the present state."""

    code = "not_allowed"


class TooLarge(Refused):
    """The request is over a published limit."""

    status = 413
    code = "too_large"


class UnsupportedMedia(Refused):
    """This route does not read that content type."""

    status = 415
    code = "unsupported_media_type"


class Unprocessable(Refused):
    """The request is readable, but a rule refuses what it says."""

    status = 422
    code = "unprocessable"


class TooManyRequests(Refused):
    """Over a published rate."""

    status = 429
    code = "too_many_requests"


class Unavailable(Refused):
    """Not available just now; nothing was done."""

    status = 503
    code = "unavailable"
