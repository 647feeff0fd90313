"""A statement as it is handed out: the text that was hashed, and a signed sheet with it attached."""

from datetime import datetime

import msgspec

from spms.core.money import yuan
from spms.core.pack import seal
from spms.core.pack_sheet import Row, Section, Sheet, render
from spms.core.signing import Signer
from spms.settlement.life_model import Settlement, Statement, Stored
from spms.settlement.model import Step, Waterfall
from spms.settlement.words import amount, behind, name


def stated(stored: Stored) -> Statement:
    """Read a statement's text."""
    return msgspec.json.decode(stored.body, type=Statement)


def worked(said: Statement) -> Waterfall:
    """Return the steps of a statement as they were worked out."""
    return Waterfall(
        steps=said.steps, payable_fen=said.payable_fen,
        payable_carried_fen=said.payable_carried_fen,
    )  # fmt: skip


def pack(found: Settlement, stored: Stored, signer: Signer, *, now: datetime, to: str) -> bytes:
    """Seal a statement so that `spms verify` checks it offline; its text stands in it unchanged."""
    return seal(
        {
            "about": {"kind": "settlement", "id": found.id},
            "made_at": now,
            "made_for": to,
            "statement": {
                "state": found.state, "body": stored.body, "follows": stored.follows.hex(),
                "sha256": stored.sha256.hex(),
            },
            "log": None,
            "cites": [],
        },
        signer,
    )  # fmt: skip


def pdf(found: Settlement, stored: Stored, signer: Signer, *, now: datetime, to: str) -> bytes:
    """Put a statement on paper in both languages, signed, the sealed JSON attached."""
    return render(sheet(found, stored), pack(found, stored, signer, now=now, to=to), signer)


def sheet(found: Settlement, stored: Stored) -> Sheet:
    """Say what is on the paper."""
    said = stated(stored)
    return Sheet("结算单", "Settlement statement", [
        Section("概要", "Summary", [
            Row("服务提供商", "Service provider", f"{said.sp.name} ({said.sp.code})"),
            Row("结算月", "Month", f"{said.period.month:%Y-%m}"),
            Row("截止时间", "Cut-off (UTC)", f"{said.period.cut_off_at:%Y-%m-%dT%H:%M:%SZ}"),
            Row("版本", "Revision", said.revision),
            Row("状态", "State", found.state),
            Row("应付", "Payable", f"{yuan(said.payable_fen)} 元"),
            Row("结转下期", "Carried to the next month", f"{yuan(said.payable_carried_fen)} 元"),
            Row("规则版本", "Rulebook version", said.rulebook_version),
        ]),
        Section("计算步骤", "Steps", [
            Row(f"{n}. {name(step.kind)[0]}", name(step.kind)[1], _line(step))
            for n, step in enumerate(said.steps, 1)
        ]),
        Section("哈希链", "Hash chain", [
            Row("上一结算单", "Statement before", said.follows or "无 none"),
            Row("本结算单", "This statement (SHA-256)", stored.sha256.hex()),
        ]),
    ])  # fmt: skip


def _line(step: Step) -> str:
    words = [f"{yuan(amount(step))} 元 → {yuan(step.left_fen)} 元"]
    if step.brought_fen or step.carried_fen:
        words.append(
            f"上期结转 brought {yuan(step.brought_fen)}, 结转下期 carried {yuan(step.carried_fen)}"
        )
    if step.inputs:
        words.append(behind(step.inputs))
    return "\n".join(words)
