"""Reading what others send: strictly, quickly, and without ever failing in another way."""

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spms.inspections.sip_digest import Challenge, Credentials, choose, credentials_header
from spms.inspections.sip_messages import Answer, Ask, Malformed, path, read, write_response

ANSWER = b"\r\n".join(
    [
        b"SIP/2.0 200 OK",
        b"Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKa;rport",
        b"From: <sip:10086@127.0.0.1>;tag=ours",
        b"To: <sip:4001@127.0.0.1>;tag=theirs",
        b"Call-ID: a@b",
        b"CSeq: 1 INVITE",
        b"Contact: <sip:desk@192.0.2.1:5062;transport=udp>;q=0.5",
        b"Content-Length: 0",
        b"",
        b"",
    ]
)


def with_header(line: str) -> bytes:
    return ANSWER.replace(b"Contact:", line.encode() + b"\r\nContact:")


def answer(data: bytes) -> Answer:
    message = read(data)
    assert isinstance(message, Answer)
    return message


def test_a_plain_answer_is_understood() -> None:
    said = answer(ANSWER)
    assert (said.code, said.branch, said.call_id) == (200, "z9hG4bKa", "a@b")
    assert (said.sequence, said.method) == (1, "INVITE")
    assert (said.from_tag, said.to_tag) == ("ours", "theirs")
    assert said.contact == "sip:desk@192.0.2.1:5062;transport=udp"


def test_compact_folded_and_spaced_headers_are_understood() -> None:
    data = ANSWER.replace(b"Call-ID: ", b"i  :\r\n\t ").replace(b"Via:", b"v:")
    said = answer(data)
    assert (said.call_id, said.branch) == ("a@b", "z9hG4bKa")


def test_a_phrase_in_gbk_does_not_cost_the_message() -> None:
    assert answer(ANSWER.replace(b"OK", "号码已改".encode("gbk"))).code == 200


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("Q.850;cause=22", 22),
        ('Q.850 ; cause = 22 ;text="changed, gone"', 22),
        ('SIP;cause=486;text="Q.850;cause=1", q.850;text="x";cause=17', 17),
        ("SIP;cause=600", None),
        ("Q.850;cause=2222", None),
        ("Q.850", None),
    ],
)
def test_the_q850_cause_is_found_where_it_belongs(value: str, cause: int | None) -> None:
    assert answer(with_header(f"Reason: {value}")).q850 == cause


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.replace(b"\r\n\r\n", b"\r\n"),
        lambda data: data.replace(b"200 OK", b"4294967301 better not break the receiver"),
        lambda data: data.replace(b"200", b"099"),
        lambda data: data.replace(b"200", "２００".encode()),
        lambda data: data.replace(b"SIP/2.0 200", b"SIP/7.0 200"),
        lambda data: data.replace(b"Length: 0", b"Length: 10"),
        lambda data: data.replace(b"Length: 0", b"Length: -999"),
        lambda data: data.replace(b"CSeq: 1", b"CSeq: 36893488147419103232" * 300),
        lambda data: data.replace(b"CSeq: 1 INVITE", b"CSeq: INVITE"),
        lambda data: data.replace(b"Call-ID: a@b\r\n", b""),
        lambda data: data.replace(b"Call-ID: a@b", b"Call-ID: a@b\r\nCall-ID: c"),
        lambda data: data.replace(b"Via", b"Vya"),
        lambda data: data.replace(b";tag=theirs", b";self=1"),  # a keyword of the parser's own
        lambda data: data.replace(b"4001@", b"40\n01@"),
        lambda data: data.replace(b"4001@", b"40\x0001@"),
        lambda data: data.replace(b"Contact", b"Record-Route: nowhere\r\nContact"),
        lambda data: data.replace(b"Contact", b"Record-Route: <sip:a>\r\n" * 21 + b"Contact"),
        lambda data: data.replace(b"Contact", b"X: " + b"y" * 20_000 + b"\r\nContact"),
    ],
)
def test_what_is_not_right_is_malformed(spoil: Callable[[bytes], bytes]) -> None:
    spoilt = spoil(ANSWER)
    assert spoilt != ANSWER
    with pytest.raises(Malformed):
        read(spoilt)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=400), st.integers(0, len(ANSWER)), st.integers(0, len(ANSWER)))
@example(b"\r\nTo: <sip:a@b>;self=1", 0, 0)
def test_any_bytes_are_read_or_malformed(junk: bytes, start: int, end: int) -> None:
    try:
        message = read(ANSWER[:start] + junk + ANSWER[end:])
    except Malformed:
        return
    assert isinstance(message, Answer | Ask)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["Reason", "Record-Route", "Contact", "To", "From", "Via", "X"])
