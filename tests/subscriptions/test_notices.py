from datetime import UTC, datetime

import msgspec
import pytest

from spms.messaging.reading import ReadingKind, read
from spms.subscribers.model import Language
from spms.subscriptions import notices, prompts
from spms.subscriptions.notices import Line, NoticeIncomplete, Terms
from spms.subscriptions.prompts import Start

TERMS = Terms(
    sp_name="天津信息", sp_code="900101", service_name="天气早知道", service_code="880101",
    price_fen=800, period="month", hotline="4008123456", leave_command="TD 880101",
)  # fmt: skip
LATER = datetime(2026, 3, 5, 4, 0, tzinfo=UTC)
FREE_FIRST = Start(charge_from=LATER)
AT_ONCE = Start(charge_from=None)
ONCE = msgspec.structs.replace(TERMS, period="use", price_fen=100)
LINES = [
    Line(
        sp_name="天津信息", service_name="天气早知道", price_fen=800, period="month", code="880101"
    ),
    Line(sp_name="海河娱乐", service_name="笑话", price_fen=55, period="use", code="880202"),
]
AT = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def prompt(terms: Terms, language: Language = Language.ZH, start: Start = FREE_FIRST) -> str:
    return prompts.prompt(terms, start, "4821", 60, operator="10010", language=language)


def test_the_prompt_in_chinese() -> None:
    assert prompt(TERMS) == (
        "【订购确认】天津信息(900101)的“天气早知道”(880101)，资费8.00元/月，"
        "每月自动续订并扣费，直到您退订，无其他费用；首次扣费不早于2026-03-05 12:00:00，"
        "此前退订不收费。同意请在60分钟内回复Y 4821；回复N或不回复即不开通、不收费。"
        "开通后如需退订，发送TD 880101到10010。客服热线4008123456。"
    )


def test_the_prompt_in_english() -> None:
    assert prompt(TERMS, Language.EN) == (
        '[Please confirm] "天气早知道" (880101) by 天津信息 (900101): CNY 8.00 every month, renewed '
        "and charged each month until you leave; no other fees; first charged not before "
        "2026-03-05 12:00:00, free if you leave before. To agree, reply Y 4821 within 60 minutes. Reply N or do not reply: "
        "nothing is opened, nothing is charged. To leave later, send TD 880101 to 10010. "
        "Hotline 4008123456."
    )


def test_the_prompt_of_a_single_use_says_that_it_is_charged_once() -> None:
    told = prompt(ONCE, start=AT_ONCE)
    assert "资费1.00元/次，仅扣一次，不自动续订，无其他费用；同意后即开始扣费。" in told
    told = prompt(ONCE, Language.EN, AT_ONCE)
    assert "CNY 1.00, charged once, not renewed; no other fees; charged from your yes on." in told


def test_the_prompt_of_a_new_price_names_both_and_that_no_keeps_the_old() -> None:
    start = Start(charge_from=None, running_fen=500)
    told = prompt(TERMS, start=start)
    assert "您现付5.00元/月，新资费8.00元/月" in told
    assert "回复N或不回复即按原价继续，直到您退订。" in told
    told = prompt(TERMS, Language.EN, start)
    assert "you pay CNY 5.00 a month; new: CNY 8.00 every month" in told
    assert "the price stays as it is until you leave" in told


def test_the_prompt_of_a_free_trial_says_that_it_ends_by_itself() -> None:
    start = Start(charge_from=LATER, free_until=LATER)
    assert "免费试用至2026-03-05 12:00:00，到期自动终止、不收费" in prompt(TERMS, start=start)
    assert "须您届时再次确认才会开通" in prompt(TERMS, start=start)
    assert "only if you agree again then" in prompt(TERMS, Language.EN, start)


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize(
    "start",
    [
        Start(charge_from=datetime(2026, 12, 31, 16, tzinfo=UTC)),
        Start(charge_from=None, running_fen=1_000_000),
        Start(charge_from=None, free_until=datetime(2026, 12, 31, 16, tzinfo=UTC)),
    ],
)
def test_every_prompt_names_all_that_is_obligatory(start: Start, language: Language) -> None:
    """T7: who, what, how much, how often, from when, how to leave, whom to call."""
    told = prompt(TERMS, language, start)
    for part in (
        "天津信息", "900101", "天气早知道", "880101", "8.00", "TD 880101", "10010", "4008123456",
        "Y 4821", "60",
    ):  # fmt: skip
        assert part in told
    assert ("每月" in told) if language is Language.ZH else ("every month" in told)
    assert "{" not in told
    assert len(told) <= 1000


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("field", Terms.__struct_fields__)
def test_a_prompt_with_a_missing_part_is_not_built(field: str, language: Language) -> None:
    empty = 0 if field == "price_fen" else "  "
    with pytest.raises(NoticeIncomplete) as refused:
        prompt(msgspec.structs.replace(TERMS, **{field: empty}), language)
    assert field in str(refused.value)


@pytest.mark.parametrize("code", ["", "482", "48211", "482a", "４８２１"])
def test_a_prompt_without_four_digits_to_answer_with_is_not_built(code: str) -> None:
    with pytest.raises(NoticeIncomplete):
        prompts.prompt(TERMS, FREE_FIRST, code, 60, operator="10010", language=Language.ZH)


@pytest.mark.parametrize(("minutes", "operator"), [(0, "10010"), (60, " ")])
def test_a_prompt_that_cannot_be_answered_is_not_built(minutes: int, operator: str) -> None:
    with pytest.raises(NoticeIncomplete):
        prompts.prompt(TERMS, FREE_FIRST, "4821", minutes, operator=operator, language=Language.ZH)


