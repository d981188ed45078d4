"""Errors: all exceptions of this package, with one base class.

They are raised as plain exceptions, never in an ``ExceptionGroup``.

BurkiError
├── ConfigurationError (also ValueError)
├── ClientClosedError
├── IncompletePullError
├── UnorderedListError
├── LimiterError
├── TransportError
│   ├── ConnectionFailedError
│   └── RequestTimeoutError (also TimeoutError)
├── APIError
│   ├── BadRequestError            400
│   ├── AuthenticationError        401
│   ├── PermissionDeniedError      403
│   ├── NotFoundError              404
│   ├── UnprocessableError         422
│   ├── RateLimitError             429
│   └── ServerError                5xx
├── UnexpectedResponseError
└── ResponseDecodeError
    └── ResponseTooLargeError
"""

from __future__ import annotations

from typing import Any


class BurkiError(Exception):
    """Base class of all errors; ``str()`` says what happened, where, and what to do.

    No error, and no exception chained to it, holds the API key, a phone number or a response body.
    Errors can be pickled.

    Attributes:
        message: what happened, without the place and the advice.
        campaign_id: number of the campaign, or None if the error concerns no campaign.
        page: number of the page that failed, from 1, or None.
        attempts: number of requests sent for that page, or None.
        request_id: what the server calls the last request, by its header ``x-request-id`` or
            ``cf-ray``, at most 128 characters; None if it did not say.
    """

    advice: str = ""
    request_id: str | None = None

    def __init__(
        self,
        message: str,
        *,
        campaign_id: int | None = None,
        page: int | None = None,
        attempts: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.campaign_id = campaign_id
        self.page = page
        self.attempts = attempts

    def __str__(self) -> str:
        where = [
            f"{name} {value}"
            for name, value in (("campaign", self.campaign_id), ("page", self.page))
            if value is not None
        ]
        if self.attempts:
            where.append("1 attempt" if self.attempts == 1 else f"{self.attempts} attempts")
        if self.request_id:
            where.append(f"request {self.request_id}")
        text = f"{self.message} ({', '.join(where)})" if where else self.message
        return f"{text}. {self.advice}" if self.advice else text

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class with the message alone and leave out what
        # TimeoutError keeps outside __dict__.
        return (type(self), (self.message,), self.__dict__)


class ConfigurationError(BurkiError, ValueError):
    """An argument, a setting or an environment variable cannot be used.

    Raised before any request is sent. Also a `ValueError`. The text names the argument and what is
    allowed; a value that may be secret is not shown.
    """


class ClientClosedError(BurkiError):
    """The client is closed, or was closed during the pull.

    Raised by everything that would send a request with it.
    """

    advice = "Make a new BurkiClient, or keep the work inside its `async with` block."


class IncompletePullError(BurkiError):
    """A pull is not proved complete; raised by `PullReport.raise_if_incomplete`.

    Attributes:
        report: the report of the pull.
    """

    advice = (
        "Pull with complete=True, and again when the list moves less; a list without a usable "
        "order is never proved complete."
    )

    def __init__(
        self,
        message: str,
        *,
        report: Any = None,
        campaign_id: int | None = None,
        page: int | None = None,
        attempts: int | None = None,
    ) -> None:
        super().__init__(message, campaign_id=campaign_id, page=page, attempts=attempts)
        self.report = report


class UnorderedListError(BurkiError):
    """This list has no usable order, so no range of it can be made.

    Raised by `ContactStream.rest` and `Contacts.split` if the contacts of a list are in the order
    neither of their ids nor of their creation times, as where many share the time that the list is
    sorted by.
    """

    advice = "Read it in one pull, without a range."


class LimiterError(BurkiError):
    """The limiter of the client, which shares a limit with other processes, cannot be used.

    Raised when it was not reached for ``max_wait`` seconds; at once if waiting cannot help, such as
    after a wrong password. No request is sent without it.

    Attributes:
        transient: whether the limiter may be reached later.
    """

    advice = "Check the limiter's URL, and whether its server runs and can be reached from here."
    transient: bool = False


class TransportError(BurkiError):
    """No complete response arrived in any attempt.

    Raised after ``attempts`` attempts at one page, or earlier if the server is considered down.
    """

    advice = "Check the network and base_url, then start the pull again."


class ConnectionFailedError(TransportError):
    """The connection could not be opened, or broke before the response was complete.

    The text names the host and says whether connecting, TLS or the transfer failed. TLS that cannot
    succeed is not retried: a certificate that is not accepted, a port without TLS, no version in
    common, a rejected handshake, a missing client certificate.
    """


class RequestTimeoutError(TransportError, TimeoutError):
    """The last attempt took longer than ``timeout`` seconds, body included.

    Also a `TimeoutError`.
    """

    advice = "If the server is only slow, raise `timeout` or lower `per_page`."


class APIError(BurkiError):
    """The server answered with an HTTP error status.

    A status that has no subclass, such as 418, raises this class itself.

    Attributes:
        status_code: the HTTP status.
        detail: the reason that the server gave, at most 500 characters, without the API key, phone
            numbers and control characters; None if it gave none.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 0,
        detail: str | None = None,
        campaign_id: int | None = None,
        page: int | None = None,
        attempts: int | None = None,
    ) -> None:
        super().__init__(message, campaign_id=campaign_id, page=page, attempts=attempts)
        self.status_code = status_code
        self.detail = detail


class BadRequestError(APIError):
    """HTTP 400: the server does not accept an argument, such as a status that it does not know.

    `detail` says which, if the server does.
    """


class AuthenticationError(APIError):
    """HTTP 401: the server does not accept the API key."""

    advice = "Check the API key (BURKI_API_KEY, or the first argument of BurkiClient)."


class PermissionDeniedError(APIError):
    """HTTP 403: the API key is valid but may not read this campaign."""

    advice = "Use a key that may read this campaign."


class NotFoundError(APIError):
    """HTTP 404: there is no such campaign for this key.

    Raised for a later page too; a 404 is never taken for the end of the list.
    """

    advice = "Check the campaign id, and that the key belongs to the same account."


class UnprocessableError(APIError):
    """HTTP 422: the server could not validate the request.

    Attributes:
        problems: one line for each problem that the server named, such as
            ``"query.per_page: Input should be less than or equal to 1000"``.
    """

    problems: tuple[str, ...] = ()


class RateLimitError(APIError):
    """HTTP 429, and waiting for the limit would take longer than ``max_wait`` seconds.

    Raised if ``Retry-After`` asks for more than that; if the client has been refused for that long
    without a success in between; or, without a 429, if rate limit headers say that the quota is
    used up and is reset later than that. A shorter wait is waited out and raises nothing.

    Attributes:
        retry_after: seconds that the server asked to wait, or None if it did not say.
    """

    advice = "Try again later, set `rate`, or raise `max_wait`."
    retry_after: float | None = None


class ServerError(APIError):
    """HTTP 5xx in every attempt, or a 5xx that is not retried, such as 501.

    Raised earlier than after ``attempts`` attempts if the server is considered down.
    """

    advice = "The server has a problem: start the pull again later."


class UnexpectedResponseError(BurkiError):
    """The response is not one of this API: a redirect, an HTML page, a 204, a proxy's 403 or 407.

    Redirects are not followed, because the API key would be sent along.

    Attributes:
        status_code: the HTTP status of the response.
    """

    advice = "Check base_url, and whether a proxy or a login page answers instead of the API."
    status_code: int = 0


class ResponseDecodeError(BurkiError):
    """A 200 whose body is not a page of contacts.

    Broken JSON is retried first; valid JSON of another shape is not.

    Attributes:
        problems: one line for each problem, with its place and without the value, such as
            ``"contacts[17].created_at: not an ISO 8601 date and time"``.
        last_page: number of the last page of the list, if it came twice instead of the page
            requested; None for other errors.
    """

    advice = "The server's data does not match its documentation; nothing of this page was used."
    problems: tuple[str, ...] = ()
    last_page: int | None = None


class ResponseTooLargeError(ResponseDecodeError):
    """The body of the response, decompressed, is larger than ``max_body`` bytes."""

    advice = "Lower `per_page`."
