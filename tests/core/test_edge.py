"""Bad input over HTTP gets a documented answer in one shape, never a 5xx."""

import pytest

from tests import make

JSON = {"Content-Type": "application/json"}
LOGIN = b'{"login":"lin","password":"x"}'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "json_malformed"),
        (LOGIN + b"{}", None),
        (b"\xef\xbb\xbf" + LOGIN, None),
        (b'{"login":"lin","password":NaN}', None),
        (b'{"login":"lin","password":"\\ud800"}', None),
        (b'{"login":"lin","password":"\xff"}', None),
        (b"[" * 100_000, "too_deep"),
        (b'{"login":"lin","password":"x","extra":' + b"[" * 5000 + b"]" * 5000 + b"}", "too_deep"),
        (b'{"login":"lin","login":"wei","password":"x"}', "duplicate_key"),
        (b'{"login":"lin","password":"x","\\u006cogin":"wei"}', "duplicate_key"),
        (b'{"login":"lin","password":"x\\u0000"}', "nul_char"),
        ('{"login":"lin","password":"x\u202e"}'.encode(), "control_char"),
        (b'{"login":"lin","password":"x","more":1}', "invalid"),
        (b'{"login":1,"password":"x"}', "invalid"),
        (b'{"login":"lin","password":["x"]}', "invalid"),
        (b'{"login":"lin\\n","password":"x"}', "invalid"),
        (b"null", "invalid"),
        (b"[]", "invalid"),
        (b"", None),
    ],
)
async def test_a_body_that_cannot_be_read_is_a_400_problem(http, body, code):
    answer = await http.post("/sign-in/staff", content=body, headers=JSON)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 400
    if code:
        assert answer.json()["code"] == code


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "", "multipart/form-data",
     "application/json; charset=gbk"],
)  # fmt: skip
async def test_json_sent_as_something_else_is_a_415(http, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await http.post("/sign-in/staff", content=LOGIN, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_a_compressed_json_body_is_refused(http):
    headers = JSON | {"Content-Encoding": "gzip"}
    assert (await http.post("/sign-in/staff", content=b"x", headers=headers)).status_code == 415


async def test_a_body_over_the_limit_is_a_413(http, settings):
    async def endless():
        for _ in range(settings.body_limit_bytes // 1000 + 2):
            yield b" " * 1000

    answer = await http.post("/sign-in/staff", content=endless(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/%00", 400, "nul_char"),
        ("GET", "/sign-in/staff", 405, "method_not_allowed"),
        ("DELETE", "/health/live", 405, "method_not_allowed"),
        ("GET", "/health/live?a=1&a=2", 400, None),
        ("GET", "/health/live?a=%ff", 400, None),
        ("GET", "/health/live?a=%00", 400, None),
        ("GET", "/health/live?limit=1e3", 400, None),
        ("GET", "/health/live?limit=%EF%BC%91", 400, None),
        ("GET", "/health/live?limit=0", 400, None),
    ],
)
async def test_paths_methods_and_queries_get_the_same_shape(http, method, path, status, code):
    answer = await http.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].startswith("urn:spms:problem:")
    if code:
        assert answer.json()["code"] == code


async def test_an_integer_is_not_a_string_and_the_field_is_named(http, sign_in):
    headers = await sign_in(make.ADMIN)
    for value in ('"60"', "1e2", "60.0", "true", "0", str(2**70)):
        body = f'{{"seconds":{value}}}'.encode()
        answer = await http.post("/sandbox/clock/forward", content=body, headers=headers | JSON)
        assert answer.status_code == 400, value
        if value not in {"0", str(2**70)}:
            assert answer.json()["errors"][0]["pointer"] == "/seconds"


async def test_a_405_names_the_methods_that_are_known(http):
    assert "POST" in (await http.get("/sign-in/staff")).headers["allow"]


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Token x", "Bearer " + "x" * 600, "Basic eA=="]
)
async def test_a_credential_that_is_none_is_a_401(http, value):
    answer = await http.post("/sign-out", headers={"Authorization": value})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_refusal_never_repeats_what_was_sent(http, sign_in):
    secret = "8613812345678"
    headers = await sign_in(make.ADMIN)
    good = {"login": "wei", "password": "x" * 12, "roles": ["agent"]}
    for wrong in ({"login": secret}, {"roles": [secret]}, {secret: 1}, {"password": [secret]}):
        answer = await http.post("/staff", json=good | wrong, headers=headers)
        assert answer.status_code == 400, wrong
        assert secret not in answer.text


async def test_a_busy_or_absent_database_is_a_503_that_says_so(http, pool, sign_in):
    headers = await sign_in(make.ADMIN)
    await pool.close()
    answer = await http.post("/sign-out", headers=headers)
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert answer.headers["retry-after"] == "1"


async def test_the_reference_page_and_document_are_served_from_here(http):
    page = await http.get("/reference")
    assert "swagger-ui-bundle.js" in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "reference.js"):
        assert (await http.get(f"/reference/{name}")).status_code == 200
    assert (await http.get("/reference/..%2f__init__.py")).status_code == 404
    assert (await http.get("/openapi.json")).json()["openapi"].startswith("3.1")


@pytest.mark.parametrize("path", ["", "/", "/swagger", "/redoc", "/openapi.json", "/x"])
async def test_the_frameworks_own_pages_are_shut(http, path):
    answer = await http.get(f"/-/framework{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "pointer", "known"),
    [
        ("/sps?cursor=abc", "?cursor", "after, limit"),
        ("/sps?limit=5&Limit=6", "?", "after, limit"),
        ("/sps?8613812345678=1", "?", "after, limit"),
        ("/keys?version=1", "?version", "no query parameters"),
    ],
)
async def test_a_query_parameter_that_the_path_does_not_know_is_refused(
    http, sign_in, path, pointer, known
):
    """A client that misspells `after` would read the first page for ever."""
    answer = await http.get(path, headers=await sign_in(make.ADMIN))
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "unknown_parameter"
    assert known in answer.json()["detail"]
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert "8613812345678" not in answer.text


async def test_head_is_get_without_the_content(http, sign_in):
    headers = await sign_in(make.ADMIN)
    for path in ("/health/live", "/sps", "/sps?cursor=1", "/nowhere", "/openapi.json"):
        get, head = [await http.request(m, path, headers=headers) for m in ("GET", "HEAD")]
        assert head.status_code == get.status_code
        assert head.headers["content-length"] == str(len(get.content))
        assert head.content == b""
    assert (await http.head("/sign-in/staff")).status_code == 405
