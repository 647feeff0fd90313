"""For whom a claim is made: a subscriber for her own number, an agent for the one she names."""

from spms.compensation.model import Source
from spms.compensation.refusals import NumberMissing
from spms.core.access import Actor, ActorKind


def claimant(actor: Actor, msisdn: str | None) -> tuple[str, Source]:
    """Return the number a claim is about and the entrance it came by; raise `NumberMissing`."""
    by_subscriber = actor.kind is ActorKind.SUBSCRIBER
    number = msisdn or (actor.msisdn if by_subscriber else None)
    if number is None or (by_subscriber and number != actor.msisdn):
        raise NumberMissing
    return number, Source.SUBSCRIBER if by_subscriber else Source.AGENT
