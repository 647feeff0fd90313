"""For each operation one request that must succeed, on a little world of its own."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

from spms.core.db import Connection
from spms.messaging import actions as messaging
from spms.messaging import stray_queries
from spms.messaging.model import IncomingSms, Stray
from tests import make
from tests.api_world import LOGIN, PASSWORD, Call, LittleWorld, unique
from tests.conftest import START
from tests.settlement import little

WHY = {"reason": "来电核实"}
WEBHOOK = {"url": "https://sp.example.com/spms"}
_roll = Random(1)

CSV = "record_id,service_code,msisdn,charged_at,price_fen,delivery\n"


def endpoint(w: LittleWorld) -> str:
    return str(w.post("sp", "/webhook-endpoints", WEBHOOK)["endpoint"]["id"])


def silent_endpoint(w: LittleWorld) -> dict[str, str]:
    made = endpoint(w)
    w.post("sp", f"/webhook-endpoints/{made}/pause", {})
    return {"endpoint_id": made}


def digits(count: int) -> str:
    """Return so many digits that nobody has used."""
    return "".join(_roll.choice("23456789") for _ in range(count))


def application() -> dict[str, Any]:
    return {
        "name": f"天津{unique()}", "licence_no": f"B2-{digits(12)}", "responsible_name": "王芳",
        "responsible_mobile": "8613900000001", "hotlines": ["4008111111", "4008222222"],
    }  # fmt: skip


def contacts() -> dict[str, Any]:
    return {
        "hotlines": [f"4008{digits(6)}", f"4008{digits(6)}"], "responsible_name": "李雷",
        "responsible_mobile": "8613900000002",
    }  # fmt: skip


def contact_change(w: LittleWorld) -> str:
    made = w.post("sp", f"/sps/{w.names['sp_id']}/contact-changes", contacts())
    return str(made["id"])


def restriction(w: LittleWorld) -> str:
    body = {"measure": "no_new_services", **WHY}
    return str(w.post("compliance", f"/sps/{w.names['sp_id']}/restrictions", body)["id"])


def tariff(w: LittleWorld) -> dict[str, Any]:
    return {"price_fen": 900, "hotline": w.names["hotline"]}


PROMOTION = {"text": "新用户优惠", "ends_at": (START + timedelta(days=7)).isoformat()}


def promotion(w: LittleWorld) -> str:
    path = f"/services/{w.names['service_id']}/promotions"
    return str(w.post("sp", path, PROMOTION)["id"])


def notice(w: LittleWorld) -> str:
    path = f"/services/{w.names['service_id']}/tariffs"
    return str(w.post("sp", path, tariff(w))["notice"]["id"])


def template(w: LittleWorld) -> str:
    path = f"/services/{w.names['service_id']}/templates"
    return str(w.post("sp", path, {"wording": "【天气】{}晴"})["id"])


def approved(w: LittleWorld) -> dict[str, str]:
    made = template(w)
    w.post("compliance", f"/templates/{made}/decision", {"approve": True})
    return {"template_id": made}


def question(w: LittleWorld) -> dict[str, Any]:
    names = w.names
    return {
        "purpose": "charge", "msisdn": names["msisdn"], "service_code": names["service_code"],
        "price_fen": 800, "access_number": names["access_number"],
    }  # fmt: skip


def decision(w: LittleWorld) -> str:
    return str(w.post("sp", "/authorisations", question(w))["id"])


def reservation(w: LittleWorld) -> dict[str, Any]:
    return {name: value for name, value in question(w).items() if name != "purpose"} | {
        "reference": f"order-{unique()}"
    }


def reserved(w: LittleWorld) -> str:
    return str(w.post("sp", "/reservations", reservation(w))["reservation"]["id"])


def record(w: LittleWorld) -> dict[str, Any]:
    return {
        "record_id": unique(), "service_code": w.names["service_code"],
        "msisdn": w.names["msisdn"], "charged_at": w.names["charged_at"], "price_fen": 800,
    }  # fmt: skip


def charge_file(w: LittleWorld) -> str:
    """Deliver a file with one line that cannot be read; return its id."""
    answer = w._http.post(
        "/charge-files", content=CSV + f"{unique()},x,x,x,x,x\n",
        headers=w.headers("sp") | {"Content-Type": "text/csv"},
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def proposal(w: LittleWorld) -> dict[str, Any]:
    return {
        "sp_id": str(w.names["sp_id"]), "kind": "promotion_inaccurate", "reference": unique(),
        "service_ids": [str(w.names["service_id"])], "statement": "宣传与备案不符",
    }  # fmt: skip


def proposed(w: LittleWorld) -> str:
    return str(w.post("officer-2", "/breaches", proposal(w))["id"])


def answered(w: LittleWorld) -> str:
    breach_id = proposed(w)
    w.post("sp", f"/breaches/{breach_id}/statement", {"statement": "情况说明"})
    return breach_id


def effective(w: LittleWorld) -> str:
    breach_id = answered(w)
    w.post("officer-3", f"/breaches/{breach_id}/decision", {"confirm": True, **WHY})
    return breach_id


def barred(w: LittleWorld) -> str:
    """Put another SP on the bad-credit list; return the entry's id."""
    sp_id = w._insert(make.sp)
    return str(w._insert(make.bad_credit, sp_id))