@pytest.mark.parametrize("bit", ['"', '\\"', "<", "a.", ";a=b", '"",', "a,", ";a=[1:", " ", "%41"])
def test_no_header_made_to_hurt_is_read_for_ever(name: str, bit: str) -> None:
    """An expression that tries everything twice would need years: the time limit is what fails."""
    for size in (2_000, 15_000):
        spoilt = ANSWER.replace(b"Contact:", f"{name}: {bit * (size // len(bit))}!\r\nX:".encode())
        try:
            assert answer(spoilt).contact is None
        except Malformed:
            assert name != "X"


def test_the_way_of_later_requests_is_the_recorded_route_backwards() -> None:
    near, far = "<sip:192.0.2.1;lr>", "<sip:192.0.2.2;lr=on>;x=1"
    said = answer(with_header(f"Record-Route: {far} ,{near}"))
    assert path("sip:desk@192.0.2.9", said.record_route) == ("sip:desk@192.0.2.9", (near, far))


def test_a_strict_router_gets_its_own_address_and_the_target_at_the_end() -> None:
    uri, routes = path("sip:desk@192.0.2.9", ("<sip:192.0.2.2;lr>", "<sip:192.0.2.1>"))
    assert (uri, routes) == ("sip:192.0.2.1", ("<sip:192.0.2.2;lr>", "<sip:desk@192.0.2.9>"))


def test_a_response_tells_the_caller_the_address_it_was_seen_at() -> None:
    lines = ANSWER.replace(b"SIP/2.0 200 OK", b"INVITE sip:4001@127.0.0.1 SIP/2.0")
    ask = read(lines)
    assert isinstance(ask, Ask)
    assert ask.number == "4001"
    said = write_response(ask, "486 Busy Here", tag="x", source=("127.0.0.9", 7))
    assert b";branch=z9hG4bKa;rport=7;received=127.0.0.9\r\n" in said
    assert b";tag=theirs\r\n" in said  # a tag that is there stays


MUFASA = Credentials(username="Mufasa", password="Circle of Life")
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digests_are_those_of_rfc_7616_section_3_9_1(algorithm: str, response: str) -> None:
    challenge = choose(
        [
            f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, nonce="{NONCE}"'
        ]
    )
    assert challenge is not None
    value = credentials_header(
        challenge, MUFASA, method="GET", uri="/dir/index.html", count=1, cnonce=CNONCE
    )
    assert f'response="{response}"' in value


def test_a_challenge_of_the_old_kind_gets_the_old_digest() -> None:
    """RFC 2617 3.2.2.1 without qop: H(H(A1):nonce:H(A2))."""
    challenge = choose(['Digest realm="atlanta.example", nonce="abc"'])
    assert challenge == Challenge(
        realm="atlanta.example",
        nonce="abc",
        opaque=None,
        algorithm="MD5",
        algorithm_named=False,
        with_qop=False,
    )
    value = credentials_header(challenge, MUFASA, method="BYE", uri="sip:a", count=2, cnonce="c")
    secret, act = (
        hashlib.md5(text, usedforsecurity=False).hexdigest()
        for text in (b"Mufasa:atlanta.example:Circle of Life", b"BYE:sip:a")
    )
    expected = hashlib.md5(f"{secret}:abc:{act}".encode(), usedforsecurity=False).hexdigest()
    assert f'response="{expected}"' in value
    assert "qop" not in value
    assert "cnonce" not in value


def test_the_stronger_of_several_challenges_is_answered() -> None:
    offered = [f'Digest realm="a", nonce="{name}", algorithm={name}' for name in ("MD5", "SHA-256")]
    chosen = choose(["Basic realm=x", *offered, 'Digest realm="a", nonce="n", algorithm=AKAv1-MD5'])
    assert chosen is not None
    assert chosen.algorithm == "SHA-256"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic realm=x",
        "Digest",
        'Digest realm="a"',
        'Digest nonce="a"',
        'Digest realm="a", nonce="b", qop="auth-int"',
        'Digest realm="a", nonce="b", algorithm=SHA-512',
        'Digest realm="a", nonce="' + "b" * 5_000 + '"',
        "Digest " + 'a="",' * 300 + "!",
    ],
)
def test_a_challenge_that_cannot_be_answered_is_left(value: str) -> None:
    assert choose([value]) is None


def test_a_password_is_not_printed_and_a_name_cannot_break_out_of_its_quotes() -> None:
    assert "Circle" not in f"{MUFASA!r} {MUFASA} {MUFASA.__rich_repr__()}"
    for name in ('a"', "a\\", "a\r\n"):
        with pytest.raises(ValueError, match="SIP user name"):
            Credentials(username=name, password="x")
