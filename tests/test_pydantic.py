"""Pydantic and FastAPI: data objects as response models, in requests, and in the OpenAPI schema."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import attrs
import httpx
import pytest
import pytest_asyncio
from fastapi import Body, FastAPI
from pages import KEY, PHONE
from pydantic import BaseModel, TypeAdapter, ValidationError

from aioburki import (
    BurkiClient,
    Contact,
    ContactData,
    ContactList,
    ContactPage,
    ContactStatus,
    PullReport,
    to_dict,
)
from aioburki.sandbox import Sandbox

sys.path.append(str(Path(__file__).parent / "recipes"))
from serve_contacts import service

CONTACT = Contact(
    id=101,
    phone_number=PHONE,
    contact_data=ContactData(company="Acme", variable_values={"name": "x"}, extra={"vip": [1]}),
    status=ContactStatus("queued"),
    attempts=2,
    created_at=datetime(2024, 2, 1, 10, 30, tzinfo=UTC),
    last_attempt_at=datetime(2024, 2, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
)

# FastAPI reads the annotations of local functions only where they are no texts.
app = FastAPI()


def burki() -> BurkiClient:
    return BurkiClient(KEY, transport=Sandbox(3).transport)


@app.get("/all")
async def every() -> list[Contact]:
    return await burki().contacts(42)


@app.get("/first")
async def first() -> Contact | None:
    return await burki().contacts(42).first()


@app.get("/one")
async def one() -> Contact:
    return CONTACT


@app.get("/page")
async def numbered(status: ContactStatus | None = None) -> ContactPage:
    return await burki().contacts(42, status=status).page(1)


@app.get("/report")
async def report() -> PullReport:
    return (await burki().contacts(42)).report


@app.post("/echo")
async def echo(contact: Annotated[Contact, Body()]) -> Contact:
    assert isinstance(contact, Contact)
    return contact


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.asyncio
async def test_responses_are_what_to_dict_returns(http: httpx.AsyncClient) -> None:
    """A contact, a list and a page are written as by `to_dict`, unknown status included."""
    contacts = await burki().contacts(42)
    assert (await http.get("/all")).json() == to_dict(contacts)
    assert (await http.get("/first")).json() == to_dict(contacts[0])
    assert (await http.get("/one")).json() == to_dict(CONTACT)
    assert (await http.get("/one")).json()["status"] == "queued"
    assert (await http.get("/page")).json()["contacts"] == to_dict(contacts)
    assert (await http.get("/page?status=busy")).json()["contacts"] == []
    assert (await http.get("/report")).json()["proof"] == "single page"


@pytest.mark.asyncio
async def test_a_contact_can_be_a_request_body(http: httpx.AsyncClient) -> None:
    """A body is read to a `Contact`; what is not required may be absent; others are a 422."""
    assert (await http.post("/echo", json=to_dict(CONTACT))).json() == to_dict(CONTACT)
    short = {"id": 1, "phone_number": PHONE, "contact_data": {}, "status": "busy"}
    echoed = (await http.post("/echo", json=short)).json()
    assert echoed == short | {
        "contact_data": to_dict(ContactData()),
        "attempts": 0,
        "created_at": None,
        "last_attempt_at": None,
    }
    assert (await http.post("/echo", json={"id": 1})).status_code == 422


def test_openapi_describes_what_is_sent() -> None:
    """Each response names a component that has all attributes, required, with their types."""
    schema = app.openapi()
    schemas = schema["components"]["schemas"]

    def response(path: str) -> Any:
        return schema["paths"][path]["get"]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]

    sent = {"$ref": "#/components/schemas/Contact-Output"}
    assert response("/one") == sent
    assert response("/all")["type"] == "array"
    assert response("/all")["items"] == sent
    contact = schemas["Contact-Output"]
    names = [field.name for field in attrs.fields(Contact)]
    assert list(contact["properties"]) == contact["required"] == names
    assert contact["properties"]["id"]["type"] == "integer"
    assert contact["properties"]["created_at"]["anyOf"] == [
        {"type": "string", "format": "date-time"},
        {"type": "null"},
    ]
    data = schemas["ContactData-Output"]
    assert data["properties"]["variable_values"]["type"] == "object"
    assert data["properties"]["company"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    read = schemas["Contact-Input"]
    assert read["required"] == ["id", "phone_number", "contact_data", "status"]
    assert "consistent" in schemas["PullReport"]["required"]


def test_openapi_has_the_statuses_and_allows_others() -> None:
    """A client that is generated from the schema knows eight statuses and accepts a new one."""
    status = app.openapi()["components"]["schemas"]["ContactStatus"]
    assert status["anyOf"] == [
        {"type": "string", "enum": [each.value for each in ContactStatus]},
        {"type": "string"},
    ]


def test_models_and_adapters_round_trip() -> None:
    """Pydantic keeps objects as they are, writes them to JSON, and reads equal ones."""

    class Batch(BaseModel):
        contacts: list[Contact]
        status: ContactStatus

    batch = Batch(contacts=[CONTACT], status=ContactStatus("queued"))
    assert batch.contacts[0] is CONTACT
    back = Batch.model_validate_json(batch.model_dump_json())
    assert back == batch
    assert json.loads(batch.model_dump_json())["contacts"] == [to_dict(CONTACT)]
    assert batch.model_dump()["contacts"][0]["created_at"] == CONTACT.created_at
    assert isinstance(back.status, ContactStatus)


def test_naive_datetimes_are_in_utc() -> None:
    """A datetime without a zone is read as everywhere in the package."""
    plain = to_dict(CONTACT) | {"created_at": "2024-02-01T10:30:00", "last_attempt_at": None}
    contact = TypeAdapter(Contact).validate_python(plain)
    assert contact == attrs.evolve(CONTACT, last_attempt_at=None)


def test_computed_attributes_are_written_and_not_read() -> None:
    """What a report computes is in its JSON, and computed again when that is read."""
    adapter = TypeAdapter(PullReport)
    report = PullReport(contacts=3, proof="coverage", drift=("it moved",))
    plain = json.loads(adapter.dump_json(report))
    assert plain == to_dict(report)
    assert adapter.validate_python(plain | {"complete": False}) == report


def test_wrong_data_is_a_validation_error() -> None:
    """Pydantic says where the data is wrong, as for its own models."""
    with pytest.raises(ValidationError, match="phone_number"):
        TypeAdapter(Contact).validate_json('{"id": 1, "contact_data": {}, "status": "busy"}')


def test_pydantic_is_not_imported() -> None:
    """Pydantic is imported when it asks for a schema, and not with the package."""
    code = (
        "import sys, aioburki; before = 'pydantic_core' in sys.modules;"
        "aioburki.Contact(1, '', aioburki.ContactData(), aioburki.ContactStatus.BUSY);"
        "print(before, 'pydantic_core' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.asyncio
@pytest.mark.virtual_clock
@pytest.mark.usefixtures("nothing_left")
async def test_service_ends_the_pull_of_a_client_that_goes_away() -> None:
    """A client of the service that disconnects after the first page ends the requests."""
    sandbox = Sandbox(100_000, latency=0.1)
    served = service(api_key=KEY, transport=sandbox.transport)
    gone = asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            gone.set()

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    path = "/campaigns/42/contacts.jsonl"
    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    async with served.router.lifespan_context(served):
        await served({**scope, "http_version": "1.1"}, receive, send)
        assert not served.state.burki._running
        sent = sandbox.requests
        await asyncio.sleep(60)
        assert sandbox.requests == sent < 100


SURROGATE = "a\ud800b"


@pytest.mark.parametrize(
    "contact",
    [
        attrs.evolve(CONTACT, phone_number=SURROGATE),
        attrs.evolve(CONTACT, status=ContactStatus(SURROGATE)),
        attrs.evolve(CONTACT, contact_data=ContactData(company=SURROGATE)),
        attrs.evolve(CONTACT, contact_data=ContactData(custom_fields={SURROGATE: [SURROGATE]})),
    ],
    ids=["phone_number", "status", "company", "free-form"],
)
def test_lone_surrogates_are_replaced_in_json(contact: Contact) -> None:
    """Text that UTF-8 cannot encode has U+FFFD in JSON, and stays as it is in Python."""
    adapter = TypeAdapter(Contact)
    text = adapter.dump_json(contact).decode()
    assert "a\ufffdb" in text
    assert adapter.dump_python(contact) == to_python(contact)


def to_python(contact: Contact) -> dict[str, Any]:
    data = contact.contact_data
    return attrs.asdict(contact, recurse=False) | {
        "status": contact.status.value,
        "contact_data": attrs.asdict(data),
    }


def test_contact_list_is_a_list_of_contacts() -> None:
    """A `ContactList` is written, read and described as a list of contacts."""
    adapter = TypeAdapter(ContactList)
    text = adapter.dump_json(ContactList([CONTACT]))
    assert text == TypeAdapter(list[Contact]).dump_json([CONTACT])
    read = adapter.validate_json(text)
    assert isinstance(read, ContactList)
    assert read == [CONTACT]
    assert adapter.json_schema()["type"] == "array"
