"""How a round of decisions reads, on a book that is large enough to matter."""

from datetime import timedelta

from spms.authorisation import queries, round_queries
from spms.core.clock import business_month
from tests import plans
from tests.plans import plan_of, require_narrow


async def test_a_round_finds_each_number_by_index_however_many_there_are(tx, owner, now):
    at = now + timedelta(days=20)
    await plans.fill(tx, owner, at)
    assert queries.PLAN.endswith("force_generic_plan"), "what the engine sets for its connections"
    for many in (1, 100, 1_000):
        numbers = [f"86139{n:08d}" for n in range(0, many * 2, 2)]
        for mode in ("force_generic_plan", "auto"):
            read = await plan_of(
                tx, round_queries.READ, ",".join(numbers), numbers, [], at, business_month(at),
                numbers, mode=mode,
            )  # fmt: skip
            assert read["Actual Rows"] == 1 + many
            kept = await plan_of(tx, round_queries.KEPT, ",".join(numbers), mode=mode)
            assert kept["Actual Rows"] == 1 + many
            if mode == "auto" and many == 1_000:
                continue  # half of all numbers: to read the tables through is right then
            require_narrow(
                read, {"number_standing", "month_spend", "order_use", "leave_wish"}, months=set(),
                sorted_most=0,
            )  # fmt: skip
            require_narrow(kept, {"number_standing"}, months=set(), sorted_most=0)
            assert plans.touched(kept) <= 8 + 3 * many
