"""What may come in at all: one pass over every JSON body and query string before it is decoded.

The decoder alone is too kind and too harsh at once. It takes the last of two equal keys, lets
U+0000 and direction-turning characters through, and answers deep nesting or broken UTF-8 with
errors that would become a 5xx. Once `scan_json` has passed a body, `msgspec.json.decode` either
works or raises `msgspec.DecodeError`, and every text and integer in it fits into PostgreSQL.

The grammar itself stays with the decoder: refused here is what the decoder would not refuse, or
not refuse well. No detail repeats a value, because a value may be a subscriber's number.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

MAX_DEPTH: Final = 16
"""Objects and arrays inside one another. Our deepest real body has five."""

MAX_QUERY_BYTES: Final = 4096
MAX_QUERY_PARAMETERS: Final = 32

MAX_INTEGER: Final = 2**63 - 1
"""The largest `bigint`; the smallest is one further from zero."""


class Fault(StrEnum):
    """Why an input was refused before anybody looked at its meaning."""

    JSON_MALFORMED = "json_malformed"
    TOO_DEEP = "too_deep"
    DUPLICATE_KEY = "duplicate_key"
    NUL_CHAR = "nul_char"
    CONTROL_CHAR = "control_char"
    NUMBER_TOO_LARGE = "number_too_large"
    TEXT_MALFORMED = "text_malformed"
    QUERY_MALFORMED = "query_malformed"
    QUERY_REPEATED = "query_repeated"
    QUERY_TOO_LONG = "query_too_long"
    QUERY_TOO_MANY = "query_too_many"
    INTEGER_MALFORMED = "integer_malformed"
    INTEGER_OUT_OF_RANGE = "integer_out_of_range"


class Malformed(Exception):  # noqa: N818 -- a verdict on the input, not a failure of ours
    """An input refused by its form alone. `detail` never repeats any part of the input."""

    def __init__(self, code: Fault, detail: str) -> None:
        """Keep the stable code and a detail in plain words."""
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


# In valid UTF-8 a lead byte never occurs inside another character, so byte sequences are exact:
# C0 without tab and line ends, DEL; C1; U+202A-202E; U+2066-2069; U+E0000-E007F.
_CONTROL_BYTES: Final = re.compile(
    rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]"
    rb"|\xf3\xa0[\x80\x81][\x80-\xbf]"
)

# Every byte that can open one of these or is U+0000: without any of them, a text is clean.
_SUSPECT_BYTES: Final = bytes({*range(0x20), 0x7F, 0xC2, 0xE2, 0xF3} - {*b"\t\n\r"})

# The same characters written as escapes, and halves of surrogate pairs standing alone. Runs over a
# body in which every escaped backslash is blanked, so that a backslash always opens an escape.
_BAD_ESCAPE: Final = re.compile(
    rb"\\(?:(?P<nul>u0000)"
    rb"|(?P<control>[bf]|u00(?:0[1-8bcefBCEF]|1[0-9a-fA-F]|7[fF]|[89][0-9a-fA-F])"
    rb"|u20(?:2[a-eA-E]|6[6-9])|u[dD][bB]40\\u[dD][cC][0-7][0-9a-fA-F])"
    rb"|u[dD][89abAB]..(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB]..\\)u[dD][c-fC-F])",
    re.DOTALL,
)

# Strings are taken whole, so brackets inside them are never seen. Group 1: a string; group 2: its
# colon, so it was a key. Without groups: a bracket, or a quotation mark which nothing closes.
# The first character stands alone because a leading class is what the engine skips fastest.
_TOKEN: Final = re.compile(rb'["{}\[\]](?:(?<=")([^"]*)"(?:[ \t\n\r]*(:))?)?')
_VALUE, _KEY = 1, 2

_SPACED_COLON: Final = re.compile(rb'"[ \t\n\r]+:')
_DIGITS: Final = bytes(ord("0") if chr(byte) in "0123456789" else 0 for byte in range(256))
_MANY_DIGITS: Final = b"0" * 19
_STRING: Final = re.compile(rb'"[^"]*"')
_INTEGER: Final = re.compile(rb"(?<![0-9.])-?[0-9]{19,}")


def scan_json(body: bytes) -> None:
    """Refuse a JSON body which must not reach the decoder. Linear in its size, no recursion.

    Raises `Malformed` for: an empty body, invalid UTF-8, a byte order mark, nesting beyond
    `MAX_DEPTH`, the same key twice in one object (compared after unescaping), U+0000, lone
    surrogates, control characters other than tab and line ends, bidirectional controls and tag
    characters (raw or escaped), and integers which do not fit 64 bits.
    What remains malformed (NaN, trailing data, a missing comma) the decoder refuses.
    """
    if not body or body.isspace():
        raise Malformed(Fault.JSON_MALFORMED, "the body is empty")
    if body.startswith(b"\xef\xbb\xbf"):
        raise Malformed(Fault.JSON_MALFORMED, "the body starts with a byte order mark")
    _refuse_bytes(body, Fault.JSON_MALFORMED)
    skeleton = body
    if b"\\" in body:
        skeleton = body.replace(rb"\\", b"__")
        _refuse_escapes(skeleton)
        skeleton = skeleton.replace(rb"\"", b"__")
    if not _is_plain(body, skeleton):
        _refuse_structure(body, skeleton)
    if _MANY_DIGITS in skeleton.translate(_DIGITS):
        _refuse_integers(skeleton)


def clean_text(value: str) -> None:
    """Refuse one text by the rules that hold for texts inside a JSON body.

    Raises `Malformed`: `text_malformed` (a lone surrogate), `nul_char`, `control_char`.
    """
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise Malformed(Fault.TEXT_MALFORMED, "the text has half a surrogate pair") from None
    _refuse_bytes(raw, Fault.TEXT_MALFORMED)


def query_int(text: str, lo: int, hi: int) -> int:
    """Read a whole number written in ASCII digits only, `lo <= number <= hi`.

    `1e3`, `+1`, ` 1`, `1_000` and digits of other scripts are `integer_malformed`;
    a number outside the bounds is `integer_out_of_range`.
    """
    if re.fullmatch(r"-?[0-9]{1,100}", text) is None:
        raise Malformed(Fault.INTEGER_MALFORMED, "write a whole number with the digits 0 to 9")
    number = int(text)
    if not lo <= number <= hi:
        raise Malformed(Fault.INTEGER_OUT_OF_RANGE, f"the number must be from {lo} to {hi}")
    return number


def parse_query(raw: bytes) -> dict[str, str]:
    """Read the part of a URL after `?`, each name at most once. `+` is a space, as in forms.

    A name without `=` has the empty value; empty pieces (`a=1&&b=2`) are passed over.
    Raises `Malformed` for a repeated or empty name, broken percent-encoding, invalid UTF-8,
    forbidden characters, more than `MAX_QUERY_PARAMETERS` or more than `MAX_QUERY_BYTES`.
    """
    if len(raw) > MAX_QUERY_BYTES:
        raise Malformed(Fault.QUERY_TOO_LONG, f"the query is longer than {MAX_QUERY_BYTES} bytes")
    pieces = [piece for piece in raw.split(b"&") if piece]
    if len(pieces) > MAX_QUERY_PARAMETERS:
        raise Malformed(
            Fault.QUERY_TOO_MANY, f"the query has more than {MAX_QUERY_PARAMETERS} parameters"
        )
    parameters: dict[str, str] = {}
    for piece in pieces:
        raw_name, _, raw_value = piece.partition(b"=")
        name = _query_text(raw_name)
        if not name:
            raise Malformed(Fault.QUERY_MALFORMED, "a parameter has no name")
        if name in parameters:
            raise Malformed(Fault.QUERY_REPEATED, "a parameter is given more than once")
        parameters[name] = _query_text(raw_value)
    return parameters


def _query_text(raw: bytes) -> str:
    if re.search(rb"%(?![0-9A-Fa-f]{2})", raw) is not None:
        raise Malformed(Fault.QUERY_MALFORMED, "a percent sign is not followed by two hex digits")
    decoded = unquote_to_bytes(raw.replace(b"+", b" "))
    _refuse_bytes(decoded, Fault.QUERY_MALFORMED)
    return decoded.decode()


def _refuse_bytes(raw: bytes, not_utf8: Fault) -> None:
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise Malformed(not_utf8, f"not valid UTF-8 at byte {error.start}") from None
    if len(raw.translate(None, _SUSPECT_BYTES)) == len(raw):
        return
    nul = raw.find(0)
    if nul >= 0:
        raise Malformed(Fault.NUL_CHAR, f"the character U+0000 at byte {nul}")
    control = _CONTROL_BYTES.search(raw)
    if control is not None:
        raise Malformed(Fault.CONTROL_CHAR, f"a control character at byte {control.start()}")


def _refuse_escapes(text: bytes) -> None:
    bad = _BAD_ESCAPE.search(text)
    if bad is None:
        return
    at = bad.start()
    if bad["nul"] is not None:
        raise Malformed(Fault.NUL_CHAR, f"the character U+0000, escaped, at byte {at}")
    if bad["control"] is not None:
        raise Malformed(Fault.CONTROL_CHAR, f"a control character, escaped, at byte {at}")
    raise Malformed(Fault.JSON_MALFORMED, f"half a surrogate pair at byte {at}")


def _is_plain(body: bytes, skeleton: bytes) -> bool:
    """Tell quickly that nothing is wrong with nesting and keys; False: look again, more closely.

    Of two equal keys the decoder keeps one, so there are none where a decoded body has as many keys
    as there are quotation marks before a colon. A text that begins with a colon makes these more,
    and a space before a colon would make them fewer: both are left to the closer look.
    """
    colons = skeleton.count(b'":')
    if colons != skeleton.count(b":") and _SPACED_COLON.search(skeleton) is not None:
        return False
    try:
        value = msgspec.json.decode(body)
        return (_flat_keys(value, skeleton) or _keys(value, MAX_DEPTH)) == colons
    except (msgspec.DecodeError, RecursionError):
        return False


def _flat_keys(value: object, skeleton: bytes) -> int | None:
    """Count the keys of a list of flat objects in an object, as a batch is; None: it is not that."""
    items = next(iter(value.values())) if type(value) is dict and len(value) == 1 else None
    if type(items) is not list or set(map(type, items)) != {dict}:
        return None
    inside = skeleton.count(b"{") - 1 + skeleton.count(b"[") - 1
    return sum(map(len, items)) + 1 if inside == len(items) else None


def _keys(value: object, depth: int) -> int:
    """Count the keys in all objects of a decoded body; hopelessly few where it is too deep."""
    inside: Iterable[object]
    if type(value) is dict:
        found, inside = len(value), value.values()
    elif type(value) is list:
        found, inside = 0, value
    else:
        return 0
    if not depth:
        return -(1 << 60)
    for one in inside:
        if type(one) is dict or type(one) is list:
            found += _keys(one, depth - 1)
    return found


def _refuse_structure(body: bytes, skeleton: bytes) -> None:
    """Check nesting and keys. `skeleton` is `body` with its escaped quotation marks blanked."""
    open_objects: list[set[bytes] | None] = []  # the keys seen so far; None for an array
    for token in _TOKEN.finditer(skeleton):
        if token.lastindex == _VALUE:
            continue
        at = token.start()
        if token.lastindex == _KEY:
            keys = open_objects[-1] if open_objects else None
            _add_key(keys, body[token.start(1) : token.end(1)], at)
            continue
        match token[0]:
            case b"{" | b"[" if len(open_objects) == MAX_DEPTH:
                raise Malformed(Fault.TOO_DEEP, f"nested deeper than {MAX_DEPTH} at byte {at}")
            case b"{":
                open_objects.append(set())
            case b"[":
                open_objects.append(None)
            case b"}" | b"]" as closing:
                if not open_objects or (open_objects.pop() is None) != (closing == b"]"):
                    raise Malformed(Fault.JSON_MALFORMED, f"nothing to close at byte {at}")
            case _:
                raise Malformed(Fault.JSON_MALFORMED, f"a text without an end at byte {at}")
    if open_objects:
        raise Malformed(Fault.JSON_MALFORMED, "the body ends too early")


def _add_key(keys: set[bytes] | None, written: bytes, at: int) -> None:
    """Remember one key of the innermost object; `keys` is None where no key belongs."""
    if keys is None:
        raise Malformed(Fault.JSON_MALFORMED, f"a key outside an object at byte {at}")
    key = _unescaped(written, at)
    if key in keys:
        raise Malformed(Fault.DUPLICATE_KEY, f"a key for the second time at byte {at}")
    keys.add(key)


def _unescaped(key: bytes, at: int) -> bytes:
    if b"\\" not in key:
        return key
    try:
        return msgspec.json.decode(b'"' + key + b'"', type=str).encode()
    except msgspec.DecodeError:
        raise Malformed(Fault.JSON_MALFORMED, f"a key with a wrong escape at byte {at}") from None


def _refuse_integers(skeleton: bytes) -> None:
    """Refuse a number whose integer part does not fit `bigint`. Every string must be closed."""
    for number in _INTEGER.findall(_STRING.sub(b'""', skeleton)):
        negative = number.startswith(b"-")
        digits = number.lstrip(b"-")
        if len(digits) > len(str(MAX_INTEGER)) or int(digits) > MAX_INTEGER + negative:
            raise Malformed(Fault.NUMBER_TOO_LARGE, "a number does not fit 64 bits")