def appeal(w: LittleWorld) -> str:
    path = f"/breaches/{effective(w)}/appeal"
    return str(w.post("sp", path, {"statement": "情况不符"})["id"])


def plan(w: LittleWorld) -> str:
    return str(w.post("compliance", "/inspection-plans", {"start": "now"})["id"])


def item(w: LittleWorld) -> str:
    return str(w.get("compliance", f"/inspection-plans/{plan(w)}")["items"][0]["id"])


def unproven(w: LittleWorld) -> dict[str, Any]:
    """Return a claim with a cause about a charge that records cannot show to be wrong."""
    service_id, msisdn = w.another_service("online"), w.names["msisdn"]
    consent_id = w._insert(make.subscription, msisdn, service_id)
    charge_id = w._insert(make.charge, msisdn, service_id, consent_id=consent_id)
    return {"charge_id": str(charge_id), "cause": "not_opened", **WHY}


def verification(w: LittleWorld, state: str) -> str:
    """Make a claim that needs proof and bring it to this state; return its id."""
    before = 5 if state == "awaiting_approval" else 0
    for _ in range(before):
        w.post("subscriber", "/verifications", unproven(w))
    made = w.post("subscriber", "/verifications", unproven(w))
    if state == "objected":
        w.post("sp", f"/verifications/{made['id']}/objection", {"evidence": "使用记录"})
    return str(made["id"])


def word() -> str:
    """Return a category that nobody has used."""
    return "".join(_roll.choice("abcdefghij") for _ in range(12))


def bar(w: LittleWorld) -> str:
    """Let the person bar a category; return the bar's id."""
    bars = w.post("subscriber", "/my/bars", {"scope": "category", "category": word()})["bars"]
    return str(bars[-1]["id"])


def lookup(w: LittleWorld) -> str:
    body = of_person(w, ticket=unique(), **WHY)
    return str(w.post("agent", "/proxy-lookups", body)["lookup_id"])


def duty(w: LittleWorld) -> str:
    """Let an agent leave something for the person; return what the SP is to acknowledge."""
    w.running()
    left = w.post("agent", f"/proxy-lookups/{lookup(w)}/leave", {})
    return str(next(d["id"] for d in left["duties"] if d["kind"] == "sp_told"))


YESTERDAY = START - timedelta(days=1)


def correction(w: LittleWorld) -> dict[str, Any]:
    """Return a proposal to put right the price of a service with one charge."""
    service_id = w.another_service("online")
    msisdn = w.names["msisdn"]
    consent_id = w._insert(make.subscription, msisdn, service_id)
    wrong = {"consent_id": consent_id, "price_fen": 900, "charged_at": YESTERDAY}
    w._insert(make.charge, msisdn, service_id, **wrong)
    return {
        "service_id": service_id, "wrong_fen": 900, "due_fen": 800, "cause": "not_as_published",
        "from_at": "2026-01-01T00:00:00Z", "until_at": w.names["charged_at"], "apology": "抱歉。",
        **WHY,
    }  # fmt: skip


