"""What the steps are called, in both languages, and how their inputs read on paper."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from spms.core.money import yuan
from spms.settlement.model import Kind, Step
from spms.settlement.waterfall import ADDING

NAMES: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.GROSS: ("信息费总额", "Gross information fees"),
    Kind.RETURNED: ("欺诈退费收回", "First multiples taken back for fraud"),
    Kind.REFUNDS: ("退费（第一倍）", "Refunds, first multiple"),
    Kind.BAD_DEBT: ("欠费风险金", "Bad-debt reserve"),
    Kind.SERVICE_FEE: ("客户服务费", "Customer-service fee"),
    Kind.SHARE: ("运营商分成（累进）", "Operator's progressive share"),
    Kind.CREDITS: ("补结", "Credits for earlier months"),
    Kind.BROUGHT: ("上期结转应付", "Payable brought forward"),
    Kind.CONTROLLED: ("停拆机用户费用", "Charges of suspended or terminated numbers"),
    Kind.MT_FEE: ("不均衡通信费", "Unbalanced-message fee"),
    Kind.GRADE_CUT: ("违约结算下浮", "Cut by grade of breach"),
    Kind.FINES: ("违约金", "Fines"),
    Kind.DEBITS: ("补扣", "Debits for earlier months"),
    Kind.COMPENSATION: ("垫付赔偿追偿", "Advances recovered"),
    Kind.DEPOSIT: ("保证金抵扣（不影响应付）", "Taken from the deposit (payable unchanged)"),
}


def name(kind: Kind) -> tuple[str, str]:
    """Return a step's names: Chinese, English."""
    return NAMES[kind]


def amount(step: Step) -> int:
    """Return what a step changes of what is left, in fen; with its sign."""
    if step.kind in ADDING:
        return step.arising_fen
    return -step.taken_fen


def behind(inputs: Mapping[str, Any]) -> str:
    """Write a step's inputs on one line: fen as yuan, basis points as per cent."""
    return "; ".join(f"{key}: {_said(key, value)}" for key, value in inputs.items() if value != [])


def _said(key: str, value: Any) -> str:
    if key.endswith("_fen") and isinstance(value, int):
        return f"{yuan(value)} 元"
    if key.endswith("_bp") and isinstance(value, int):
        return f"{value / 100:g} %"
    if isinstance(value, dict):
        return ", ".join(f"{inner}={_said(inner, each)}" for inner, each in value.items())
    if isinstance(value, list | tuple):
        return " | ".join(_said("", msgspec.to_builtins(each)) for each in value)
    return str(value)
