"""Octets, texts and receipts without a network: tables of cases, and properties of any bytes."""

import struct
from unittest.mock import Mock

import msgspec
import pytest
import smpp34
from hypothesis import given
from hypothesis import strategies as st

from spms.core import settings
from spms.messaging import receipts, smpp_pdu, texts
from spms.messaging.smpp_link import LinkMisconfigured, examine
from spms.messaging.smpp_pdu import Address, Command, Fault, ShortMessage, Status
from spms.messaging.smpp_session import Session
from spms.messaging.texts import Alphabet, Chinese, Encoding, Header

GSM, GBK = Encoding(), Encoding(chinese=Chinese.GBK)
HERE, THERE = Address("8613912340000", 1, 1), Address("10010")


def message(content=b"Y", **more):
    return ShortMessage(source=HERE, destination=THERE, content=content, **more)


# --- PDUs --------------------------------------------------------------------------------------


@given(st.binary(max_size=400))
def test_no_bytes_at_all_make_the_decoder_raise(raw):
    read = smpp_pdu.read_message(raw)
    assert isinstance(read, ShortMessage | Fault)
    smpp_pdu.read_message_id(raw)
    texts.split_header(raw)
    for coding in (0, 3, 4, 8, 15, 0xF5):
        text = texts.decode(raw, coding, GSM)
        assert text is None or "\0" not in text
    if isinstance(read, ShortMessage):
        receipts.read(read)


@given(st.integers(0, 80), st.integers(0, 255))
def test_a_damaged_message_is_read_or_refused_but_never_raises(at, octet):
    raw = bytearray(smpp_pdu.write_message(message(options={0x0424: b"", 0x1400: b"xyz"})))
    raw[at % len(raw)] = octet
    assert isinstance(smpp_pdu.read_message(bytes(raw)), ShortMessage | Fault)
    assert isinstance(smpp_pdu.read_message(bytes(raw[:at])), ShortMessage | Fault)


@given(st.binary(max_size=254), st.dictionaries(st.integers(1, 0xFFFF), st.binary(max_size=40)))
def test_what_we_write_a_third_party_reads_as_it_was_meant(content, options):
    options.pop(0x0424, None)
    body = smpp_pdu.write_message(message(content, data_coding=8, options=options))
    read = smpp34.decode(smpp_pdu.write(Command.SUBMIT_SM, 0, 7, body))
    assert isinstance(read, smpp34.SubmitSm)
    assert (read.short_message, read.data_coding) == (content, 8)
    assert (read.source_addr, read.destination_addr) == (HERE.digits, THERE.digits)
    assert {tlv.tag: bytes(tlv.value) for tlv in read.tlvs} == options
    assert smpp_pdu.read_message(body) == message(content, data_coding=8, options=options)


LONG = b"\0\1\1" + b"8" * 21
BAD_BODIES = [
    (b"", Status.BAD_PARAMETER_LENGTH),
    (LONG, Status.BAD_SOURCE),
    (b"\0\1\0001\0\1\1" + b"8" * 30, Status.BAD_DESTINATION),
    (smpp_pdu.write_message(message(b"YY"))[:-1], Status.BAD_MESSAGE_LENGTH),
    (smpp_pdu.write_message(message()) + b"\x04\x24\0\1Y", Status.BAD_MESSAGE_LENGTH),
    (smpp_pdu.write_message(message()) + b"\x14\x00\0\5Y", Status.BAD_OPTIONAL),
    (smpp_pdu.write_message(message()) + b"\x14\0\0\1a\x14\0\0\1b", Status.BAD_OPTIONAL),
]


@pytest.mark.parametrize(("body", "status"), BAD_BODIES)
def test_a_body_that_makes_no_sense_is_refused_with_its_status(body, status):
    assert smpp_pdu.read_message(body) == Fault(status)


def test_a_password_that_does_not_fit_is_refused_and_never_shown():
    for password in ("x" * 33, "密码", "a\0b"):
        with pytest.raises(ValueError, match=r"fit|ascii") as refused:
            smpp_pdu.write_bind("spms", password, "")
        assert "x" * 33 not in str(refused.value)


# --- the session, on a line that only remembers --------------------------------------------------


def session_and_line():
    asked: list[smpp_pdu.Pdu] = []
    session = Session(
        lambda _, pdu: asked.append(pdu), lambda _: None, response_seconds=1, enquire_seconds=30
    )
    line = Mock()
    line.is_closing.return_value = False
    session._transport = line
    session.bound = True
    line.close.side_effect = lambda: setattr(line.is_closing, "return_value", True)
    return session, line, asked


