"""The request for the second consent: pure text in, text out, Chinese and English.

A prompt is evidence. It names the SP and the service with their codes, the whole price, the period
in words, when it is first charged, the hotline, how to say yes, how to leave, and that no or
silence costs nothing (domain T1 to T7); without any one of these it is not built.
"""

from datetime import datetime

import msgspec

from spms.core.money import yuan
from spms.subscribers.model import Language
from spms.subscriptions.notices import (
    SHORT_PRICE,
    NoticeIncomplete,
    Terms,
    local,
    require_complete,
    tell,
)

CODE_DIGITS = 4


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a yes begins, besides the terms."""

    charge_from: datetime | None
    """First charged not before; None: charged at once."""
    running_fen: int | None = None
    """The price of the running relation that a yes takes over from."""
    free_until: datetime | None = None
    """An SP's own free trial: ends by itself, and is never charged."""


PROMPT = {
    "zh": (
        "【订购确认】{sp_name}({sp_code})的“{service_name}”({service_code})，资费{price}，"
        "无其他费用；{first}。同意请在{minutes}分钟内回复Y {code}；回复N或不回复即不开通、不收费。"
        "开通后如需退订，发送{leave_command}到{operator}。客服热线{hotline}。"
    ),
    "en": (
        '[Please confirm] "{service_name}" ({service_code}) by {sp_name} ({sp_code}): {price}; '
        "no other fees; {first}. To agree, reply Y {code} within {minutes} minutes. "
        "Reply N or do not reply: nothing is opened, nothing is charged. "
        "To leave later, send {leave_command} to {operator}. Hotline {hotline}."
    ),
}
NEW_PRICE = {
    "zh": (
        "【资费变更确认】{sp_name}({sp_code})的“{service_name}”({service_code})，您现付{running}，"
        "新资费{price}，无其他费用；{first}。同意请在{minutes}分钟内回复Y {code}；"
        "回复N或不回复即按原价继续，直到您退订。"
        "如需退订，发送{leave_command}到{operator}。客服热线{hotline}。"
    ),
    "en": (
        '[Please confirm a new price] "{service_name}" ({service_code}) by {sp_name} ({sp_code}): '
        "you pay {running}; new: {price}; no other fees; {first}. "
        "To agree, reply Y {code} within {minutes} minutes. Reply N or do not reply: the price "
        "stays as it is until you leave. "
        "To leave, send {leave_command} to {operator}. Hotline {hotline}."
    ),
}
TRIAL = {
    "zh": (
        "【免费试用确认】{sp_name}({sp_code})的“{service_name}”({service_code})，{first}。"
        "试用后资费{price}，须您届时再次确认才会开通。同意试用请在{minutes}分钟内回复Y {code}；"
        "回复N或不回复即不开通。"
        "如需提前退订，发送{leave_command}到{operator}。客服热线{hotline}。"
    ),
    "en": (
        '[Please confirm a free trial] "{service_name}" ({service_code}) by {sp_name} '
        "({sp_code}): {first}. After it {price}, only if you agree again then. "
        "To try it, reply Y {code} within {minutes} minutes. Reply N or do not reply: nothing is "
        "opened. To leave before, send {leave_command} to {operator}. Hotline {hotline}."
    ),
}
FIRST = {
    "zh": "首次扣费不早于{at}，此前退订不收费",
    "en": "first charged not before {at}, free if you leave before",
}
FIRST_NOW = {"zh": "同意后即开始扣费", "en": "charged from your yes on"}
FREE = {
    "zh": "免费试用至{at}，到期自动终止、不收费",
    "en": "free until {at}, when it ends by itself and nothing is charged",
}


def prompt(
    terms: Terms, start: Start, code: str, minutes: int, *, operator: str, language: Language
) -> str:
    """Write the request for the second consent; raise `NoticeIncomplete` when a part is missing."""
    require_complete(terms)
    if len(code) != CODE_DIGITS or not (code.isascii() and code.isdigit()):
        raise NoticeIncomplete("a prompt carries a code of four digits")
    if minutes < 1 or not operator.strip():
        raise NoticeIncomplete("a prompt says how long, and where, it may be answered")
    text, running = PROMPT, ""
    if start.free_until is not None:
        text = TRIAL
    elif start.running_fen is not None:
        text = NEW_PRICE
        running = SHORT_PRICE[language, terms.period].format(yuan=yuan(start.running_fen))
    return tell(
        text[language], terms, language, code=code, minutes=minutes, operator=operator,
        first=_first(start, language), running=running,
    )  # fmt: skip


def _first(start: Start, language: Language) -> str:
    if start.free_until is not None:
        return FREE[language].format(at=local(start.free_until))
    if start.charge_from is None:
        return FIRST_NOW[language]
    return FIRST[language].format(at=local(start.charge_from))
