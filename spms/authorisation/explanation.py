"""A decision in words: one sentence per check, from the facts it was judged by."""

from typing import Final

import msgspec

from spms.authorisation import sentences, sentences_zh
from spms.authorisation.explanation_model import Check, Verdict
from spms.authorisation.model import Facts, Reason
from spms.authorisation.rules import outcomes
from spms.subscribers.model import Language

VERDICTS: Final = {True: Verdict.PASSED, False: Verdict.FAILED, None: Verdict.NOT_JUDGED}
WORDS: Final = {Language.EN: sentences.WORDS, Language.ZH: sentences_zh.WORDS}
HIDDEN: Final = {Language.EN: sentences.HIDDEN, Language.ZH: sentences_zh.HIDDEN}


def checks(
    facts: Facts, *, show_total: bool, language: Language = Language.EN
) -> tuple[Check, ...]:
    """Return every check of the facts, in order, in plain words.

    Without `show_total` the sentence about the cap over all SPs keeps its amounts to itself: they
    say what the person spends with others.
    """
    wording = WORDS[language] if show_total else WORDS[language] | HIDDEN[language]
    return tuple(
        Check(reason=reason, verdict=VERDICTS[passed], sentence=wording[reason](facts))
        for reason, passed in outcomes(facts, facts.caps)
    )


def differences(then: Facts, again: Facts) -> tuple[Reason, ...]:
    """Name the checks whose outcome is not the same on two sets of facts."""
    pairs = zip(outcomes(then, then.caps), outcomes(again, again.caps), strict=True)
    return tuple(reason for (reason, before), (_, after) in pairs if before is not after)


def for_sp(facts: Facts) -> Facts:
    """Leave out what the person spends with others, and the cap she set over all of them.

    Of a cap on the service also which one it is: it may be one over each service of anybody. Of a
    service that is not the SP's, nor since when it is what it is.
    """
    own_caps = msgspec.structs.replace(
        facts.own_caps, total_month_fen=None, total_cap_id=None, service_cap_id=None
    )
    service = facts.service
    if service is not None and service.sp_id != facts.sp_id:
        service = msgspec.structs.replace(service, status_since=None)
    return msgspec.structs.replace(
        facts, spent_total_fen=None, spent_category_fen=None, own_caps=own_caps, service=service
    )  # fmt: skip
