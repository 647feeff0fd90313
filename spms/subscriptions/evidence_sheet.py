"""The evidence of a relation on paper: which values, under which names."""

from collections.abc import Mapping
from typing import Any

from spms.core.pack_sheet import Row, Section, Sheet, of_log, of_pack

NOTHING: Mapping[str, Any] = {}


def sheet(pack: Mapping[str, Any]) -> Sheet:
    """Lay out a pack about a relation."""
    sections = (of_pack(pack), *of_relation(pack["statement"]), of_log(pack["log"]))
    return Sheet("订购关系举证", "Evidence of a subscription", sections)


def of_relation(stated: Mapping[str, Any]) -> tuple[Section, ...]:
    """Return the sections that state a relation: terms, both consents, history."""
    relation, request, terms = stated["subscription"], stated["request"], stated["terms"]
    prompt, consent = stated["prompt"] or NOTHING, stated["consent"] or NOTHING
    return (
        Section("订购关系", "Relation", [
            Row("编号", "Id", relation["id"]),
            Row("号码", "Number", relation["number"]),
            Row("服务商", "Service provider", f"{relation['sp_code']} {relation['sp_name']}"),
            Row("业务", "Service", f"{relation['service_code']} {relation['service_name']}"),
            Row("状态", "Status", relation["status"]),
            Row("生效时间", "Active from (UTC)", relation["active_from"]),
            Row("终止时间", "Ended at (UTC)", relation["ended_at"]),
            Row("终止原因", "End reason", relation["end_reason"]),
        ]),
        Section("资费与告知", "Tariff and notice", [
            Row("资费（分）", "Price (fen)", f"{terms['price_fen']} / {terms['period']}"),
            Row("资费版本", "Tariff version", terms["tariff_version"]),
            Row("告知版本", "Notice version", terms["notice_version"]),
            Row("客服电话", "Hotline", terms["hotline"]),
            Row("退订指令", "How to leave", terms["leave_command"]),
        ]),
        Section("第一次同意（请求）", "First consent (request)", [
            Row("时间", "At (UTC)", request["requested_at"]),
            Row("渠道", "Channel", request["channel"]),
            Row("原文", "Exact text", request["text"]),
            Row("提示短信原文", "Exact text of the prompt", prompt.get("text")),
            Row("提示短信送达时间", "Prompt delivered at (UTC)", prompt.get("delivered_at")),
        ]),
        Section("第二次同意（确认）", "Second consent (confirmation)", [
            Row("时间", "At (UTC)", consent.get("given_at", "无 none")),
            Row("回复原文", "Exact text of the reply", consent.get("reply_text")),
            Row("收件号码", "Sent to", consent.get("called")),
            Row("链路及编号", "Link and its id",
                f"{consent['link']} {consent['link_message_id']}" if consent else None),
        ]),
        Section("经过", "History", [
            Row(line["action"], line["to_status"], f"{line['at']}  {line['actor']}")
            for line in stated["history"]
        ]),
    )  # fmt: skip
