"""Messages after RFC 4475 (SIP torture tests), by its names; hexadecimal runs written out.

Written from memory of what each of its tests is about, and not copied: no byte here is claimed to
be the byte of the RFC, and passing them is no claim to pass its messages.
"""


def _message(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


_SDP = b"v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\nm=audio 49217 RTP/AVP 0 12\r\n"
_COMMON = (
    "To: sip:j.user@example.com", "From: sip:caller@example.net;tag=8814", "Max-Forwards: 70",
    "Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw",
)  # fmt: skip


def _odd(start: str, name: str, *lines: str, body: bytes = b"", length: str | None = None) -> bytes:
    method = start.split(" ", maxsplit=1)[0] if not start.startswith("SIP/") else "INVITE"
    return _message(
        start, *_COMMON, f"Call-ID: {name}.0ha0isndaksdj", f"CSeq: 8 {method}", *lines,
        f"Content-Length: {len(body) if length is None else length}", body=body,
    )  # fmt: skip


MESSAGES: dict[str, bytes] = {
    "wsinv": _message(
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0", "TO :",
        " sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
        'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>', "  ;", "  tag = 98asjd8",
        "MaX-fOrWaRdS: 0068", "Call-ID: wsinv.ndaksdj@192.0.2.1", "Content-Length   : 150",
        "cseq: 0009", "  INVITE", "Via  : SIP  /   2.0", " /UDP", "    192.0.2.2;branch=390skdjuw",
        "s :", "NewFangledHeader:   newfangled value", " continued newfangled value",
        "UnknownHeaderWithUnusualValue: ;;,,;;,;", "Content-Type: application/sdp", "Route:",
        " <sip:services.example.com;lr;unknownwith=value;unknown-no-value>",
        "v:  SIP  / 2.0  / TCP     spindle.example.com   ;", "  branch  =   z9hG4bK9ikj8  ,",
        " SIP  /    2.0   / UDP  192.168.255.111   ; branch=", " z9hG4bK30239",
        'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =', "      newvalue ;",
        "  secondparam ; q = 0.33", body=_SDP,
    ),
    "intmeth": _message(
        "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
        "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
        'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>',
        "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"\xd1\x80\xd0\xb0\";tag=_token~1'+`*%!-.",
        "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{", "CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~",
        "Max-Forwards: 255", "extensionHeader-!.%*+_`'~: \xef\xbb\xbf\xe5\xa4\xa7\xe5\x81\x9c\xe9\x9b\xbb", "Content-Length: 0",
    ),
    "esc01": _odd("INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0", "esc01", "Contact: <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>"),
    "escnull": _message("REGISTER sip:example.com SIP/2.0", "To: sip:null-%00-null@example.com", "From: sip:null-%00-null@example.com;tag=839923423", "Max-Forwards: 70", "Call-ID: escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd", "CSeq: 14398234 REGISTER", "Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw", "Contact: <sip:%00@host5.example.com>", "Contact: <sip:%00%00@host5.example.com>", "L:0"),
    "esc02": _odd("RE%47IST%45R sip:registrar.example.com SIP/2.0", "esc02", "Contact: <sip:alias1@host1.example.com>"),
    "lwsdisp": _odd("OPTIONS sip:user@example.com SIP/2.0", "lwsdisp", "From: caller<sip:caller@example.com>;tag=323"),
    "longreq": _odd("INVITE sip:user@example.com SIP/2.0", "longreq." + "really" * 30, "Unknown-" + "Long" * 40 + "-Name: " + "unknown-" * 80, *(f"Via: SIP/2.0/TCP sip{n}.example.com" for n in range(34)), f"Contact: <sip:{'amazinglylongcallername' * 12}@host5.example.net>", body=_SDP),
    "dblreq": _odd("REGISTER sip:example.com SIP/2.0", "dblreq") + _odd("INVITE sip:joe@example.com SIP/2.0", "dblreq2", body=_SDP),
    "semiuri": _odd("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", "semiuri", "Accept: application/sdp"),
    "transports": _odd("OPTIONS sip:user@example.com SIP/2.0", "transports", *(f"Via: SIP/2.0/{kind} t{n}.example.com;branch=z9hG4bK{n}" for n, kind in enumerate(("UDP", "SCTP", "TLS", "UNKNOWN", "TCP")))),
    "mpart01": _odd("MESSAGE sip:kumiko@example.org SIP/2.0", "mpart01", "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655", body=bytes(range(256)) * 4),
    "unreason": _message("SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe \xd1\x81\xd1\x82\xd0\xbe", "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923", "Call-ID: unreason.1234ksdfak3j2erwedfsASdf", "CSeq: 35 INVITE", "From: sip:user@example.com;tag=11141343", "To: sip:user@example.edu;tag=2229", "Content-Length: 0", "Contact: <sip:user@host198.example.com>"),
    "noreason": _message("SIP/2.0 100 ", "Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe", "Call-ID: noreason.asndj203insdf99223ndf", "CSeq: 35 INVITE", "From: <sip:user@example.com>;tag=39ansfi3", "To: <sip:user@example.edu>;tag=902jndnke3", "Content-Length: 0"),
    "badinv01": _odd("INVITE sip:user@example.com SIP/2.0", "badinv01", 'Contact: "Joe" <sip:joe@example.org>;;;;', "Via: SIP/2.0/UDP 192.0.2.15;;,;,,"),
    "clerr": _odd("INVITE sip:user@example.com SIP/2.0", "clerr", body=_SDP, length="9999"),
    "ncl": _odd("INVITE sip:user@example.com SIP/2.0", "ncl", body=_SDP, length="-999"),
    "scalar02": _message("REGISTER sip:example.com SIP/2.0", "Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bK342sdfoi3", "To: <sip:user@example.com>", "From: <sip:user@example.com>;tag=239232jh3", "CSeq: 36893488147419103232 REGISTER", "Call-ID: scalar02.23o0pd9vanlq3wnrlnewofjas9ui32", "Max-Forwards: 300", "Expires: 1" + "0" * 100, "Contact: <sip:user@host129.example.com>;expires=280297596632815", "Content-Length: 0"),
    "scalarlg": _message("SIP/2.0 503 Service Unavailable", "Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bKzzxdiwo34sw;received=192.0.2.129", "To: <sip:user@example.com>", "From: <sip:other@example.net>;tag=2easdjfejw", "CSeq: 9292394834772304023312 OPTIONS", "Call-ID: scalarlg.noase0of0234hn2qofoaf0232aewf2394r", "Retry-After: 949302838503028349304023988", 'Warning: 1812 overture "In Progress"', "Content-Length: 0"),
    "quotbal": _odd("INVITE sip:user@example.com SIP/2.0", "quotbal", 'To: "Mr. J. User <sip:j.user@example.com>', body=_SDP),
    "ltgtruri": _odd("INVITE <sip:user@example.com> SIP/2.0", "ltgtruri", body=_SDP),
    "lwsruri": _odd("INVITE sip:user@example.com; lr SIP/2.0", "lwsruri", body=_SDP),
    "lwsstart": _odd("INVITE  sip:user@example.com  SIP/2.0", "lwsstart", body=_SDP),
    "trws": _odd("OPTIONS sip:remote-target@example.com SIP/2.0  ", "trws"),
    "escruri": _odd("INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0", "escruri", body=_SDP),
    "baddate": _odd("INVITE sip:user@example.com SIP/2.0", "baddate", "Date: Fri, 01 Jan 2010 16:00:00 EST", body=_SDP),
    "regbadct": _odd("REGISTER sip:example.com SIP/2.0", "regbadct", "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E"),
    "badaspec": _message("OPTIONS sip:user@example.org SIP/2.0", "Via: SIP/2.0/UDP host4.example.com:5060;branch=z9hG4bKkdju43234", "Max-Forwards: 70", 'From: "Bell, Alexander" <sip:a.g.bell@example.com>;tag=433423', 'To: "Watson, Thomas" < sip:t.watson@example.org >', "Call-ID: badaspec.sdf0234n2nds0a099u23h3hnnw009cdkne3", "CSeq: 3923239 OPTIONS", "l: 0"),
    "baddn": _message("OPTIONS sip:t.watson@example.org SIP/2.0", "Via: SIP/2.0/UDP c.example.com:5060;branch=z9hG4bKkdjuw", "Max-Forwards: 70", "From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43", "To: Watson, Thomas <sip:t.watson@example.org>", "Call-ID: baddn.31415@c.example.com", "CSeq: 3923239 OPTIONS", "l: 0"),
    "badvers": _odd("OPTIONS sip:t.watson@example.org SIP/7.0", "badvers"),
    "mismatch01": _odd("OPTIONS sip:user@example.com SIP/2.0", "mismatch01").replace(b"8 OPTIONS", b"8 INVITE"),
    "mismatch02": _odd("NEWMETHOD sip:user@example.com SIP/2.0", "mismatch02", body=_SDP).replace(b"8 NEWMETHOD", b"8 INVITE"),
    "bigcode": _message("SIP/2.0 4294967301 better not break the receiver", "Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe", "Call-ID: bigcode.asdof3uj203asdnf3429uasdhfas3ehjasdfas9i", "CSeq: 353494 INVITE", "From: <sip:user@example.com>;tag=39ansfi3", "To: <sip:user@example.edu>;tag=902jndnke3", "Content-Length: 0", "Contact: <sip:user@host105.example.com>"),
    "badbranch": _odd("OPTIONS sip:user@example.com SIP/2.0", "badbranch", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"),
    "insuf": _message("INVITE sip:user@example.com SIP/2.0", "CSeq: 193942 INVITE", "Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf", "Content-Type: application/sdp", "l: 152", body=_SDP),
    "unkscm": _odd("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", "unkscm"),
    "novelsc": _odd("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", "novelsc"),
    "unksm2": _odd("REGISTER sip:example.com SIP/2.0", "unksm2", "To: isbn:2983792873", "Contact: <name:John_Smith>"),
    "bext01": _odd("OPTIONS sip:user@example.com SIP/2.0", "bext01", "Require: nothingSupportsThis, nothingSupportsThisEither"),
    "invut": _odd("INVITE sip:user@example.com SIP/2.0", "invut", "Content-Type: application/unknownformat", body=b'<audio>\r\n <pcmu port="443"/>\r\n</audio>'),
    "regaut01": _odd("REGISTER sip:example.com SIP/2.0", "regaut01", "Authorization: NoOneKnowsThisScheme opaque-data=here"),
    "multi01": _odd("INVITE sip:user@company.com SIP/2.0", "multi01", "CSeq: 59 INVITE", "Call-ID: multi01.2", "From: sip:other@example.net;tag=3413415", "To: <sip:other@example.net>", "Max-Forwards: 5", "Via: SIP/2.0/UDP 192.0.2.25;branch=z9hG4bKkdjuw", "Content-Length: 9", body=_SDP),
    "mcl01": _odd("OPTIONS sip:user@example.com SIP/2.0", "mcl01", "Content-Length: 13", body=b"There's no way to know how many octets are supposed to be here."),
    "bcast": _message("SIP/2.0 200 OK", "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923", "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23", "Call-ID: bcast.0384840201234ksdfak3j2erwedfsASdf", "CSeq: 35 INVITE", "From: sip:user@example.com;tag=11141343", "To: sip:user@example.edu;tag=2229", "Content-Length: 0"),
    "zeromf": _odd("OPTIONS sip:user@example.com SIP/2.0", "zeromf").replace(b"Max-Forwards: 70", b"Max-Forwards: 0"),
    "cparam01": _odd("REGISTER sip:example.com SIP/2.0", "cparam01", "Contact: sip:+19725552222@gw1.example.net;unknownparam"),
    "cparam02": _odd("REGISTER sip:example.com SIP/2.0", "cparam02", "Contact: <sip:+19725552222@gw1.example.net;unknownparam>"),
    "regescrt": _odd("REGISTER sip:example.com SIP/2.0", "regescrt", "Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>"),
    "sdp01": _odd("INVITE sip:user@example.com SIP/2.0", "sdp01", "Accept: text/nobodyKnowsThis", body=_SDP),
    "inv2543": _message("INVITE sip:UserB@example.com SIP/2.0", "Via: SIP/2.0/UDP iftgw.example.com", "From: <sip:+13035551111@ift.client.example.net;user=phone>", "Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>", "To: sip:+16505552222@ss1.example.net;user=phone", "Call-ID: inv2543.1717@ift.client.example.com", "CSeq: 56 INVITE", "Content-Type: application/sdp", body=_SDP),
}  # fmt: skip
