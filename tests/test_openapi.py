"""The API keeps what its document says: each operation, each role, good input and bad.

Schemathesis draws requests from the document; they go over real HTTP to the whole application on
a real database. Each operation gets a little world of its own, in which it can succeed.
"""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core import NOT_SET
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case as AnyCase
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from typer.testing import CliRunner

from spms.app import openapi_document
from spms.cli.commands import app as command_line
from spms.core import roles
from spms.core.access import Role
from spms.core.settings import Settings
from tests.api_world import Call, LittleWorld, Served, served
from tests.conftest import clone, drop
from tests.good_calls import CALLS, PARAMETERS

COMMITTED = Path(__file__).parent.parent / "openapi" / "openapi.json"
ROLES = [str(role) for role in Role]
Case = AnyCase[Any]
Operation = APIOperation[Any, Any, Any, Any]
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance,
]  # fmt: skip


def document() -> dict[str, Any]:
    """Return the document without its security: who asks is decided here, not drawn."""
    whole = openapi_document()
    for path in whole["paths"].values():
        for operation in path.values():
            operation.pop("security", None)
    return whole


SCHEMA = schemathesis.openapi.from_dict(document())
OPERATIONS = {
    found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)
}


def test_the_committed_document_is_the_one_the_code_makes() -> None:
    done = CliRunner().invoke(command_line, ["openapi", "--check", str(COMMITTED)])
    assert done.exit_code == 0, done.output


def test_the_document_says_what_each_item_of_a_list_in_a_body_must_be() -> None:
    schemas = document()["components"]["schemas"]
    items = [schemas["Application"]["properties"]["hotlines"]["items"],
             schemas["Contacts"]["properties"]["hotlines"]["items"],
             schemas["DisputedSearch"]["properties"]["msisdns"]["items"],
             schemas["NewEndpoint"]["properties"]["types"]["items"]]  # fmt: skip
    assert all("pattern" in item for item in items)


def test_every_operation_of_the_document_is_tried() -> None:
    documented = {
        f"{method.upper()} {path}" for path, methods in document()["paths"].items()
        for method in methods
    }  # fmt: skip
    assert set(OPERATIONS) == documented >= set(CALLS)


@pytest.fixture(scope="module")
def house(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Serve the application on one database for all operations."""
    url = asyncio.run(clone(server_url, template))
    settings = Settings(
        data_dir=str(tmp_path_factory.mktemp("data")), port=0, sandbox=True, pool_size=5
    )
    with served(roles.app_url(url), settings) as house:
        yield house
    asyncio.run(drop(server_url, urlsplit(url).path[1:]))


@pytest.fixture
def world(house: Served) -> Iterator[LittleWorld]:
    world = LittleWorld(house)
    yield world
    world.close()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize("label", OPERATIONS)
def test_a_good_request_succeeds_and_its_answer_is_as_documented(
    label: str, world: LittleWorld, session: requests.Session
) -> None:
    operation, call = OPERATIONS[label], good_call(label, world)
    case = operation.Case(
        path_parameters=path_of(operation, world, call), query=call.query,
        body=NOT_SET if call.body is None else call.body,
        media_type=next(iter(media_types(operation)), None),
    )  # fmt: skip
    answer = ask(case, call.role, world, session)
    assert answer.status_code < 300, answer.text
    case.validate_response(answer, checks=CHECKS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_gets_an_answer_that_is_not_documented(
    label: str, world: LittleWorld, session: requests.Session
) -> None:
    explore(label, world, session, examples=7)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_of_very_many_gets_an_answer_that_is_not_documented(
    label: str, world: LittleWorld, session: requests.Session
) -> None:
    explore(label, world, session, examples=100, derandomize=False)


def explore(
    label: str, world: LittleWorld, session: requests.Session, *, examples: int,
    derandomize: bool = True,
) -> None:  # fmt: skip
    """Try an operation with input the document allows, known names and made-up ones, and without.

    As many examples again with input that the document forbids, which must all be refused.
    """
    operation, call = OPERATIONS[label], good_call(label, world)
    allowed = [call.role] if call.role is None else [*roles_of(operation), call.role]
    bounded = settings(
        max_examples=examples, derandomize=derandomize, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    known = {name: str(value) for name, value in path_of(operation, world, call).items()}

    @bounded
    @given(case=operation.as_strategy(path_parameters=known), who=st.sampled_from(allowed))
    def with_real_names(case: Case, who: str | None) -> None:
        fill(case, world.names)
        case.validate_response(ask(case, who, world, session), checks=CHECKS)

    @bounded
    @given(case=operation.as_strategy(), who=st.sampled_from([*ROLES, None]))
    def made_up(case: Case, who: str | None) -> None:
        case.validate_response(ask(case, who, world, session), checks=CHECKS)

    @bounded
    @given(case=operation.as_strategy(GenerationMode.NEGATIVE), who=st.sampled_from(allowed))
    def against_the_document(case: Case, who: str | None) -> None:
        answer = ask(case, who, world, session)
        case.validate_response(answer, checks=[*CHECKS, negative_data_rejection])

    with_real_names()
    made_up()
    if can_be_wrong(operation):
        against_the_document()


def ask(case: Case, who: str | None, world: LittleWorld, session: requests.Session) -> Response:
    return case.call(base_url=world.house.url, session=session, headers=world.headers(who))


def good_call(label: str, world: LittleWorld) -> Call:
    if label in CALLS:
        return CALLS[label](world)
    return Call(role=next(iter(roles_of(OPERATIONS[label])), None))


def path_of(operation: Operation, world: LittleWorld, call: Call) -> dict[str, str]:
    """Return a real thing for each path parameter."""
    found = {}
    for name in re.findall(r"\{(\w+)\}", urlsplit(operation.path).path):
        if name in call.path:
            found[name] = call.path[name]
        elif name in world.names:
            found[name] = str(world.names[name])
        else:
            found[name] = PARAMETERS[name](world)
    return found


def roles_of(operation: Operation) -> list[str]:
    """Return who the document says an operation is for; nobody in particular is an empty list."""
    words = re.search(r"For: ([a-z, ]+)\.$", operation.definition.raw.get("description", ""))
    return words[1].split(", ") if words else []


def media_types(operation: Operation) -> list[str]:
    return list(operation.definition.raw.get("requestBody", {}).get("content", {}))


def can_be_wrong(operation: Operation) -> bool:
    """Whether the document forbids any input at all."""
    return bool(operation.body or operation.path_parameters or operation.query)


def fill(case: Case, names: dict[str, Any]) -> None:
    """Put real values where the document has a field of that name, and texts a person may write."""
    (case.query or {}).pop("after", None)  # no made-up cursor is one of ours
    for part in (case.body, case.query):
        if isinstance(part, dict):
            _fill(part, names)


def _fill(part: Any, names: dict[str, Any]) -> None:
    fields = part.items() if isinstance(part, dict) else enumerate(part)
    for name, value in list(fields):
        real = names.get(name)
        real = str(real) if isinstance(real, UUID) else real
        if type(real) is type(value):
            part[name] = real
        elif isinstance(value, str):
            part[name] = "".join(letter for letter in value if letter.isprintable())
        elif isinstance(value, dict | list):
            _fill(value, names)
