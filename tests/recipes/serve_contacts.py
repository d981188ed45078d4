"""Serve contacts from a FastAPI service: one client, typed responses, and a stream of JSON lines.

Run it with ``python -m pytest tests/recipes/serve_contacts.py``, or serve it: ``uvicorn --app-dir
tests/recipes serve_contacts:app``, with BURKI_API_KEY set. It needs FastAPI from 0.118, which ends
dependencies after the response is sent.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from aioburki import BurkiClient, Contact, ContactStream, NotFoundError, to_dict
from aioburki.sandbox import Sandbox


async def opened(campaign_id: int, request: Request) -> AsyncIterator[ContactStream]:
    """Open the stream before the response begins, and close it when that is sent or given up."""
    burki: BurkiClient = request.app.state.burki
    async with burki.contacts(campaign_id).stream() as stream:  # fetches page 1, or raises
        yield stream


def service(**options: Any) -> FastAPI:
    """Return the service; *options* are those of its `BurkiClient`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with BurkiClient(**options) as app.state.burki:  # one client for all requests
            yield

    app = FastAPI(lifespan=lifespan)

    @app.exception_handler(NotFoundError)
    async def not_found(_: Request, error: NotFoundError) -> JSONResponse:
        return JSONResponse({"detail": error.detail}, status_code=404)

    @app.get("/campaigns/{campaign_id}/sample")
    async def sample(campaign_id: int) -> list[Contact]:
        burki: BurkiClient = app.state.burki
        return await burki.contacts(campaign_id, limit=10)

    @app.get("/campaigns/{campaign_id}/contacts.jsonl")
    async def lines(stream: Annotated[ContactStream, Depends(opened)]) -> StreamingResponse:
        async def pages() -> AsyncIterator[str]:
            async for page in stream.pages():  # an error here ends the connection
                yield "".join(json.dumps(to_dict(contact)) + "\n" for contact in page)

        return StreamingResponse(pages(), media_type="application/x-ndjson")

    return app


app = service()


@pytest.mark.asyncio
async def test_service() -> None:
    """All contacts come, a page at a time; a campaign that does not exist is a 404."""
    app = service(api_key="any", transport=Sandbox(2_500).transport)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            response = await client.get("/campaigns/42/contacts.jsonl")
            assert len([json.loads(line) for line in response.iter_lines()]) == 2_500
            assert len((await client.get("/campaigns/42/sample")).json()) == 10
            for path in ("contacts.jsonl", "sample"):
                missing = await client.get(f"/campaigns/7/{path}")
                assert missing.status_code == 404
                assert missing.json() == {"detail": "Campaign not found"}
