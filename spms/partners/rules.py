"""What may happen to an SP, and when. Nothing here touches the world."""

import unicodedata
from collections.abc import Mapping
from typing import Final

import msgspec

from spms.core.errors import FieldError
from spms.core.phone import mask
from spms.partners.model import ContactChange, PartnerRules, Sp, SpAction, SpStatus

TRANSITIONS: Mapping[tuple[SpStatus, SpAction], SpStatus] = {
    (SpStatus.APPLIED, SpAction.REVIEW): SpStatus.IN_REVIEW,
    (SpStatus.APPLIED, SpAction.REJECT): SpStatus.REJECTED,
    (SpStatus.IN_REVIEW, SpAction.ACTIVATE): SpStatus.ACTIVE,
    (SpStatus.IN_REVIEW, SpAction.REJECT): SpStatus.REJECTED,
    (SpStatus.ACTIVE, SpAction.CLOSE): SpStatus.CLOSED,
}

_TWINS: Final = str.maketrans(
    "авекморстухіјѕԁһαεικνορτυχ",
    "abekmopctyxijsdhaeikvoptux",
)
"""Small Cyrillic and Greek letters, each as the Latin letter or digit it is drawn like."""


def masked_sp(sp: Sp) -> Sp:
    """Hide the responsible person's number, as every answer does."""
    mobile = None if sp.responsible_mobile is None else mask(sp.responsible_mobile)
    return msgspec.structs.replace(sp, responsible_mobile=mobile)


def masked_change(change: ContactChange) -> ContactChange:
    """Hide the responsible person's number, as every answer does."""
    return msgspec.structs.replace(change, responsible_mobile=mask(change.responsible_mobile))


def missing_for_activation(sp: Sp, rules: PartnerRules) -> list[FieldError]:
    """Name everything that an SP still needs on record before it may go live."""
    missing = []
    if len(set(sp.hotlines)) < rules.hotlines_min:
        few = f"{rules.hotlines_min} hotlines or more"
        missing.append(FieldError(pointer="/hotlines", code="too_few", detail=few))
    if sp.responsible_mobile is None:
        who = "the responsible person's mobile"
        missing.append(FieldError(pointer="/responsible_mobile", code="missing", detail=who))
    if not sp.licence_no.strip():
        missing.append(FieldError(pointer="/licence_no", code="missing", detail="the licence"))
    return missing


def name_key(name: str) -> str:
    """Return what a name looks like: names with one key may not stand side by side.

    In this order: compatibility forms become plain (NFKC: full-width `ＡＢＣ`, circled `①`,
    ligatures), accents fall off, case is folded, Cyrillic and Greek look-alikes become Latin, and
    everything but letters and digits goes (spaces, punctuation, invisible characters). Similar
    Chinese characters stay different: that is for the officer who reviews. Empty when nothing is
    left to read.
    """
    plain = unicodedata.normalize("NFKC", name)
    bare = "".join(
        c for c in unicodedata.normalize("NFD", plain) if unicodedata.category(c) != "Mn"
    )
    folded = unicodedata.normalize("NFKC", bare).casefold().translate(_TWINS)
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LN")


LEGAL_FORMS: Final = (
    "股份有限公司", "有限责任公司", "有限公司", "集团公司", "集团", "公司", "coltd", "ltd", "inc",
)  # fmt: skip


def company_key(name: str) -> str:
    """Return what a company's name looks like without its legal form.

    A barred company must not come back as a "holding": 津门信息有限公司 and 津门信息股份有限公司
    are one. A name that is nothing but a form keeps it.
    """
    key = name_key(name)
    for form in LEGAL_FORMS:
        if key.endswith(form) and key != form:
            return key.removesuffix(form)
    return key
