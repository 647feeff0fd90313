"""Money, time and transitions: pure."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.core import clock, machine, money, passwords
from spms.core.errors import NotAllowed
from spms.core.partitions import months
from spms.core.settings import SettingsError, load


@given(st.integers(-(10**12), 10**12), st.integers(0, 10_000))
def test_a_share_and_its_rest_differ_from_the_whole_by_at_most_one_fen(amount, points):
    rest = money.share(amount, 10_000 - points)
    assert abs(amount - money.share(amount, points) - rest) <= 1


@pytest.mark.parametrize(
    ("amount", "points", "expected"), [(1, 5000, 1), (-1, 5000, -1), (3, 3333, 1), (100, 800, 8)]
)
def test_half_a_fen_rounds_away_from_zero(amount, points, expected):
    assert money.share(amount, points) == expected


@pytest.mark.parametrize(("fen", "text"), [(800, "8.00"), (5, "0.05"), (-1250, "-12.50")])
def test_fen_are_written_as_yuan(fen, text):
    assert money.yuan(fen) == text


def test_a_business_month_begins_at_midnight_in_shanghai():
    last = datetime(2026, 2, 28, 15, 59, 59, 999999, UTC)
    assert clock.business_month(last) == date(2026, 2, 1)
    assert clock.business_month(last + timedelta(microseconds=1)) == date(2026, 3, 1)
    start, end = clock.month_range(date(2026, 2, 1))
    assert (start, end) == (
        datetime(2026, 1, 31, 16, tzinfo=UTC), datetime(2026, 2, 28, 16, tzinfo=UTC),
    )  # fmt: skip


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_months_tile_the_year_without_gap(day):
    month = day.replace(day=1)
    assert clock.month_range(month)[1] == clock.month_range(clock.next_month(month))[0]


def test_partitions_reach_from_the_last_month_to_three_ahead():
    found = months(datetime(2026, 1, 5, tzinfo=UTC))
    assert found == [date(2025, 11, 1), date(2025, 12, 1)] + [
        date(2026, m, 1) for m in (1, 2, 3, 4)
    ]


class Light(StrEnum):
    RED = "red"
    GREEN = "green"


class Turn(StrEnum):
    GO = "go"


def test_a_move_that_is_not_in_the_table_is_refused():
    table = {(Light.RED, Turn.GO): Light.GREEN}
    assert machine.advance(table, Light.RED, Turn.GO) is Light.GREEN
    with pytest.raises(NotAllowed):
        machine.advance(table, Light.GREEN, Turn.GO)


def test_settings_come_from_file_and_environment_and_the_environment_wins(tmp_path):
    file = tmp_path / "spms.toml"
    file.write_text("port = 1\nsandbox = true\n")
    settings = load({"SPMS_PORT": "7", "HOME": "/"}, file)
    assert (settings.port, settings.sandbox) == (7, True)


@pytest.mark.parametrize(
    ("environ", "text"),
    [({"SPMS_PORT": "many"}, ""), ({"SPMS_PORT": "70000"}, ""), ({}, "colour = 1"), ({}, "port =")],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path, environ, text):
    file = tmp_path / "spms.toml"
    file.write_text(text)
    with pytest.raises(SettingsError):
        load(environ, file)


def test_passwords_queue_within_their_own_loop():
    async def crowd():
        hashed = await asyncio.gather(*[passwords.hash_password("correct horse") for _ in range(4)])
        return await passwords.password_matches("correct horse", hashed[0])

    assert [asyncio.run(crowd()) for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    ("environ", "file", "words"),
    [
        ({"SPMS_PORT": "abc"}, None, "SPMS_PORT is not usable"),
        ({"SPMS_LOG_LEVEL": "LOUD"}, None, "one of DEBUG, INFO, WARNING, ERROR"),
        ({"SPMS_SMPP_LINKS": "{bad"}, None, "SPMS_SMPP_LINKS"),
        ({}, "prot = 8000", "did you mean `port`?"),
        ({}, 'port = "x"', "spms.toml: port is not usable"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place_and_what_would_be_right(
    tmp_path: Path, environ: dict[str, str], file: str | None, words: str
) -> None:
    path = tmp_path / "spms.toml"
    if file is not None:
        path.write_text(file)
    with pytest.raises(SettingsError) as refused:
        load(environ, path)
    assert words in str(refused.value)
