"""The reading of subscribers' texts: every row of the table, and what holds for all texts."""

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spms.messaging.reading import (
    LEAVE_WORDS,
    LEAVING,
    NO_WORDS,
    UNCLEAR,
    YES_WORDS,
    Reading,
    ReadingKind,
    read,
)

YES = ["是", "Y", "y", "Ｙ", " 确认 ", "YES", "yes", "ＹＥＳ", "ｙｅｓ", "Y。", "Y.", "Y！", "y ~", "Y～",
       "Y，", "Y\u200b", "\ufeffY", "確認", "是。。", "\u3000是\u00a0", "Y\r\n"]  # fmt: skip
NO = ["否", "N", "n", "Ｎ", "No", "NO", "不", "不是", "不要", "取消", "N。", " n\u200b"]
LEAVE = [
    "TD",
    "td",
    "Td",
    "ＴＤ",
    "T\u200bD",
    "TD。",
    "退订",
    "退訂",
    "确认退订",
    "確認退訂",
    " 退订！",
    "STOP",
    "ｓｔｏｐ。",
    "Unsubscribe",
]
LIST = ["0000", "００００", " 0000。", "0000\u200b"]
LEAVE_ALL = [
    "00000",
    "０００００",
    "00000!",
    "全部退订",
    "退訂全部",
    "TD ALL",
    "Stop all",
    "td全部",
]
UNCLEAR_TEXTS = [
    None, "", " ", "\u200b", "。", "\n",
    "У", "Υ", "ʏ", "⒴", "𝐘", "Ⓨ", "Y\u0301", "Y\u202e", "Y\u00ad", "Y\ufe0f", "Y…", "\u2f45", "\uf967",
    "是的", "好", "好的", "OK", "ｏｋ", "嗯", "可以", "同意",
    "Y/N", "是否", "不是Y", "回复Y确认", "Y N", "N Y", "YN", "是/否", "确认Y退订TD", "请回复Y",
    "“Y”", "Y?", "Y，好", "4821 Y", "Y 482", "Y 48210", "Y-4821", "Y 4821 N",
    "我要退订", "退订彩铃", "不退订", "TD N Y", "TD,8801", "0000 0000", "1-3", "0,1", "1,100", "1,,2", ",1",
    "回复Y确认订购", "👍", "Y👍", "😀", "Y" * 13, "Y" * 1000, "Y" + " " * 200, "\x00", "\x01\x02", "Y\x07", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("text", YES)
def test_a_whole_yes_is_a_yes(text: str) -> None:
    """In any width and case, traditional or simplified, with a stray full stop or invisible."""
    assert read(text) == Reading(kind=ReadingKind.YES)


@pytest.mark.parametrize("text", NO)
def test_a_no_is_a_no(text: str) -> None:
    """A refusal is read in the same forms as a consent."""
    assert read(text) == Reading(kind=ReadingKind.NO)


@pytest.mark.parametrize("text", LEAVE)
def test_leaving_is_understood(text: str) -> None:
    """TD and 退订 without a code, also 确认退订, which is no consent."""
    assert read(text) == Reading(kind=ReadingKind.LEAVE)


@pytest.mark.parametrize("text", LIST)
def test_four_zeros_ask_for_the_list(text: str) -> None:
    """0000 in any width."""
    assert read(text) == Reading(kind=ReadingKind.LIST)


@pytest.mark.parametrize("text", LEAVE_ALL)
def test_five_zeros_cancel_everything(text: str) -> None:
    """00000 in any width."""
    assert read(text) == Reading(kind=ReadingKind.LEAVE_ALL)


@pytest.mark.parametrize("text", UNCLEAR_TEXTS)
def test_everything_else_is_unclear(text: str | None) -> None:
    """Look-alikes, half answers, prompts sent back, pictures and noise never count."""
    assert read(text) == UNCLEAR


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("Y 4821", ReadingKind.YES, "4821"),
        ("Y4821", ReadingKind.YES, "4821"),
        ("ｙ　４８２１。", ReadingKind.YES, "4821"),
        ("确认4821", ReadingKind.YES, "4821"),
        ("yes\n4821", ReadingKind.YES, "4821"),
        ("Y 0000", ReadingKind.YES, "0000"),
        ("N 4821", ReadingKind.NO, "4821"),
        ("n4821", ReadingKind.NO, "4821"),
        ("否4821", ReadingKind.NO, "4821"),
        ("TD 8801", ReadingKind.LEAVE, "8801"),
        ("TD8801", ReadingKind.LEAVE, "8801"),
        ("td+8801", ReadingKind.LEAVE, "8801"),
        ("ＴＤ　８８０１", ReadingKind.LEAVE, "8801"),
        ("退订8801", ReadingKind.LEAVE, "8801"),
        ("退訂 8801！", ReadingKind.LEAVE, "8801"),
        ("确认退订8801", ReadingKind.LEAVE, "8801"),
        ("TD music1", ReadingKind.LEAVE, "MUSIC1"),
        ("TD 0000", ReadingKind.LEAVE, "0000"),
    ],
)
def test_a_code_names_the_prompt_or_the_service(text: str, kind: ReadingKind, code: str) -> None:
    """Exactly four digits after an answer; a service code after TD or 退订."""
    assert read(text) == Reading(kind=kind, code=code)


