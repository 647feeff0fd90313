"""What is wrong with a charge, in words for a bill as a file: Chinese, English."""

from collections.abc import Iterable, Mapping
from typing import Final

from spms.charging.bill_words import Lang
from spms.charging.model import Finding

NAMES: Final[Mapping[Finding, tuple[str, str]]] = {
    Finding.DUPLICATE: ("重复收费", "charged twice"),
    Finding.NO_CONSENT: ("未经订购", "never agreed to"),
    Finding.AFTER_UNSUBSCRIBE: ("退订后收费", "after leaving"),
    Finding.IN_TRIAL: ("免费期内收费", "within the free trial"),
    Finding.PRICE_MISMATCH: ("高于约定资费", "more than was agreed"),
    Finding.NUMBER_SUSPENDED: ("停机期间收费", "number was suspended"),
    Finding.NUMBER_TERMINATED: ("销号后收费", "number was terminated"),
    Finding.UNDELIVERED: ("未送达", "not delivered"),
    Finding.BARRED: ("已设屏蔽", "barred"),
    Finding.OVER_CAP: ("超过限额", "over the cap"),
    Finding.AFTER_TRANSFER: ("前机主订购", "agreed to by a former holder"),
    Finding.OTHER_SERVICE: ("他项业务计费代码", "fee code of another service"),
    Finding.MT_WITHOUT_MO: ("无上行点播", "no order was sent"),
    Finding.SPLIT_CHARGES: ("拆分收费", "split into several charges"),
    Finding.NO_DECISION: ("未经鉴权", "no decision was asked for"),
    Finding.RESERVED_NOT_DELIVERED: ("预占后未提供", "held and never provided"),
    Finding.DELIVERED_NOT_CHARGED: ("已提供未计费", "provided and never charged"),
}


def in_words(findings: Iterable[Finding], lang: Lang) -> str:
    """Name what was found, in one line."""
    place = 0 if lang is Lang.ZH else 1
    return ("、" if lang is Lang.ZH else ", ").join(NAMES[one][place] for one in findings)
