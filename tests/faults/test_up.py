"""`spms up`: started, stopped, killed, started four times at once."""

import asyncio
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest

from spms.core.embedded import Embedded
from spms.core.roles import login_role
from tests.conftest import with_database
from tests.faults.running import START_SECONDS, Instance

BATCH = 5


@pytest.fixture
def instance(tmp_path: Path):
    started = Instance(tmp_path).start()
    yield started
    if started.process is not None and started.process.poll() is None:
        started.kill()


def test_it_starts_prints_where_everything_is_stops_cleanly_and_starts_again(instance):
    instance.wait_until_ready()
    password = instance.secret("officer")
    for path in ("/reference", "/openapi.json", "/sandbox/handset", "/health/live"):
        assert httpx.get(instance.url + path).status_code == 200
        assert path == "/health/live" or path in instance.words()
    postmaster = instance.postmaster()
    assert instance.interrupt() == 0, instance.words()
    assert not Path(f"/proc/{postmaster}").exists()
    instance.log.unlink()
    instance.start().wait_until_ready()
    assert instance.secret("officer") == password
    assert instance.interrupt() == 0


def test_ctrl_c_during_the_first_start_is_obeyed_and_the_next_start_is_whole(instance):
    instance.wait_for_words("starting PostgreSQL")
    assert instance.interrupt() == 0, instance.words()
    assert "bringing the schema" not in instance.words()
    assert "Traceback" not in instance.words()
    instance.start().wait_until_ready()
    assert instance.interrupt() == 0


def test_a_start_that_dies_in_its_city_does_not_leave_the_clock_in_the_past(tmp_path):
    playing = Instance(tmp_path, SPMS_CITY_SUBSCRIBERS="60").start()
    try:
        playing.wait_for_words("city  10 %")
        playing.kill()
        done = asyncio.run(slots_done(playing.directory / "data" / "postgres"))
        day = timedelta(days=1)
        assert done
        assert max(done) < datetime.now(UTC) - day, (
            "jobs had done the present before the city began"
        )
        playing.start().wait_for_words("running; Ctrl-C")
        assert "an earlier start died" in playing.words()
        assert httpx.get(f"{playing.url}/sandbox/clock").json()["offset_seconds"] == 0
        assert playing.interrupt() == 0
    finally:
        if playing.process is not None and playing.process.poll() is None:
            playing.kill()


async def slots_done(directory: Path) -> list[datetime]:
    """Return the slots of every job that are on record in a directory nobody uses any more."""
    server = Embedded(directory)
    await server.start()
    try:
        owner = await asyncpg.connect(server.owner_url)
        rows = await owner.fetch("SELECT slot_at FROM job_slot")
        await owner.close()
    finally:
        await server.stop()
    return [row["slot_at"] for row in rows]


def test_a_taken_port_is_said_in_one_line(instance, tmp_path):
    instance.wait_until_ready()
    (tmp_path / "second").mkdir()
    other = Instance(tmp_path / "second", SPMS_PORT=str(instance.port)).start()
    assert other.process is not None
    assert other.process.wait(START_SECONDS) == 2
    assert "set SPMS_PORT" in other.words()
    assert "Traceback" not in other.words()


def test_a_database_that_cannot_be_reached_is_said_in_one_line(tmp_path):
    url = "postgresql://nobody:nothing@127.0.0.1:1/nowhere"
    lost = Instance(tmp_path, SPMS_DATABASE_URL=url).start()
    assert lost.process is not None
    assert lost.process.wait(START_SECONDS) == 2
    assert "cannot reach the database" in lost.words()
    assert "nothing" not in lost.words().replace("nothing was", "")
    assert "Traceback" not in lost.words()


async def test_four_starts_at_once_on_one_database_agree(server_url, tmp_path):
    name = f"spms_four_{uuid4().hex[:8]}"
    admin = await asyncpg.connect(server_url)
    await admin.execute(f"CREATE DATABASE {name}")
    url = with_database(server_url, name)
    four = []
    try:
        for n in range(4):
            (tmp_path / str(n)).mkdir()
            four.append(Instance(tmp_path / str(n), SPMS_DATABASE_URL=url).start())
        for each in four:
            each.wait_until_ready()
        assert len({each.secret("admin") for each in four}) == 1
        for each in four:
            assert each.sign_in("agent")
        assert [each.interrupt() for each in four] == [0, 0, 0, 0]
    finally:
        for each in four:
            if each.process is not None and each.process.poll() is None:
                each.kill()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.execute(f"DROP ROLE IF EXISTS {login_role(name)}")
        await admin.close()


class Writer(threading.Thread):
    """Applies to become an SP again and again and remembers which applications were accepted."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.accepted: list[str] = []
        self.odd: list[str] = []
        self.going = True

    def run(self) -> None:
        while self.going:
            licence = f"B2-{uuid4().hex[:12].upper()}"
            body = {"name": f"公司{licence}", "licence_no": licence, "responsible_name": "负责人"}
            try:
                answer = httpx.post(f"{self.url}/sps", json=body, timeout=5)
            except httpx.HTTPError:
                time.sleep(0.02)
                continue
            if answer.status_code == 201:
                self.accepted.append(licence)
            elif answer.status_code != 503:
                self.odd.append(answer.text)


def stored(instance: Instance) -> set[str]:
    """Return the licences of all SPs that the instance knows."""
    headers, found, cursor = instance.sign_in("officer"), set(), None
    while True:
        parameters = {"limit": "100"} | ({"after": cursor} if cursor else {})
        page = httpx.get(f"{instance.url}/sps", params=parameters, headers=headers).json()
        found |= {sp["licence_no"] for sp in page["items"]}
        cursor = page["next"]
        if cursor is None:
            return found


@pytest.mark.parametrize("victim", ["app", "postgres"])
def test_nothing_that_was_acknowledged_is_lost_to_kill_9(instance, victim):
    instance.wait_until_ready()
    writers = [Writer(instance.url) for _ in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        time.sleep(0.4)
        if victim == "app":
            instance.kill()
            instance.start()
        else:
            os.kill(instance.postmaster(), signal.SIGKILL)
            time.sleep(0.2)
        instance.wait_until_ready()
    time.sleep(0.3)
    for writer in writers:
        writer.going = False
    for writer in writers:
        writer.join(60)
    assert [odd for writer in writers for odd in writer.odd] == [], instance.words()
    accepted = {licence for writer in writers for licence in writer.accepted}
    assert len(accepted) > BATCH
    assert accepted <= stored(instance)
    assert instance.interrupt() == 0, instance.words()
