"""An SP's transitions, what it needs to go live, and names that look the same. No database."""

from datetime import UTC, datetime
from itertools import product
from uuid import uuid4

import pytest

from spms.core.errors import NotAllowed
from spms.core.machine import advance
from spms.partners.model import PartnerRules, Sp, SpAction, SpStatus
from spms.partners.rules import TRANSITIONS, missing_for_activation, name_key


def an_sp(**values):
    return Sp(
        **{
            "id": uuid4(), "code": "900001", "name": "天津信息", "licence_no": "B2-20060189",
            "responsible_name": "负责人", "responsible_mobile": "8613900000001",
            "hotlines": ["4008123456", "02287654321"], "status": SpStatus.IN_REVIEW,
            "applied_at": datetime(2026, 3, 1, tzinfo=UTC),
        } | values
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "action"), sorted(set(product(SpStatus, SpAction)) - set(TRANSITIONS))
)
def test_every_move_not_in_the_table_is_refused(status, action):
    with pytest.raises(NotAllowed):
        advance(TRANSITIONS, status, action)


def test_rejected_and_closed_are_final():
    assert not {status for status, _ in TRANSITIONS} & {SpStatus.REJECTED, SpStatus.CLOSED}


def test_a_complete_sp_lacks_nothing():
    assert missing_for_activation(an_sp(), PartnerRules()) == []


@pytest.mark.parametrize(
    ("values", "pointers"),
    [
        ({"hotlines": ["4008123456"]}, ["/hotlines"]),
        ({"hotlines": ["4008123456", "4008123456"]}, ["/hotlines"]),
        ({"responsible_mobile": None}, ["/responsible_mobile"]),
        ({"hotlines": [], "responsible_mobile": None}, ["/hotlines", "/responsible_mobile"]),
    ],
)
def test_everything_missing_is_named_at_once(values, pointers):
    missing = missing_for_activation(an_sp(**values), PartnerRules())
    assert [error.pointer for error in missing] == pointers


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("天津信息", "天津 信息"),
        ("天津信息", "天津・信息"),
        ("天津信息", "天津\u200b信息"),
        ("ABC科技", "ＡＢＣ科技"),
        ("ABC科技", "abc科技"),
        ("ABC科技", "АВС科技"),  # Cyrillic
        ("Cafe 5", "Café⑤"),
        ("STRASSE", "straße"),
    ],
)
def test_names_that_look_the_same_have_one_key(one, other):
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("天津信息", "天津讯息"), ("ABC", "ABD"), ("信息1", "信息2")]
)
def test_names_that_look_different_have_different_keys(one, other):
    assert name_key(one) != name_key(other)


def test_a_name_without_letters_or_digits_has_no_key():
    assert name_key(" ——·\u200b ") == ""
