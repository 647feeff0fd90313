"""Numbers: the canonical form, what machines and persons may write, and what nobody is shown."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.core.phone import (
    ACCESS_NUMBER_PATTERN,
    HOTLINE_PATTERN,
    MSISDN_PATTERN,
    AccessNumber,
    Hotline,
    Msisdn,
    PhoneError,
    PhoneFault,
    mask,
    normalise_msisdn,
    parse_msisdn,
)

msisdns = st.from_regex(r"861[3-9][0-9]{9}", fullmatch=True, alphabet="0123456789")

TYPED = [
    "13812345678",
    "+8613812345678",
    "008613812345678",
    "8613812345678",
    "+86 138-1234-5678",
    "(+86)13812345678",
    "（＋８６）１３８－１２３４－５６７８",
    "１３８１２３４５６７８",
    "013812345678",
    "+86 013812345678",
    "17951 13812345678",
    "1259313812345678",
    "17951 013812345678",
    "+86 17911 13812345678",
    "\u202a13812345678\u202c",
    "138\u00a01234\u200b5678",
    "13812345678\n",
    "138–1234—5678",
]


@pytest.mark.parametrize("text", TYPED)
def test_what_a_person_types_becomes_the_canonical_form(text: str) -> None:
    """The console understands the spellings found in address books and on business cards."""
    assert normalise_msisdn(text) == "8613812345678"


@pytest.mark.parametrize("text", [text for text in TYPED if text != "8613812345678"])
def test_a_machine_must_write_the_canonical_form(text: str) -> None:
    """The same spellings from a partner's system are refused as misformatted."""
    with pytest.raises(PhoneError) as refusal:
        parse_msisdn(text)
    assert refusal.value.code is PhoneFault.FORMAT


REFUSED = [
    ("1381234567", PhoneFault.LENGTH),
    ("138123456789", PhoneFault.LENGTH),
    ("86138123456789", PhoneFault.LENGTH),
    ("861381234567", PhoneFault.LENGTH),
    ("13812345678901234", PhoneFault.LENGTH),
    ("138123456789012345678", PhoneFault.LENGTH),
    ("0", PhoneFault.LENGTH),
    ("1064812345678", PhoneFault.TYPE_NOT_ALLOWED),
    ("861064812345678", PhoneFault.TYPE_NOT_ALLOWED),
    ("1440012345678", PhoneFault.TYPE_NOT_ALLOWED),
    ("01012345678", PhoneFault.TYPE_NOT_ALLOWED),
    ("02087654321", PhoneFault.TYPE_NOT_ALLOWED),
    ("075512345678", PhoneFault.TYPE_NOT_ALLOWED),
    ("+85291234567", PhoneFault.TYPE_NOT_ALLOWED),
    ("0085291234567", PhoneFault.TYPE_NOT_ALLOWED),
    ("+14155550123", PhoneFault.TYPE_NOT_ALLOWED),
    ("12012345678", PhoneFault.PREFIX),
    ("8612012345678", PhoneFault.PREFIX),
    ("21012345678", PhoneFault.PREFIX),
    ("", PhoneFault.FORMAT),
    ("unknown", PhoneFault.FORMAT),
    ("١٣٨١٢٣٤٥٦٧٨", PhoneFault.FORMAT),
    ("86१३८१२३४५६७८", PhoneFault.FORMAT),
    ("1381234567\x00", PhoneFault.FORMAT),
    ("1.38123E+10", PhoneFault.FORMAT),
    ("13812345678.0", PhoneFault.FORMAT),
    ("138+12345678", PhoneFault.FORMAT),
    ("①③⑧12345678", PhoneFault.FORMAT),
    ("138****5678", PhoneFault.MASKED),
    ("86138****5678", PhoneFault.MASKED),
]


@pytest.mark.parametrize(("text", "code"), REFUSED)
def test_what_is_no_subscribers_number_is_refused_with_its_reason(
    text: str, code: PhoneFault
) -> None:
    """Both entrances give the same reason, and the reason does not repeat the number."""
    for read in (parse_msisdn, normalise_msisdn):
        with pytest.raises(PhoneError) as refusal:
            read(text)
        assert refusal.value.code is code
        if len(text) > 1:
            assert text not in f"{refusal.value} {refusal.value.detail} {refusal.value.args}"


def test_a_bare_number_is_never_cut_as_if_it_had_a_dial_prefix() -> None:
    """17951xxxxxx has the length of a number, so it is one."""
    assert normalise_msisdn("17951138123") == "8617951138123"
    assert normalise_msisdn("+86 17951138123") == "8617951138123"


def test_a_number_of_another_network_is_taken_as_it_is() -> None:
    """Numbers are ported, so every prefix from 13 to 19 passes."""
    for prefix in range(13, 20):
        assert parse_msisdn(f"86{prefix}012345678") == f"86{prefix}012345678"


