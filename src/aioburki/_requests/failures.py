"""Failure: what one failed attempt means. The only place where foreign errors become ours.

What is returned here is raised elsewhere, outside any ``except`` block, so that no request,
header or body hangs on the chain of an exception.
"""

from __future__ import annotations

import ssl
from datetime import datetime

import attrs
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
from .._http import BodyProblem
from .._throttle import TRANSIENT_STATUSES, QuotaHeaders, http_date, retry_after
from .redaction import read_detail

_ERRORS_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: UnprocessableError,
    429: RateLimitError,
}


@attrs.frozen
class Failure:
    """Say what to raise for a failed attempt, and whether another one may succeed.

    *retry_after* is the wait the server asked for, in seconds.
    """

    error: BurkiError
    transient: bool
    retry_after: float | None = None

    @property
    def is_outage(self) -> bool:
        """Tell whether the server gave no answer of its own, as when it is down."""
        return self.transient and isinstance(self.error, TransportError | ServerError)

    @property
    def refused(self) -> bool:
        """Tell whether the server refused the request for its rate."""
        return isinstance(self.error, RateLimitError)


def failure_of_connection(error: httpx.HTTPError | OSError, host: str) -> Failure:
    """Return what an exception of the transport means."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        message = f"no complete answer from {host} in time"
        if isinstance(error, httpx.ConnectTimeout):
            message = f"no connection to {host} in time"
        return Failure(RequestTimeoutError(message), transient=True)
    if _is_tls_refusal(error):
        message = f"the TLS certificate of {host} was not accepted"
        return Failure(ConnectionFailedError(message), transient=False)
    match error:
        case httpx.ConnectError():
            message = f"could not connect to {host}"
        case httpx.ProxyError():
            message = f"the proxy would not connect to {host}"
        # httpcore lets some errors of TLS and of sockets through as they are.
        case httpx.NetworkError() | httpx.RemoteProtocolError() | OSError():
            message = f"the connection to {host} broke before the answer was complete"
        case _:
            message = f"the request could not be sent to {host}: {type(error).__name__}"
            return Failure(TransportError(message), transient=False)
    return Failure(ConnectionFailedError(message), transient=True)


def failure_of_status(
    response: httpx.Response,
    body: bytes,
    secret: str,
    now: datetime,
    quota: QuotaHeaders | None = None,
) -> Failure | None:
    """Return what a status other than 200 means, or None for a 200 that may be a page."""
    status = response.status_code
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
    # By the server's own clock if it tells it: ours may be wrong by more than the wait.
    clock = http_date(response.headers.get("date")) or now
    wait = retry_after(response.headers.get("retry-after"), clock)
    if wait is None and status == 429 and quota is not None and quota.reset > 0:
        wait = quota.reset
    error = _api_error(status, body, secret, wait)
    return Failure(error, transient=transient, retry_after=wait)


def failure_of_content(problem: Undecodable, noun: str) -> Failure:
    """Return what a 200 means that is not a page of the items that *noun* names."""
    error = ResponseDecodeError(f"the answer is not a page of {noun}s: {problem.problems[0]}")
    error.problems = problem.problems
    return Failure(error, transient=problem.broken)


def failure_of_body(status: int, problem: BodyProblem, noun: str) -> Failure:
    """Return what a body means that could not be read to its end."""
    if problem in (BodyProblem.ENCODED, BodyProblem.TAKEN):
        return Failure(_unexpected(status, problem.value), transient=False)
    if problem is BodyProblem.TOO_LARGE:
        return Failure(ResponseTooLargeError(problem.value), transient=False)
    return failure_of_content(Undecodable((problem.value,), broken=True), noun)


def _unexpected(status: int, message: str) -> UnexpectedResponseError:
    error = UnexpectedResponseError(message)
    error.status_code = status
    return error


def _api_error(status: int, body: bytes, secret: str, wait: float | None) -> APIError:
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
    if 300 <= status < 400:
        return f"HTTP {status}, a redirect, which is not followed: the API key would go along"
    return "an HTML page instead of JSON" if status == 200 else f"HTTP {status} instead of 200"


def _is_html(response: httpx.Response, body: bytes) -> bool:
    start = body[:64].lstrip()[:1]
    declared = "html" in response.headers.get("content-type", "").lower()
    return start == b"<" or (declared and start != b"{")


def _is_tls_refusal(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
