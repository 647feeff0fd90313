"""What a process logs: our own events by structlog, libraries' words in one line each.

A library's traceback or an error's text may hold a person's number, so neither is printed: only
the kind of error is. Our own events carry no values to begin with.
"""

import logging
import re

import structlog

LONG_NUMBER = re.compile(r"\d{9,}")


class OneLine(logging.Formatter):
    """A library's record without its traceback and without anything that may be an MSISDN."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(levelname)s] %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Write the first line of the message and the kind of error."""
        kind = record.exc_info[0] if record.exc_info else None
        words = record.getMessage().partition("\n")[0]
        shown = logging.makeLogRecord(
            record.__dict__
            | {
                "msg": LONG_NUMBER.sub("…", words) + (f" ({kind.__name__})" if kind else ""),
                "args": None, "exc_info": None, "exc_text": None, "stack_info": None,
            }
        )  # fmt: skip
        return super().format(shown)


def set_up(level: str) -> None:
    """Log from `level` on (DEBUG, INFO, WARNING, ERROR); libraries from WARNING on."""
    number = logging.getLevelNamesMapping()[level]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(number))
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    # It warns of every tick at which the one before is still under way: that is how ticks are meant.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    # Every second, while the database is away: what needs it says so itself.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
