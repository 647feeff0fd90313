"""What libraries may say in our log: one line, no traceback, no number."""

import logging

from spms.cli.logs import OneLine


def test_a_librarys_error_is_one_line_without_its_text_and_without_numbers():
    error = ValueError("Key (msisdn)=(8613812345678) already exists")
    record = logging.LogRecord(
        "asyncpg.pool", logging.ERROR, __file__, 1, "gave up on %s\nand more",
        ("8613812345678",), (ValueError, error, None),
    )  # fmt: skip
    written = OneLine().format(record)
    assert written.endswith("[ERROR] asyncpg.pool: gave up on … (ValueError)")
    assert "\n" not in written
    assert "13812345678" not in written
