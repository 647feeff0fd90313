"""The pre-scan of bodies and queries: what it refuses, and that the decoder is safe behind it."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.core.strict import (
    MAX_DEPTH,
    Fault,
    Malformed,
    clean_text,
    parse_query,
    query_int,
    scan_json,
)

REFUSED_BODIES = [
    (b"", Fault.JSON_MALFORMED),
    (b" \r\n\t", Fault.JSON_MALFORMED),
    (b"\xef\xbb\xbf{}", Fault.JSON_MALFORMED),
    ('{"a":1}'.encode("utf-16"), Fault.JSON_MALFORMED),
    ('{"a":1}'.encode("utf-16-le"), Fault.NUL_CHAR),
    (b'{"a":"\xff"}', Fault.JSON_MALFORMED),
    (b'{"a":"\xc0\x80"}', Fault.JSON_MALFORMED),
    (b'{"a":"\xed\xa0\x80"}', Fault.JSON_MALFORMED),
    (b"[" * 100_000, Fault.TOO_DEEP),
    (b'{"a":' * 17, Fault.TOO_DEEP),
    (b"[" * 17 + b"]" * 17, Fault.TOO_DEEP),
    (b'{"known":1,"unknown":' + b"[" * 30 + b"]" * 30 + b"}", Fault.TOO_DEEP),
    (b'{"amount":1,"amount":999}', Fault.DUPLICATE_KEY),
    (b'{"a":1,"\\u0061":2}', Fault.DUPLICATE_KEY),
    (b'{"\\"":1,"\\u0022":2}', Fault.DUPLICATE_KEY),
    ('{"费":1,"\\u8d39":2}'.encode(), Fault.DUPLICATE_KEY),
    (b'{"a" :1,"a"\n\t:2}', Fault.DUPLICATE_KEY),
    (b'[{"x":{"a":1,"b":[],"a":2}}]', Fault.DUPLICATE_KEY),
    (b'{"":1,"":2}', Fault.DUPLICATE_KEY),
    (b'{"items":[{"a":1,"b":2},{"a":1,"a":2}]}', Fault.DUPLICATE_KEY),
    (b'{"items":[{"a":1,"b":":"},{"a":1,"a":2}]}', Fault.DUPLICATE_KEY),
    (b'{"items":[{"a":1,"a" :2},{"a":":"}]}', Fault.DUPLICATE_KEY),
    (b'{"items":[{"a":{"b":1,"b":2}},{"a":"}"}]}', Fault.DUPLICATE_KEY),
    (b'{"items":[{"a":1}],"items":[{"b":1},{"c":1}]}', Fault.DUPLICATE_KEY),
    (b'{"items":[{"a":[{"b":1,"b":2}]}]}', Fault.DUPLICATE_KEY),
    (b'{"a":"\x00"}', Fault.NUL_CHAR),
    (b'{"a":"\\u0000"}', Fault.NUL_CHAR),
    (b'{"\\u0000":1}', Fault.NUL_CHAR),
    (b'"\\\\\\u0000"', Fault.NUL_CHAR),
    (b'"\x01"', Fault.CONTROL_CHAR),
    (b'"\x7f"', Fault.CONTROL_CHAR),
    (b'"\\u007F"', Fault.CONTROL_CHAR),
    (b'"\\b"', Fault.CONTROL_CHAR),
    (b'"\\f"', Fault.CONTROL_CHAR),
    (b'"\\u001b"', Fault.CONTROL_CHAR),
    (b'"\\u000B"', Fault.CONTROL_CHAR),
    ('"\u0085"'.encode(), Fault.CONTROL_CHAR),
    (b'"\\u009f"', Fault.CONTROL_CHAR),
    ('"\u202e"'.encode(), Fault.CONTROL_CHAR),
    (b'"\\u202A"', Fault.CONTROL_CHAR),
    ('"\u2066"'.encode(), Fault.CONTROL_CHAR),
    (b'"\\u2069"', Fault.CONTROL_CHAR),
    ('"\U000e0041"'.encode(), Fault.CONTROL_CHAR),
    (b'"\\udb40\\udc7f"', Fault.CONTROL_CHAR),
    (b'"\\ud83d"', Fault.JSON_MALFORMED),
    (b'"\\ude00"', Fault.JSON_MALFORMED),
    (b'"\\ud83d\\ud83d\\ude00"', Fault.JSON_MALFORMED),
    (b'"\\ud83d\\ude00\\ude00"', Fault.JSON_MALFORMED),
    (b'"\\\\ud83d\\ude00"', Fault.JSON_MALFORMED),
    (b"9223372036854775808", Fault.NUMBER_TOO_LARGE),
    (b'{"a":-9223372036854775809}', Fault.NUMBER_TOO_LARGE),
    (b"[" + b"1" * 5000 + b"]", Fault.NUMBER_TOO_LARGE),
    (b'{"a":"b', Fault.JSON_MALFORMED),
    (b'{"a":"b\\"', Fault.JSON_MALFORMED),
    (b'{"a":1]', Fault.JSON_MALFORMED),
    (b"]", Fault.JSON_MALFORMED),
    (b'{"a":[1', Fault.JSON_MALFORMED),
    (b'["a":1]', Fault.JSON_MALFORMED),
    (b'{"\\x":1}', Fault.JSON_MALFORMED),
]


@pytest.mark.parametrize(("body", "code"), REFUSED_BODIES)
def test_a_body_is_refused_with_its_code(body: bytes, code: Fault) -> None:
    """Each row of the bad-input catalogue has one stable code."""
    with pytest.raises(Malformed) as refusal:
        scan_json(body)
    assert refusal.value.code is code


ACCEPTED_BODIES = [
    b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
    b'{"a":{"a":1},"b":[{"a":1},{"a":2}]}',
    b'["a","a",{"a":"a"}]',
    b'{"A":1,"a":2}',
    b'"\\\\u0000"',
    b'"\\t\\n\\r\\u0009\\u000a\\u000D\\/\\\\ \\" [[[[[[[[[[[[[[[[[[[["',
    b'"\\ud83d\\ude00"',
    b'"\\\\ud83d"',
    '{"签名":"Y\u200b \ufeff😀"}'.encode(),
    b"[9223372036854775807,-9223372036854775808]",
    b'"86138001380008613800138000"',
    b"0.00012345678901234567890",
    b" \r\n{} ",
]


@pytest.mark.parametrize("body", ACCEPTED_BODIES)
def test_a_clean_body_passes_and_decodes_as_the_standard_library_does(body: bytes) -> None:
    """Nothing legitimate is refused, and two decoders agree about what it says."""
    scan_json(body)
    assert msgspec.json.decode(body) == json.loads(body)


@pytest.mark.parametrize("body", [b"NaN", b"[Infinity]", b"{}{}", b"[1,]", b'"a\nb"', b"01", b"x"])
def test_the_grammar_itself_is_left_to_the_decoder(body: bytes) -> None:
    """What the scan lets pass and is not JSON, the decoder refuses in its own way."""
    scan_json(body)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body)


def test_a_refusal_never_repeats_what_was_sent() -> None:
    """Not the duplicate key, not the digits, and no decoding error that drags the body along."""
    for body in (
        b'{"8613800138000":1,"8613800138000":2}',
        b"8613800138000861380013800086138",
        b'{"8613800138000":"\xff"}',
        b'{"8613800138000\\x":1}',
    ):
        with pytest.raises(Malformed) as refusal:
            scan_json(body)
        assert "13800138000" not in f"{refusal.value} {refusal.value.detail}"
        assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def forbidden(character: str) -> bool:
    """Say whether one character may not appear, written independently of the scan."""
    point = ord(character)
    return (
        (point < 0x20 and character not in "\t\n\r")
        or 0x7F <= point <= 0x9F
        or 0x202A <= point <= 0x202E
        or 0x2066 <= point <= 0x2069
        or 0xD800 <= point <= 0xDFFF
        or 0xE0000 <= point <= 0xE007F
    )


clean_strings = st.text(st.characters(exclude_categories=["Cs"]).filter(lambda c: not forbidden(c)))
any_characters = st.one_of(
    st.characters(),
    st.sampled_from(
        "\x00\x01\x08\x0b\x0c\x1f\x7f\x80\x9f\xa0\u2029\u202a\u202e\u202f\u2065\u2066\u2069\u206a"
        "\ud800\udfff\U000dffff\U000e0000\U000e007f\U000e0080\t\n\r",
    ),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    clean_strings,
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(clean_strings, inner, max_size=4),
    max_leaves=12,
)


def depth(value: object) -> int:
    """Count containers inside one another."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@given(value=values, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_any_clean_value_passes_and_comes_back_equal(
    value: Any,
    ascii_only: bool,
    indent: int | None,
) -> None:
    """Escaped or raw, dense or indented: the scan changes nothing about clean JSON."""
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    if depth(value) > MAX_DEPTH:
        with pytest.raises(Malformed, match="too_deep"):
            scan_json(body)
        return
    scan_json(body)
    assert msgspec.json.decode(body) == value