def found_bad(w: LittleWorld, name: str) -> dict[str, str]:
    ids = w._insert(make.hotline_finding, w.names["sp_id"], w.names["hotline"])
    return {name: ids[name]}


def objected(w: LittleWorld) -> dict[str, str]:
    path = found_bad(w, "item_id")
    w.post("sp", f"/inspection-items/{path['item_id']}/objection", {"statement": "线路检修"})
    return path


def adjustment(w: LittleWorld) -> dict[str, Any]:
    return {
        "sp_id": str(w.names["sp_id"]), "kind": "fine", "amount_fen": 5_000, "about": "结算扣罚",
    }  # fmt: skip


def what_if(w: LittleWorld) -> dict[str, Any]:
    """Ask about a month with something in it."""
    little.settlement(w)
    return {
        "sp_id": str(w.names["sp_id"]), "month": "2026-02", "fine_fen": 100,
        "rules": {"bad_debt_bp": 900},
    }  # fmt: skip


def payment(w: LittleWorld) -> dict[str, Any]:
    return {"reference": unique(), "settlement_ids": [little.payable(w)]}


def held(w: LittleWorld) -> str:
    path = f"/settlements/{little.settlement(w)}/holds"
    return str(w.post("officer-2", path, WHY)["id"])


def counted(w: LittleWorld) -> dict[str, Any]:
    """Return a count of yesterday that differs from what was charged."""
    day = (START - timedelta(days=1)).date().isoformat()
    count = {"service_code": w.names["service_code"], "records": 7, "amount_fen": 5_600}
    return {"source": "billing", "day": day, "counts": [count]}


def difference(w: LittleWorld) -> str:
    w.post("gateway", "/reconciliation-counts", counted(w))
    rows = w.get("sp", "/reconciliation-differences?month=2026-03")["items"]
    return str(rows[0]["id"])


async def _refused(tx: Connection, now: datetime, w: LittleWorld) -> str:
    payout_id = uuid4()
    await tx.execute(
        """INSERT INTO payout (msisdn, id, charge_id, round, charged_at, sp_id, amount_fen, state,
               due_at, queued_at, ended_at, detail)
           VALUES ($1, $2, gen_random_uuid(), 1, $3, $4, 1, 'refused', $3, $3, $3, 'test')""",
        w.names["msisdn"], payout_id, now, w.names["sp_id"],
    )  # fmt: skip
    return str(payout_id)


def payout(w: LittleWorld) -> str:
    """Let billing refuse a payout; return its id."""
    return str(w._insert(_refused, w))


def resolution(w: LittleWorld) -> str:
    """Propose what to do about a refused payout; return the proposal's id."""
    path = f"/refused-payouts/{payout(w)}/resolutions"
    return str(w.post("compliance", path, {"outcome": "send_again", **WHY})["id"])


async def _wrong_charge(tx: Connection, now: datetime, w: LittleWorld) -> str:
    charge_id = await make.charge(
        tx, now - timedelta(days=1), str(w.names["msisdn"]), w.names["service_id"],
        findings=["no_consent"], due_fen=0,
    )  # fmt: skip
    return str(charge_id)


async def _paid_out(tx: Connection, now: datetime, w: LittleWorld) -> None:
    await tx.execute(
        "UPDATE payout SET state = 'settled', ended_at = $2 WHERE msisdn = $1 AND state = 'queued'",
        w.names["msisdn"], now,
    )  # fmt: skip


def fraud(w: LittleWorld) -> dict[str, Any]:
    """Return a paid out refund with what proves that it was a fraud."""
    body = {"charge_id": w._insert(_wrong_charge, w), **WHY}
    claim_id = w.post("subscriber", "/claims", body)["id"]
    w._insert(_paid_out, w)
    return {
        "msisdn": w.names["msisdn"], "claim_id": claim_id, "proof": "judgment",
        "reference": "2026-12", "document_sha256": "ab" * 32, **WHY,
    }  # fmt: skip


