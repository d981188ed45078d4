"""What a failed attempt means: which error, and whether it is transient."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import httpcore
import httpx
import pytest
from pages import KEY, body

from aioburki import (
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
from aioburki._http.body import BodyProblem
from aioburki._requests.failures import (
    Failure,
    failure_of_body,
    failure_of_connection,
    failure_of_status,
)
from aioburki._requests.route import Route
from aioburki._settings import Secret

ROUTE = Route("https://burki.example")
NOW = datetime(2024, 2, 1, 10, 30, tzinfo=UTC)


def failed(status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> Failure:
    response = httpx.Response(status, headers=headers)
    result = failure_of_status(response, content, Secret(KEY), NOW)
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("status", "kind", "transient"),
    [
        (400, BadRequestError, False),
        (401, AuthenticationError, False),
        (402, APIError, False),
        (403, PermissionDeniedError, False),
        (404, NotFoundError, False),
        (405, APIError, False),
        (408, APIError, True),
        (409, APIError, False),
        (418, APIError, False),
        (422, UnprocessableError, False),
        (425, APIError, True),
        (429, RateLimitError, True),
        (500, ServerError, True),
        (501, ServerError, False),
        (502, ServerError, True),
        (503, ServerError, True),
        (504, ServerError, True),
        (505, ServerError, False),
        (520, ServerError, True),
        (527, ServerError, True),
        (530, ServerError, True),
        (531, ServerError, False),
    ],
)
def test_statuses_have_their_errors(status: int, kind: type[APIError], transient: bool) -> None:
    """Each status has its error, with the server's detail, and is transient or not."""
    failure = failed(status, body({"detail": "because"}))
    assert type(failure.error) is kind
    assert isinstance(failure.error, APIError)
    assert failure.transient is transient
    assert failure.error.status_code == status
    assert failure.error.detail == "because"
    assert str(failure.error).startswith(f"HTTP {status}: because")
    assert failure.is_refusal is (status == 429)
    bare = failed(status).error
    assert type(bare) is kind
    assert isinstance(bare, APIError)
    assert bare.detail is None


def test_retry_after_is_kept() -> None:
    """Retry-After is on the failure, and on the error of a 429."""
    failure = failed(429, headers={"retry-after": "1.5"})
    assert failure.retry_after == 1.5
    assert isinstance(failure.error, RateLimitError)
    assert failure.error.retry_after == 1.5
    assert failed(503, headers={"retry-after": "7"}).retry_after == 7.0


def test_dates_are_compared_with_the_servers_clock() -> None:
    """A server whose clock is wrong asks for the right wait if it sends a Date."""
    headers = {
        "date": "Thu, 01 Feb 2024 12:00:00 GMT",
        "retry-after": "Thu, 01 Feb 2024 12:00:09 GMT",
    }
    assert failed(429, headers=headers).retry_after == 9.0
    assert failed(429, headers=headers | {"date": "now"}).retry_after == 5409.0


def test_problems_of_a_422_are_kept() -> None:
    """An UnprocessableError carries each problem."""
    error = failed(422, body({"detail": [{"loc": ["query", "page"], "msg": "no"}]})).error
    assert isinstance(error, UnprocessableError)
    assert error.problems == ("query.page: no",)


@pytest.mark.parametrize(
    ("status", "is_redirect"),
    [*((status, True) for status in (300, 301, 302, 303, 307, 308)), (304, False), (305, False)],
)
def test_only_redirects_are_called_redirects(status: int, is_redirect: bool) -> None:
    """A 304 redirects nowhere, and the error does not say so."""
    failure = failure_of_status(httpx.Response(status), b"", Secret(KEY), datetime.now(UTC))
    assert failure is not None
    assert ("a redirect" in str(failure.error)) is is_redirect
    assert f"HTTP {status}" in str(failure.error)


@pytest.mark.parametrize("status", [201, 202, 204, 206, 300, 301, 304, 308, 600, 999])
def test_other_successes_and_redirects_are_unexpected(status: int) -> None:
    """Only a 200 is a page; a redirect is not followed, and its target not shown."""
    failure = failed(status, b'{"contacts": []}', {"location": "https://evil.example/?key"})
    assert type(failure.error) is UnexpectedResponseError
    assert failure.error.status_code == status
    assert not failure.transient
    assert "evil" not in str(failure.error)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/xhtml+xml", ""])
def test_html_is_not_this_api(kind: str) -> None:
    """An HTML page with a status below 500 is no answer of the API, and is not shown."""
    page = b"\n <html>Attention required</html>"
    for status in (200, 400, 401, 403, 404, 410):
        failure = failed(status, page, {"content-type": kind})
        assert type(failure.error) is UnexpectedResponseError
        assert not failure.transient
        assert "Attention" not in str(failure.error)
    for status in (408, 429, 503):
        failure = failed(status, page, {"content-type": kind})
        assert isinstance(failure.error, APIError)
        assert failure.transient