def test_a_long_text_is_refused_unread() -> None:
    """A pasted page is no number, whatever it contains."""
    with pytest.raises(PhoneError) as refusal:
        normalise_msisdn(" " * 100 + "13812345678")
    assert refusal.value.code is PhoneFault.LENGTH


@given(msisdns)
def test_the_canonical_form_is_a_fixed_point(msisdn: str) -> None:
    """Parsing, normalising and decoding a canonical number give it back unchanged."""
    assert parse_msisdn(msisdn) == msisdn
    assert normalise_msisdn(msisdn) == msisdn
    assert normalise_msisdn(msisdn[2:]) == msisdn
    assert msgspec.convert(msisdn, Msisdn) == msisdn


@given(st.text(max_size=30) | st.text("0123456789+- ()*８6１\n\u0661\u200b", max_size=20))
def test_any_text_gives_a_canonical_number_or_a_phone_error(text: str) -> None:
    """No text makes either entrance raise anything else, and the strict one never changes it."""
    for read in (parse_msisdn, normalise_msisdn):
        try:
            number = read(text)
        except PhoneError:
            continue
        assert re.fullmatch("861[3-9][0-9]{9}", number, re.ASCII)
        assert read is normalise_msisdn or number == text


def test_a_mask_shows_three_and_four_digits() -> None:
    """The middle four digits of a canonical number are hidden, and anything else is hidden."""
    assert mask("8613812345678") == "138****5678"
    for other in ("13812345678", "", "secret", "8613812345678\n", "02087654321"):
        assert mask(other) == "****"


@given(msisdns)
def test_a_mask_is_no_number(msisdn: str) -> None:
    """A masked number sent back is recognised as one, never taken for a number."""
    for read in (parse_msisdn, normalise_msisdn):
        with pytest.raises(PhoneError) as refusal:
            read(mask(msisdn))
        assert refusal.value.code is PhoneFault.MASKED


HOTLINES = [
    "01062345678",
    "02087654321",
    "07552345678",
    "075523456789",
    "4008123456",
    "8008123456",
    "95588",
    "955123",
    "96315",
    "02096315",
    "10109696",
]
NOT_HOTLINES = [
    "",
    "110",
    "10086",
    "13812345678",
    "8613812345678",
    "62345678",
    "010-62345678",
    "400 812 3456",
    "400812345",
    "0101234567",
    "01012345678",
    "9558",
    "1010969",
    "020876543210",
    "0208765432１",
]


@pytest.mark.parametrize("number", HOTLINES)
def test_a_number_anyone_can_call_is_a_hotline(number: str) -> None:
    """Landlines with area code, 400, 800 and short national or local numbers are hotlines."""
    assert msgspec.convert(number, Hotline) == number


@pytest.mark.parametrize("number", NOT_HOTLINES)
def test_what_cannot_be_dialled_from_anywhere_is_no_hotline(number: str) -> None:
    """Mobiles, numbers without area code, separators and impossible numbers are refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(number, Hotline)


@pytest.mark.parametrize("number", ["100", "10690001", "10655123", "10" + "9" * 19])
def test_an_access_number_starts_with_10(number: str) -> None:
    """From three to twenty-one digits."""
    assert msgspec.convert(number, AccessNumber) == number


@pytest.mark.parametrize("number", ["10", "10" + "9" * 20, "12345", "106x", "", "1069 0001"])
def test_what_is_no_access_number_is_refused(number: str) -> None:
    """Too short, too long, or not of the operator's range."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(number, AccessNumber)


@pytest.mark.parametrize(
    ("kind", "good"),
    [(Msisdn, "8613812345678"), (Hotline, "4008123456"), (AccessNumber, "10690001")],
)
def test_the_patterns_hold_at_both_ends(kind: type[str], good: str) -> None:
    """The decoder searches instead of matching, so every pattern has to anchor itself."""
    assert msgspec.json.decode(msgspec.json.encode(good), type=kind) == good
    foreign_digit = good[:-1] + "٨"
    for bad in (good + "\n", "\n" + good, "1\n" + good, good + "\n1", foreign_digit, " " + good):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(msgspec.json.encode(bad), type=kind)


@pytest.mark.parametrize("pattern", [MSISDN_PATTERN, HOTLINE_PATTERN, ACCESS_NUMBER_PATTERN])
def test_the_patterns_are_the_ones_other_languages_read(pattern: str) -> None:
    """The interface description publishes them, so they keep to what ECMAScript has too."""
    assert not re.search(r"\\[AZzdpw]|\(\?[P<>#iamsux]|[*+?}]\+", pattern)
