"""The catalogue of breaches (违约目录) as data, and what one brings under given rules. Pure.

Grades follow Sichuan Unicom's three (一般, 严重, 重大: reference domain §1.10 P1); each line names
where its rule comes from. The rulebook may grade a kind otherwise (`penalty.grades`).
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
    _line(K.COMPLAINT_UNANSWERED, G.GENERAL, "投诉响应超过2小时", "L6, K3", S.COMPLAINT),
    _line(K.COMPLAINT_UNSOLVED, G.GENERAL, "投诉处理超过48小时", "K1, K2", S.COMPLAINT),
    _line(K.COMPLAINTS_MANY, G.SERIOUS, "当月质量投诉超过5件", "K2", S.COMPLAINT,
          measures=(Measure.NO_NEW_SUBSCRIPTIONS,)),
    _line(K.COMPLAINTS_EXCESSIVE, G.GRAVE, "当月质量投诉超过10件", "K2, P13", S.COMPLAINT),
    _line(K.REPRISAL, G.GRAVE, "打击报复投诉用户", "K8", S.COMPLAINT, apology=True),
    _line(K.SPAM, G.SERIOUS, "群发垃圾短信", "P13, §1.11", S.COMPLAINT),
    _line(K.CONTENT_STALE, G.GENERAL, "内容超过3天未更新", "L6"),
    _line(K.CONTENT_UNLAWFUL, G.GRAVE, "传播违法内容", "P14", S.COMPLAINT, interim=True),
    _line(K.SELF_CONSUMPTION, G.GRAVE, "自消费、虚假用户", "M8, M10", S.SETTLEMENT_AUDIT,
          measures=(Measure.SETTLEMENT_HELD,)),
    _line(K.SETTLEMENT_DATA_FALSE, G.SERIOUS, "结算数据不实", "M1, M6", S.SETTLEMENT_AUDIT,
          measures=(Measure.SETTLEMENT_HELD,)),
    _line(K.CONFIDENTIALITY, G.SERIOUS, "泄露用户资料或商业秘密", "P2"),
    _line(K.BAD_PRESS, G.GENERAL, "负面新闻曝光", "P2, P3"),
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
