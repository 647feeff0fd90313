import re
from html.parser import HTMLParser

import httpx
import msgspec
import pytest

from spms.app import create_app
from spms.messaging import actions
from spms.messaging.courier import pump_out
from spms.messaging.links import Links
from spms.messaging.sandbox import SandboxLink
from spms.messaging.sandbox_routes import FILES, STATIC

MSISDN = "8613912340000"


@pytest.fixture
def handset(http):
    """The whole application of a sandbox instance."""
    return http


async def send(tx, now, text):
    return await actions.send(
        tx, msisdn=MSISDN, text=text, kind="info", about_kind="x", about_id=1, now=now
    )


async def inbox(handset, after=0):
    body = {"msisdn": MSISDN, "after": after}
    answer = await handset.post("/sandbox/inbox", json=body)
    assert answer.status_code == 200
    return answer.json()["messages"]


async def test_an_sms_shows_on_the_phone_and_only_new_ones_come_next(handset, tx, pool, clock):
    await send(tx, clock.now(), "first")
    link = Links(SandboxLink(pool, clock))
    await pump_out(pool, link, clock)
    [first] = await inbox(handset)
    assert (first["text"], first["other"], first["direction"]) == ("first", "10010", "to_phone")
    assert await tx.fetchval("SELECT state FROM message_out") == "delivered"
    await send(tx, clock.now(), "second")
    await pump_out(pool, link, clock)
    assert [m["text"] for m in await inbox(handset, after=first["seq"])] == ["second"]


async def test_a_message_submitted_twice_shows_once(handset, tx, pool, clock):
    await send(tx, clock.now(), "once")
    link = SandboxLink(pool, clock)
    [message] = await actions.take_due(tx, now=clock.now())
    await link.submit(message)
    await link.submit(message)
    assert [m["text"] for m in await inbox(handset)] == ["once"]


async def test_what_is_typed_on_the_phone_arrives_as_a_message_in(handset, tx, now):
    body = {"msisdn": MSISDN, "to": "10010", "text": "Ｙ"}
    answer = await handset.post("/sandbox/messages", json=body)
    assert answer.status_code == 202
    row = await tx.fetchrow("SELECT * FROM message_in")
    assert (row["text"], row["called"], row["received_at"]) == ("Ｙ", "10010", now)
    assert (row["link"], row["link_message_id"]) == ("sandbox", answer.json()["link_message_id"])
    assert [m["direction"] for m in await inbox(handset)] == ["from_phone"]


async def test_a_phone_that_is_off_shows_nothing_and_the_message_fails(handset, tx, pool, clock):
    phone = {"msisdn": MSISDN, "label": "王小明", "reachable": False}
    assert (await handset.post("/sandbox/phones", json=phone)).status_code == 200
    await send(tx, clock.now(), "lost")
    await pump_out(pool, Links(SandboxLink(pool, clock)), clock)
    assert await inbox(handset) == []
    assert await tx.fetchval("SELECT state FROM message_out") == "failed"


async def test_phones_are_listed_with_the_newest_message(handset):
    for label in ("乙", "甲"):
        phone = {"msisdn": MSISDN, "label": label}
        await handset.post("/sandbox/phones", json=phone)
    for text in ("1", "2"):
        body = {"msisdn": MSISDN, "to": "10010", "text": text}
        await handset.post("/sandbox/messages", json=body)
    [phone] = (await handset.get("/sandbox/phones")).json()["phones"]
    assert (phone["label"], phone["last_text"], phone["reachable"]) == ("甲", "2", True)


async def test_an_instance_that_is_no_sandbox_has_none_of_this(pool, clock, settings):
    app = create_app(pool, clock, msgspec.structs.replace(settings, sandbox=False))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://spms.test"
    ) as client:
        assert (await client.get("/sandbox/handset")).status_code == 404
        answer = await client.post("/sandbox/inbox", json={"msisdn": MSISDN})
        assert answer.status_code == 404


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.addresses, self.inline = [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.addresses += [values[name] for name in ("src", "href") if values.get(name)]
        self.inline += [name for name in values if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in values):
            self.inline.append(tag)


async def test_the_page_works_under_its_own_policy_and_everything_it_names_is_there(handset):
    page = await handset.get("/sandbox/handset")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    read = Page()
    read.feed(page.text)
    assert read.inline == [], "the policy would block it"
    assert len(read.addresses) == len(STATIC)
    for address in read.addresses:
        assert address.startswith("/sandbox/static/")
        answer = await handset.get(address)
        assert answer.status_code == 200
        name = address.split("/")[-1].split("?")[0]
        assert answer.headers["content-type"].split(";")[0] == STATIC[name]
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_other_files_are_not_served(handset):
    for name in ("handset.html.j2", "..%2Fmodel.py", "nothing.js"):
        assert (await handset.get(f"/sandbox/static/{name}")).status_code == 404


def test_what_arrives_is_never_read_as_html():
    script = (FILES / "handset.js").read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)
    assert "https://" not in script
    assert "http://" not in script


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("inbox", {"msisdn": "1"}),
        ("inbox", {"msisdn": MSISDN, "after": -1}),
        ("messages", {"msisdn": MSISDN, "to": "x", "text": "Y"}),
        ("messages", {"msisdn": MSISDN, "to": "10010", "text": ""}),
        ("phones", {"msisdn": MSISDN, "label": ""}),
    ],
)
async def test_what_no_phone_does_is_refused(handset, path, body):
    assert (await handset.post(f"/sandbox/{path}", json=body)).status_code == 400
