"""One round: questions that are decided together, from what was read for all of them.

Questions about the same number come in order: what an earlier one was allowed counts for the later
ones, exactly as if they had come one by one.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from spms.authorisation import number, queries, terms
from spms.authorisation.dossier import Dossier, MonthRow
from spms.authorisation.model import Decision, DecisionRequest, Facts, Purpose
from spms.authorisation.number import Kept
from spms.authorisation.packs import Pack, PackRow
from spms.authorisation.quota import Meters
from spms.authorisation.reservation_model import Ask
from spms.authorisation.round_queries import Gathered
from spms.authorisation.rules import judge
from spms.authorisation.standing import Standing
from spms.authorisation.terms import Shape, Terms
from spms.core.ids import new_id

NOTHING: Final = Kept((), (), (), ())
Say = Callable[[DecisionRequest], Decision]


def orders_since(standing: Standing, at: datetime) -> datetime:
    """Return the instant at which an order that ends at `at` was made."""
    return at - timedelta(hours=standing.rules(at).consent.on_demand_hours)


class Asker:
    """Who asks in a round: an SP by one of its hands."""

    __slots__ = ("actor", "pack", "say", "sp_id", "terms")
    say: Say
    """Decide about a message of theirs."""

    def __init__(self, sp_id: UUID, actor: str, known: dict[str, Terms]) -> None:
        self.sp_id, self.actor, self.terms = sp_id, actor, known
        self.pack = Pack(sp_id, actor)


class Round:
    """What is decided at one instant, and what is to be recorded of it."""

    def __init__(
        self, standing: Standing, charged: Iterable[str], read: Gathered, now: datetime,
        meters: Meters,
    ) -> None:  # fmt: skip
        """Lay out what was read."""
        self.standing, self._now, self._read, self._meters = standing, now, read, meters
        self._then = terms.then(standing, now)
        self._orders_since = orders_since(standing, now)
        self._at, self._since = number.instant(now), number.instant(self._orders_since)
        decode = number.read
        self._kept = {msisdn: decode(text) for msisdn, text in read.kept.items()}
        self._dossier = self._of(
            [(msisdn, self._kept.get(msisdn, NOTHING)) for msisdn in charged], read.months
        )
        self._askers: list[Asker] = []
        self.decided: list[queries.Decided] = []

    def asker(self, sp_id: UUID, actor: str) -> Asker:
        """Enter somebody who asks in this round."""
        made = Asker(sp_id, actor, self._then.of(sp_id))
        made.say = self._speaker(made)
        self._askers.append(made)
        return made

    def decide(self, ask: Ask, asker: Asker) -> Decision:
        """Decide about one question of an SP."""
        asked = ask.request
        if asked.purpose is Purpose.MESSAGE:
            return asker.say(asked)
        held = asker.terms.get(asked.service_code)
        if held is None:
            held = self._then.terms(asker.sp_id, asked.service_code)
        return self._charge(ask, held, asker)

    def charged(self) -> list[MonthRow]:
        """Return the months that allowed charges have changed, each with its next turn."""
        return self._dossier.charged()

    def let_go(self) -> None:
        """Part from those who asked, when all is decided.

        What speaks for them holds the round, and the round holds them: together they would stay,
        with every number that was read, until the collector came and everybody waited for it.
        """
        for asker in self._askers:
            del asker.say
        self._askers.clear()

    def packs(self) -> list[PackRow]:
        """Return the decisions about messages as they are to be stored."""
        return [
            asker.pack.row(now=self._now, orders_since=self._orders_since)
            for asker in self._askers if asker.pack.items
        ]  # fmt: skip

    def _of(self, numbers: list[tuple[str, Kept]], months: list[MonthRow]) -> Dossier:
        rows = number.rows(
            numbers, self._read.wishes, self._read.used, at=self._now,
            orders_since=self._orders_since,
        )  # fmt: skip
        rows.months.extend(months)
        return Dossier(rows, self._then.categories, self._meters)

    def _charge(self, ask: Ask, held: Terms, asker: Asker) -> Decision:
        facts = self._dossier.facts(held, ask.request)
        shape = _shape(facts)
        reasons = held.judged.get(shape)
        if reasons is None:
            reasons = held.judge(shape, facts)
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
                ask=ask, sp_id=asker.sp_id, actor=asker.actor, facts=facts, decision=decision,
                uses_order=uses_order, expires_at=expires_at,
            )
        )  # fmt: skip
        return decision

    def _unlike(self, asked: DecisionRequest, held: Terms, asker: Asker, kept: Kept) -> Decision:
        """Decide about a number that bars or caps something, for an SP with a quota, or an order."""
        dossier = self._of([(asked.msisdn, kept)], [])
        facts = dossier.facts(held, asked)
        reasons = judge(facts, facts.caps)
        if not reasons:
            dossier.count(asked, facts)
        relation_id = None if facts.relation is None else facts.relation.id
        used = tuple(one.id for one in kept.relations if one.id in self._read.used)
        item = (
            asker.pack.place(held), asked.price_fen, asked.access_number, asked.link_id, reasons,
            relation_id, None, None, facts.content, facts.sent, kept, used,
        )  # fmt: skip
        return Decision(
            id=asker.pack.add(asked.msisdn, item, reasons), allowed=not reasons, reasons=reasons,
            subscription_id=relation_id, decided_at=self._now,
        )  # fmt: skip

    def _facts(self, asked: DecisionRequest, held: Terms, kept: Kept) -> Facts:
        return self._of([(asked.msisdn, kept)], []).facts(held, asked)

    def _speaker(self, asker: Asker) -> Say:
        """Return what decides about one message after another of somebody.

        Most numbers bar and cap nothing. For these the shape is everything that a check may look at
        beyond the terms: of all numbers and questions that share it, one is judged. It is one
        function with all it needs in reach, since it runs for every message there is.
        """
        kept_of, known, of_now, sp_id = self._kept.get, asker.terms, self._then.terms, asker.sp_id
        at, since, now, pack = self._at, self._since, self._now, asker.pack
        unlike, facts, chosen, add, places = (
            self._unlike, self._facts, number.chosen, pack.add, pack.places,
        )  # fmt: skip

        def say(asked: DecisionRequest) -> Decision:
            msisdn, price_fen, access_number = asked.msisdn, asked.price_fen, asked.access_number
            kept, code = kept_of(msisdn, NOTHING), asked.service_code
            held = known.get(code) or of_now(sp_id, code)
            if not held.alike or kept.bars or kept.caps or asked.link_id is not None:
                return unlike(asked, held, asker, kept)
            content = None if asked.content is None and held.silent else held.look(asked.content)
            event, relation, is_live = chosen(kept, held.service_key, at, since)
            shape: Shape
            if relation is None:
                relation_id = None
                shape = (price_fen, access_number, content, event and event.state)
            else:
                relation_id, charge_from = relation.id, relation.charge_from
                shape = (
                    price_fen, access_number, content, event and event.state, is_live,
                    relation.price_fen, relation.consent_kind, relation.consent_price_fen,
                    charge_from is not None and charge_from > at,
                )  # fmt: skip
            reasons = held.judged.get(shape)
            if reasons is None:
                reasons = held.judge(shape, facts(asked, held, kept))
            place = places.get(held)
            item = (
                pack.place(held) if place is None else place, price_fen, access_number, None,
                reasons, relation_id, event, relation, content,
            )  # fmt: skip
            return Decision(
                id=add(msisdn, item, reasons), allowed=not reasons, reasons=reasons,
                subscription_id=relation_id, decided_at=now,
            )  # fmt: skip

        return say


def _shape(facts: Facts) -> Shape:
    """Return everything that a check of a charge may look at beyond the terms."""
    event, relation = facts.number, facts.relation
    return (
        facts.price_fen, facts.access_number, event and event.state,
        relation and (
            relation.live, relation.price_fen, relation.consent_kind, relation.consent_price_fen,
            relation.free, relation.used,
        ),
        facts.spent_service_fen, facts.spent_total_fen, facts.spent_category_fen,
        facts.own_caps.service_month_fen, facts.own_caps.total_month_fen,
        facts.bars and tuple([bar.scope for bar in facts.bars]), facts.leave_received_at is None,
        Purpose.CHARGE,
    )  # fmt: skip
