"""Mock the API with respx, without passing a transport or an HTTP client.

Run it with ``python tests/recipes/mock_with_respx.py``. respx intercepts the requests of a default
`BurkiClient`; nothing is sent. `aioburki.sandbox` answers like the API by itself and is usually
less work; respx is for responses that you want to write yourself.
"""

import asyncio

import httpx
import respx

from aioburki import AuthenticationError, BurkiClient

URL = "https://api.burki.dev/api/v1/campaigns/42/contacts"
CONTACT = {
    "id": 101,
    "phone_number": "+15550100",
    "contact_data": {"company": "Acme Corp"},
    "status": "failed",
    "attempts": 3,
    "created_at": "2024-02-01T10:30:00Z",
    "last_attempt_at": "2024-02-01T14:45:00Z",
}
PAGINATION = {
    "page": 1,
    "per_page": 1000,
    "total_items": 1,
    "total_pages": 1,
    "has_next": False,
    "has_prev": False,
}


async def main() -> None:
    """Pull one contact, then get a 401."""
    async with BurkiClient("any") as burki:
        with respx.mock:
            page = {"contacts": [CONTACT], "pagination": PAGINATION}
            route = respx.get(URL, params={"status": "failed"}).respond(json=page)
            contacts = await burki.contacts(42, status="failed")
            print(len(contacts), "contact,", route.call_count, "request")

        with respx.mock:
            respx.get(URL).mock(return_value=httpx.Response(401, json={"detail": "Invalid key"}))
            try:
                await burki.contacts(42)
            except AuthenticationError as error:
                print(error)


asyncio.run(main())
