"""The command line: `spms COMMAND --help` explains each command with an example."""

import signal
import sys
import warnings

# Litestar announces names of its next major version; we pin the present one.
warnings.filterwarnings("ignore", category=DeprecationWarning, module="litestar")


def main() -> None:
    """Run a command; a mistake in the set-up is one clear line, not a traceback."""
    signal.signal(signal.SIGINT, _interrupted)
    from spms.cli.commands import app  # noqa: PLC0415 - takes a moment, in which Ctrl-C may come
    from spms.cli.process import StartError  # noqa: PLC0415
    from spms.core.settings import SettingsError  # noqa: PLC0415

    try:
        app()
    except (SettingsError, StartError) as error:
        print(f"spms: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        sys.exit(2)


def _interrupted(*_: object) -> None:
    """End at Ctrl-C like a program in C: one line, and 128 + the signal's number."""
    print("spms: interrupted", file=sys.stderr)  # noqa: T201
    sys.exit(130)
