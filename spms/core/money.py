"""Money is an integer number of fen (分, 1/100 yuan). The only rounding in the code is `share`."""

from typing import Annotated

import msgspec

Fen = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
"""An amount in fen, at most ten million yuan."""

Price = Annotated[
    int, msgspec.Meta(ge=1, le=1_000_000, description="Price in fen (1/100 yuan)", examples=[800])
]
"""A price in fen, 1 to 1,000,000 (ten thousand yuan)."""

BASIS_POINTS = 10_000


def share(amount_fen: int, basis_points: int) -> int:
    """Return the share of an amount in fen, rounded half away from zero to a whole fen."""
    doubled = 2 * abs(amount_fen) * basis_points + BASIS_POINTS
    rounded = doubled // (2 * BASIS_POINTS)
    return rounded if amount_fen >= 0 else -rounded


def yuan(amount_fen: int) -> str:
    """Write fen as yuan with two places: 800 → `8.00`."""
    sign = "-" if amount_fen < 0 else ""
    whole, part = divmod(abs(amount_fen), 100)
    return f"{sign}{whole}.{part:02d}"
