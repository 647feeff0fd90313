r"""Telephone numbers: one canonical form for subscribers, closed forms for SPs' numbers.

A subscriber's number (MSISDN) is `86` and eleven digits, always, everywhere inside. Machines must
write it so; only what a person types in the console is normalised. Every pattern here names its
digits (`\d` also takes Arabic-Indic ones) and ends in `$(?!\n)`, because `$` alone lets a
trailing newline pass. No error ever repeats the number.
"""

import re
import unicodedata
from enum import StrEnum
from typing import Annotated, Final

import msgspec

_MOBILE: Final = "1[3-9][0-9]{9}"
"""A mainland mobile number. The operator is never inferred from it: numbers are ported."""

MSISDN_PATTERN: Final = f"^86{_MOBILE}$(?!\\n)"

Msisdn = Annotated[
    str,
    msgspec.Meta(
        pattern=MSISDN_PATTERN,
        description="A mainland mobile number: 86 and eleven digits, nothing else.",
        examples=["8613800138000"],
    ),
]

HOTLINE_FORMS: Final = {
    # 010 and 02x have eight-digit numbers, other areas seven or eight; none starts with 0, 1 or 9.
    "landline": "0(?:10|2[0-9])[2-8][0-9]{7}|0[3-9][0-9]{2}[2-8][0-9]{6,7}",
    # 400: caller and company share the cost; 800: the company pays. Both have ten digits.
    "shared_or_free": "[48]00[0-9]{7}",
    # 95xxx and 95xxxx are national; 96xxx and 96xxxx belong to one province or city, which a
    # caller from elsewhere reaches with the area code in front.
    "short": "95[0-9]{3,4}|(?:0(?:10|2[0-9]|[3-9][0-9]{2}))?96[0-9]{3,4}",
    # 1010xxxx: eight-digit national service numbers, such as 10109696.
    "national_service": "1010[0-9]{4}",
}
"""What a subscriber can call from any phone and reach a company. A mobile number is not among
them: an SP's hotline must not depend on the one person who carries it."""

HOTLINE_PATTERN: Final = f"^(?:{'|'.join(HOTLINE_FORMS.values())})$(?!\\n)"

Hotline = Annotated[
    str,
    msgspec.Meta(
        pattern=HOTLINE_PATTERN,
        description="A company's number: landline with area code, 400, 800, 95xxx, 96xxx, 1010xxxx;"
        " digits only.",
        examples=["02087654321", "4008123456"],
    ),
]

ACCESS_NUMBER_PATTERN: Final = "^10[0-9]{1,19}$(?!\\n)"

AccessNumber = Annotated[
    str,
    msgspec.Meta(
        pattern=ACCESS_NUMBER_PATTERN,
        description="接入号: the number a service sends from and is ordered at. It starts with 10"
        " (the operator's own 10xxx and the SPs' 106…) and has at most 21 digits, the longest a"
        " source address carries in SGIP and CMPP.",
        examples=["10690001"],
    ),
]


def is_operators_own(access_number: str) -> bool:
    """Say whether an access number is one of the operators' own: 10 and three digits (10010)."""
    return re.fullmatch("10[0-9]{1,3}", access_number) is not None


class PhoneFault(StrEnum):
    """Why a number was not taken as a subscriber's number."""

    FORMAT = "msisdn_format"
    LENGTH = "msisdn_length"
    TYPE_NOT_ALLOWED = "msisdn_type_not_allowed"
    PREFIX = "msisdn_prefix"
    MASKED = "msisdn_masked"


_DETAILS: Final = {
    PhoneFault.FORMAT: "write the number as 86 and eleven ASCII digits",
    PhoneFault.LENGTH: "the number has too few or too many digits",
    PhoneFault.TYPE_NOT_ALLOWED: "not a mainland mobile number: a landline, a machine's number"
    " (物联网) or a number of another country",
    PhoneFault.PREFIX: "a mainland mobile number starts with 13 to 19",
    PhoneFault.MASKED: "the number is masked; send it whole",
}