@pytest.mark.parametrize(
    ("text", "codes", "choices"),
    [
        ("TD 8801,8802", ("8801", "8802"), ()),
        ("退訂８８０１、８８０２。", ("8801", "8802"), ()),
        ("td+8801 music1 8801", ("8801", "MUSIC1"), ()),
        ("TD 1,3", ("1", "3"), (1, 3)),
        ("退订１、12", ("1", "12"), (1, 12)),
        ("TD 0,1", ("0", "1"), ()),
    ],
)
def test_several_services_or_places_may_follow_td(
    text: str, codes: tuple[str, ...], choices: tuple[int, ...]
) -> None:
    """Codes, or places on the list, separated as people separate them."""
    assert read(text) == Reading(kind=ReadingKind.LEAVE, codes=codes, choices=choices)


@pytest.mark.parametrize(("text", "code"), [("TD 1", "1"), ("ＴＤ12", "12")])
def test_one_number_after_td_is_a_place_or_a_code(text: str, code: str) -> None:
    """The caller knows whether a list is open."""
    assert read(text) == Reading(kind=ReadingKind.LEAVE, code=code, choices=(int(code),))


@pytest.mark.parametrize(
    ("text", "code"),
    [("EN", "en"), ("ｅｎ", "en"), ("English", "en"), ("中文", "zh"), ("ZH。", "zh")],
)
def test_a_language_is_asked_for_by_its_name(text: str, code: str) -> None:
    """At an SP's number the same word may be an order, so it stays one too."""
    reading = read(text)
    assert (reading.kind, reading.code) == (ReadingKind.LANGUAGE, code)
    assert reading.keyword is not None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("关闭账单", "off"),
        ("關閉賬單！", "off"),
        ("Bill Off", "off"),
        ("开启账单", "on"),
        ("BILLON", "on"),
    ],
)
def test_the_monthly_summary_is_switched_by_its_name_and_ends_nothing(text: str, code: str) -> None:
    reading = read(text)
    assert (reading.kind, reading.code) == (ReadingKind.SUMMARY, code)
    assert reading.kind not in LEAVING


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("1,3", (1, 3)),
        ("1，3", (1, 3)),
        ("1 3", (1, 3)),
        ("１、３", (1, 3)),
        ("3, 1 ,12", (3, 1, 12)),
        ("2;2;1", (2, 1)),
        ("1.2。", (1, 2)),
        ("01 10", (1, 10)),
    ],
)
def test_several_numbers_choose_from_the_list(text: str, choices: tuple[int, ...]) -> None:
    """Several numbers may come in one reply, separated as people separate them."""
    assert read(text) == Reading(kind=ReadingKind.CHOICE, choices=choices)


@pytest.mark.parametrize(("text", "number", "word"), [("1", 1, "1"), ("１2。", 12, "12")])
def test_one_number_is_a_choice_and_never_a_yes(text: str, number: int, word: str) -> None:
    """Without an open list the caller treats it as unclear, unless a service is ordered by it."""
    assert read(text) == Reading(kind=ReadingKind.CHOICE, choices=(number,), keyword=word)


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("天气", "天气"),
        ("music", "MUSIC"),
        ("ＤＺ１", "DZ1"),
        ("dz订阅。", "DZ订阅"),
        ("8801", "8801"),
        ("000000", "000000"),
        ("000", "000"),
        ("不见不散", "不见不散"),
        ("订", "订"),
        ("Y482", "Y482"),
        ("A23456789012", "A23456789012"),
    ],
)
def test_a_single_word_may_be_an_order(text: str, keyword: str) -> None:
    """One to twelve letters, digits and ideographs, folded to the form keywords are kept in."""
    assert read(text) == Reading(kind=ReadingKind.KEYWORD, keyword=keyword)


