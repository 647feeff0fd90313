"""Every setting of a process, read once at start from a TOML file and the environment.

The environment wins over the file. The file is `spms.toml` in the working directory, or the path
in `SPMS_CONFIG`. A key `port` in the file is `SPMS_PORT` in the environment.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

PREFIX = "SPMS_"


class SettingsError(Exception):
    """A setting cannot be read; the message names it and says what would be right."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One process's settings."""

    host: str = "127.0.0.1"
    """Address the HTTP server listens on. Put a TLS proxy in front of anything but loopback."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    """Port of the HTTP server; 0 takes any free one."""
    data_dir: str = ".spms"
    """Directory for the embedded database, spooled uploads and the demonstration's credentials."""
    database_url: str | None = None
    """Owner's URL of an existing PostgreSQL >= 15; without it an embedded one is started."""
    app_database_url: str | None = None
    """Application role's URL; without it, derived from the owner's (see `spms.core.roles`)."""
    pool_size: Annotated[int, msgspec.Meta(ge=2, le=200)] = 10
    """Most database connections of one process."""
    command_timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=600)] = 15.0
    """Longest a single statement may take before the request is answered with 503."""
    acquire_timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    """Longest a request waits for a database connection before it is answered with 503."""
    body_limit_bytes: Annotated[int, msgspec.Meta(ge=1024, le=16_777_216)] = 1_048_576
    """Largest JSON body; charge files have their own limit."""
    file_limit_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1_073_741_824)] = 268_435_456
    """Largest charge file after decompression."""
    token_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 60
    """Lifetime of an access token."""
    sandbox: bool = False
    """Serve the sandbox: handset page, movable clock, sandbox hotlines. Never in production."""
    city_subscribers: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 60
    """Size of the demonstration city that a first start in the sandbox plays; 0 plays none."""
    city_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 10
    """Days of life that the demonstration city plays."""
    city_seed: Annotated[int, msgspec.Meta(ge=0, le=2**31)] = 1
    """Seed of the demonstration city: the same seed makes the same city."""
    sip_host: str | None = None
    """Trunk for hotline spot checks; without it the sandbox's own lines are called."""
    sip_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 5060
    """UDP or TCP port of the trunk."""
    sip_transport: Literal["udp", "tcp"] = "udp"
    """How SIP is carried to the trunk."""
    sip_caller: str = "10010"
    """Number shown to the called hotline; several, comma-separated, are used in turn."""
    sip_calls_per_second: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 5.0
    """Most calls that one worker begins in a second."""
    sip_simultaneous: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    """Most calls that one worker has on the trunk at the same time."""
    sip_media_hosts: str = ""
    """Addresses that audio comes from besides the trunk's own, comma-separated."""
    sip_user: str | None = None
    """User name for digest authentication at the trunk."""
    sip_password: str | None = None
    """Password for digest authentication at the trunk."""
    sip_ring_seconds: Annotated[float, msgspec.Meta(gt=0, le=180)] = 20.0
    """How long a hotline may ring at most; the rulebook's pass mark, where that is longer."""
    dialler_url: str | None = None
    """Address of the operator's own dialler, which then places the calls instead of SPMS."""
    dialler_token: str | None = None
    """Bearer token for the dialler."""
    worker: bool = True
    """Run jobs and links inside `spms up`; `spms serve` never does."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    @property
    def data_path(self) -> Path:
        """Directory of `data_dir`, absolute."""
        return Path(self.data_dir).expanduser().resolve()


def load(environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """Read the settings; raise `SettingsError` that names the offending key."""
    path = file or Path(environ.get("SPMS_CONFIG", "spms.toml"))
    values: dict[str, object] = {}
    if path.is_file():
        try:
            values.update(tomllib.loads(path.read_text("utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: not valid TOML: {error}") from error
    elif "SPMS_CONFIG" in environ:
        raise SettingsError(f"SPMS_CONFIG names {path}, which is not a file")
    known = {field.name for field in msgspec.structs.fields(Settings)}
    for key, value in environ.items():
        name = key.removeprefix(PREFIX).lower()
        if key.startswith(PREFIX) and name in known and value != "":
            values[name] = value
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"setting not usable: {error}") from error