@given(characters=st.lists(any_characters, max_size=6), ascii_only=st.booleans())
def test_a_string_passes_exactly_when_all_its_characters_may(
    characters: list[str],
    ascii_only: bool,
) -> None:
    """The forbidden characters are found raw and escaped, as values and as keys."""
    text = "".join(characters)
    if ascii_only:  # escapes of two halves that meet become one character
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    for value in (text, {text: 1}, [[text]]):
        body = json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")
        if any(map(forbidden, text)):
            with pytest.raises(Malformed):
                scan_json(body)
        else:
            scan_json(body)


tokens = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"\\ud83d", b"\\ude00", b'"a":', b"1",
     b"-", b"e9", b"9" * 19, b"\xff", b"\xe4\xb8", b"\x00", b" ", b"null", b"NaN", b"." + b"1" * 30]
)  # fmt: skip


@given(
    value=values,
    edits=st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 5), st.binary(max_size=3) | tokens),
        max_size=6,
    ),
)
def test_behind_the_scan_the_decoder_only_works_or_says_decode_error(
    value: Any,
    edits: list[tuple[int, int, bytes]],
) -> None:
    """Whatever is broken into a body, nothing but Malformed or DecodeError can come out."""
    body = bytearray(json.dumps(value).encode())
    for at, length, replacement in edits:
        start = at % (len(body) + 1)
        body[start : start + length] = replacement
    check_safe(bytes(body))


