"""The catalogue of breaches (违约目录) as data, and what one brings under given rules. Pure.

Grades follow Sichuan Unicom's three (一般, 严重, 重大: reference domain §1.10 P1); each line names
where its rule comes from. They are 51 kinds, as many as that agreement has; its own list is not public, so
each kind here is a rule of domain §1 whose breach an SP can be held to. The rulebook may grade a kind otherwise (`penalty.grades`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from spms.partners.model import Measure
from spms.penalties.model import BreachKind, Grade, PenaltyRules, Source

K, G, S = BreachKind, Grade, Source


class Offence(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the catalogue."""

    kind: BreachKind
    grade: Grade
    name: str
    """As the operator's agreements call it."""
    rule: str
    """Where the rule comes from, in reference/domain.md."""
    causes: tuple[Source, ...]
    """Who may report it, besides an escalation or a linkage."""
    measures: tuple[Measure, ...] = ()
    """What it brings besides the ladder's."""
    interim: bool = False
    """Of the gravest: the services are shielded from the notice on (domain §3.4)."""
    apology: bool = False
    """Every affected number gets an apology (domain P3)."""


def _line(
    kind: BreachKind, grade: Grade, name: str, rule: str, *causes: Source, **more: object
) -> Offence:
    fields = {"kind": kind, "grade": grade, "name": name, "rule": rule}
    return msgspec.convert(fields | {"causes": (*causes, S.OFFICER)} | more, Offence)