def written(line):
    heads = [struct.unpack(">IIII", call.args[0][:16]) for call in line.write.call_args_list]
    return [head[1:] for head in heads]


@given(st.lists(st.integers(1, 60), min_size=1))
async def test_a_stream_is_cut_into_the_same_pdus_wherever_it_is_split(steps):
    frames = [
        smpp_pdu.write(Command.DELIVER_SM, 0, n, smpp_pdu.write_message(message(b"Y" * n)))
        for n in range(1, 6)
    ]
    session, _, asked = session_and_line()
    stream = b"".join(frames)
    while stream:
        step = steps.pop() if steps else len(stream)
        session.data_received(stream[:step])
        stream = stream[step:]
    assert [pdu.sequence for pdu in asked] == [1, 2, 3, 4, 5]
    assert asked == [smpp_pdu.read(frame) for frame in frames]


@pytest.mark.parametrize("length", [0, 15, 65_537, 0xFFFFFFFF])
async def test_a_length_that_no_pdu_has_ends_the_session(length):
    session, line, asked = session_and_line()
    session.data_received(struct.pack(">IIII", length, Command.DELIVER_SM, 0, 1) + b"x" * 99)
    assert written(line) == [(Command.GENERIC_NACK, Status.BAD_COMMAND_LENGTH, 0)]
    assert line.close.called
    assert asked == []


ODD = [
    (Command.ENQUIRE_LINK, True, (0x80000015, 0, 9)),
    (0x77, True, (Command.GENERIC_NACK, Status.BAD_COMMAND, 9)),
    (Command.DELIVER_SM, False, (0x80000005, Status.NOT_BOUND, 9)),
    (Command.BIND_TRANSCEIVER, True, (0x80000009, Status.ALREADY_BOUND, 9)),
    (Command.BIND_RECEIVER, False, (0x80000001, Status.NOT_BOUND, 9)),
    (Command.UNBIND, True, (0x80000006, 0, 9)),
]


@pytest.mark.parametrize(("command", "bound", "answer"), ODD)
async def test_each_request_has_its_answer(command, bound, answer):
    session, line, asked = session_and_line()
    session.bound = bound
    session.data_received(smpp_pdu.write(command, 0, 9, smpp_pdu.write_message(message())))
    assert (written(line), asked) == ([answer], [])


async def test_answers_that_nothing_waits_for_are_only_counted():
    session, line, asked = session_and_line()
    for sequence in (0, 5, 0xFFFFFFFF):
        session.data_received(smpp_pdu.write(0x80000004, 0, sequence, b"id\0"))
    session.data_received(smpp_pdu.write(Command.GENERIC_NACK, 3, 5))
    session.data_received(smpp_pdu.write(Command.ALERT_NOTIFICATION, 0, 5))
    assert (session.strays, written(line), asked) == (4, [], [])


# --- texts -------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=700))
def test_a_text_comes_back_whole_from_its_parts(text):
    for how in (GSM, GBK, Encoding(alphabet=Alphabet.LATIN1), Encoding(little_endian=True)):
        encoded = texts.encode(text, how)
        cut = texts.parts(encoded)
        assert all(len(part) <= (encoded.single if len(cut) == 1 else encoded.part) for part in cut)
        assert texts.decode(b"".join(cut), encoded.data_coding, how) == text
        assert all(texts.decode(part, encoded.data_coding, how) is not None for part in cut)


PARTS = [("a" * 160, 0, 1), ("a" * 161, 0, 2), ("{" * 80, 0, 1), ("{" * 81, 0, 2),
         ("确" * 70, 8, 1), ("确" * 71, 8, 2), ("确" * 135, 8, 3)]  # fmt: skip


@pytest.mark.parametrize(("text", "coding", "count"), PARTS)
def test_a_text_takes_as_few_parts_as_possible(text, coding, count):
    encoded = texts.encode(text, GSM)
    assert (encoded.data_coding, len(texts.parts(encoded))) == (coding, count)


UNREADABLE = [(b"\0", 8), (b"\xd8\x00", 8), (b"\xff", 15), (b"Y", 4), (b"Y", 245), (b"Y", 2),
              (b"\x80", 0), (b"\x1b", 0), (b"\x1bY", 0), (b"\0\0", 8)]  # fmt: skip


@pytest.mark.parametrize(("raw", "coding"), UNREADABLE)
def test_what_is_not_well_formed_is_no_text(raw, coding):
    assert texts.decode(raw, coding, GSM) is None


