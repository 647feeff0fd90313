"""What a subscriber's text means: yes, no, leave, or nothing we may act upon.

A consent is read only from a whole text that says yes and nothing else, because money follows
from it. Characters outside a short list make a text unclear *before* any normalisation: NFKC
would turn a mathematical bold Y into a plain one. Leaving is read more generously than consent.
"""

import re
import unicodedata
from enum import StrEnum
from typing import Final

import msgspec


class ReadingKind(StrEnum):
    """The closed set of meanings a text can have."""

    YES = "yes"
    """Consent to a prompt; with `code`, to the prompt of that code."""
    NO = "no"
    """Refusal of a prompt; with `code`, of the prompt of that code."""
    LEAVE = "leave"
    """Unsubscribe (退订); with `code`, from the service of that code."""
    LIST = "list"
    """`0000`: send the numbered list of what is subscribed."""
    LEAVE_ALL = "leave_all"
    """`00000`: cancel everything."""
    LANGUAGE = "language"
    """`EN` or `中文`: the language of our messages, in `code`."""
    SUMMARY = "summary"
    """Whether the month's bill is told by SMS: `on` or `off`, in `code`."""
    CHOICE = "choice"
    """Numbers out of the numbered list. Without an open list the text is unclear, also as an
    answer to a prompt: `1` is not a yes."""
    KEYWORD = "keyword"
    """A single word that may order a service. If no service has it, the text is unclear."""
    UNCLEAR = "unclear"
    """Nothing may follow from this text but a help message."""


LEAVING: Final = frozenset({ReadingKind.LEAVE, ReadingKind.LEAVE_ALL, ReadingKind.CHOICE})
"""What may end a relation once it is read; numbers may be choices out of the list."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One text, read. Independent of what is pending: that is for the caller to compare."""

    kind: ReadingKind
    code: str | None = None
    """YES, NO: the four digits of a prompt. LEAVE: a service code, letters in upper case.
    LANGUAGE: `zh` or `en`. SUMMARY: `on` or `off`."""
    codes: tuple[str, ...] = ()
    """LEAVE: several service codes in one text, each once; `code` is none then."""
    choices: tuple[int, ...] = ()
    """CHOICE: the chosen line numbers from 1, each once, in the order written. LEAVE: the same
    after TD (`TD 1,3`), where they may be codes as well."""
    keyword: str | None = None
    """KEYWORD, CHOICE, LANGUAGE and SUMMARY: the word as an order keyword, half-width, letters in upper
    case (a keyword may be a plain digit, so a CHOICE without an open list can still be an order)."""


UNCLEAR: Final = Reading(kind=ReadingKind.UNCLEAR)

YES_WORDS: Final = frozenset({"是", "y", "yes", "确认", "確認"})
NO_WORDS: Final = frozenset({"否", "n", "no", "不", "不是", "不要", "取消"})
LEAVE_WORDS: Final = frozenset({"td", "退订", "退訂", "确认退订", "確認退訂"})

STOP_WORDS: Final = frozenset({"stop", "unsubscribe"})
"""Leaving in English; by themselves only."""

LEAVE_ALL_WORDS: Final = frozenset(
    {
        "00000", "退订全部", "退訂全部", "全部退订", "全部退訂", "退订所有", "退訂所有",
        "td all", "tdall", "td全部", "td 全部", "stop all",
    }
)  # fmt: skip
"""Cancel everything; at an SP's number everything of that SP."""

SUMMARY_WORDS: Final = {
    "关闭账单": "off", "關閉賬單": "off", "bill off": "off", "billoff": "off",
    "开启账单": "on", "開啟賬單": "on", "bill on": "on", "billon": "on",
}  # fmt: skip
"""Switches the monthly SMS about the bill; no word of leaving, so that nothing else ends."""

LANGUAGE_WORDS: Final = {"en": "en", "english": "en", "中文": "zh", "zh": "zh"}

NOT_A_KEYWORD: Final = frozenset(
    {
        "好",
        "好的",
        "是的",
        "对",
        "對",
        "行",
        "嗯",
        "可以",
        "同意",
        "ok",
        "okay",
        "yn",
        "ny",
        "yesno",
    }
)
"""Words people answer with which are not consent, and must not be taken for an order either."""

NOT_IN_A_KEYWORD: Final = (
    "确认", "確認", "退订", "退訂", "取消", "不是", "不要", "是否", "回复", "回覆",
)  # fmt: skip
"""A word around one of these is an answer or our own prompt sent back, not an order."""

LONGEST_TEXT: Final = 160
"""Code points. Nothing we act upon is near; longer texts are not worth the work."""