def test_a_price_of_fen_is_told_in_yuan() -> None:
    assert "资费0.05元/月" in prompt(msgspec.structs.replace(TERMS, price_fen=5))
    assert "资费10000.00元/月" in prompt(msgspec.structs.replace(TERMS, price_fen=1_000_000))


def test_a_name_that_looks_like_a_placeholder_stays_a_name() -> None:
    assert "{code}" in prompt(msgspec.structs.replace(TERMS, service_name="{code}"))


def test_the_welcome() -> None:
    assert notices.welcome(TERMS, AT, operator="10010", language=Language.ZH) == (
        "您已订购天津信息的“天气早知道”，资费8.00元/月，每月自动续订并扣费，直到您退订，"
        "自2026-03-02 12:00:00起生效，即开始扣费。退订：发送TD 880101到10010，即时生效。客服热线4008123456。"
    )
    assert notices.welcome(TERMS, AT, operator="10010", language=Language.EN) == (
        'You now have "天气早知道" by 天津信息: CNY 8.00 every month, renewed and charged each month '
        "until you leave; in effect from 2026-03-02 12:00:00, charged from now on. To leave, send "
        "TD 880101 to 10010: it works at once. Hotline 4008123456."
    )


@pytest.mark.parametrize(
    ("language", "free", "charged", "tried"),
    [
        (Language.ZH, "即开始扣费", "首次扣费时间2026-03-05 12:00:00，此前退订不收费",
         "免费试用至2026-03-05 12:00:00，到期自动终止、不收费"),
        (Language.EN, "charged from now on", "first charged 2026-03-05 12:00:00",
         "a free trial until 2026-03-05 12:00:00"),
    ],
)  # fmt: skip
def test_the_welcome_says_when_it_is_first_charged(
    language: Language, free: str, charged: str, tried: str
) -> None:
    def told(**values: datetime) -> str:
        return notices.welcome(TERMS, AT, operator="10010", language=language, **values)

    assert free in told(charge_from=AT)
    assert charged in told(charge_from=LATER)
    assert tried in told(charge_from=LATER, free_until=LATER)


def test_leaving_is_confirmed_with_its_time_in_shanghai() -> None:
    assert notices.left(LINES, AT, language=Language.ZH) == (
        "退订成功：天津信息的“天气早知道”、海河娱乐的“笑话”已于2026-03-02 12:00:00停止，此后不再收费。"
    )
    assert notices.left(LINES[:1], AT, language=Language.EN) == (
        'You have left "天气早知道" by 天津信息. Ended 2026-03-02 12:00:00; nothing is charged from '
        "then on."
    )


def test_the_list_numbers_what_can_be_left() -> None:
    assert notices.listing(LINES, 2, zeros=True, language=Language.ZH) == (
        "您在用的业务：\n"
        "1. 天津信息的“天气早知道” 8.00元/月 (880101)\n"
        "2. 海河娱乐的“笑话” 0.55元/次 (880202)\n"
        "2小时内回复序号退订，多个序号用逗号分隔；回复00000退订全部。"
    )
    for zeros in (True, False):
        assert notices.listing([], 2, zeros=zeros, language=Language.ZH) == "您没有在用的业务。"
        assert notices.listing([], 2, zeros=zeros, language=Language.EN) == "You have no services."


def test_the_question_for_the_code_shows_each_answer() -> None:
    text = notices.ask_code(LINES, language=Language.ZH)
    assert "Y 880101 天津信息的“天气早知道” 8.00元/月\nY 880202" in text
    assert text.startswith("尚未开通任何业务。")


def test_a_refusal_and_a_late_yes_both_say_that_nothing_is_charged() -> None:
    for text in (
        notices.refused(LINES, language=Language.ZH),
        notices.too_late(LINES, language=Language.ZH),
        notices.not_on_sale(LINES, language=Language.ZH),
        notices.ask_code(LINES, language=Language.ZH),
        notices.not_to_operator(operator="10010", language=Language.ZH),
        notices.not_accepted("笑话", "resting", language=Language.ZH),
        notices.not_accepted("笑话", "whatever", language=Language.ZH),
    ):
        assert "不收费" in text


def test_help_names_the_commands() -> None:
    for language in Language:
        text = notices.help_text(operator="10010", zeros=True, language=language)
        assert all(word in text for word in ("0000", "TD", "00000", "10010"))


def test_no_text_promises_five_zeros_where_they_only_list() -> None:
    for language in Language:
        for text in (
            notices.help_text(operator="10010", zeros=False, language=language),
            notices.listing(LINES, 2, zeros=False, language=language),
        ):
            assert "00000" not in text
            assert "{" not in text


def test_every_text_exists_in_every_language() -> None:
    for name, table in vars(notices).items():
        if name.isupper() and isinstance(table, dict):
            first = {key[0] if isinstance(key, tuple) else key for key in table}
            assert first == set(Language), name


def test_none_of_our_own_texts_sent_back_does_anything() -> None:
    for language in Language:
        for text in (
            prompt(TERMS, language),
            notices.help_text(operator="10010", zeros=True, language=language),
            notices.listing(LINES, 2, zeros=False, language=language),
            notices.left(LINES, AT, language=language),
            notices.ask_code(LINES, language=language),
        ):
            assert read(text).kind is ReadingKind.UNCLEAR
