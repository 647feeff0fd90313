"""`python -m spms` is the command `spms`, for a checkout that is not installed."""

from spms.cli import main

main()
