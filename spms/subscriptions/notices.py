"""The texts a person gets about a relation: pure text in, text out, Chinese and English.

The requests for the second consent are in `prompts`.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from spms.core.clock import SHANGHAI
from spms.core.errors import Unprocessable
from spms.core.money import yuan
from spms.subscribers.model import Language


class NoticeIncomplete(Unprocessable):
    """The notice lacks something a person must be told before paying."""

    code = "notice_incomplete"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is told about an offer."""

    sp_name: str
    sp_code: str
    service_name: str
    service_code: str
    price_fen: int
    period: str
    """`month` or `use`."""
    hotline: str
    leave_command: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One relation as a list or a question shows it."""

    sp_name: str
    service_name: str
    price_fen: int
    period: str
    code: str
    """The service's code in a list, the prompt's code in a question."""


PRICE = {
    ("zh", "month"): "{yuan}元/月，每月自动续订并扣费，直到您退订",
    ("zh", "use"): "{yuan}元/次，仅扣一次，不自动续订",
    ("en", "month"): "CNY {yuan} every month, renewed and charged each month until you leave",
    ("en", "use"): "CNY {yuan}, charged once, not renewed",
}
SHORT_PRICE = {
    ("zh", "month"): "{yuan}元/月",
    ("zh", "use"): "{yuan}元/次",
    ("en", "month"): "CNY {yuan} a month",
    ("en", "use"): "CNY {yuan} each",
}
WELCOME = {
    "zh": (
        "您已订购{sp_name}的“{service_name}”，资费{price}，自{at}起生效，{first}。"
        "退订：发送{leave_command}到{operator}，即时生效。客服热线{hotline}。"
    ),
    "en": (
        'You now have "{service_name}" by {sp_name}: {price}; in effect from {at}, {first}. '
        "To leave, send {leave_command} to {operator}: it works at once. Hotline {hotline}."
    ),
}
FIRST = {
    "zh": "首次扣费时间{at}，此前退订不收费",
    "en": "first charged {at}, free if you leave before",
}
FIRST_NOW = {"zh": "即开始扣费", "en": "charged from now on"}
NEVER = {
    "zh": "免费试用至{at}，到期自动终止、不收费",
    "en": "a free trial until {at}: it then ends by itself, nothing is charged",
}
KEPT = {
    "zh": "已按您的意愿取消资费变更：{names}按原价继续，直到您退订。",
    "en": "As you wish, the price of {names} stays as it was until you leave.",
}
REFUSED = {
    "zh": "已按您的意愿取消：{names}未开通，不收费。",
    "en": "Cancelled as you wish: {names} not opened, nothing charged.",
}
TOO_LATE = {
    "zh": "您的回复未生效：{names}的订购确认已失效，未开通、不收费。如仍需要，请重新申请。",
    "en": "Your reply has no effect: the request for {names} is no longer open. Nothing was "
    "opened, nothing charged. If you still want it, please ask again.",
}
NOT_ON_SALE = {
    "zh": "{names}已不按原资费提供，未开通、不收费。",
    "en": "{names} is no longer sold on those terms. Nothing was opened, nothing charged.",
}
ASK_CODE = {
    "zh": "尚未开通任何业务。请回复Y和验证码，表明您同意哪一项：\n{lines}\n不回复即不开通、不收费。",
    "en": "Nothing was opened yet. Reply Y and the code of the one you agree to:\n{lines}\n"
    "Without a reply nothing is opened, nothing charged.",
}
NOT_TO_OPERATOR = {
    "zh": "尚未开通任何业务。确认订购请将回复发送到{operator}；不回复即不开通、不收费。",
    "en": "Nothing was opened. A confirmation counts only when it is sent to {operator}; "
    "without it nothing is opened, nothing charged.",
}
LEFT = {
    "zh": "退订成功：{names}已于{at}停止，此后不再收费。",
    "en": "You have left {names}. Ended {at}; nothing is charged from then on.",
}
NOTHING_TO_LEAVE = {
    "zh": "没有找到您要退订的业务。发送0000到{operator}可查询全部在用业务。",
    "en": "You have no such service. Send 0000 to {operator} for a list of all you have.",
}
LIST = {
    "zh": "您在用的业务：\n{lines}\n{hours}小时内回复序号退订，多个序号用逗号分隔{zeros}。",
    "en": "You have:\n{lines}\nTo leave, reply with the numbers within {hours} hours, "
    "separated by commas{zeros}.",
}
LIST_ZEROS = {"zh": "；回复00000退订全部", "en": "; reply 00000 to leave all"}
LIST_EMPTY = {
    "zh": "您没有在用的业务。",
    "en": "You have no services.",
}
HELP = {
    "zh": "未能识别您的短信。发送0000到{operator}查询在用业务；发送TD加业务代码退订一项{zeros}。",
    "en": "We could not read your message. Send to {operator}: 0000 for a list of your "
    "services, TD and a code to leave one{zeros}.",
}
HELP_ZEROS = {"zh": "；发送00000退订全部", "en": ", 00000 to leave all"}
LANGUAGE_SET = {
    "zh": "今后我们将用中文向您发送短信。Reply EN for English.",
    "en": "From now on our messages to you are in English. 回复“中文”可改回中文。",
}
NOT_ACCEPTED = {
    "zh": "“{service_name}”未能受理：{why}。未开通、不收费。",
    "en": '"{service_name}" could not be ordered: {why}. Nothing opened, nothing charged.',
}
WHY = {
    ("zh", "already_subscribed"): "您已在用该业务",
    ("zh", "already_pending"): "确认短信已发送，请按短信提示回复",
    ("zh", "prompt_limit"): "今日确认短信已达上限",
    ("zh", "resting"): "您近期拒绝过该业务，暂不再受理",
    ("zh", "barred"): "您已设置屏蔽",
    ("zh", ""): "目前不可订购",
    ("en", "already_subscribed"): "you already have it",
    ("en", "already_pending"): "you have been asked to confirm; please answer that message",
    ("en", "prompt_limit"): "the limit of confirmation messages for today is reached",
    ("en", "resting"): "you refused it recently",
    ("en", "barred"): "you bar it",
    ("en", ""): "it is not available now",
}
NAME = {"zh": "{sp_name}的“{service_name}”", "en": '"{service_name}" by {sp_name}'}
JOIN = {"zh": "、", "en": ", "}
MORE = {"zh": "等{count}项业务", "en": " and others, {count} in all,"}
NAMES_MAX = 4
"""Names in one sentence; an SMS has an end, a person's patience too."""


