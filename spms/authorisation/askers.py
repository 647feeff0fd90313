"""Who holds a token, remembered as long as the database's mark of it is the same.

The mark is read in the deciding statement itself, and every commit that revokes or changes what an
SP signs in with sets a new one (migration 0115): what is remembered is never older than what the
statement would have found.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from spms.core.access import Actor, ActorKind

TOKENS_MAX: Final = 20_000


class ActorRow(Actor, frozen=True, kw_only=True):
    """Who holds the n-th token, and until when."""

    n: int
    expires_at: datetime


class Askers:
    """The holders of tokens under one mark."""

    def __init__(self) -> None:
        """Know nobody."""
        self.mark: UUID | None = None
        self._rows: dict[bytes, ActorRow] = {}

    def holders(self, tokens: Sequence[bytes], at: datetime) -> dict[bytes, Actor] | None:
        """Return who holds each of them under `mark`; None where it is not known of all."""
        found: dict[bytes, Actor] = {}
        for token in tokens:
            row = self._rows.get(token)
            if row is None or row.expires_at <= at:
                return None
            found[token] = row
        return found

    def remember(self, mark: UUID, held: Sequence[tuple[bytes, ActorRow]]) -> None:
        """Keep what was read with a mark. It is set for SPs only, and they only are remembered."""
        if mark != self.mark or len(self._rows) + len(held) > TOKENS_MAX:
            self.mark, self._rows = mark, {}
        self._rows.update([one for one in held if one[1].kind is ActorKind.SP])


known: Final = Askers()
"""Of this process. A mark is random, and so are tokens: whatever the database, a token that was
found under a mark is held under it."""