def suspicion(w: LittleWorld) -> str:
    service_id, msisdn = w.another_service("online"), w.names["msisdn"]
    consent_id = w._insert(make.subscription, msisdn, service_id)
    charge_id = w._insert(make.charge, msisdn, service_id, consent_id=consent_id)
    return str(w._insert(make.suspicion, msisdn, charge_id))


def clawback(w: LittleWorld) -> str:
    return str(w.post("compliance", "/clawbacks", fraud(w))["id"])


def sp_booking(w: LittleWorld) -> dict[str, Any]:
    return {
        "sp_id": str(w.names["sp_id"]), "kind": "deposit_paid", "amount_fen": 100_000,
        "reference": unique(), **WHY,
    }  # fmt: skip


async def _put_aside(tx: Connection, now: datetime, w: LittleWorld) -> str:
    sms = IncomingSms(
        msisdn=w.names["msisdn"], called="10010", text="TD", raw=b"TD", link="smsc",
        link_message_id=unique(),
    )  # fmt: skip
    message = await messaging.receive(tx, sms, now=now)
    assert message is not None
    await messaging.mark_handled(tx, message, reading=None, outcome="failed", now=now)
    return str(message.id)


async def _stray(tx: Connection, now: datetime) -> str:
    stray = Stray(id=uuid4(), why="source", raw=uuid4().bytes)
    await stray_queries.keep(tx, "smsc", [stray], now)
    return str(stray.id)


PARAMETERS: dict[str, Callable[[LittleWorld], str]] = {
    "change_id": contact_change,
    "restriction_id": restriction,
    "notice_id": notice,
    "template_id": template,
    "authorisation_id": decision,
    "reservation_id": reserved,
    "file_id": charge_file,
    "suspicion_id": suspicion,
    "breach_id": proposed,
    "payout_id": payout,
    "resolution_id": resolution,
    "clawback_id": clawback,
    "booking_id": lambda w: str(w.post("compliance", "/sp-bookings", sp_booking(w))["id"]),
    "correction_id": lambda w: str(w.post("compliance", "/mass-corrections", correction(w))["id"]),
    "verification_id": lambda w: verification(w, "objected"),
    "appeal_id": appeal,
    "plan_id": plan,
    "bar_id": bar,
    "lookup_id": lookup,
    "duty_id": duty,
    "wish_id": lambda w: str(w._insert(_put_aside, w)),
    "stray_id": lambda w: str(w._insert(_stray)),
    "item_id": item,
    "endpoint_id": endpoint,
    "settlement_id": little.settlement,
    "hold_id": held,
    "difference_id": difference,
    "adjustment_id": lambda w: str(
        w.post("officer-2", "/settlement-adjustments", adjustment(w))["id"]
    ),
}
"""How a path parameter gets its thing, unless the world's own `names` have it."""


def number_event(w: LittleWorld) -> dict[str, Any]:
    return {
        "msisdn": w.names["msisdn"], "kind": "suspended", "reason": "lost",
        "effective_at": w.names["effective_at"],
    }  # fmt: skip


def of_person(w: LittleWorld, **more: Any) -> dict[str, Any]:
    return {"msisdn": w.names["msisdn"], **more}


def new_service(w: LittleWorld) -> dict[str, Any]:
    return {
        "code": digits(8), "name": "新服务", "kind": "monthly", "keyword": f"K{digits(6)}",
        "access_number": w.names["access_number"], "price_fen": 800,
        "hotline": w.names["hotline"],
    }  # fmt: skip


def sign_in_of_staff(w: LittleWorld) -> Call:
    w.staff()
    return Call(role=None, body={"login": LOGIN, "password": PASSWORD})


def token_form(w: LittleWorld) -> dict[str, str]:
    return {
        "grant_type": "client_credentials", "client_id": str(w.names["credential_id"]),
        "client_secret": PASSWORD,
    }  # fmt: skip


SP_ID = "/sps/{sp_id}"
SERVICE = "/services/{service_id}"
WEBHOOKS = "/webhook-endpoints/{endpoint_id}"

