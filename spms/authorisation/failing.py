"""What is said of one question among many that could not be answered, as a lone one would be told."""

from typing import Final

import structlog

from spms.core.db import NOT_NOW
from spms.core.errors import Refused
from spms.core.http import ProblemDetails, problem

FAILED: Final = ProblemDetails(
    type="urn:spms:problem:internal", title="A mistake of ours", status=500, code="internal"
)
FAILED_NOW: Final = ProblemDetails(
    type="urn:spms:problem:unavailable", title="Try again later", status=503, code="unavailable"
)

log = structlog.get_logger()


def refused(error: Exception) -> ProblemDetails:
    """Write what was raised for one question as problem details; no more of a mistake than its kind."""
    if isinstance(error, Refused):
        return problem(error)
    known = isinstance(error, NOT_NOW)
    log.log(30 if known else 40, "question_failed", kind=type(error).__name__)
    return FAILED_NOW if known else FAILED
