"""Every setting of a process, read once at start from a TOML file and the environment.

The environment wins over the file. The file is `spms.toml` in the working directory, or the path
in `SPMS_CONFIG`. A key `port` in the file is `SPMS_PORT` in the environment.
"""

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import msgspec

PREFIX = "SPMS_"


class SettingsError(Exception):
    """A setting cannot be read; the message names it and says what would be right."""


class SmppSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One SMPP 3.4 link to an SMS centre: a table `[[smpp_links]]` in the file."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9-]{0,30}$(?!\\n)")]
    """Name of the link; messages and receipts carry it. Never change it on a link in use."""
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    """Address of the SMS centre. Anything but loopback needs `tls`."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 2775
    """TCP port of the SMS centre."""
    system_id: Annotated[str, msgspec.Meta(min_length=1, max_length=15)]
    """Account at the SMS centre."""
    password: Annotated[str, msgspec.Meta(max_length=32)] = ""
    """Password of the account; better in `password_file`."""
    password_file: str | None = None
    """File whose first line is the password; wins over `password`."""
    system_type: Annotated[str, msgspec.Meta(max_length=12)] = ""
    """Sent with the bind; most SMS centres want nothing here."""
    tls: bool = False
    """Speak TLS; the certificate is checked."""
    tls_ca: str | None = None
    """PEM file of the authority to trust, where it is not one that the system knows."""
    tls_name: str | None = None
    """Name that the certificate must have, where it is not `host`."""
    prefixes: tuple[str, ...] = ()
    """Subscribers' numbers that go over this link begin with one of these; empty: all."""
    senders: tuple[str, ...] = ()
    """Our numbers whose messages go over this link begin with one of these; empty: all. Among
    links that fit, the first in the file that is up takes a message."""
    window: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    """Most messages that wait for their answer at one time."""
    per_second: Annotated[float, msgspec.Meta(ge=0, le=100_000)] = 0
    """Most submissions a second, as agreed with the SMS centre; 0: as many as it takes."""
    response_seconds: Annotated[float, msgspec.Meta(gt=0, le=15)] = 10.0
    """How long an answer may take; then it counts as lost."""
    enquire_seconds: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    """After so long a silence the link is tried with an enquire_link."""
    reconnect_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 1.0
    """Mean wait before the first new try; it doubles up to `reconnect_seconds_max`."""
    reconnect_seconds_max: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    """Longest wait between two tries, and the wait after a refused bind."""
    source_ton: Annotated[int, msgspec.Meta(ge=0, le=6)] = 0
    """Type of number of our numbers."""
    source_npi: Annotated[int, msgspec.Meta(ge=0, le=18)] = 1
    """Numbering plan of our numbers."""
    destination_ton: Annotated[int, msgspec.Meta(ge=0, le=6)] = 1
    """Type of number of subscribers' numbers (1: international)."""
    destination_npi: Annotated[int, msgspec.Meta(ge=0, le=18)] = 1
    """Numbering plan of subscribers' numbers."""
    alphabet: Literal["gsm7", "ascii", "latin1"] = "gsm7"
    """What data_coding 0 means at this SMS centre."""
    chinese: Literal["ucs2", "gbk"] = "ucs2"
    """How Chinese goes out: UCS-2 (data_coding 8) or GBK (15). Both are understood coming in."""
    little_endian: bool = False
    """UCS-2 with the low octet first, for SMS centres that do it so."""
    long_messages: Literal["udh", "payload", "sar"] = "udh"
    """How a text longer than one message goes out: parts with a user data header, one
    message_payload, or parts with sar_ parameters. All are understood coming in."""
    receipts: bool = True
    """Ask for delivery receipts."""
    name_tag: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)] | None = None
    """Tag of the optional parameter in which this SMS centre names a subscriber's message, the
    same name whenever it is delivered again. Without one, the content is compared."""
    repeat_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 10
    """How long after the link is back the SMS centre may repeat what it got no answer for: its
    longest interval between two tries."""

    def __repr__(self) -> str:
        """Name the link without its password."""
        return f"SmppSettings({self.name}, {self.host}:{self.port})"


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
    pool_size: Annotated[int, msgspec.Meta(ge=3, le=200)] = 10
    """Most database connections of one process; listening for work and the city take one each."""
    command_timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=600)] = 15.0
    """Longest a single statement may take before the request is answered with 503."""
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
    webhook_loopback: bool = False
    """In the sandbox, let webhooks go to this machine, over http too: for trying a receiver."""
    sip_host: str | None = None
    """Trunk for hotline spot checks; without it the sandbox's own lines are called."""
    sip_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 5060
    """UDP or TCP port of the trunk."""
    sip_transport: Literal["udp", "tcp"] = "udp"
    """How SIP is carried to the trunk."""
    sip_caller: str = ""
    """Numbers shown to called hotlines, comma-separated, two at least: a retest shows another one."""
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
    smpp_links: tuple[SmppSettings, ...] = ()
    """SMPP links to SMS centres (docs/smpp.md), in the environment as a JSON list. Without any,
    the sandbox's handset is the only phone there is."""
    signing_key_file: str | None = None
    """Ed25519 private key (PEM) that signs evidence; without it one is made in the data directory."""
    anchor_dir: str | None = None
    """Where signed anchors are written: best a disk of its own; `anchors` in the data directory."""
    billing_url: str | None = None
    """Billing gateway that credits refunds (`PUT <url>/credits/{id}`); without it, one file a
    refund is left under the data directory for billing to fetch."""
    worker: bool = True
    """Run jobs and links inside `spms up`; `spms serve` never does."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least that is logged."""

    @property
    def data_path(self) -> Path:
        """Directory of `data_dir`, absolute."""
        return Path(self.data_dir).expanduser().resolve()

    @property
    def anchor_path(self) -> Path:
        """Directory of `anchor_dir`, absolute."""
        if self.anchor_dir is None:
            return self.data_path / "anchors"
        return Path(self.anchor_dir).expanduser().resolve()