def welcome(
    terms: Terms, at: datetime, *, charge_from: datetime | None = None,
    free_until: datetime | None = None, operator: str, language: Language,
) -> str:  # fmt: skip
    """Say that the relation is live, since when, on which terms, first charged when, how to leave.

    `charge_from` not later than `at`, or None: charged from now on.
    """
    require_complete(terms)
    first = FIRST_NOW[language]
    if free_until is not None:
        first = NEVER[language].format(at=local(free_until))
    elif charge_from is not None and charge_from > at:
        first = FIRST[language].format(at=local(charge_from))
    return tell(WELCOME[language], terms, language, at=local(at), operator=operator, first=first)


def kept(names: Sequence[Line], *, language: Language) -> str:
    """Confirm that new terms were refused: what runs goes on as it was."""
    return KEPT[language].format(names=_names(names, language))


def refused(names: Sequence[Line], *, language: Language) -> str:
    """Confirm a refusal."""
    return REFUSED[language].format(names=_names(names, language))


def too_late(names: Sequence[Line], *, language: Language) -> str:
    """Say that a yes found nothing that could still be confirmed."""
    return TOO_LATE[language].format(names=_names(names, language))


def not_on_sale(names: Sequence[Line], *, language: Language) -> str:
    """Say that the offer changed between the prompt and the yes."""
    return NOT_ON_SALE[language].format(names=_names(names, language))