READABLE = [(b"Y", 0, "Y"), (b"\0", 0, "@"), (b"\x1b\x65", 0, "€"), (b"Y", 1, "Y"),
            (b"\xe9", 3, "é"), (b"Y", 0xF1, "Y"), ("退订".encode("gbk"), 15, "退订")]  # fmt: skip


@pytest.mark.parametrize(("raw", "coding", "text"), READABLE)
def test_a_text_is_read_by_its_coding(raw, coding, text):
    assert texts.decode(raw, coding, GSM) == text


HEADERS = [
    (b"\5\0\3\x2a\2\1Y", (Header(reference=42, total=2, number=1), b"Y")),
    (b"\6\x08\4\x01\x02\2\2Y", (Header(reference=258, total=2, number=2), b"Y")),
    (b"\2\x24\0Y", (None, b"Y")),
    (b"\5\0\3\x2a\2\3Y", None),
    (b"\5\0\3\x2a\0\0Y", None),
    (b"\5\0\4\x2a\2\1Y", None),
    (b"\x09\0\3\x2a", None),
    (b"", None),
]


@pytest.mark.parametrize(("content", "split"), HEADERS)
def test_a_user_data_header_is_split_off(content, split):
    assert texts.split_header(content) == split


# --- receipts ----------------------------------------------------------------------------------

FORM = b"id:%s sub:001 dlvrd:001 submit date:2603021159 done date:2603021200 stat:%s err:000 Text:Y"
RECEIPTS = [
    (message(FORM % (b"0A1B", b"DELIVRD"), esm_class=4), ("a1b", True)),
    (message(FORM % (b"0A1B", b"UNDELIV"), esm_class=4), ("a1b", False)),
    (message(b"ID:x-7.Z STAT:Delivered", esm_class=4), ("x-7.Z", True)),
    (message(b"", esm_class=4, options={0x1E: b"17\0", 0x427: b"\2"}), ("17", True)),
    (message(b"", options={0x1E: b"17\0", 0x427: b"\5"}), ("17", False)),
]


@pytest.mark.parametrize(("told", "meant"), RECEIPTS)
def test_a_receipt_says_which_message_it_means_and_what_became_of_it(told, meant):
    read = receipts.read(told)
    assert read is not None
    assert read.final
    assert (read.message_id, read.delivered) == meant


def test_a_subscriber_cannot_write_a_receipt():
    assert receipts.read(message(FORM % (b"1", b"DELIVRD"))) is None
    assert receipts.read(message(b"", options={0x1E: b"17\0"})) is None


@pytest.mark.parametrize("stat", [b"ENROUTE", b"ACCEPTD", b"GARBAGE", b""])
def test_a_receipt_that_is_not_final_decides_nothing(stat):
    read = receipts.read(message(FORM % (b"1", stat), esm_class=4))
    assert read is not None
    assert not read.final
    assert read.under_way is (stat in {b"ENROUTE", b"ACCEPTD"})


@given(st.integers(0, 2**63), st.integers(0, 20), st.booleans())
def test_decimal_and_hexadecimal_names_of_a_message_find_each_other(number, zeros, capital):
    digits = f"{number:X}" if capital else f"{number:x}"
    hexadecimal = receipts.canonical("0" * zeros + digits)
    decimal = receipts.canonical("0" * zeros + str(number))
    assert decimal in receipts.forms(hexadecimal)
    assert hexadecimal in receipts.forms(decimal)


# --- settings ----------------------------------------------------------------------------------


def test_links_are_read_from_the_environment_and_passwords_shown_nowhere(tmp_path):
    given = '[{"name": "a", "host": "127.0.0.1", "system_id": "x", "password": "hunter2"}]'
    [link] = settings.load({"SPMS_SMPP_LINKS": given}, tmp_path / "none").smpp_links
    assert (link.port, link.password) == (2775, "hunter2")
    assert "hunter2" not in repr(link) + str(msgspec.structs.replace(link, port=1))
    for wrong in ("[{", '[{"name": "A b"}]', given.replace('"password"', '"pasword"')):
        with pytest.raises(settings.SettingsError) as refused:
            settings.load({"SPMS_SMPP_LINKS": wrong}, tmp_path / "none")
        assert "hunter2" not in str(refused.value)


def test_a_password_comes_from_a_file_where_one_is_named(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from-file\nmore\n")
    values = {"name": "a", "host": "127.0.0.1", "system_id": "x"}
    link = settings.SmppSettings(**values, password_file=str(secret))
    assert examine(link) == ("from-file", None)
    with pytest.raises(LinkMisconfigured) as refused:
        examine(settings.SmppSettings(**values, password="密码"))
    assert "密码" not in str(refused.value)
