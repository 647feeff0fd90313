"""Transitions are data: a table (state, action) → state, and one function that consults it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from spms.core.errors import NotAllowed

S = TypeVar("S", bound=StrEnum)
A = TypeVar("A", bound=StrEnum)


def advance(table: Mapping[tuple[S, A], S], state: S, action: A) -> S:
    """Return the state after `action`, or raise `NotAllowed` when the table has no such move."""
    after = table.get((state, action))
    if after is None:
        raise NotAllowed(f"cannot {action.value} what is {state.value}")
    return after
