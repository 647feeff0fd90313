"""Names and numbers that are unique within a play and between plays on one instance.

Each play takes a stretch of every number space. Where a stretch lies follows from the seed and
from the instant at which the play begins; two plays on one instance never begin at the same
instant, because its clock only goes forward.
"""

import hashlib
from datetime import datetime

MOBILES = 7 * 10**9
"""13x to 19x with nine more digits."""
SHARED_HOTLINES = 10**7
"""400 and seven digits."""
SERVICE_CODES = 10**7
"""The first code of eight digits."""
STRIDE = 982_451_653
"""A prime: neighbours of a stretch lie far apart, so that numbers look like a city's."""
RESPONSIBLES = 1_000_000
"""Where the companies' responsible persons begin, behind all subscribers of a play."""

_DIGITS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_SALT_LETTERS = 7


class Names:
    """The names and numbers of one play. Pure: the same seed and beginning give the same."""

    def __init__(self, seed: int, began: datetime) -> None:
        """Derive where this play's stretches lie."""
        digest = hashlib.sha256(f"city {seed} {began.timestamp():.0f}".encode()).digest()
        self._place = int.from_bytes(digest[:12])
        self.salt = _letters(self._place)
        """Seven letters and digits that only this play has."""

    def msisdn(self, person: int) -> str:
        """Return a subscriber's number."""
        place = self._spread(person, MOBILES)
        return f"861{3 + place // 10**9}{place % 10**9:09d}"

    def responsible_name(self, company: int) -> str:
        """Return what a company calls its responsible person: no other city's, whose may be barred."""
        return f"负责人{self.salt}{company:03d}"

    def responsible(self, company: int) -> str:
        """Return the mobile number of a company's responsible person."""
        return self.msisdn(RESPONSIBLES + company)

    def hotline(self, n: int) -> str:
        """Return a hotline's number."""
        return f"400{self._spread(n, SHARED_HOTLINES):07d}"

    def access_number(self, company: int) -> str:
        """Return a company's access number (接入号)."""
        return f"1069{self._place % 10**12:012d}{company:03d}"

    def service_code(self, offer: int) -> str:
        """Return a service's code (业务代码)."""
        return str(SERVICE_CODES + self._spread(offer, 9 * SERVICE_CODES))

    def licence(self, company: int) -> str:
        """Return the number of a company's licence."""
        return f"B2-{self.salt}{company:04d}"

    def company(self, name: str, company: int) -> str:
        """Return a company's registered name."""
        return f"{name}科技有限公司{self.salt}{company:03d}"

    def record_id(self, serial: int) -> str:
        """Return the id of a charge record."""
        return f"{self.salt}-{serial:07d}"

    def message_id(self, serial: object) -> str:
        """Return the SMS centre's name for a message."""
        return f"{self.salt}.{serial}"

    def key(self, *about: object) -> str:
        """Return an idempotency key."""
        return hashlib.sha256(":".join(map(str, (self.salt, *about))).encode()).hexdigest()[:40]

    def _spread(self, n: int, space: int) -> int:
        return (self._place + n * STRIDE) % space


def _letters(value: int) -> str:
    letters = []
    for _ in range(_SALT_LETTERS):
        value, digit = divmod(value, len(_DIGITS))
        letters.append(_DIGITS[digit])
    return "".join(letters)