_LINES = (
    _line(K.HOTLINE_CHANGED, G.GRAVE, "擅自变更客服热线", "L1, L7", S.INSPECTION),
    _line(K.HOTLINE_UNREACHABLE, G.SERIOUS, "客服热线接通率不达标", "L1, L3", S.INSPECTION),
    _line(K.HOTLINE_SLOW, G.GENERAL, "客服热线应答超时", "L1", S.INSPECTION),
    _line(K.HOTLINES_TOO_FEW, G.GENERAL, "客服热线不足两条", "L1, L2", S.INSPECTION),
    _line(K.CONTACT_UNREACHABLE, G.GENERAL, "责任人联系不上", "L1", S.INSPECTION),
    _line(K.PROMOTION_INACCURATE, G.GENERAL, "宣传与备案不符", "T2, K9", S.COMPLAINT),
    _line(K.PROMOTION_FALSE, G.SERIOUS, "虚假宣传", "P1", S.COMPLAINT, apology=True),
    _line(K.TARIFF_NOT_SHOWN, G.SERIOUS, "未明示资费", "T1, T3", S.COMPLAINT),
    _line(K.CHARGED_OTHERWISE, G.SERIOUS, "未按备案资费计费", "F1, F2", S.COMPENSATION,
          S.COMPLAINT, S.SETTLEMENT_AUDIT, apology=True),
    _line(K.CHARGED_TWICE, G.GENERAL, "重复计费", "F1, M9", S.COMPENSATION, S.COMPLAINT,
          S.SETTLEMENT_AUDIT),
    _line(K.CHARGED_WITHOUT_CONSENT, G.SERIOUS, "未经二次确认收费", "C2, C5, C10",
          S.CONSENT_AUDIT, S.COMPENSATION, S.COMPLAINT, apology=True),
    _line(K.CHARGED_AFTER_LEAVING, G.SERIOUS, "退订后继续收费", "U1, P14", S.COMPENSATION,
          S.COMPLAINT, apology=True),
    _line(K.CONSENT_EVIDENCE_MISSING, G.SERIOUS, "不能提供订购凭证", "C2, C7", S.CONSENT_AUDIT,
          S.COMPLAINT),
    _line(K.CONSENT_FORGED, G.GRAVE, "伪造用户确认、强行定制", "C3, P14", S.CONSENT_AUDIT,
          S.COMPLAINT, interim=True, apology=True),
    _line(K.LEAVING_OBSTRUCTED, G.SERIOUS, "阻碍用户退订", "U1, P14", S.COMPLAINT,
          S.LEAVING_CLOCK, apology=True),
    _line(K.COMPLAINT_UNANSWERED, G.GENERAL, "投诉响应超过2小时", "L6, K3", S.COMPENSATION, S.COMPLAINT),
    _line(K.COMPLAINT_UNSOLVED, G.GENERAL, "投诉处理超过48小时", "K1, K2", S.COMPLAINT),
    _line(K.COMPLAINTS_MANY, G.SERIOUS, "当月质量投诉超过5件", "K2", S.COMPLAINT,
          measures=(Measure.NO_NEW_SUBSCRIPTIONS,)),
    _line(K.COMPLAINTS_EXCESSIVE, G.GRAVE, "当月质量投诉超过10件", "K2, P13", S.COMPLAINT),
    _line(K.REPRISAL, G.GRAVE, "打击报复投诉用户", "K8", S.COMPLAINT, apology=True),
    _line(K.SPAM, G.SERIOUS, "群发垃圾短信", "P13, §1.11", S.CONSENT_AUDIT, S.COMPLAINT),
    _line(K.CONTENT_STALE, G.GENERAL, "内容超过3天未更新", "L6"),
    _line(K.CONTENT_UNLAWFUL, G.GRAVE, "传播违法内容", "P14", S.COMPLAINT, interim=True),
    _line(K.SELF_CONSUMPTION, G.GRAVE, "自消费、虚假用户", "M8, M10", S.SETTLEMENT_AUDIT,
          measures=(Measure.SETTLEMENT_HELD,)),
    _line(K.SETTLEMENT_DATA_FALSE, G.SERIOUS, "结算数据不实", "M1, M6", S.SETTLEMENT_AUDIT,
          measures=(Measure.SETTLEMENT_HELD,)),
    _line(K.CONFIDENTIALITY, G.SERIOUS, "泄露用户资料或商业秘密", "P2"),
    _line(K.BAD_PRESS, G.GENERAL, "负面新闻曝光", "P2, P3"),
    _line(K.TARIFF_NOT_FILED, G.SERIOUS, "未备案资费收费", "T2", S.COMPENSATION, S.SETTLEMENT_AUDIT, S.COMPLAINT),
    _line(K.TARIFF_NOTICE_INCOMPLETE, G.GENERAL, "订购告知要素不全", "T1, T3, T7", S.CONSENT_AUDIT,
          S.COMPLAINT),
    _line(K.NOTICE_ALTERED, G.SERIOUS, "擅改已审核的告知文本", "T7, C12", S.CONSENT_AUDIT),
    _line(K.RECURRENCE_HIDDEN, G.SERIOUS, "隐瞒包月性质", "T4, T6", S.COMPLAINT, apology=True),
    _line(K.PRICE_CHANGED_UNANNOUNCED, G.SERIOUS, "擅自调价", "L8, T2", S.COMPENSATION,
          S.SETTLEMENT_AUDIT, S.COMPLAINT),
    _line(K.TRIAL_CHARGED, G.SERIOUS, "试用期满未重新确认即收费", "C4, H1, H2", S.CONSENT_AUDIT,
          S.COMPENSATION, S.COMPLAINT, apology=True),
    _line(K.BUNDLED_CONSENT, G.SERIOUS, "捆绑订购", "C11", S.CONSENT_AUDIT, S.COMPLAINT,
          apology=True),
    _line(K.CONSENT_BY_SILENCE, G.SERIOUS, "以沉默或误导方式获取确认", "C6, C9", S.CONSENT_AUDIT,
          S.COMPLAINT, apology=True),
    _line(K.LOGS_ALTERED, G.GRAVE, "篡改订购记录", "C7, C10", S.CONSENT_AUDIT, interim=True),
    _line(K.CHARGED_WHILE_SUSPENDED, G.GENERAL, "停机、拆机期间计费", "M7", S.SETTLEMENT_AUDIT,
          S.COMPENSATION, S.COMPLAINT),
    _line(K.CHARGED_UNUSED, G.SERIOUS, "未开通、未使用而计费", "F2", S.COMPENSATION, S.SETTLEMENT_AUDIT, S.COMPLAINT,
          apology=True),
    _line(K.CAP_EVADED, G.SERIOUS, "规避消费限额", "R7", S.COMPENSATION, S.SETTLEMENT_AUDIT, S.COMPLAINT),
    _line(K.LEAVING_CHARGED, G.SERIOUS, "退订收取信息费", "U6", S.COMPLAINT),
    _line(K.LEAVING_UNANSWERED, G.GENERAL, "退订后无确认短信", "U6, U9", S.COMPLAINT),
    _line(K.REMINDER_MISSING, G.GENERAL, "续费前未提醒", "R3, R8, R9", S.CONSENT_AUDIT, S.COMPLAINT),
    _line(K.REFUND_REFUSED, G.SERIOUS, "拒不先行赔付", "F3, F4", S.COMPENSATION, S.COMPLAINT),
    _line(K.COMPLAINT_PASSED_ON, G.GENERAL, "推诿投诉，违反首问负责", "K4", S.COMPLAINT),
    _line(K.CALL_BACK_MISSED, G.GENERAL, "投诉未回访", "K1", S.COMPLAINT),
    _line(K.HOTLINE_MISHANDLED, G.GENERAL, "热线非直拨固定电话或语音循环", "L2", S.INSPECTION, S.COMPLAINT),
    _line(K.SENDER_HIDDEN, G.GRAVE, "隐匿、冒用主叫号码或端口", "B5, S11", S.CONSENT_AUDIT, S.COMPLAINT, interim=True),
    _line(K.QUIET_HOURS, G.GENERAL, "免打扰时段群发", "S7", S.COMPLAINT),
    _line(K.REFUSAL_IGNORED, G.SERIOUS, "用户拒收后继续发送", "S1, S12", S.COMPLAINT),
    _line(K.PORT_SUBLET, G.GRAVE, "转租、转借端口或代码", "S8, P21", S.CONSENT_AUDIT, S.SETTLEMENT_AUDIT,
          measures=(Measure.SETTLEMENT_HELD,)),
    _line(K.RECORDS_NOT_KEPT, G.GENERAL, "未按期保存收发记录", "D1, D2, D3", S.CONSENT_AUDIT,
          S.COMPLAINT),
)  # fmt: skip

CATALOGUE: Final[Mapping[BreachKind, Offence]] = MappingProxyType(
    {offence.kind: offence for offence in _LINES}
)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a breach brings under given rules."""

    grade: Grade
    points: int
    cut_percent: int
    fine_fen: int
    suspended: bool
    """The fine falls due only if the breach is not cured in time."""
    cure_working_days: int


def terms(kind: BreachKind, rules: PenaltyRules, *, grade: Grade | None = None) -> Terms:
    """Return what a breach of this kind brings, or one of another grade than its own."""
    given = grade or rules.grades.get(kind, CATALOGUE[kind].grade)
    usual = PenaltyRules()
    return Terms(
        grade=given,
        points=rules.points.get(given, usual.points[given]),
        cut_percent=rules.cut_percent.get(given, usual.cut_percent[given]),
        fine_fen=rules.fine_fen.get(given, usual.fine_fen[given]),
        suspended=given is Grade.GENERAL,
        cure_working_days=rules.cure_working_days.get(given, usual.cure_working_days[given]),
    )
