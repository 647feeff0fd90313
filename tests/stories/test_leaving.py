"""Getting out always works, and nothing gets in by accident: told through the public API only."""

from typing import Any

from tests.stories.world import OPERATOR, Phone, Shop, World, digits


async def three_shops(world: World) -> tuple[Shop, Shop, Shop]:
    """Return two services of one SP and one of another."""
    first = await world.company("津门天气信息有限公司", "4008000001", "02287654321")
    second = await world.company("渤海铃声信息有限公司", "4008000002", "02281234567")
    return (
        await world.shop(first, code="880101", keyword="TQ", price_fen=300),
        await world.shop(first, code="880102", keyword="XW", price_fen=500),
        await world.shop(second, code="880103", keyword="LS", price_fen=800),
    )


async def status_of(phone: Phone) -> dict[str, str]:
    """Return what became of each service the person ever asked for, by its code."""
    items = (await phone.web.get("/my/subscriptions"))["items"]
    return {item["service_code"]: item["status"] for item in reversed(items)}


async def test_a_person_leaves_by_list_by_one_word_and_through_an_agent(world: World) -> None:
    shops = await three_shops(world)
    li = await world.phone("8613800138001")
    for shop in shops:
        await world.subscribe(li, shop)

    await leaving_by_list(world, li)
    await world.later(days=1)
    await leaving_everything(world, li, shops)
    await world.later(days=1)
    await leaving_through_an_agent(world, li, shops[0])


async def leaving_by_list(world: World, li: Phone) -> None:
    await li.text(OPERATOR, "０００0")  # half of it full-width
    lines = (await li.newest()).splitlines()[1:4]
    codes = [line.rpartition("(")[2].rstrip(")") for line in lines]
    assert sorted(codes) == ["880101", "880102", "880103"]
    await world.later(minutes=119)
    await li.text(OPERATOR, "1，3")
    assert "退订成功" in await li.newest()
    after = await status_of(li)
    assert {code: after[code] for code in codes} == dict(
        zip(codes, ("ended", "active", "ended"), strict=True)
    )


async def leaving_everything(world: World, li: Phone, shops: tuple[Shop, ...]) -> None:
    for shop in shops:
        if (await status_of(li))[shop.code] == "ended":
            await world.subscribe(li, shop)
    assert set((await status_of(li)).values()) == {"active"}
    await li.text(shops[0].access_number, "00000")
    assert [(await status_of(li))[shop.code] for shop in shops[:2]] == ["ended", "ended"]
    assert (await status_of(li))[shops[2].code] == "active", "an SP's number stands for that SP"
    await li.text(OPERATOR, "00000")
    assert set((await status_of(li)).values()) == {"ended"}
    await li.text(OPERATOR, "0000")
    assert await li.newest() == "您没有在用的业务。"


async def leaving_through_an_agent(world: World, li: Phone, shop: Shop) -> None:
    """Effective at once: a charge of the same hour is refunded double."""
    await world.subscribe(li, shop)
    (found, *_) = (
        await world.agent.post(
            "/subscriptions/search", {"msisdn": li.msisdn, "reason": "来电要求退订"}
        )
    )["items"]
    await world.agent.post(f"/subscriptions/{found['id']}/leave", {}, status=422)
    said = {"reason": "来电要求退订"}
    await world.agent.post(f"/subscriptions/{found['id']}/leave", said, status=422)
    said["ticket"] = "GD-20260302-17"
    left = await world.agent.post(f"/subscriptions/{found['id']}/leave", said)
    assert (left["status"], left["end_reason"]) == ("ended", "agent")
    assert left["ended_at"] == world.clock.now().isoformat().replace("+00:00", "Z")
    await world.settle()
    assert "退订成功" in await li.newest()

    await world.later(minutes=1)
    line = await charge(world, shop, li)
    assert line["findings"] == ["after_unsubscribe"]
    await world.settle()
    (refund,) = (await li.web.get("/my/refunds"))["items"]
    assert (refund["principal_fen"], refund["compensation_fen"]) == (300, 300)


async def test_a_late_yes_opens_nothing(world: World) -> None:
    shop, _, _ = await three_shops(world)
    li = await world.phone("8613800138001")
    await li.text(shop.access_number, shop.keyword)
    (prompt,) = await li.inbox()
    await world.later(minutes=60)  # the window is half-open: it has just closed
    await li.text(OPERATOR, "Y")
    assert "已失效" in await li.newest()
    await world.later(minutes=1)
    assert await status_of(li) == {shop.code: "expired"}
    assert sum(text == prompt for text in await li.inbox()) == 1, "no reminder of a request"
    line = await charge(world, shop, li)
    assert (line["findings"], line["due_fen"]) == (["no_consent"], 0)


async def test_of_two_open_prompts_only_the_one_that_is_named_is_confirmed(world: World) -> None:
    first, _, second = await three_shops(world)
    li = await world.phone("8613800138001")
    await li.text(first.access_number, first.keyword)
    await li.text(second.access_number, second.keyword)
    assert await status_of(li) == {first.code: "awaiting", second.code: "awaiting"}

    await li.text(OPERATOR, "Y")
    question = await li.newest()
    assert "尚未开通任何业务" in question
    assert set((await status_of(li)).values()) == {"awaiting"}

    named = next(line for line in question.splitlines() if "渤海铃声" in line)
    code = next(word for word in digits(named) if len(word) == 4)
    await li.text(OPERATOR, f"Y{code}")
    assert await status_of(li) == {first.code: "awaiting", second.code: "active"}
    await li.text(OPERATOR, "N")
    assert await status_of(li) == {first.code: "refused", second.code: "active"}

    await world.later(days=1)
    await li.text(first.access_number, first.keyword)
    assert "近期拒绝过" in await li.newest(), "no prompt for thirty days after a refusal"


async def charge(world: World, shop: Shop, phone: Phone) -> Any:
    """Let the SP report a charge of this moment; return what became of it."""
    record = {
        "record_id": f"{shop.code}-{world.clock.now():%m%d%H%M}", "service_code": shop.code,
        "msisdn": phone.msisdn, "charged_at": world.clock.now().isoformat(), "price_fen": 300,
    }  # fmt: skip
    landing = await shop.company.api.post("/charge-records", {"records": [record]})
    return landing["outcomes"][0]
