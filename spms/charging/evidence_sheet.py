"""The evidence of a charge on paper: which values, under which names."""

from collections.abc import Mapping
from typing import Any

from spms.charging.finding_words import NAMES
from spms.core.pack_sheet import Row, Section, Sheet, of_log, of_pack
from spms.subscriptions.evidence_sheet import of_relation


def sheet(pack: Mapping[str, Any]) -> Sheet:
    """Lay out a pack about a charge."""
    stated = pack["statement"]
    relation = stated["relation"]
    consents = (
        (Section("订购关系", "Relation", [Row("无", "None", "没有订购关系 there is none")]),)
        if relation is None
        else of_relation(relation)
    )
    sections = (of_pack(pack), *_of_charge(stated["charge"]), *consents, of_log(pack["log"]))
    return Sheet("计费举证", "Evidence of a charge", sections)


def _of_charge(charge: Mapping[str, Any]) -> tuple[Section, ...]:
    record = charge["record"]
    return (
        Section("话单", "Charge record", [
            Row("编号", "Id", record["id"]),
            Row("号码", "Number", charge["number"]),
            Row("服务商", "Service provider", f"{record['sp_code']} {record['sp_name']}"),
            Row("业务", "Service", f"{record['service_code']} {record['service_name']}"),
            Row("计费时间", "Charged at (UTC)", record["charged_at"]),
            Row("已收（分）", "Charged (fen)", record["price_fen"]),
            Row("应收（分）", "Due (fen)", record["due_fen"]),
            Row("结论", "Verdict", "正确 right" if charge["right"] else "有误 wrong"),
        ]),
        Section("稽核结果", "Findings", [
            Row(*NAMES[one["kind"]], f"{one['found_at']}  应收 due {one['due_fen']}")
            for one in charge["findings"]
        ]),
        Section("鉴权决定", "Decisions before the charge", [
            Row("允许" if one["allowed"] else "拒绝", "allowed" if one["allowed"] else "refused",
                f"{one['decided_at']}  {one['id']}  {', '.join(one['reasons'])}")
            for one in charge["decisions"]
        ]),
    )  # fmt: skip
