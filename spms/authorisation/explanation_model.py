"""The nouns of a decision in words, and of the same decision made again."""

from enum import StrEnum

import msgspec

from spms.authorisation.model import DecisionRecord, Facts, Reason


class Verdict(StrEnum):
    """How one check came out."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "not_judged"
    """It does not apply, or what it would need is missing."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of a decision, in words."""

    reason: Reason
    """The reason the answer carries when the check fails."""
    verdict: Verdict
    sentence: str


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The decision made again from the dated facts and the rulebook in force at its instant."""

    allowed: bool
    reasons: tuple[Reason, ...]
    facts: Facts
    rulebook_version: int


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a decision came out as it did."""

    decision: DecisionRecord
    facts: Facts
    """As recorded when it was made."""
    checks: tuple[Check, ...]
    """Every check of the recorded facts, in order."""
    replay: Replay
    agrees: bool
    """Whether recorded facts and replay both lead to the recorded answer."""
    differences: tuple[Reason, ...]
    """The checks that come out differently in the replay: a fact dated before the decision became
    known only after it (an unsubscribe counts from its receipt, even before it is handled)."""