def ask_code(pending: Sequence[Line], *, language: Language) -> str:
    """Ask which of several prompts a yes was meant for."""
    newest = pending[-NAMES_MAX:]
    lines = "\n".join(f"Y {line.code} {_item(line, language)}" for line in newest)
    return ASK_CODE[language].format(lines=lines)


def not_to_operator(*, operator: str, language: Language) -> str:
    """Say that a yes to an SP's number counts for nothing."""
    return NOT_TO_OPERATOR[language].format(operator=operator)


def left(names: Sequence[Line], at: datetime, *, language: Language) -> str:
    """Confirm leaving, after it took effect."""
    return LEFT[language].format(names=_names(names, language), at=local(at))


def nothing_to_leave(*, operator: str, language: Language) -> str:
    """Say that there is nothing that the command could end."""
    return NOTHING_TO_LEAVE[language].format(operator=operator)


def listing(lines: Sequence[Line], hours: int, *, zeros: bool, language: Language) -> str:
    """Write the numbered list that "1,3" will refer to.

    `zeros`: whether `00000` in reply ends just what the list shows; it is not the same everywhere.
    """
    if not lines:
        return LIST_EMPTY[language]
    numbered = "\n".join(
        f"{place}. {_item(line, language)} ({line.code})" for place, line in enumerate(lines, 1)
    )
    more = LIST_ZEROS[language] if zeros else ""
    return LIST[language].format(lines=numbered, hours=hours, zeros=more)


def help_text(*, operator: str, zeros: bool, language: Language) -> str:
    """Say which commands are understood; `zeros`: whether `00000` ends everything there."""
    more = HELP_ZEROS[language] if zeros else ""
    return HELP[language].format(operator=operator, zeros=more)


def language_set(*, language: Language) -> str:
    """Say in which language messages come from now on, and how to change it."""
    return LANGUAGE_SET[language]


def not_accepted(service_name: str, code: str, *, language: Language) -> str:
    """Say why an order by SMS led to nothing; `code` is the refusal's."""
    why = WHY.get((language, code), WHY[language, ""])
    return NOT_ACCEPTED[language].format(service_name=service_name, why=why)


def require_complete(terms: Terms) -> None:
    """Raise `NoticeIncomplete`, naming what a person would not be told."""
    missing = [
        name
        for name, value in msgspec.structs.asdict(terms).items()
        if isinstance(value, str) and not value.strip()
    ]
    if terms.price_fen < 1:
        missing.append("price_fen")
    if ("zh", terms.period) not in PRICE:
        missing.append("period")
    if missing:
        raise NoticeIncomplete(f"missing: {', '.join(sorted(set(missing)))}")


def tell(text: str, terms: Terms, language: Language, **values: object) -> str:
    """Fill a text with the terms and other values, in one pass: no value is read as a text."""
    price = PRICE[language, terms.period].format(yuan=yuan(terms.price_fen))
    return text.format(
        sp_name=terms.sp_name,
        sp_code=terms.sp_code,
        service_name=terms.service_name,
        service_code=terms.service_code,
        price=price,
        hotline=terms.hotline,
        leave_command=terms.leave_command,
        **values,
    )


def _names(names: Sequence[Line], language: Language) -> str:
    told = JOIN[language].join(
        NAME[language].format(sp_name=line.sp_name, service_name=line.service_name)
        for line in names[:NAMES_MAX]
    )
    return told + (MORE[language].format(count=len(names)) if len(names) > NAMES_MAX else "")


def _item(line: Line, language: Language) -> str:
    price = SHORT_PRICE[language, line.period].format(yuan=yuan(line.price_fen))
    name = NAME[language].format(sp_name=line.sp_name, service_name=line.service_name)
    return f"{name} {price}"


def local(at: datetime) -> str:
    """Write an instant as a person in Shanghai reads it."""
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"
