"""A service's transitions and keywords. No database."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.catalogue.model import ServiceAction, ServiceKind, ServiceStatus, canonical_keyword
from spms.catalogue.rules import TRANSITIONS, keyword_allowed, leave_command, period_of
from spms.core.errors import NotAllowed
from spms.core.machine import advance
from spms.messaging.reading import NOT_A_KEYWORD, NOT_IN_A_KEYWORD, read

ALPHABET = "0123456789ABDNOTYES是否确认退订取消不要回复好的天气"


@pytest.mark.parametrize(
    ("status", "action"), sorted(set(product(ServiceStatus, ServiceAction)) - set(TRANSITIONS))
)
def test_every_move_not_in_the_table_is_refused(status, action):
    with pytest.raises(NotAllowed):
        advance(TRANSITIONS, status, action)


def test_a_withdrawn_service_never_comes_back():
    assert ServiceStatus.WITHDRAWN not in {status for status, _ in TRANSITIONS}


@pytest.mark.parametrize(
    ("typed", "keyword"), [("tq", "TQ"), ("ＴＱ", "TQ"), ("ｔｑ８", "TQ8"), ("天气", "天气")]
)
def test_a_keyword_has_one_form_however_it_is_typed(typed, keyword):
    assert canonical_keyword(typed) == keyword


@given(st.text(ALPHABET, min_size=1, max_size=8))
def test_whatever_may_be_a_keyword_is_read_as_that_keyword_when_texted(word):
    """The room above reads what is texted; a keyword it reads otherwise could never be ordered."""
    if keyword_allowed(canonical_keyword(word)):
        assert read(word).keyword == canonical_keyword(word)


@pytest.mark.parametrize(
    "word",
    [
        *["TD", "TD8", "退订", "0000", "00000", "Y", "是", "N", "Y4821", "是4821", "OK", "回复是"],
        *[word.upper() for word in sorted(NOT_A_KEYWORD)],
        *NOT_IN_A_KEYWORD,
    ],
)
def test_what_answers_leaves_or_lists_never_orders(word):
    assert not keyword_allowed(word)


def test_terms_follow_from_kind_and_code():
    assert period_of(ServiceKind.MONTHLY) == "month"
    assert period_of(ServiceKind.ON_DEMAND) == "use"
    assert leave_command("880100") == "TD 880100"
