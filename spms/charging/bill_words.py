"""The words of a bill as a file, in Chinese and in English."""

from enum import StrEnum
from typing import Final


class Lang(StrEnum):
    """In which language."""

    ZH = "zh"
    EN = "en"


HEADINGS: Final = {
    Lang.ZH: (
        "类别", "时间（北京）", "号码", "服务代码号", "服务商代码", "服务商", "业务代码", "业务",
        "方式", "金额（元）", "应收（元）", "稽核结果", "话单编号", "订购关系", "鉴权决定", "举证",
    ),
    Lang.EN: (
        "Kind of line", "Time (Beijing)", "Number", "Access number", "SP code", "SP",
        "Service code", "Service", "Charged", "Amount (CNY)", "Due (CNY)", "Findings",
        "Charge", "Consent", "Decision", "Evidence",
    ),
}  # fmt: skip
ON_PAPER: Final = {
    Lang.ZH: ("类别", "时间（北京）", "服务商", "业务", "服务号码", "方式", "金额", "应收", "稽核结果"),
    Lang.EN: (
        "Kind of line", "Time (Beijing)", "SP", "Service", "Access", "Charged", "Amount", "Due",
        "Findings",
    ),
}  # fmt: skip
WORDS: Final = {
    Lang.ZH: {
        "monthly": "包月", "on_demand": "点播", "principal": "退费", "compensation": "赔付",
        "taken_back": "收回",
        "total": "合计", "points": "本期积分", "more": "本文件只含{lines}条中最新的{shown}条，CSV最多含10000条，其余请在线查询",
        "more_of_sp": "本文件只含{lines}条中最新的{shown}条，CSV含全部", "bill": "信息服务费详单",
        "charges": "代收费话单", "month": "账期", "number": "号码", "sp": "服务商",
        "charge": "话单", "consent": "订购关系", "decision": "鉴权决定", "evidence": "举证",
        "service": "业务", "given_back": "有退费或赔付的", "and": "、", "only": "本文件只含：{named}",
        "yuan": "金额单位：元", "page": "第{page}页 共{pages}页",
    },
    Lang.EN: {
        "monthly": "monthly", "on_demand": "on demand", "principal": "refund",
        "compensation": "compensation", "taken_back": "taken back", "total": "total", "points": "points", "more": "only the newest {shown} of {lines} charges; CSV has up to 10000, the others are online",
        "more_of_sp": "only the newest {shown} of {lines} charges; CSV has all of them",
        "bill": "Itemised bill", "charges": "Charges collected for the SP", "month": "month",
        "number": "number", "sp": "SP", "charge": "charge", "consent": "consent",
        "decision": "decision", "evidence": "evidence", "service": "service", "given_back": "with something given back", "and": ", ",
        "only": "this file has only: {named}", "yuan": "amounts in CNY",
        "page": "page {page} of {pages}",
    },
}  # fmt: skip
