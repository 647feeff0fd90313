"""Reading many questions at once.

A pattern at each field of each question costs more than everything else about reading it. So the
fields of all are read as they come, and held against the rules of `DecisionRequest` together: the
numbers as one text, and of everything else each kind that occurs once. Whatever does not pass is
read once more in the usual way, which says in the usual words what is wrong and where.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from spms.authorisation.model import DecisionRequest, Purpose
from spms.core.phone import MSISDN_PATTERN
from spms.core.strict import Malformed, clean_text

KINDS_MAX: Final = 100
"""Where questions differ more than this, each is read for itself."""
SOMEBODY: Final = "8613800000000"
_ONE: Final = MSISDN_PATTERN.removeprefix("^").removesuffix("$(?!\\n)")
_NUMBERS: Final = re.compile(f"{_ONE}(?:,{_ONE})*")


class Unread(
    DecisionRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False, tag=None
):
    """A question whose texts and figures nobody has looked at yet."""

    msisdn: str
    service_code: str
    price_fen: int = 0
    access_number: str | None = None
    link_id: str | None = None
    content: str | None = None


def sound(questions: Sequence[DecisionRequest]) -> bool:
    """Whether all of these are what `DecisionRequest` says a question is."""
    numbers = ",".join([asked.msisdn for asked in questions])
    # As many numbers as questions: so every comma is one of ours.
    if len(numbers) != (len(SOMEBODY) + 1) * len(questions) - 1:
        return False
    if _NUMBERS.fullmatch(numbers) is None:
        return False
    kinds = {
        (asked.service_code, asked.price_fen, asked.access_number, asked.link_id, asked.content)
        for asked in questions
    }
    return len(kinds) <= KINDS_MAX and all(map(_sound, kinds))


def _sound(kind: tuple[str, int, str | None, str | None, str | None]) -> bool:
    try:
        msgspec.convert(
            {
                "purpose": Purpose.MESSAGE, "msisdn": SOMEBODY, "service_code": kind[0],
                "price_fen": kind[1], "access_number": kind[2], "link_id": kind[3],
                "content": kind[4],
            },
            DecisionRequest,
        )  # fmt: skip
        if kind[4] is not None:
            clean_text(kind[4])
    except (msgspec.ValidationError, Malformed):
        return False
    return True
