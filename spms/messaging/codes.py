"""One-time codes: how they are made, compared and worded. Pure but for the random source."""

import hashlib
import hmac
import secrets
from datetime import timedelta
from uuid import UUID

from spms.subscribers.model import Language

LIFETIME = timedelta(minutes=10)
TRIES_MAX = 5
"""Also a CHECK in the database."""
WINDOW = timedelta(hours=1)
REQUESTS_MAX = 3
"""Codes for one number within the window."""

TEXTS = {
    Language.ZH: (
        "验证码 {code}，用于登录网上自助服务（查账单、退订、申诉），10分钟内有效。"
        "任何工作人员都不会索要，请勿转告他人。非本人操作请忽略。"
    ),
    Language.EN: (
        "{code} is your code to sign in to your bills, subscriptions and claims. Valid for 10 "
        "minutes. Nobody from us will ever ask for it. Not you? Ignore this message."
    ),
}


def draw() -> str:
    """Draw six digits."""
    return f"{secrets.randbelow(1_000_000):06d}"


def digest(secret: bytes, msisdn: str, code_id: UUID, code: str) -> bytes:
    """Return what is stored of a code; `secret` is the instance's."""
    message = b"code\x1f" + msisdn.encode() + code_id.bytes + code.encode()
    return hmac.new(secret, message, hashlib.sha256).digest()


def matches(stored: bytes, given: bytes) -> bool:
    """Compare two digests in constant time."""
    return hmac.compare_digest(stored, given)


def requester(secret: bytes, msisdn: str) -> bytes:
    """Return what stands for a number where it is only counted."""
    return hmac.new(secret, b"code-request\x1f" + msisdn.encode(), hashlib.sha256).digest()


def text(code: str, language: Language) -> str:
    """Say what the code is for, how long it works, and that nobody asks for it."""
    return TEXTS[language].format(code=code)
