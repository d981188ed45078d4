"""Failures: map a failed attempt to an error of this package. No other module does that.

The errors are returned, not raised. The fetcher raises them outside any ``except`` block, so that
neither ``__cause__`` nor ``__context__`` leads to a request, a header or a body.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TypeVar

import attrs
import h11
import httpx

from .._decoding import Undecodable
from .._errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BurkiError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ResponseDecodeError,
    ResponseTooLargeError,
    ServerError,
    TransportError,
    UnexpectedResponseError,
    UnprocessableError,
)
from .._events import RetryReason
from .._http import BodyProblem
from .._settings import Secret
from .._throttle import QuotaHeaders
from .echo_check import Mismatch
from .redaction import read_detail
from .response_headers import read_requested_wait
from .route import Route
from .tls_failures import refusal_of_tls

Error = TypeVar("Error", bound=BaseException)

# A request may be repeated after 408 and 503 (RFC 9110), 425 (RFC 8470) and 429 (RFC 6585) by their
# definition. The other three are faults.md H10, as are 520 ... 530: Cloudflare answers them when it
# cannot reach the server behind it.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531)})

# RFC 9110, section 15.4. 304 and the obsolete 305 and 306 redirect nowhere.
_REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})

_ERRORS_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: UnprocessableError,
    429: RateLimitError,
}

_PROXY_STATUS = re.compile(r"[1-5]\d\d(?!\d)")
_PROXY_LOGIN = (
    "it wants a user name and a password: put them into its URL, as in "
    "HTTPS_PROXY=http://name:password@proxy.example:3128"
)


@attrs.frozen
class Failure:
    """What a failed attempt means.

    Attributes:
        error: what to raise if the page is given up. It has no cause and no context.
        transient: whether another attempt may succeed.
        retry_after: seconds that the response asks the client to wait, or None if it does not:
            its Retry-After, or for a 429 without one the time until its quota is reset.
        is_mismatch: whether the response is a page of another window.
    """

    error: BurkiError
    transient: bool
    retry_after: float | None = None
    is_mismatch: bool = False

    @property
    def reason(self) -> RetryReason:
        """Return what failed; `RetryScheduled` says what each reason means."""
        match self.error:
            case RequestTimeoutError():
                return "timeout"
            case TransportError():
                return "connection"
            case ResponseDecodeError():
                return "mismatch" if self.is_mismatch else "incomplete"
            case _:
                return "busy" if self.is_busy else "server_error"

    @property
    def is_outage(self) -> bool:
        """Return whether the server may be down: no complete response, or a transient 5xx."""
        return self.transient and isinstance(self.error, TransportError | ServerError)

    @property
    def is_refusal(self) -> bool:
        """Return whether the server refused the request for its rate: a 429."""
        return isinstance(self.error, RateLimitError)

    @property
    def is_busy(self) -> bool:
        """Return whether it is a 503: by default nginx answers that to too many requests, too."""
        return isinstance(self.error, ServerError) and self.error.status_code == 503

    @property
    def asked_wait(self) -> str | None:
        """Return that the response asks for a wait beyond `max_wait`; None if that changes nothing.

        Without it the error of a 503 would look as if one attempt were all that is made.
        """
        if not self.transient or self.retry_after is None:
            return None
        return f"the server asks to wait {self.retry_after:,.0f} s, longer than max_wait"

    @property
    def is_answered(self) -> bool:
        """Return whether there was a response, whatever its status."""
        return not isinstance(self.error, TransportError)


def failure_of_connection(error: httpx.HTTPError | OSError, route: Route) -> Failure:
    """Return what an exception of the transport, or a timeout of the attempt, means.

    The error's message is ours and names the host; nothing of the exception's text is in it.
    """
    host = route.host
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        message = f"no complete response from {host} in time"
        if isinstance(error, httpx.ConnectTimeout):
            message = f"no connection to {host} in time{route.connect_advice}"
        return Failure(RequestTimeoutError(message), transient=True)
    if isinstance(error, httpx.ProxyError):
        return _failure_of_proxy(error, host)
    is_connecting = isinstance(error, httpx.ConnectError)
    if isinstance(error, httpx.NetworkError | OSError):
        refusal = refusal_of_tls(_first(OSError, error), route, connecting=is_connecting)
        if refusal is not None:
            return Failure(ConnectionFailedError(refusal), transient=False)
    match error:
        case httpx.ConnectError():
            message = f"could not connect to {host}{route.connect_advice}"
        case httpx.RemoteProtocolError() if _is_no_http(error):
            message = f"the response of {host} is not HTTP"
        # httpcore passes some errors of TLS and of sockets on untranslated: ssl.SSLError, OSError.
        case httpx.NetworkError() | httpx.RemoteProtocolError() | OSError():
            message = f"the connection to {host} broke before the response was complete"
        case _:
            message = f"the request could not be sent to {host}: {type(error).__name__}"
            return Failure(TransportError(message), transient=False)
    return Failure(ConnectionFailedError(message), transient=True)


def failure_of_status(
    response: httpx.Response,
    body: bytes,
    secret: Secret,
    now: datetime,
    quota: QuotaHeaders | None = None,
) -> Failure | None:
    """Return what a status other than 200 means, or None for a 200 that may be a page.

    HTML instead of JSON is not a response of this API, unless the status is 5xx or transient.

    Args:
        response: its status and headers.
        body: its body, or the empty bytes if that could not be read.
        secret: the API key, which is masked in the error's detail.
        now: the present time, aware; used if the response has no usable Date header.
        quota: the response's quota headers, if it has any.
    """
    status = response.status_code
    if status == 407:  # of a proxy, which the API is not
        return Failure(_unexpected(status, f"HTTP 407, {_PROXY_LOGIN}"), transient=False)
    is_html = _is_html(response, body)
    if status < 400 and (status != 200 or is_html):
        return Failure(_unexpected(status, _why_unexpected(status)), transient=False)
    if status == 200:
        return None
    if status >= 600:
        return Failure(_unexpected(status, f"HTTP {status}"), transient=False)
    transient = status in TRANSIENT_STATUSES
    if is_html and status < 500 and not transient:  # a firewall's or a web server's page
        return Failure(_unexpected(status, f"HTTP {status} with an HTML page"), transient=False)
    wait = read_requested_wait(response.headers, now, status=status, quota=quota)
    error = _api_error(status, body, secret, wait)
    return Failure(error, transient=transient, retry_after=wait)


def failure_of_content(problem: Undecodable, noun: str) -> Failure:
    """Return what a 200 means if its body is not a page of items; *noun* is what one is called."""
    error = ResponseDecodeError(f"the response is not a page of {noun}s: {problem.cause}")
    error.problems = problem.problems
    return Failure(error, transient=problem.broken)


def failure_of_mismatch(mismatch: Mismatch, noun: str) -> Failure:
    """Return what it means that a page is of another window; the first time it may pass."""
    content = Undecodable((mismatch.problem,), broken=not mismatch.is_repeated)
    failure = attrs.evolve(failure_of_content(content, noun), is_mismatch=True)
    if mismatch.is_repeated and isinstance(failure.error, ResponseDecodeError):
        failure.error.last_page = mismatch.last_page
    return failure


def failure_of_body(status: int, problem: BodyProblem, noun: str) -> Failure:
    """Return what it means that a body could not be read to its end."""
    if problem in (BodyProblem.ENCODED, BodyProblem.TAKEN):
        return Failure(_unexpected(status, problem.value), transient=False)
    if problem is BodyProblem.TOO_LARGE:
        return Failure(ResponseTooLargeError(problem.value), transient=False)
    return failure_of_content(Undecodable((problem.value,), broken=True), noun)


def _unexpected(status: int, message: str) -> UnexpectedResponseError:
    error = UnexpectedResponseError(message)
    error.status_code = status
    return error


def _api_error(status: int, body: bytes, secret: Secret, wait: float | None) -> APIError:
    fallback = ServerError if status >= 500 else APIError
    detail = read_detail(body, secret)
    message = f"HTTP {status}: {detail.text}" if detail.text else f"HTTP {status}"
    error = _ERRORS_BY_STATUS.get(status, fallback)(message, status_code=status, detail=detail.text)
    if isinstance(error, UnprocessableError):
        error.problems = detail.problems
    if isinstance(error, RateLimitError):
        error.retry_after = wait
    return error


def _why_unexpected(status: int) -> str:
    if status in _REDIRECTS:
        return f"HTTP {status}, a redirect, which is not followed: the API key would go along"
    return "an HTML page instead of JSON" if status == 200 else f"HTTP {status} instead of 200"


def _is_html(response: httpx.Response, body: bytes) -> bool:
    start = body[:64].lstrip()[:1]
    declared = "html" in response.headers.get("content-type", "").lower()
    return start == b"<" or (declared and start != b"{")


def _failure_of_proxy(error: httpx.ProxyError, host: str) -> Failure:
    """Return what it means that a proxy did not connect to *host*.

    httpcore's text begins with the status of its response to CONNECT; that of a SOCKS proxy with
    something else.
    """
    found = _PROXY_STATUS.match(str(error))
    status = int(found[0]) if found else 0
    message = f"the proxy would not connect to {host}" + (f": HTTP {status}" if status else "")
    if not status or status in TRANSIENT_STATUSES:
        return Failure(ConnectionFailedError(message), transient=True)
    if status == 407:
        message += f", {_PROXY_LOGIN}"
    return Failure(_unexpected(status, message), transient=False)


def _first(kind: type[Error], error: BaseException) -> Error | None:
    """Return the first exception of *kind* among *error* and what caused it."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, kind):
        seen = seen.__cause__ or seen.__context__
    return seen


def _is_no_http(error: httpx.RemoteProtocolError) -> bool:
    """Return whether the server sent something else than HTTP, not too little of it."""
    cause = _first(h11.RemoteProtocolError, error)
    return cause is not None and not str(cause).startswith("peer ")