@given(st.lists(tokens, max_size=40).map(b"".join))
def test_random_pieces_of_json_are_safe_too(body: bytes) -> None:
    """The same promise for bodies that were never JSON."""
    check_safe(body)


def check_safe(body: bytes) -> None:
    """Assert that a body is refused, or decodes to storable values, or raises DecodeError."""
    try:
        scan_json(body)
        decoded = msgspec.json.decode(body)
    except (Malformed, msgspec.DecodeError):
        return
    storable(decoded)
    assert json.loads(body) == decoded


def storable(value: object) -> None:
    """Assert that PostgreSQL can hold every part of a decoded value."""
    match value:
        case dict():
            for key, inner in value.items():
                storable(key)
                storable(inner)
        case list():
            for inner in value:
                storable(inner)
        case str():
            assert "\x00" not in value
            value.encode()
        case float():
            assert math.isfinite(value)
        case bool() | None:
            pass
        case int():
            assert -(2**63) <= value < 2**63
        case _:
            pytest.fail(f"not a JSON value: {type(value)}")


def test_a_full_body_of_the_worst_shapes_is_scanned() -> None:
    """64 kB of brackets, of strings, of escapes and of digits pass or fail by rule, not by size."""
    for unit in (b"{}", b'""', b'"\\"\\\\"', b"1", b'"\\u4e2d"', b'{"":[[]]}'):
        body = b"[" + b",".join([unit] * (65_000 // (len(unit) + 1))) + b"]"
        scan_json(body)
        assert json.loads(body) == msgspec.json.decode(body)
    for body in (b'"' + b'\\"' * 32_000, b'"' * 64_001, b" " * 64_000, b'"' + b"\\" * 64_001):
        with pytest.raises(Malformed):
            scan_json(body)


@given(characters=st.lists(any_characters, max_size=6))
def test_clean_text_refuses_exactly_the_forbidden_characters(characters: list[str]) -> None:
    """The rule for one text is the rule for texts in a body."""
    text = "".join(characters)
    if any(map(forbidden, text)):
        with pytest.raises(Malformed):
            clean_text(text)
    else:
        clean_text(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [("a\x00", Fault.NUL_CHAR), ("\u202e", Fault.CONTROL_CHAR), ("\ud800", Fault.TEXT_MALFORMED)],
)
def test_clean_text_names_the_reason(text: str, code: Fault) -> None:
    """NUL, control and half a pair are three different reasons."""
    with pytest.raises(Malformed) as refusal:
        clean_text(text)
    assert refusal.value.code is code


@pytest.mark.parametrize(
    "text",
    ["", "1e3", "1.0", "１", "١", "1_000", " 1", "1 ", "1\n", "+1", "--1", "-", "0x1", "1" * 101,
     "9" * 5000, "null", "1\u200b"],
)  # fmt: skip
def test_a_query_number_has_one_spelling(text: str) -> None:
    """Everything Python's own int() is generous about is refused."""
    with pytest.raises(Malformed) as refusal:
        query_int(text, -(10**18), 10**18)
    assert refusal.value.code is Fault.INTEGER_MALFORMED


@given(number=st.integers(-(10**99) + 1, 10**99 - 1), lo=st.integers(), hi=st.integers())
def test_a_query_number_stays_in_its_bounds(number: int, lo: int, hi: int) -> None:
    """Inside the bounds the number comes back; outside it is refused as out of range."""
    if lo <= number <= hi:
        assert query_int(str(number), lo, hi) == number
    else:
        with pytest.raises(Malformed) as refusal:
            query_int(str(number), lo, hi)
        assert refusal.value.code is Fault.INTEGER_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("raw", "parameters"),
    [
        (b"", {}),
        (b"limit=20&after=x", {"limit": "20", "after": "x"}),
        (b"q=%E4%B8%AD+%2B&flag&empty=", {"q": "中 +", "flag": "", "empty": ""}),
        (b"a=1&&b=2&", {"a": "1", "b": "2"}),
        (b"a=b=c;d", {"a": "b=c;d"}),
        (b"&".join(b"p%d=" % i for i in range(32)), {f"p{i}": "" for i in range(32)}),
    ],
)
def test_a_clean_query_is_read(raw: bytes, parameters: dict[str, str]) -> None:
    """Names and values are percent-decoded once, and `+` is a space."""
    assert parse_query(raw) == parameters


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"id=1&id=2", Fault.QUERY_REPEATED),
        (b"id=1&%69d=2", Fault.QUERY_REPEATED),
        (b"id=1&id=1", Fault.QUERY_REPEATED),
        (b"id=%", Fault.QUERY_MALFORMED),
        (b"id=%4", Fault.QUERY_MALFORMED),
        (b"id=%zz", Fault.QUERY_MALFORMED),
        (b"id=%ff", Fault.QUERY_MALFORMED),
        (b"id=\xff", Fault.QUERY_MALFORMED),
        (b"id=%C0%80", Fault.QUERY_MALFORMED),
        (b"=1", Fault.QUERY_MALFORMED),
        (b"id=%00", Fault.NUL_CHAR),
        (b"%00=1", Fault.NUL_CHAR),
        (b"id=%1b", Fault.CONTROL_CHAR),
        (b"id=%E2%80%AE", Fault.CONTROL_CHAR),
        (b"&".join(b"p%d=" % i for i in range(33)), Fault.QUERY_TOO_MANY),
        (b"a=" + b"x" * 4095, Fault.QUERY_TOO_LONG),
    ],
)
def test_a_query_is_refused_with_its_code(raw: bytes, code: Fault) -> None:
    """A query that two readers could understand differently is not read at all."""
    with pytest.raises(Malformed) as refusal:
        parse_query(raw)
    assert refusal.value.code is code


@given(st.binary(max_size=60))
def test_no_query_makes_anything_but_text_or_a_refusal(raw: bytes) -> None:
    """Arbitrary bytes give clean texts, or Malformed."""
    try:
        parameters = parse_query(raw)
    except Malformed:
        return
    for name, value in parameters.items():
        clean_text(name)
        clean_text(value)