def test_further_words_of_consent_hold_only_where_they_were_approved() -> None:
    """A word approved for one service is a yes there, with a code too, and nowhere else."""
    approved = frozenset({"是的", "ＯＫ", "1"})
    assert read("是的。", also_yes=approved) == Reading(kind=ReadingKind.YES)
    assert read("ok 4821", also_yes=approved) == Reading(kind=ReadingKind.YES, code="4821")
    assert read("1", also_yes=approved) == Reading(kind=ReadingKind.YES)
    assert read("2", also_yes=approved).kind is ReadingKind.CHOICE
    assert read("好", also_yes=approved) == UNCLEAR


def test_no_approval_turns_a_refusal_into_consent() -> None:
    """Refusing and leaving win over any list of yes words, and silence stays silence."""
    mistaken = frozenset({"N", "TD", "0000", "00000", "TD8801", "", "𝐘", "𝐙"})
    for text in ("N", "TD", "0000", "00000", "TD8801", "", "𝐘", "𝐙"):
        assert read(text, also_yes=mistaken).kind is not ReadingKind.YES


def allowed(character: str) -> bool:
    """Say whether a character may occur at all, written independently of the reading."""
    point = ord(character)
    return (
        character in "\t\n\r"
        or 0x20 <= point <= 0x7E
        or character == "\u00a0"
        or 0x2000 <= point <= 0x200B
        or character in "\u3000\ufeff"
        or 0xFF01 <= point <= 0xFF5E
        or 0x4E00 <= point <= 0x9FFF
        or 0x3400 <= point <= 0x4DBF
        or character in "、。‘’“”—·〈〉《》「」『』【】"
    )


words = st.sampled_from(sorted(YES_WORDS | NO_WORDS | LEAVE_WORDS | {"0000", "00000", "y 4821"}))
near_texts = st.text(
    "YyＹNnTtDd0０1,，、 4821是否不确认退订\u200b\ufeff。.!~Уʏ𝐘\u0301…\u3000", max_size=12
)


@given(st.none() | st.text() | near_texts, st.frozensets(st.text(max_size=4), max_size=3))
def test_any_text_has_a_reading(text: str | None, also_yes: frozenset[str]) -> None:
    """No text raises, and a yes appears only where the whole text is a word of consent."""
    reading = read(text, also_yes=also_yes)
    if reading.kind is ReadingKind.YES and not also_yes:
        assert text is not None
        word = unicodedata.normalize("NFKC", text).strip("\u200b\ufeff \t\r\n。.!~,0123456789")
        word = word.replace("\u200b", "").replace("\ufeff", "").strip("\r\n\t 。.!~,")
        assert word.lower() in YES_WORDS


@given(words, st.characters(), st.integers(0, 8))
def test_a_character_outside_the_list_makes_any_text_unclear(
    word: str, character: str, at: int
) -> None:
    """Also one that disappears or turns into a plain letter under normalisation."""
    assume(not allowed(character))
    assert read(word[:at] + character + word[at:]) == UNCLEAR


@given(words, st.data())
def test_width_case_and_invisible_characters_do_not_change_the_meaning(
    word: str, data: st.DataObject
) -> None:
    """Each character may come full-width, in the other case, or next to a zero-width space."""
    written = ""
    for character in word:
        forms = {character, character.upper()}
        forms |= {chr(ord(f) + 0xFEE0) for f in forms if "!" <= f <= "~"}
        forms |= {"\u3000"} if character == " " else set()
        written += data.draw(st.sampled_from(sorted(forms)))
        written += data.draw(st.sampled_from(["", "\u200b", "\ufeff"]))
    written = data.draw(st.sampled_from(["", " ", "\u3000"])) + written
    written += "".join(data.draw(st.lists(st.sampled_from("。.!！~～，, "), max_size=3)))
    assert read(written) == read(word)
    assert read(word) != UNCLEAR
