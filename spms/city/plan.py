"""From a seed to a city: companies, what they sell, how their hotlines behave, who lives there.

Pure: the same seed, size and days give the same city on every machine.
"""

from collections.abc import Sequence
from random import Random

from spms.city.cast import Market, people
from spms.city.model import City, CityError, Company, Hotline, LineStory, Offer, Sold

PEOPLE_PER_COMPANY = 15
COMPANIES_MIN = 4
COMPANIES_MAX = 300
SUBSCRIBERS_MAX = 100_000
DAYS_MAX = 366

FIRST_WORDS = ("云帆", "星河", "海纳", "启明", "汇通", "天择", "博远", "嘉讯", "鼎新", "联动", "畅行", "智慧")  # fmt: skip
LAST_WORDS = ("网络", "信息", "通信", "传媒", "数码", "互动")
MONTHLY_NAMES = ("天气早知道", "每日新闻", "健康顾问", "理财周刊", "交通快讯", "少儿故事", "美食推荐", "股市行情", "英语每日学")  # fmt: skip
ON_DEMAND_NAMES = ("彩铃点播", "星座运势", "笑话点播", "解梦", "起名参考", "电影预告", "点歌送祝福")
KEYWORDS = ("TQ", "XW", "JK", "LC", "JT", "GS", "MS", "GP", "XX")

MONTHLY_FEN = (100, 1500)
ON_DEMAND_FEN = (50, 300)
PRICE_STEP_FEN = 50
DEAR_FEN = 250
"""At least one on-demand service costs so much that its monthly cap can be reached by texting."""

STORIES = (LineStory.NO_ANSWER, LineStory.CHANGED, LineStory.CONGESTION, LineStory.CHANGED)
"""One company in eight has each of these; the second CHANGED is appealed against."""


def dice(seed: int, *about: object) -> Random:
    """Return dice of their own for one part of the city, so that parts do not disturb each other."""
    return Random(":".join(map(str, (seed, *about))))  # noqa: S311 - reproducible, not secret


def draw(*, seed: int, subscribers: int, days: int) -> City:
    """Draw a city of so many subscribers that lives so many days.

    Raises `CityError` for a size that cannot be played.
    """
    if not 1 <= subscribers <= SUBSCRIBERS_MAX:
        raise CityError(f"a city has 1 to {SUBSCRIBERS_MAX} subscribers")
    if not 1 <= days <= DAYS_MAX:
        raise CityError(f"a city lives 1 to {DAYS_MAX} days")
    count = min(COMPANIES_MAX, max(COMPANIES_MIN, subscribers // PEOPLE_PER_COMPANY))
    companies = _companies(dice(seed, "companies"), count)
    market = Market(companies)
    return City(
        seed=seed,
        days=days,
        companies=companies,
        people=people(dice(seed, "people"), market, subscribers=subscribers, days=days),
    )


def _companies(roll: Random, count: int) -> tuple[Company, ...]:
    lines = _lines(roll, count)
    companies = []
    offers = 0
    for n in range(count):
        # The second company is a bad one that sells everything, so that any error can be planted.
        size = 3 if n == 1 else roll.choice((2, 3) if n < COMPANIES_MIN else (1, 2, 2, 3))
        companies.append(
            Company(
                n=n,
                name=roll.choice(FIRST_WORDS) + roll.choice(LAST_WORDS),
                good=n % 2 == 0,
                hotlines=lines[n],
                offers=tuple(_offer(roll, offers + k, company=n, k=k) for k in range(size)),
            )
        )
        offers += size
    return tuple(companies)


def _offer(roll: Random, n: int, *, company: int, k: int) -> Offer:
    monthly = k != 1
    low, high = MONTHLY_FEN if monthly else ON_DEMAND_FEN
    if not monthly and company == 1:
        low = DEAR_FEN
    return Offer(
        n=n,
        company=company,
        sold=Sold.MONTHLY if monthly else Sold.ON_DEMAND,
        price_fen=roll.randrange(low, high + 1, PRICE_STEP_FEN),
        keyword=f"{roll.choice(KEYWORDS)}{k + 1}",
        name=f"{roll.choice(MONTHLY_NAMES if monthly else ON_DEMAND_NAMES)}{n + 1}",
    )


def _lines(roll: Random, count: int) -> list[tuple[Hotline, ...]]:
    """Give each company two or three hotlines, at most one of them bad."""
    stories = _stories(roll, count)
    lines = []
    n = 0
    for company in range(count):
        story, appealed = stories.get(company, (LineStory.ANSWER, False))
        second = LineStory.BUSY_ONCE if story is LineStory.CONGESTION else LineStory.ANSWER
        kinds: Sequence[LineStory] = [story, second, *[LineStory.ANSWER] * roll.choice((0, 0, 1))]
        lines.append(
            tuple(
                Hotline(n=n + k, story=kind, appealed=appealed and k == 0)
                for k, kind in enumerate(kinds)
            )
        )
        n += len(kinds)
    return lines


def _stories(roll: Random, count: int) -> dict[int, tuple[LineStory, bool]]:
    """Choose which companies have which bad line, and which of them appeal."""
    order = list(range(count))
    roll.shuffle(order)
    each = max(1, count // 8)
    found = {}
    for place, story in enumerate(STORIES):
        for company in order[place * each : (place + 1) * each]:
            found[company] = (story, place == len(STORIES) - 1)
    return found
