"""What holds for every question of one SP about one service until something is changed.

Worked out once, not with each question. What is left to a question are the number's own facts, and
most numbers are alike in what a decision looks at: of those that are, one is judged.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from spms.authorisation.content import ContentFact, Lists, look
from spms.authorisation.model import Facts, Purpose, Reason
from spms.authorisation.rules import judge
from spms.authorisation.standing import NO_LISTS, NO_TEXTS, Standing, TextsThen
from spms.core.clock import SHANGHAI

TERMS_MAX: Final = 20_000
SHAPES_MAX: Final = 500
"""Where SPs ask strange questions, what is remembered of them is forgotten again."""

Shape = tuple[object, ...]


class Terms:
    """Of one SP and one service code, at any instant within a span in which nothing changes."""

    __slots__ = (
        "_lists", "_texts", "alike", "base", "judged", "service_code", "service_id", "service_key",
        "silent",
    )  # fmt: skip

    def __init__(
        self, base: Facts, service_code: str, lists: Lists = NO_LISTS, texts: TextsThen = NO_TEXTS
    ) -> None:
        """Take the facts of a question that says nothing and is about nobody."""
        self.base, self.service_code = base, service_code
        self._lists, self._texts = lists, texts
        self.silent = not texts.bound
        """A question need not say what it will send."""
        service = base.service
        own = service is not None and service.sp_id == base.sp_id
        self.service_id = service.id if own and service is not None else None
        """None: no service of this SP."""
        self.service_key = str(self.service_id)
        monthly = own and service is not None and service.kind == "monthly"
        self.alike = monthly and base.quota is None
        """Of most numbers, a message asks for nothing that differs from one to the next."""
        self.judged: dict[Shape, tuple[Reason, ...]] = {}
        """The reasons against a question of a shape. A shape holds everything about question and
        number that any check may look at."""

    def look(self, text: str | None) -> ContentFact | None:
        """Return what a decision rests on about a message's text."""
        return look(text, self._lists, self._texts.templates, bound=self._texts.bound)

    def judge(self, shape: Shape, facts: Facts) -> tuple[Reason, ...]:
        """Judge the facts of a shape that has not come yet, and remember the reasons."""
        if len(self.judged) >= SHAPES_MAX:
            self.judged.clear()
        found = self.judged[shape] = judge(facts, facts.caps)
        return found


class Then:
    """Everything that `Standing` says, as of any instant of one span in which it does not change."""

    def __init__(self, standing: Standing, at: datetime) -> None:
        """Look at nothing yet but the rules."""
        self._standing, self._at = standing, at
        self.rules = standing.rules(at)
        self.categories = standing.categories
        self._quiet = self.rules.push.quiet(at.astimezone(SHANGHAI).hour)
        self._terms: dict[UUID, dict[str, Terms]] = {}
        self._size = 0

    def terms(self, sp_id: UUID, service_code: str) -> Terms:
        """Return what holds for an SP's questions about a service."""
        known = self.of(sp_id)
        found = known.get(service_code)
        if found is None:
            found = known[service_code] = self._make(sp_id, service_code)
            self._size += 1
        return found

    def of(self, sp_id: UUID) -> dict[str, Terms]:
        """Return what is known already of an SP's terms."""
        if self._size >= TERMS_MAX:
            self._terms, self._size = {}, 0
        return self._terms.setdefault(sp_id, {})

    def _make(self, sp_id: UUID, service_code: str) -> Terms:
        service = self._standing.service(service_code, self._at)
        sp = self._standing.sp(sp_id, self._at)
        own_id = service.id if service is not None and service.sp_id == sp_id else None
        return Terms(
            Facts(
                purpose=Purpose.MESSAGE, price_fen=0, sp_id=sp_id, sp_status=sp.status,
                sp_status_since=sp.status_since,
                restrictions=tuple(
                    held for held in sp.restrictions if held.service_id in {None, own_id}
                ),
                service=service, quiet=self._quiet, caps=self.rules.cap,
                quota=None if own_id is None else sp.quota, rulebook_version=self.rules.version,
            ),
            service_code,
            self.rules.content,
            NO_TEXTS if own_id is None else self._standing.texts(own_id, self._at),
        )  # fmt: skip


def then(standing: Standing, at: datetime) -> Then:
    """Return what holds at an instant."""
    # Quiet hours begin and end with an hour; everything else at the moments that Standing knows.
    key = (standing.span(at), int(at.timestamp()) // 3600)
    known: dict[tuple[int, int], Then] = standing.thens
    found = known.get(key)
    if found is None:
        if len(known) >= THENS_MAX:
            known.clear()
        found = known[key] = Then(standing, at)
    return found


THENS_MAX: Final = 8