def test_json_by_any_other_name_may_be_a_page() -> None:
    """A body that starts like JSON may be a page, whatever its content type."""
    for kind in ("text/plain", "text/html"):
        response = httpx.Response(200, headers={"content-type": kind})
        assert failure_of_status(response, b" {}", Secret(KEY), NOW) is None


@pytest.mark.parametrize(
    ("problem", "kind", "transient"),
    [
        (BodyProblem.BROKEN, ResponseDecodeError, True),
        (BodyProblem.TOO_LARGE, ResponseTooLargeError, False),
        (BodyProblem.ENCODED, UnexpectedResponseError, False),
        (BodyProblem.TAKEN, UnexpectedResponseError, False),
    ],
)
def test_bodies_that_cannot_be_read(
    problem: BodyProblem, kind: type[BurkiError], transient: bool
) -> None:
    """An incomplete body is transient; one that is too large or wrongly encoded is not."""
    failure = failure_of_body(200, problem, "contact")
    assert type(failure.error) is kind
    assert failure.transient is transient


def _subclasses(kind: type[Exception]) -> list[type[Exception]]:
    return [each for sub in kind.__subclasses__() for each in (sub, *_subclasses(sub))]


@pytest.mark.parametrize("kind", _subclasses(httpx.TransportError))
def test_every_transport_error_of_httpx_is_translated(kind: type[httpx.TransportError]) -> None:
    """Each of them becomes a TransportError that shows nothing of the original text."""
    failure = failure_of_connection(kind("secret"), ROUTE)
    assert isinstance(failure.error, TransportError)
    assert "secret" not in str(failure.error)
    assert "burki.example" in str(failure.error)
    timeout = issubclass(kind, httpx.TimeoutException)
    assert isinstance(failure.error, RequestTimeoutError) is timeout
    lasting = kind in (httpx.ProtocolError, httpx.LocalProtocolError, httpx.UnsupportedProtocol)
    assert failure.transient is not lasting


def test_deadline_of_an_attempt_is_a_timeout() -> None:
    """A TimeoutError means the same as a timeout of httpx."""
    failure = failure_of_connection(TimeoutError(), ROUTE)
    assert type(failure.error) is RequestTimeoutError
    assert failure.transient


@pytest.mark.parametrize("error", [ssl.SSLError("secret"), ConnectionResetError("secret")])
def test_untranslated_socket_errors_are_broken_connections(error: OSError) -> None:
    """A damaged TLS record and a bare socket error are transient."""
    failure = failure_of_connection(error, ROUTE)
    assert type(failure.error) is ConnectionFailedError
    assert failure.transient
    assert "secret" not in str(failure.error)


@pytest.mark.parametrize(
    ("kind", "transient"), [(httpx.ConnectError, False), (httpx.ReadError, True)]
)
def test_damaged_tls_record_is_no_port_without_tls(
    kind: type[httpx.NetworkError], transient: bool
) -> None:
    """What no TLS looks like during the handshake is damage later, which is transient."""
    error = kind("secret")
    error.__cause__ = ssl.SSLError()
    error.__cause__.reason = "WRONG_VERSION_NUMBER"
    failure = failure_of_connection(error, ROUTE)
    assert failure.transient is transient
    assert ("there is no TLS" in failure.error.message) is not transient


def test_certificate_of_an_unknown_reason_is_refused_by_its_number() -> None:
    """A reason without a text of ours is named by OpenSSL's number."""
    error = httpx.ConnectError("x")
    error.__cause__ = ssl.SSLCertVerificationError()
    error.__cause__.verify_code = 66
    failure = failure_of_connection(error, ROUTE)
    assert "not accepted: OpenSSL's verification error 66; " in failure.error.message


def test_certificate_error_of_the_caller_is_not_that_of_the_request() -> None:
    """What the caller was handling when the request failed has no part in its meaning."""
    error = httpx.ConnectError("x")
    error.__cause__ = ConnectionRefusedError()
    error.__cause__.__context__ = ssl.SSLCertVerificationError()
    failure = failure_of_connection(error, ROUTE)
    assert failure.transient
    assert failure.error.message == "could not connect to burki.example"


def test_refused_certificate_is_not_retried() -> None:
    """A certificate that is not accepted is not transient."""
    error = httpx.ConnectError("x")
    error.__cause__ = httpcore.ConnectError()
    error.__cause__.__context__ = ssl.SSLCertVerificationError()
    failure = failure_of_connection(error, ROUTE)
    assert type(failure.error) is ConnectionFailedError
    assert "certificate" in str(failure.error)
    assert not failure.transient
