"""A pack proves itself, and no byte of it can be another: JSON and PDF alike."""

import re
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spms.core.chain import Head, canonical, extend, start_hash, subject_digest
from spms.core.merkle import Leaf, grow, leaf_hash
from spms.core.pack import ANCHOR_TAG, Cite, seal, shown, verify
from spms.core.pack_pdf import Row, Section, Sheet, render
from spms.core.settings import Settings, SettingsError
from spms.core.signing import KEY_FILE, Signer, open_signer, read_public_keys, signed_by
from tests.core.test_chain import AT, facts

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"k" * 32))
OTHER = Signer(Ed25519PrivateKey.from_private_bytes(b"o" * 32))
NUMBER, SALT = "8613800000001", b"s" * 32
ORDER = 2**252 + 27742317777372353535851937790883648493


def a_pack(**changes: object) -> bytes:
    digest = subject_digest(SALT, NUMBER)
    start = start_hash("consent", digest)
    entries = extend(Head(seq=0, hash=start), facts(4), recorded_at=AT, nonce=lambda: "n")
    leaves = [Leaf(start_hash=start, seq=3, hash=entries[2].hash),
              Leaf(start_hash=bytes(32), seq=9, hash=bytes(32))]  # fmt: skip
    root, paths = grow([leaf_hash(leaf) for leaf in leaves])
    anchor = canonical({"anchor": 1, "at": AT, "leaves": 2, "root": root.hex()}).decode()
    log = {
        "chain": "consent", "subject_digest": digest.hex(),
        "subject": {"name": NUMBER, "salt": SALT.hex()},
        "entries": shown(entries, visible={1, 3}, private=True), "head": entries[-1].hash.hex(),
        "anchor": {
            "statement": anchor, "public_key": SIGNER.public_key.hex(), "place": 0, "seq": 3,
            "signature": SIGNER.sign(ANCHOR_TAG + anchor.encode()).hex(), "path": paths[0].hex(),
        },
    }  # fmt: skip
    content: dict[str, object] = {
        "about": {"kind": "subscription", "id": "1"}, "made_at": AT, "made_for": "staff",
        "statement": {"request": {"text": "第0次"}}, "log": log,
        "cites": [Cite(statement="request.text", seq=1, log="text")],
    }  # fmt: skip
    for path, value in changes.items():
        place: dict[str, object] = content
        *keys, last = path.split("__")
        for key in keys:
            inner = place[key]
            assert isinstance(inner, dict)
            place = inner
        place[last] = value
    return seal(content, SIGNER)


def a_pdf(pack: bytes) -> bytes:
    rows = [Row("原文", "Text", "您好 <b> & \U0001f600"), Row("长", "Long", "很长。" * 3000)]
    return render(Sheet("举证", "Evidence", [Section("一", "One", rows)]), pack, SIGNER)


@pytest.fixture(scope="module")
def forms() -> dict[str, bytes]:
    pack = a_pack()
    return {"json": pack, "pdf": a_pdf(pack)}


@pytest.mark.parametrize("form", ["json", "pdf"])
def test_an_untouched_pack_is_genuine(forms: dict[str, bytes], form: str) -> None:
    found = verify(forms[form], [SIGNER.public_key])
    assert found.fine, found.checks
    assert {"signature", "key", "number", "log", "anchor", "agreement"} <= {
        check.what for check in found.checks
    }
    assert not verify(forms[form], [OTHER.public_key]).fine
    assert not verify(forms[form], []).fine


@pytest.mark.parametrize("form", ["json", "pdf"])
def test_no_byte_can_be_another(forms: dict[str, bytes], form: str) -> None:
    """One bit of every byte (of a long PDF: of many), and every bit of the end."""
    data, roll = forms[form], Random(1)
    places = list(range(len(data))) if form == "json" else roll.sample(range(len(data)), 3000)
    flips = [(at, roll.randrange(8)) for at in places]
    flips += [(at, bit) for at in range(len(data) - 420, len(data)) for bit in range(8)]
    flips += [(at, bit) for at in range(20) for bit in range(8)]
    genuine = []
    for at, bit in flips:
        changed = bytearray(data)
        changed[at] ^= 1 << bit
        if verify(bytes(changed)).fine:
            genuine.append((at, bit))
    assert genuine == []


