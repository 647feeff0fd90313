"""When to try again and what an answer means; and that the manual's example is a true one."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from spms.partners.webhook_model import Answer, AttemptResult, WebhookRules
from spms.partners.webhook_rules import next_try, response_start, rest_until, result_of

NOW = datetime(2026, 3, 2, 4, tzinfo=UTC)
RULES = WebhookRules()
MANUAL = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text("utf-8")


def test_the_manuals_example_verifies_with_the_official_library() -> None:
    found = dict(re.findall(r"^(webhook-\w+): (\S+)$", MANUAL, re.MULTILINE))
    (body,) = re.findall(r"^\{\"type.*$", MANUAL, re.MULTILINE)
    (secret,) = re.findall(r"whsec_[\w+/]+=", MANUAL)
    at = datetime.fromtimestamp(int(found["webhook-timestamp"]), UTC)
    assert Webhook(secret).sign(found["webhook-id"], at, body) == found["webhook-signature"]


@given(st.uuids(), st.integers(1, 2**53))
def test_a_try_comes_never_early_and_at_most_a_tenth_late(endpoint: UUID, position: int) -> None:
    for tries, wait in enumerate(RULES.retry_seconds):
        at = next_try(RULES, tries, endpoint, position, now=NOW)
        assert at is not None
        assert timedelta(seconds=wait) <= at - NOW <= timedelta(seconds=wait * 1.1 + 0.001)
    assert next_try(RULES, len(RULES.retry_seconds), endpoint, position, now=NOW) is None
    assert sum(RULES.retry_seconds) == (75 * 60 + 35) * 60 + 5


def test_only_2xx_is_delivered() -> None:
    for status in range(100, 600):
        assert (result_of(status) is AttemptResult.DELIVERED) == (200 <= status < 300)
    assert result_of(410) is AttemptResult.GONE


def test_a_rest_is_read_in_both_forms_bounded_and_only_from_429_and_503() -> None:
    def rest(said: str | None, status: int = 429) -> float | None:
        answer = Answer(result=AttemptResult.REFUSED, http_status=status, retry_after=said)
        until = rest_until(answer, RULES, now=NOW)
        return None if until is None else (until - NOW).total_seconds()

    assert rest("120") == rest("Mon, 02 Mar 2026 04:02:00 GMT") == rest(" 120 ", 503) == 120
    assert rest("999999999") == rest("Mon, 02 Mar 2099 04:02:00 GMT") == 86_400
    for nothing in (None, "", "0", "-5", "soon", "1e9", "9" * 30, "Mon, 02 Mar 2020 04:02:00 GMT"):
        assert rest(nothing) is None
    assert rest("120", 500) is None


@given(st.binary(max_size=2000))
def test_the_start_of_an_answer_can_be_stored_and_shows_no_number(body: bytes) -> None:
    start = response_start(body + b" 8613812345678")
    assert len(start) <= 256
    assert "\0" not in start
    start.encode()
    assert not re.search(r"[0-9]{6}", start)
