"""Contract with vcrpy: it records and replays the requests of a default client."""

from __future__ import annotations

from pathlib import Path

import pytest
import vcr  # type: ignore[import-untyped]
from pages import KEY
from vcr.errors import (  # type: ignore[import-untyped]
    CannotOverwriteExistingCassetteException,
)
from wire import page_reply, wire_server

from aioburki import BurkiClient

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

RECORDER = vcr.VCR(filter_headers=["authorization"])


@pytest.mark.may_show("log record", why="at DEBUG vcrpy logs each response that it records")
async def test_cassette_is_recorded_and_replayed_without_the_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A pull is recorded, replayed when the server is gone, and the cassette has no key."""
    cassette = tmp_path / "contacts.yaml"
    async with wire_server(lambda number, _, per_page: page_reply(number, per_page, 40)) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            with RECORDER.use_cassette(str(cassette)):
                recorded = await burki.contacts(42, per_page=10)
        assert len(server.requests) == 4
        assert all(f"Authorization: Bearer {KEY}" in head for head in server.requests)
        assert server.connections <= 4
    text = cassette.read_text()
    assert text.count("method: GET") == 4
    assert "authorization" not in text.lower()
    assert KEY not in text
    assert KEY not in caplog.text
    async with BurkiClient("another-key", base_url=server.url, attempts=1) as burki:
        with RECORDER.use_cassette(str(cassette), record_mode="none") as played:
            replayed = await burki.contacts(42, per_page=10)
        assert played.play_count == 4
    assert replayed == recorded
    assert len(replayed) == 40


async def test_nothing_reaches_the_network(tmp_path: Path) -> None:
    """``record_mode="none"``, used after a client has sent requests, lets none of them out."""
    async with wire_server(lambda *_: page_reply(1, 1000, 2)) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            await burki.contacts(42)
            with RECORDER.use_cassette(str(tmp_path / "empty.yaml"), record_mode="none"):
                with pytest.raises(CannotOverwriteExistingCassetteException):
                    await burki.contacts(42)
                async with BurkiClient(KEY, base_url=server.url) as other:
                    with pytest.raises(CannotOverwriteExistingCassetteException):
                        await other.contacts(42)
    assert (server.connections, len(server.requests)) == (1, 1)