# Before NFKC. ASCII without controls but with tab and line ends; spaces; zero-width space and
# byte order mark, which some phones add; full-width forms; unified ideographs; and punctuation
# that NFKC leaves alone. The ellipsis is left out: it would become full stops and be stripped.
_ALLOWED: Final = re.compile(
    "[\t\n\r -~\u00a0\u2000-\u200a\u3000\u200b\ufeff\uff01-\uff5e\u4e00-\u9fff\u3400-\u4dbf"
    "\u3001\u3002\u2018\u2019\u201c\u201d\u2014\u00b7\u3008-\u3011]*"
)
_TRAILING: Final = " 。.!~,"
_ANSWER: Final = re.compile(r"([^ 0-9]+) ?([0-9]{4})")
# "TD 8801", "TD8801", "TD+8801" (which is how many instructions are printed); several codes of two
# characters or more, "TD 8801,8802"; and places on a list, "TD 1,3".
_BETWEEN: Final = r"(?: ?[,、;.+] ?| )"
_TD: Final = rf"(?:{'|'.join(sorted(LEAVE_WORDS))}) ?\+? ?"
_LEAVE_SERVICES: Final = re.compile(
    rf"{_TD}([0-9a-z]{{1,12}}|[0-9a-z]{{2,12}}(?:{_BETWEEN}[0-9a-z]{{2,12}})+)"
)
_LEAVE_PLACES: Final = re.compile(rf"{_TD}([0-9]{{1,2}}(?:{_BETWEEN}[0-9]{{1,2}})*)")
_CHOICES: Final = re.compile(r"[0-9]{1,2}(?:(?: ?[,、;.] ?| )[0-9]{1,2})*")
_KEYWORD: Final = re.compile("[0-9a-z\u4e00-\u9fff\u3400-\u4dbf]{1,12}")


def read(text: str | None, *, also_yes: frozenset[str] = frozenset()) -> Reading:
    """Read one text as it came from the network; `None` is a message that holds no text.

    `also_yes` are further words of consent which the operator approved for the service in
    question, such as 是的. They never win over a refusal or a wish to leave. Never raises.
    """
    plain = _plain(text)
    if not plain:
        return UNCLEAR
    return (
        _leaving(plain)
        or _answer(plain, YES_WORDS | {_plain(word) or "" for word in also_yes})
        or _choice(plain)
        or _language(plain)
        or _summary(plain)
        or _keyword(plain)
        or UNCLEAR
    )


def _plain(text: str | None) -> str:
    """Fold width, case, spaces and trailing punctuation; empty if there is nothing to read."""
    if text is None or len(text) > LONGEST_TEXT or _ALLOWED.fullmatch(text) is None:
        return ""
    folded = unicodedata.normalize("NFKC", text)
    visible = "".join(c for c in folded if unicodedata.category(c) != "Cf")
    return " ".join(visible.split()).rstrip(_TRAILING).casefold()


def _leaving(plain: str) -> Reading | None:
    if plain in LEAVE_ALL_WORDS:
        return Reading(kind=ReadingKind.LEAVE_ALL)
    if plain == "0000":
        return Reading(kind=ReadingKind.LIST)
    if plain in LEAVE_WORDS or plain in STOP_WORDS:
        return Reading(kind=ReadingKind.LEAVE)
    named = _LEAVE_PLACES.fullmatch(plain) or _LEAVE_SERVICES.fullmatch(plain)
    if named is None:
        return None
    codes = tuple(dict.fromkeys(re.findall("[0-9A-Z]+", named[1].upper())))
    places = _places(named[1]) if _LEAVE_PLACES.fullmatch(plain) else ()
    if len(codes) == 1:
        return Reading(kind=ReadingKind.LEAVE, code=codes[0], choices=places)
    return Reading(kind=ReadingKind.LEAVE, codes=codes, choices=places)


def _answer(plain: str, yes_words: frozenset[str]) -> Reading | None:
    coded = _ANSWER.fullmatch(plain)
    word, code = (coded[1], coded[2]) if coded else (plain, None)
    if word in NO_WORDS:
        return Reading(kind=ReadingKind.NO, code=code)
    if word in yes_words:
        return Reading(kind=ReadingKind.YES, code=code)
    return None


def _choice(plain: str) -> Reading | None:
    if _CHOICES.fullmatch(plain) is None:
        return None
    numbers = _places(plain)
    if not numbers:
        return None
    keyword = plain.upper() if _KEYWORD.fullmatch(plain) else None
    return Reading(kind=ReadingKind.CHOICE, choices=numbers, keyword=keyword)


def _places(plain: str) -> tuple[int, ...]:
    """Return places on a list, each once; none when one of them is no place."""
    numbers = tuple(dict.fromkeys(int(digits) for digits in re.findall("[0-9]+", plain)))
    return () if 0 in numbers else numbers


def _language(plain: str) -> Reading | None:
    if plain not in LANGUAGE_WORDS:
        return None
    return Reading(
        kind=ReadingKind.LANGUAGE, code=LANGUAGE_WORDS[plain], keyword=plain.upper()
    )  # fmt: skip


def _summary(plain: str) -> Reading | None:
    if plain not in SUMMARY_WORDS:
        return None
    keyword = plain.upper() if _KEYWORD.fullmatch(plain) else None
    return Reading(kind=ReadingKind.SUMMARY, code=SUMMARY_WORDS[plain], keyword=keyword)


def _keyword(plain: str) -> Reading | None:
    if _KEYWORD.fullmatch(plain) is None or plain in NOT_A_KEYWORD:
        return None
    if any(part in plain for part in NOT_IN_A_KEYWORD):
        return None
    return Reading(kind=ReadingKind.KEYWORD, keyword=plain.upper())


def leaves(text: str | None) -> bool:
    """Whether a text is a wish to leave and can be nothing else."""
    return read(text).kind in (ReadingKind.LEAVE, ReadingKind.LEAVE_ALL)


def may_leave(text: str | None) -> bool:
    """Whether a text may be a wish to leave."""
    return read(text).kind in LEAVING
