"""Client: the settings and the connections that all pulls of a user share; runs no tasks."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import NoReturn, Self, SupportsIndex

import httpx

from ._contacts import Contacts
from ._contacts_query import contacts_of
from ._events import Event, event_handler
from ._http import redact_http_logs
from ._list_contacts import MAX_PER_PAGE
from ._models import ContactStatus, StatusText
from ._network import check_network, check_parts
from ._options import UNCHANGED, UnchangedType, ViewOptions
from ._range import ContactRange
from ._requests import Fetcher
from ._session import Session
from ._settings import DEFAULT_MAX_BODY, Secret, client_settings
from ._throttle import Limiter, check_limiter


class BurkiClient:
    """Pull the contacts of Burki campaigns.

    Making a client does no I/O and needs no event loop. Use it with ``async with``, or call
    `aclose` when done; it may be opened in one task and closed in another. All its pulls share its
    connections, its ``concurrency`` and its ``rate``. It is used on one event loop at a time: use
    one client for each loop that runs at the same time (RuntimeError otherwise). Successive
    `asyncio.run` may share one, but with ``http_client`` only if that keeps no connections.

    It cannot be pickled or copied: that raises TypeError, and the API key stays out of the
    pickle.

    Two effects reach the whole process:

    - While a page is decoded, Python's garbage collector is disabled, for a few milliseconds
      at a time, and what is allocated meanwhile may be moved to the oldest generation
      (`gc.freeze`, `gc.unfreeze`). Afterwards the collector is enabled again, with its
      thresholds unchanged. A collector that is disabled already is left alone, and so is any
      with ``pause_gc=False``.
    - The first client that is made adds a `logging.Filter` to the loggers of httpx, httpcore,
      their forks httpx2 and httpcore2, and hpack; further clients add none. It removes what may
      hold secrets from their log records, but only from those of this package's requests.
      Importing aioburki adds nothing.

    Args:
        api_key: the key, without "Bearer"; by default the variable ``BURKI_API_KEY``.
        base_url: scheme and host, before ``/api/v1``; by default the variable
            ``BURKI_BASE_URL``, else ``https://api.burki.dev``. https, or http for localhost.
        concurrency: maximum number of requests in flight, over all pulls; 1 … 1000.
        rate: maximum requests per second, above 0, exact to 2 % over any ten seconds; None for no
            limit until the server answers 429. The limit that the server enforces is then
            measured, or read from its headers, and kept, also where it is below *rate*.
        attempts: maximum number of attempts for one page when failures are transient; 1 … 100.
            HTTP 429 does not count as one.
        timeout: seconds for one attempt, response body included, from when the request can be
            sent. The TCP connection and the TLS handshake before may each take as long, at most
            10 s.
        max_wait: the longest wait in seconds that the server may cause, by Retry-After or by rate
            limit headers, and the longest time that the client goes on pausing without one
            success; beyond it `RateLimitError`. Each wait is a `PauseStarted` event.
        max_body: maximum size of a response body in bytes, decompressed; 1 KiB … 1 GiB, 64 MiB
            by default. A larger one raises `ResponseTooLargeError` before it takes memory.
        pause_gc: whether Python's garbage collector may be paused while a page is decoded. A
            pull is faster with it, and the event loop is blocked for shorter times. False
            leaves the collector alone.
        verify: an `ssl.SSLContext` for the connections, such as
            ``ssl.create_default_context(cafile="ca.pem")`` for the certificates of a company; by
            default one that trusts the certificates of certifi.
        trust_env: whether proxies (``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``) and certificates
            (``SSL_CERT_FILE``, ``SSL_CERT_DIR``) of the environment are used, as httpx does. The
            requests then go through httpx's own connection pools, which takes more processor time.
            The variables are read when the client is used first.
        http_client: your own `httpx.AsyncClient` (for tests, or a proxy of its own). It is used
            as it is, but without following redirects and without its `auth`, and never closed.
            It must allow at least ``concurrency`` connections: httpx loses connections when
            requests that queue for them are cancelled.
        transport: an asynchronous httpx transport instead of the network, such as
            ``Sandbox().transport`` or `httpx.MockTransport`. Closed with the client.
        limiter: a limit that this client shares with other processes, such as
            ``aioburki.redis.RedisLimiter(url, name="burki", rate=50)``; with *rate* as well, both
            hold. What 429s say of the limit then concerns all these processes. Not closed with the
            client. If it cannot be reached, requests wait for up to *max_wait* seconds, then
            `LimiterError`.
        on_event: called with each event as it happens, in the event loop: `PullStarted`,
            `RequestFinished`, `PageFetched`, `RetryScheduled`, `PauseStarted`, `PullFinished`.
            An exception that it raises is logged and otherwise ignored. It must not be
            asynchronous: it is called, not awaited.
        user_agent_suffix: added to the User-Agent header, such as ``"my-app/1.2"``: products and
            comments (RFC 9110), at most 200 characters.

    Raises:
        ConfigurationError: an argument or a variable cannot be used; the text says which.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        concurrency: SupportsIndex = 8,
        rate: float | None = None,
        attempts: SupportsIndex = 6,
        timeout: float = 30.0,
        max_wait: float = 120.0,
        max_body: SupportsIndex = DEFAULT_MAX_BODY,
        pause_gc: bool = True,
        verify: ssl.SSLContext | None = None,
        trust_env: bool = False,
        http_client: httpx.AsyncClient | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        limiter: Limiter | None = None,
        on_event: Callable[[Event], object] | None = None,
        user_agent_suffix: str | None = None,
    ) -> None:
        secret = None if api_key is None else Secret(api_key)
        del api_key  # before anything can raise: tracebacks may show local variables
        check_parts(http_client, transport)
        check_limiter(limiter)
        self._settings = client_settings(
            secret,
            base_url=base_url,
            concurrency=concurrency,
            rate=rate,
            attempts=attempts,
            timeout=timeout,
            max_wait=max_wait,
            max_body=max_body,
            pause_gc=pause_gc,
            verify=verify,
            trust_env=trust_env,
            user_agent_suffix=user_agent_suffix,
        )
        check_network(self._settings, http_client, transport)
        redact_http_logs()
        self._options = ViewOptions(self._settings, event_handler(on_event))
        self._session = Session(self._settings, http_client, transport, limiter)
        self._running = self._session.running

    def contacts(
        self,
        campaign_id: SupportsIndex | ContactRange | str,
        *,
        status: ContactStatus | StatusText | str | None = None,
        per_page: SupportsIndex = MAX_PER_PAGE,
        limit: SupportsIndex | None = None,
        complete: bool = True,
    ) -> Contacts:
        """Return the contacts of a campaign; no request is sent until they are read.

        Args:
            campaign_id: number of the campaign, from 1; or a `ContactRange` or its text, which
                has its own status.
            status: only contacts of this status, a `ContactStatus` or its value; None for all.
            per_page: contacts in one request, 1 … 1000.
            limit: maximum number of contacts, from 0; only the pages needed for them are
                fetched. None for all.
            complete: whether a pull closes the gap between every two pages, so that no contact
                that is in the list throughout is missed, however the list moves. A list that
                stands still and has consecutive ids takes exactly ``total_pages`` requests,
                others some 8 % more. False: pages 1 … ``total_pages`` of one size, and nothing is
                proved.

        Raises:
            ConfigurationError: an argument is out of range or of the wrong type.
            ClientClosedError: the client is closed.
        """
        contacts = contacts_of(
            self._fetcher,
            self._running,
            self._settings.base_url,
            campaign_id,
            status=status,
            per_page=per_page,
            limit=limit,
            complete=complete,
        )
        self._fetcher.check_open()
        return contacts

    def with_options(
        self,
        *,
        timeout: float | UnchangedType = UNCHANGED,
        attempts: SupportsIndex | UnchangedType = UNCHANGED,
        max_wait: float | UnchangedType = UNCHANGED,
        on_event: Callable[[Event], object] | UnchangedType | None = UNCHANGED,
    ) -> Self:
        """Return a view of this client: the same client, but for the options that are given.

        It shares the connections, ``concurrency``, ``rate``, the limits that were measured and the
        state of the server. Its requests fail by its own ``attempts`` and ``max_wait``; those of
        the client and of other views go on. Closing the client or any view
        of it, also by ``async with``, closes all of them. A view is cheap and need not be closed.

        Args:
            timeout: as that of `BurkiClient`; so are the others.
            attempts: maximum number of attempts for one page.
            max_wait: the longest wait in seconds that the server may cause. If the server has asked
                the client for a longer one, `RateLimitError` is raised at once.
            on_event: called with each event of the view; None switches its events off.

        Raises:
            ConfigurationError: an argument cannot be used.
            ClientClosedError: the client is closed.
        """
        options = self._options.evolve(
            timeout=timeout, attempts=attempts, max_wait=max_wait, on_event=on_event
        )
        self._session.check_open()
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view.__dict__.pop("_fetcher", None)
        view._options = options
        return view

    # Made at first use: the first anyio lock of a process takes 10 ms to make.
    @cached_property
    def _fetcher(self) -> Fetcher:
        return self._session.fetcher(self._options.settings, self._options.on_event)

    async def aclose(self) -> None:
        """Stop all pulls with `ClientClosedError` and close the connections.

        A second call does nothing. If it is cancelled, CancelledError is raised when all is closed.
        ``transport`` is closed too, ``http_client`` is not.
        """
        await self._session.aclose()

    async def __aenter__(self) -> Self:
        self._fetcher.check_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a BurkiClient cannot be pickled or copied: it holds the API key and open connections; "
            "make a new one where it is needed"
        )

    def __repr__(self) -> str:
        if not hasattr(self, "_settings"):
            return "BurkiClient(refused)"  # in the traceback of a ConfigurationError
        settings, options = self._settings, str(self._options)
        return (
            f"BurkiClient(base_url={settings.base_url!r}, concurrency={settings.concurrency}, "
            f"rate={settings.rate}{', closed' if self._session.is_closed else ''})"
            f"{options and f'.with_options({options})'}"
        )