CALLS: dict[str, Callable[[LittleWorld], Call]] = {
    "POST /sandbox/clock/forward": lambda _: Call(role="admin", body={"seconds": 60}),
    "POST /oauth/token": lambda w: Call(role=None, body=token_form(w)),
    "POST /sign-in/staff": sign_in_of_staff,
    "POST /staff": lambda _: Call(
        role="admin", body={"login": f"a{unique()}", "password": PASSWORD, "roles": ["agent"]}
    ),
    "POST /network-elements": lambda _: Call(role="admin", body={"name": f"n{unique()}"}),
    "POST /sps": lambda _: Call(role=None, body=application()),
    f"POST {SP_ID}/review": lambda w: Call(role="compliance", path=w.another_sp("applied")),
    f"POST {SP_ID}/activation": lambda w: Call(
        role="compliance", path=w.another_sp("in_review")
    ),
    f"POST {SP_ID}/rejection": lambda w: Call(
        role="compliance", path=w.another_sp("applied"), body=WHY
    ),
    f"POST {SP_ID}/client-secrets/{{client_id}}/revocation": lambda _: Call(
        role="sp", body={"reason": "leaked"}
    ),
    f"POST {SP_ID}/closure": lambda w: Call(
        role="compliance", path=w.another_sp("active"), body=WHY
    ),
    f"POST {SP_ID}/contact-changes": lambda _: Call(role="sp", body=contacts()),
    "POST /contact-changes/{change_id}/decision": lambda _: Call(
        role="compliance", body={"approve": True}
    ),
    f"POST {SP_ID}/restrictions": lambda _: Call(
        role="compliance", body={"measure": "shielded", **WHY}
    ),
    "POST /restrictions/{restriction_id}/lift": lambda _: Call(role="compliance", body=WHY),
    "POST /webhook-endpoints": lambda _: Call(role="sp", body=WEBHOOK),
    f"POST {WEBHOOKS}/pause": lambda _: Call(role="sp", body={}),
    f"POST {WEBHOOKS}/enabling": lambda w: Call(role="sp", path=silent_endpoint(w), body={}),
    f"POST {WEBHOOKS}/closure": lambda _: Call(role="sp", body={}),
    f"POST {WEBHOOKS}/replays": lambda _: Call(role="sp", body={"from_position": 1, **WHY}),
    "POST /access-numbers": lambda w: Call(
        role="compliance",
        body={"sp_id": str(w.names["sp_id"]), "number": f"1069{digits(10)}"},
    ),
    "POST /services": lambda w: Call(role="sp", body=new_service(w)),
    "POST /authorisations/explanation": lambda w: Call(
        role="compliance", body=question(w) | WHY | {"sp_code": w.names["sp_code"]}
    ),
    "POST /authorisations/{authorisation_id}/explanation": lambda _: Call(role="agent", body=WHY),
    "POST /authorisations/search": lambda w: Call(
        role="compliance", body=of_person(w, month="2026-03", **WHY)
    ),
    f"POST {SP_ID}/quotas": lambda _: Call(
        role="compliance", body={"per_second": 50, "per_day": 100_000, **WHY}
    ),
    f"POST {SERVICE}/templates": lambda _: Call(role="sp", body={"wording": "【天气】{}晴"}),
    "POST /templates/{template_id}/decision": lambda _: Call(
        role="compliance", body={"approve": True}
    ),
    "POST /templates/{template_id}/retirement": lambda w: Call(
        role="compliance", body=WHY, path=approved(w)
    ),
    f"POST {SERVICE}/tariffs": lambda w: Call(role="sp", body=tariff(w)),
    f"POST {SERVICE}/promotions": lambda _: Call(role="sp", body=PROMOTION),
    "POST /promotions/{promotion_id}/decision": lambda w: Call(
        role="compliance", path={"promotion_id": promotion(w)}, body={"approve": True}
    ),
    "GET /promoted-services": lambda _: Call(role="subscriber"),
    "POST /notices/{notice_id}/decision": lambda _: Call(
        role="compliance", body={"approve": True}
    ),
    f"POST {SERVICE}/offline": lambda _: Call(role="sp", body=WHY),
    f"POST {SERVICE}/online": lambda w: Call(
        role="compliance", path={"service_id": w.another_service("offline")}, body=WHY
    ),
    f"POST {SERVICE}/withdrawal": lambda w: Call(
        role="sp", path={"service_id": w.another_service("offline")}, body=WHY
    ),
    "POST /number-events": lambda w: Call(role="gateway", body={"events": [number_event(w)]}),
    "POST /numbers/lookup": lambda w: Call(role="agent", body=of_person(w, **WHY)),
    "POST /my/bars": lambda _: Call(role="subscriber", body={"scope": "category", "category": word()}),
    "POST /my/bars/{bar_id}/lift": lambda _: Call(role="subscriber"),
    "POST /numbers/bars": lambda w: Call(
        role="agent", body=of_person(w, scope="category", category=word(), **WHY)
    ),
    "POST /my/caps": lambda _: Call(
        role="subscriber", body={"scope": "total", "limit_fen": 10_000}
    ),
    "POST /my/language": lambda _: Call(role="subscriber", body={"language": "zh"}),
    "POST /messages/incoming": lambda w: Call(
        role="gateway", body=of_person(w, link_message_id=unique(), called="10010", text="0000")
    ),
    "POST /messages/receipts": lambda _: Call(
        role="gateway", body={"link_message_id": unique(), "delivered": True}
    ),
    "POST /sign-in/codes": lambda w: Call(role=None, body=of_person(w)),
    "POST /sign-in/subscriber": lambda w: Call(role=None, body=of_person(w, code=w.code())),
    "POST /sandbox/phones": lambda w: Call(role=None, body=of_person(w, label="li")),
    "POST /sandbox/inbox": lambda w: Call(role=None, body=of_person(w)),
    "POST /sandbox/messages": lambda w: Call(role=None, body=of_person(w, to="10010", text="hi")),
    "POST /subscriptions": lambda w: Call(
        role="sp", body=of_person(w, service_id=w.another_service("online"))
    ),
    "POST /subscriptions/search": lambda w: Call(role="agent", body=of_person(w, **WHY)),
    "POST /subscriptions/{subscription_id}/leave": lambda _: Call(
        role="agent", body={**WHY, "ticket": unique()}
    ),
    "POST /subscriptions/leave-all": lambda w: Call(
        role="agent", body=of_person(w, ticket=unique(), **WHY)
    ),
    "POST /proxy-lookups": lambda w: Call(
        role="agent", body=of_person(w, ticket=unique(), **WHY)
    ),
    "POST /proxy-lookups/{lookup_id}/leave": lambda _: Call(role="agent", body={}),
    "POST /leaving-duties/{duty_id}/acknowledgement": lambda _: Call(role="sp"),
    "POST /leave-wishes/{wish_id}/settlement": lambda _: Call(
        role="agent", body={"ticket": unique(), **WHY}
    ),
    "POST /stray-messages/{stray_id}/reading": lambda _: Call(role="compliance", body=WHY),
    "POST /subscriptions/{subscription_id}/evidence-pack.json": lambda _: Call(
        role="agent", body=WHY
    ),
    "POST /subscriptions/{subscription_id}/evidence-pack.pdf": lambda _: Call(
        role="agent", body=WHY
    ),
    "POST /charge-records/{charge_id}/evidence-pack.json": lambda _: Call(
        role="compliance", body=WHY
    ),
    "POST /charge-records/{charge_id}/evidence-pack.pdf": lambda _: Call(
        role="compliance", body=WHY
    ),
    "POST /authorisations": lambda w: Call(role="sp", body=question(w)),
    "POST /reservations": lambda w: Call(role="sp", body=reservation(w)),
    "POST /charges": lambda w: Call(role="sp", body=reservation(w)),
    "POST /authorisations/batch": lambda w: Call(role="sp", body={"items": [question(w)]}),
    "POST /charge-records": lambda w: Call(role="sp", body={"records": [record(w)]}),
    "POST /charge-files": lambda w: Call(role="sp", body=CSV + ",".join(
        f"{value}" for value in (record(w) | {"delivery": "none"}).values()
    ) + "\n"),
    "POST /bills/search": lambda w: Call(role="agent", body=of_person(w, month="2026-03", **WHY)),
    "POST /bills/lines/search": lambda w: Call(
        role="agent", body=of_person(w, charge_id=str(w.names["charge_id"]), **WHY)
    ),
    "GET /my/bill/file": lambda _: Call(
        role="subscriber", query={"month": "2026-03", "form": "pdf"}
    ),
    "POST /bills/file": lambda w: Call(
        role="agent", body=of_person(w, month="2026-03", form="csv", **WHY)
    ),
    "GET /charge-records/totals": lambda _: Call(role="sp", query={"month": "2026-03"}),
    "GET /charge-records/file": lambda _: Call(
        role="sp", query={"month": "2026-03", "form": "csv"}
    ),
    "POST /my/bill/summary": lambda _: Call(role="subscriber", body={"wanted": False}),
    "POST /canary-numbers": lambda w: Call(
        role="compliance", body={"msisdn": w.names["msisdn"]}
    ),
    "POST /charge-suspicions/{suspicion_id}/decision": lambda _: Call(
        role="compliance", body={"upheld": False, **WHY}
    ),
    "GET /charge-observations": lambda _: Call(role="compliance", query={"month": "2026-03"}),
    "GET /my/bill": lambda _: Call(role="subscriber", query={"month": "2026-03"}),
    "POST /claims": lambda w: Call(
        role="subscriber", body={"charge_id": str(w.names["charge_id"]), **WHY}
    ),
    "POST /claims/preview": lambda w: Call(role="subscriber", body=unproven(w)),
    "POST /verifications": lambda w: Call(role="subscriber", body=unproven(w)),
    "POST /verifications/{verification_id}/approval": lambda w: Call(
        role="compliance", body={"accept": True, **WHY},
        path={"verification_id": verification(w, "awaiting_approval")},
    ),
    "POST /verifications/{verification_id}/objection": lambda w: Call(
        role="sp", path={"verification_id": verification(w, "awaiting_sp")},
        body={"evidence": "使用记录"},
    ),
    "POST /verifications/{verification_id}/decision": lambda w: Call(
        role="compliance", path={"verification_id": verification(w, "objected")},
        body={"accept": True, **WHY},
    ),
    "POST /mass-corrections": lambda w: Call(role="compliance", body=correction(w)),
    "POST /mass-corrections/{correction_id}/decision": lambda _: Call(
        role="officer-3", body={"accept": True, **WHY}
    ),
    "POST /refused-payouts/{payout_id}/resolutions": lambda _: Call(
        role="compliance", body={"outcome": "send_again", **WHY}
    ),
    "POST /payout-resolutions/{resolution_id}/decision": lambda _: Call(
        role="officer-3", body={"accept": True, **WHY}
    ),
    "POST /clawbacks": lambda w: Call(role="compliance", body=fraud(w)),
    "POST /clawbacks/{clawback_id}/decision": lambda _: Call(
        role="officer-3", body={"accept": True, **WHY}
    ),
    "POST /sp-bookings": lambda w: Call(role="compliance", body=sp_booking(w)),
    "POST /sp-bookings/{booking_id}/decision": lambda _: Call(
        role="officer-3", body={"accept": True, **WHY}
    ),
    "GET /sp-bookings": lambda _: Call(role="compliance"),
    "POST /disputed-fees/search": lambda w: Call(
        role="gateway", body={"msisdns": [w.names["msisdn"]]}
    ),
    "POST /refunds/search": lambda w: Call(role="agent", body=of_person(w, **WHY)),
    "POST /inspection-plans": lambda _: Call(role="compliance", body={"start": "now"}),
    "GET /inspection-plans/{plan_id}/document": lambda w: Call(
        role="sp", path=found_bad(w, "plan_id")
    ),
    "POST /inspection-items/{item_id}/objection": lambda w: Call(
        role="sp", path=found_bad(w, "item_id"),
        body={"statement": "线路检修", "documents": [{"name": "log.csv", "sha256": "0" * 64}]},
    ),
    "GET /inspection-objections": lambda w: Call(role="compliance", path=objected(w) and {}),
    "GET /inspection-items/{item_id}/objection": lambda w: Call(role="sp", path=objected(w)),
    "POST /inspection-items/{item_id}/objection/decision": lambda w: Call(
        role="compliance", path=objected(w), body={"sustain": True, **WHY}
    ),
    "POST /hotline-greetings": lambda w: Call(
        role="sp", body={"number": w.names["hotline"], "code": "1234"}
    ),
    "POST /sandbox/lines": lambda w: Call(
        role="admin", body={"number": w.names["hotline"], "behaviour": "busy"}
    ),
    "POST /breaches": lambda w: Call(role="compliance", body=proposal(w)),
    "POST /breaches/{breach_id}/statement": lambda _: Call(
        role="sp", body={"statement": "情况说明"}
    ),
    "POST /breaches/{breach_id}/decision": lambda w: Call(
        role="compliance", path={"breach_id": answered(w)}, body={"confirm": True, **WHY}
    ),
    "POST /breaches/{breach_id}/cure": lambda w: Call(
        role="sp", path={"breach_id": effective(w)}, body={"statement": "已整改"}
    ),
    "POST /breaches/{breach_id}/retest": lambda w: Call(
        role="compliance", path={"breach_id": effective(w)}, body={"passed": True, **WHY}
    ),
    "POST /penalty-what-ifs": lambda _: Call(role="compliance", body={"rules": {}}),
    f"POST {SP_ID}/bad-credit-clearances": lambda w: Call(
        role="compliance", body={"bad_credit_id": barred(w), **WHY}
    ),
    f"POST {SP_ID}/company": lambda w: Call(
        role="compliance", path=w.another_sp("active"),
        body={"company": "津门集团", "province": "天津"},
    ),
    "POST /breaches/{breach_id}/appeal": lambda w: Call(
        role="sp", path={"breach_id": effective(w)}, body={"statement": "情况不符"}
    ),
    "POST /settlements/{settlement_id}/objection": lambda _: Call(role="sp", body={
        "statement": "与我方统计不符",
        "lines": [{"step": "gross", "expected_fen": 1, "reason": "我方统计"}],
    }),
    "POST /settlements/{settlement_id}/objection/decision": lambda w: Call(
        role="compliance", path={"settlement_id": little.settlement(w, "disputed")},
        body={"redraw": True, **WHY},
    ),
    "POST /settlements/{settlement_id}/holds": lambda _: Call(role="compliance", body=WHY),
    "POST /settlement-holds/{hold_id}/clearance": lambda _: Call(role="compliance", body=WHY),
    "POST /settlement-holds/{hold_id}/numbers": lambda _: Call(role="compliance", body=WHY),
    "POST /settlements/what-if": lambda w: Call(role="compliance", body=what_if(w)),
    "GET /settlements/{settlement_id}/records": lambda w: Call(
        role="sp", path={"settlement_id": little.settlement(w)}, query={"step": "gross"}
    ),
    "POST /settlement-adjustments": lambda w: Call(role="compliance", body=adjustment(w)),
    "POST /settlement-adjustments/{adjustment_id}/decision": lambda _: Call(
        role="compliance", body={"accept": True, **WHY}
    ),
    "POST /settlement-payouts/approval": lambda w: Call(
        role="compliance", query={"month": little.locked(w)["month"]}
    ),
    "GET /settlement-payouts": lambda _: Call(role="compliance", query={"month": "2026-03"}),
    "GET /settlement-payouts/file": lambda w: Call(
        role="compliance", query={"month": little.approved(w)}
    ),
    "POST /settlement-payments": lambda w: Call(role="compliance", body=payment(w)),
    "POST /reconciliation-counts": lambda w: Call(role="gateway", body=counted(w)),
    "GET /reconciliation-differences": lambda _: Call(role="sp", query={"month": "2026-03"}),
    "GET /reconciliation-days": lambda _: Call(role="compliance", query={"month": "2026-03"}),
    "POST /reconciliation-differences/{difference_id}/explanation": lambda _: Call(
        role="compliance", body={"explanation": "重发"}
    ),
    "GET /settlement-reports": lambda _: Call(role="compliance", query={"month": "2026-02"}),
    "POST /appeals/{appeal_id}/decision": lambda _: Call(
        role="compliance", body={"uphold": False, **WHY}
    ),
}  # fmt: skip
"""Operations that are not here succeed for the first of their roles, without a body."""
