"""The outside world, simulated: subscribers, companies, hotlines, an SMS centre.

Everything is drawn from a seed, and every wrong charge and every dead hotline in it is planted and
labelled. The city speaks to the platform as the world does, over its public HTTP API, and imports
nothing of it but the pure files of `spms.core`. In the end it asks the platform, again through the
API, what was found, and compares that with its labels.

Reading order: `model`, `plan` and `cast` (who is there), `lives` (what they do), `charges` and
`files` (what companies report), `player` (how it is played), `score` and `report` (what came of it).
A month in bulk, without lives, is drawn by `month` and `month_faults` and written by `month_files`.
"""

from spms.city.player import play

__all__ = ["play"]
