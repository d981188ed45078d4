"""A sandbox over HTTP in a thread, for code that runs an event loop of its own, or processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qs

from pages import contact, page

from aioburki.sandbox import Sandbox, serve
from aioburki.sandbox._response import SandboxResponse, json_response


@contextmanager
def served(sandbox: Any) -> Iterator[str]:
    """Serve *sandbox*, or what has its `answer`, on a free port; yield the URL."""
    url: Future[str] = Future()
    ending: Future[Callable[[], object]] = Future()

    async def main() -> None:
        loop, server = asyncio.get_running_loop(), asyncio.current_task()
        assert server is not None
        ending.set_result(lambda: loop.call_soon_threadsafe(server.cancel))
        await serve(sandbox, 0, url.set_result)

    def run() -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield url.result(timeout=30)
    finally:
        ending.result()()
        thread.join()


class Campaigns:
    """Several sandboxes behind one URL, one for each campaign; the queries are recorded."""

    def __init__(self, *sandboxes: Sandbox) -> None:
        self._sandboxes = {each.campaign_id: each for each in sandboxes}
        self.queries: list[dict[str, str]] = []

    async def answer(
        self, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> SandboxResponse:
        self.queries.append({name: values[0] for name, values in parse_qs(query).items()})
        sandbox = self._sandboxes[int(path.split("/")[4])]
        return await sandbox.answer(method, path, query, headers)


class FreeForm:
    """A list of contacts with these free-form fields, by position from 0."""

    def __init__(self, data: Sequence[Mapping[str, Any]]) -> None:
        self.data = list(data)
        self.requests = 0

    async def answer(
        self, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> SandboxResponse:
        self.requests += 1
        asked = parse_qs(query)
        number, size = int(asked["page"][0]), int(asked["per_page"][0])
        answer = page(number, size, range(1, len(self.data) + 1))
        answer["contacts"] = [
            contact(each["id"], contact_data=self.data[each["id"] - 1])
            for each in answer["contacts"]
        ]
        return json_response(200, answer)
