"""One round: questions that are decided together, from what was read for all of them.

Questions about the same number come in order: what an earlier one was allowed counts for the later
ones, exactly as if they had come one by one.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from spms.authorisation import number, queries, terms
from spms.authorisation.dossier import Dossier, MonthRow
from spms.authorisation.model import Decision, DecisionRequest, Facts, Purpose, Reason
from spms.authorisation.number import Kept
from spms.authorisation.packs import Pack, PackRow
from spms.authorisation.reservation_model import Ask
from spms.authorisation.round_queries import Gathered
from spms.authorisation.rules import judge
from spms.authorisation.standing import Standing
from spms.authorisation.terms import Shape, Terms
from spms.core.ids import new_id

NOTHING: Final = Kept((), (), (), ())


def orders_since(standing: Standing, at: datetime) -> datetime:
    """Return the instant at which an order that ends at `at` was made."""
    return at - timedelta(hours=standing.rules(at).consent.on_demand_hours)


class Round:
    """What is decided at one instant, and what is to be recorded of it."""

    def __init__(
        self, standing: Standing, numbers: Iterable[str], charged: Iterable[str], read: Gathered,
        now: datetime,
    ) -> None:  # fmt: skip
        """Lay out what was read."""
        self._now, self._read = now, read
        self._then = terms.then(standing, now)
        self._orders_since = orders_since(standing, now)
        self._at, self._since = number.instant(now), number.instant(self._orders_since)
        self._texts = dict(zip(numbers, read.kept, strict=True))
        self._known: dict[str, Kept] = {}
        self._charged = [(msisdn, self._kept(msisdn)) for msisdn in charged]
        self._dossier = self._of(self._charged, read.months)
        self._packs: dict[tuple[UUID, str], Pack] = {}
        self._full: list[Pack] = []
        self.decided: list[queries.Decided] = []

    def decide(self, ask: Ask, sp_id: UUID, actor: str) -> Decision:
        """Decide about one question of an SP."""
        held = self._then.terms(sp_id, ask.request.service_code)
        if ask.request.purpose is Purpose.CHARGE:
            return self._charge(ask, held, sp_id, actor)
        return self._message(ask.request, held, sp_id, actor)

    def charged(self) -> list[MonthRow]:
        """Return the months that allowed charges have changed, each with its next turn."""
        return self._dossier.charged()

    def packs(self) -> list[PackRow]:
        """Return the decisions about messages as they are to be stored."""
        return [
            pack.row(now=self._now, orders_since=self._orders_since)
            for pack in (*self._full, *self._packs.values())
        ]

    def _kept(self, msisdn: str) -> Kept:
        found = self._known.get(msisdn)
        if found is None:
            text = self._texts[msisdn]
            found = self._known[msisdn] = NOTHING if text is None else number.read(text)
        return found

    def _of(self, numbers: list[tuple[str, Kept]], months: list[MonthRow]) -> Dossier:
        rows = number.rows(
            numbers, self._read.wishes, self._read.used, at=self._now,
            orders_since=self._orders_since,
        )  # fmt: skip
        rows.months.extend(months)
        return Dossier(rows, self._then.categories)

    def _charge(self, ask: Ask, held: Terms, sp_id: UUID, actor: str) -> Decision:
        facts = self._dossier.facts(held, ask.request)
        reasons = judge(facts, facts.caps)
        decision = Decision(
            # Made after the facts were read: what those rest on has smaller ids.
            id=new_id(), allowed=not reasons, reasons=reasons,
            subscription_id=None if facts.relation is None else facts.relation.id,
            decided_at=self._now,
        )  # fmt: skip
        uses_order = not reasons and self._dossier.count(ask.request, facts)
        expires_at = self._now + timedelta(minutes=self._then.rules.hold.minutes)
        self.decided.append(
            queries.Decided(
                ask=ask, sp_id=sp_id, actor=actor, facts=facts, decision=decision,
                uses_order=uses_order, expires_at=expires_at,
            )
        )  # fmt: skip
        return decision

    def _message(self, asked: DecisionRequest, held: Terms, sp_id: UUID, actor: str) -> Decision:
        kept = self._kept(asked.msisdn)
        reasons, relation_id, used = self._judged(asked, held, kept)
        pack = self._packs.get((sp_id, actor))
        if pack is None or pack.full:
            if pack is not None:
                self._full.append(pack)
            pack = self._packs[sp_id, actor] = Pack(sp_id, actor)
        return Decision(
            id=pack.add(asked, held, reasons, relation_id, self._texts[asked.msisdn], used),
            allowed=not reasons, reasons=reasons, subscription_id=relation_id,
            decided_at=self._now,
        )  # fmt: skip

    def _judged(
        self, asked: DecisionRequest, held: Terms, kept: Kept
    ) -> tuple[tuple[Reason, ...], UUID | None, tuple[UUID, ...]]:
        """Return the reasons, the relation, and the used orders among those of the number."""

        def facts() -> Facts:
            return self._of([(asked.msisdn, kept)], []).facts(held, asked)

        alike = self._alike(asked, held, kept)
        if alike is not None:
            shape, relation_id = alike
            return held.reasons(shape, facts), relation_id, ()
        made = facts()
        used = tuple(one.id for one in kept.relations if one.id in self._read.used)
        return judge(made, made.caps), made.relation.id if made.relation else None, used

    def _alike(
        self, asked: DecisionRequest, held: Terms, kept: Kept
    ) -> tuple[Shape, UUID | None] | None:
        """Return everything a check of a message may look at beyond its terms, and the relation.

        None where the number is not like most: it bars or caps something, or it is about an order.
        """
        if not held.monthly or asked.link_id is not None or kept.bars or kept.caps:
            return None
        event = number.standing(kept, self._at)
        if event is None:
            return (asked.price_fen, asked.access_number), None
        chosen, is_live = None, False
        for relation in kept.relations:
            if relation.service_id == held.service_key and relation.epoch == event.epoch:
                found = number.live(relation, self._at, self._since)
                if found or (found is False and chosen is None):
                    chosen, is_live = relation, found
                    if found:
                        break
        if chosen is None:
            return (asked.price_fen, asked.access_number, event.state), None
        free = chosen.charge_from is not None and chosen.charge_from > self._at
        return (
            asked.price_fen, asked.access_number, event.state, is_live, chosen.price_fen,
            chosen.consent_kind, chosen.consent_price_fen, free,
        ), chosen.id  # fmt: skip