BESIDES = ("SPMS_CONFIG", "SPMS_CLIENT_ID", "SPMS_CLIENT_SECRET", "SPMS_TEST_DATABASE_URL")
"""Names in the environment that are no field of `Settings` and read all the same."""


def unknown_names(environ: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """Return names that look like settings and are none, each with the nearest that is one."""
    fields = msgspec.structs.fields(Settings)
    known = [*(PREFIX + field.name.upper() for field in fields), *BESIDES]
    names = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return [(name, next(iter(get_close_matches(name, known, n=1)), None)) for name in names]


KNOWN = frozenset(field.name for field in msgspec.structs.fields(Settings))


def _from_file(environ: Mapping[str, str], path: Path) -> dict[str, object]:
    """Read the file, if there is one; only settings that exist may stand in it."""
    values: dict[str, object] = {}
    if path.is_file():
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: not valid TOML: {error}") from error
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    elif "SPMS_CONFIG" in environ:
        raise SettingsError(f"SPMS_CONFIG names {path}, which is not a file")
    if strange := next((key for key in values if key not in KNOWN), None):
        near = get_close_matches(strange, KNOWN, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise SettingsError(f"{path}: there is no setting `{strange}`{hint}")
    return values


def load(environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """Read the settings; raise `SettingsError` that names the offending key."""
    path = file or Path(environ.get("SPMS_CONFIG", "spms.toml"))
    values = _from_file(environ, path)
    for key, value in environ.items():
        name = key.removeprefix(PREFIX).lower()
        if key.startswith(PREFIX) and name in KNOWN and value != "":
            values[name] = value
    if isinstance(links := values.get("smpp_links"), str):
        try:
            values["smpp_links"] = msgspec.json.decode(links)
        except msgspec.MsgspecError as error:
            raise SettingsError(f"SPMS_SMPP_LINKS is not usable: {error}") from error
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.MsgspecError as error:
        where = re.search(r"`\$\.(\w+)", str(error))
        if where is None:
            raise SettingsError(f"setting not usable: {error}") from error
        name = where[1]
        key = PREFIX + name.upper()
        place = key if environ.get(key) else f"{path}: {name}"
        raise SettingsError(f"{place} is not usable: {error}{_choices(name)}") from error


def _choices(name: str) -> str:
    """Name the values a setting may take, where it is one of a few."""
    kind = get_type_hints(Settings).get(name)
    values = get_args(kind) if get_origin(kind) is Literal else ()
    return f"; one of {', '.join(map(str, values))}" if values else ""