class PhoneError(ValueError):
    """A text that is no subscriber's number. Neither code nor detail contains the text."""

    def __init__(self, code: PhoneFault) -> None:
        """Keep the stable code; the detail follows from it."""
        super().__init__(code.value)
        self.code = code
        self.detail = _DETAILS[code]


_CANONICAL: Final = re.compile(f"86{_MOBILE}")
_MASKED: Final = re.compile(r"\+?[0-9]*\*[0-9*]*")
_FOREIGN: Final = re.compile(r"(?:\+|00)(?!0*86)[0-9]{4,}")
_LANDLINE: Final = re.compile(r"0(?!1[3-9])[1-9][0-9]{8,10}")
_MACHINE: Final = re.compile(r"(?:1064|14[014][0-9])[0-9]{9}")
"""Thirteen digits: numbers of machines (物联网) of all operators. They cannot read a notice."""

_IP_PREFIXES: Final = (
    "12593", "17951", "17950", "17911", "17910", "17909", "17908", "17901", "17900", "17931",
    "17969", "10193",
)  # fmt: skip
"""Carriers' dial-through prefixes, found before numbers in old address books."""

_LONGEST_TYPED: Final = 64
_TYPED_FORMS: Final = str.maketrans("０１２３４５６７８９＋（）－＊‐‑–—−", "0123456789+()-*-----")
_SEPARATORS: Final = str.maketrans("", "", "-()")


def parse_msisdn(text: str) -> str:
    """Take a number from a machine: exactly the canonical form, or `PhoneError`."""
    if _CANONICAL.fullmatch(text):
        return text
    raise PhoneError(_fault(text))


def normalise_msisdn(text: str) -> str:
    """Take a number as a person types or pastes it; return the canonical form or `PhoneError`.

    Understood beyond the canonical form: no country code, `+86`, `0086`, spaces, hyphens,
    brackets, full-width characters, invisible format characters from copied contacts, a trunk 0,
    a carrier's dial-through prefix. Tell the person what was read when the result differs.
    """
    if len(text) > _LONGEST_TYPED:
        raise PhoneError(PhoneFault.LENGTH)
    visible = "".join(
        character
        for character in text.translate(_TYPED_FORMS)
        if not character.isspace() and unicodedata.category(character) != "Cf"
    )
    digits = visible.translate(_SEPARATORS)
    national = _without_prefixes(digits)
    if re.fullmatch(_MOBILE, national):
        return "86" + national
    raise PhoneError(_fault(digits))


def mask(msisdn: str) -> str:
    """Show a canonical number as `138****5678`; anything else is hidden whole."""
    if _CANONICAL.fullmatch(msisdn) is None:
        return "****"
    return f"{msisdn[2:5]}****{msisdn[-4:]}"


def _without_prefixes(digits: str) -> str:
    """Strip country code, dial-through prefix and trunk 0, each at most once, in dialling order."""
    national = re.sub(r"^(?:\+86|0086)", "", digits)
    for prefix in _IP_PREFIXES:
        # 179… may also be the start of a mobile number, so a bare number is never cut.
        if national.startswith(prefix) and len(national) >= len(prefix) + 11:
            national = national.removeprefix(prefix)
            break
    return re.sub(f"^(?:86|0)(?={_MOBILE}$)", "", national)


def _fault(text: str) -> PhoneFault:
    """Name what is wrong with a text that is not a canonical number."""
    national = re.sub(r"^(?:\+86|0086|86(?=[0-9]{10,}))", "", text)
    if _MASKED.fullmatch(text):
        return PhoneFault.MASKED
    if _FOREIGN.fullmatch(text) or _LANDLINE.fullmatch(national) or _MACHINE.fullmatch(national):
        return PhoneFault.TYPE_NOT_ALLOWED
    if not re.fullmatch(r"\+?[0-9]+", text) or re.fullmatch(_MOBILE, _without_prefixes(text)):
        return PhoneFault.FORMAT  # the second: a number, but not as a machine must write it
    return PhoneFault.PREFIX if len(national) == len("13800138000") else PhoneFault.LENGTH
