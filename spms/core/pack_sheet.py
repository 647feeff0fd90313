"""What is on an evidence pack's paper, and the part that is the same for every pack."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from spms.core.signing import Signer

KINDS: Mapping[str, str] = {
    "request": "请求", "order": "点播", "prompt_sent": "确认短信已发出",
    "prompt_delivered": "确认短信已送达",
    "prompt_undelivered": "确认短信未送达", "confirm": "二次确认", "refuse": "拒绝",
    "expire": "逾期未回复（视为拒绝）", "suspend": "暂停", "resume": "恢复", "leave": "退订",
    "lapse": "点播到期", "end": "终止",
}  # fmt: skip


class Row(msgspec.Struct, frozen=True):
    """One value with its name in both languages."""

    zh: str
    en: str
    value: Any


class Section(msgspec.Struct, frozen=True):
    """Some rows under a heading."""

    zh: str
    en: str
    rows: Sequence[Row]


class Sheet(msgspec.Struct, frozen=True):
    """Everything that is on the paper."""

    zh: str
    en: str
    sections: Sequence[Section]


def render(sheet: Sheet, pack: bytes, signer: Signer) -> bytes:
    """Return a signed PDF of the sheet with the pack attached as it is."""
    from spms.core import pack_pdf  # noqa: PLC0415 - few processes ever print, all of them start

    return pack_pdf.render(sheet, pack, signer)


def of_pack(pack: Mapping[str, Any]) -> Section:
    """Return what the pack is about."""
    return Section("举证包", "Evidence pack", [
        Row("对象", "About", f"{pack['about']['kind']} {pack['about']['id']}"),
        Row("生成时间", "Made at (UTC)", pack["made_at"]),
        Row("提供给", "Made for", pack["made_for"]),
    ])  # fmt: skip


def of_log(log: Mapping[str, Any] | None) -> Section:
    """Return a log as one reads it: the open entries with their words, and what holds the chain."""
    if log is None:
        return Section(
            "同意日志", "Consent log", [Row("无", "None", "没有任何记录 nothing was told")]
        )
    hidden = sum("body" not in entry for entry in log["entries"])
    anchor = log["anchor"]
    told = log["subject"]
    return Section("同意日志", "Consent log (hash chain)", [
        Row("号码", "The log is that of number", None if told is None else told["name"]),
        *_open(log["entries"]),
        Row("其他条目", "Other entries, as digests only", hidden),
        Row("链尾", "Head of the chain (SHA-256)", log["head"]),
        Row("锚定", "Anchor, signed outside the database",
            "尚无 none yet" if anchor is None else anchor["statement"]),
    ])  # fmt: skip


def _open(entries: list[dict[str, Any]]) -> Iterator[Row]:
    for seq, entry in enumerate(entries, start=1):
        if "body" not in entry:
            continue
        body = msgspec.json.decode(entry["body"])
        facts = body["facts"]
        words = [f"{body['at']}"]
        words += [
            f"{name}: {facts[key]}"
            for name, key in (
                ("提示 prompt", "prompt_text"), ("请求 request", "request_text"),
                ("原文 text", "text"), ("收件号码 called", "called"),
                ("链路 link", "message_link"), ("链路编号 link id", "message_name"),
            )
            if key in facts
        ]  # fmt: skip
        if "private" in entry and "message_link" in facts:
            private = msgspec.json.decode(entry["private"])
            words += [f"原文字节 octets of the text: {raw}" for raw in [private.get("raw")] if raw]
            words += [f"原始PDU raw PDU: {pdu}" for pdu in _pdus(private.get("pdu"))]
        kind = body["kind"]
        yield Row(f"{seq}. {KINDS.get(kind, '')}", kind, "\n".join(words))


def _pdus(told: str | None) -> Sequence[str]:
    """Cut PDUs that stand one after another; each begins with its own length."""
    if told is None:
        return ["无 none: this link has no PDUs"]
    octets, found = bytes.fromhex(told), []
    while octets:
        length = max(int.from_bytes(octets[:4]), 1)
        found.append(octets[:length].hex())
        octets = octets[length:]
    return found
