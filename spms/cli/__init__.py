"""The command line: `spms COMMAND --help` explains each command with an example."""

import sys
import warnings

# Litestar announces names of its next major version; we pin the present one.
warnings.filterwarnings("ignore", category=DeprecationWarning, module="litestar")

from spms.cli.commands import app  # noqa: E402 - after the filter
from spms.cli.process import StartError  # noqa: E402
from spms.core.settings import SettingsError  # noqa: E402


def main() -> None:
    """Run a command; a mistake in the set-up is one clear line, not a traceback."""
    try:
        app()
    except (SettingsError, StartError) as error:
        print(f"spms: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        sys.exit(2)
