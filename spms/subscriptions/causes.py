"""Reason codes: why a relation changed, one for every line of its history."""

from enum import StrEnum


class Cause(StrEnum):
    """Why a relation changed: one code for every line of its history.

    The codes of `EndReason` and, for what is not an end, who asked or what the number did. What
    they are called elsewhere is in docs/order-relation.md.
    """

    SUBSCRIBER = "subscriber"
    SP = "sp"
    AGENT = "agent"
    OPERATOR = "operator"
    NO = "no"
    SILENCE = "silence"
    LAPSED = "lapsed"
    NOT_ON_SALE = "not_on_sale"
    NUMBER_SUSPENDED = "number_suspended"
    NUMBER_RESUMED = "number_resumed"
    NUMBER_TERMINATED = "number_terminated"
    NUMBER_CHANGED = "number_changed"
    NUMBER_TRANSFERRED = "number_transferred"
    TAKEN_OVER = "taken_over"
    NOTHING_TO_TAKE_OVER = "nothing_to_take_over"
    TRIAL_OVER = "trial_over"