@pytest.mark.parametrize("form", ["json", "pdf"])
def test_nothing_can_be_added_left_out_or_written_otherwise(
    forms: dict[str, bytes], form: str
) -> None:
    data = forms[form]
    signature = re.findall(rb"[0-9a-f]{128}", data)[-1]
    number = int.from_bytes(bytes.fromhex(signature.decode())[32:], "little")
    if number + ORDER < 2**256:  # the other way to write the same signature, refused by RFC 8032
        twin = bytes.fromhex(signature.decode())[:32] + (number + ORDER).to_bytes(32, "little")
        assert not verify(data.replace(signature, twin.hex().encode())).fine
    for changed in (
        data + b"\n", data + b" ", data + b"\x00", data + data, data + data[-140:], b" " + data,
        data[:-1], data[:-2], data[1:], data[: len(data) // 2], b"", data[:-140],
        data.replace(b"\n", b"\r\n"), data[:-1] + b"\r\n",
        data.replace(signature, signature.upper()),
        data.replace(signature, b" " + signature[:-1]),
        data.replace(signature, signature[:-2]),
        data.replace(signature, signature + b"00"),
        data.replace(signature, b""),
        b"\xef\xbb\xbf" + data,
    ):  # fmt: skip
        if changed != data:
            assert not verify(changed).fine, changed[-20:]


def test_a_signed_pack_that_contradicts_itself_is_not_genuine() -> None:
    """The signature is right; what it covers is not."""
    shown_log = a_pack()
    assert verify(shown_log).fine
    contradictions: tuple[dict[str, object], ...] = (
        {"statement__request__text": "别的话"},
        {"statement": {}},
        {"log__head": "00" * 32},
        {"log__subject": {"name": "8613800000002", "salt": SALT.hex()}},
        {"log__subject_digest": "00" * 32},
        {"log__entries": []},
        {"log__anchor__seq": 2},
        {"log__anchor__place": 1},
        {"log__anchor__path": ""},
        {"log__anchor__public_key": OTHER.public_key.hex()},
        {"log__anchor__statement": "{}"},
        {"log": {}},
    )
    for changes in contradictions:
        assert not verify(a_pack(**changes)).fine, changes
    assert verify(a_pack(log=None, cites=[])).fine


def test_a_pdf_with_another_signers_pack_is_not_genuine() -> None:
    pack = a_pack()
    sheet = Sheet("举证", "Evidence", [Section("一", "One", [Row("a", "a", "b")])])
    mixed = render(sheet, pack, OTHER)
    assert signed_by(SIGNER.public_key, b"", b"") is False
    assert not verify(mixed).fine
    assert verify(render(sheet, pack, SIGNER)).fine


def test_the_pdf_keeps_the_form_that_readers_need(forms: dict[str, bytes]) -> None:
    data = forms["pdf"]
    assert b"%%EOF" in data[-1024:]
    place = int(re.findall(rb"startxref\s+(\d+)", data)[-1])
    assert data[place : place + 4] == b"xref"
    table = re.findall(rb"(\d{10}) \d{5} n", data[place:])
    assert len(table) > 5
    for number, offset in enumerate(table, start=1):
        assert data[int(offset) :].startswith(b"%d 0 obj" % number)
    assert b"/STSong-Light" in data
    assert b"/EmbeddedFiles" in data


def test_the_key_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / "data"))
    first = open_signer(settings)
    file = tmp_path / "data" / KEY_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert open_signer(settings).key_id == first.key_id
    assert [path.name for path in file.parent.iterdir()] == [KEY_FILE]
    moved = Settings(data_dir=str(tmp_path / "other"), signing_key_file=str(file))
    assert open_signer(moved).key_id == first.key_id
    for wrong in (tmp_path / "absent.pem", tmp_path):
        with pytest.raises(SettingsError):
            open_signer(Settings(signing_key_file=str(wrong)))
    assert read_public_keys(first.public_key.hex()) == [first.public_key]
    with pytest.raises(ValueError, match="32 bytes"):
        read_public_keys("00ff")
