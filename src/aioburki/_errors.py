"""What can go wrong, as one tree.

BurkiError
├── ConfigurationError (also ValueError)
├── ClientClosedError
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

from typing import Any, ClassVar


class BurkiError(Exception):
    """Stand above every error of this package; ``str()`` says what, where and what to do.

    Holds neither the API key nor a phone number nor a response body, and nothing
    chained to it does. Can be pickled.

    Attributes:
        campaign_id: the campaign that was read, or None where there was none.
        page: the page that failed, from 1, or None.
        attempts: requests sent for that page, or None.
    """

    advice: ClassVar[str] = ""

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
        text = f"{self.message} ({', '.join(where)})" if where else self.message
        return f"{text}. {self.advice}" if self.advice else text

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class with the message alone and leave out what
        # TimeoutError keeps outside __dict__.
        return (type(self), (self.message,), self.__dict__)


class ConfigurationError(BurkiError, ValueError):
    """Refuse an argument or a setting, before any request is sent."""


class ClientClosedError(BurkiError):
    """Refuse to work for a client that has been closed."""

    advice = "Make a new BurkiClient, or keep the work inside its `async with` block."


class TransportError(BurkiError):
    """Report that no complete answer came, after all attempts."""

    advice = "Check the network and base_url, then start the pull again."


class ConnectionFailedError(TransportError):
    """Report a connection that could not be opened or broke before the answer was complete."""


class RequestTimeoutError(TransportError, TimeoutError):
    """Report an attempt that took longer than ``timeout`` seconds, body included."""

    advice = "Raise `timeout` or lower `per_page` if the server is merely slow."


class APIError(BurkiError):
    """Report that the API said no.

    Attributes:
        status_code: the HTTP status.
        detail: what the server gave as the reason, at most 500 characters, with the API
            key, phone numbers and control characters taken out; None if it gave none.
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
    """Report HTTP 400: the server does not know this status value, or another argument."""


class AuthenticationError(APIError):
    """Report HTTP 401: the server does not accept the API key."""

    advice = "Check the API key (BURKI_API_KEY, or the first argument of BurkiClient)."


class PermissionDeniedError(APIError):
    """Report HTTP 403: the API key is valid but may not read this campaign."""

    advice = "Use a key that may read this campaign."


class NotFoundError(APIError):
    """Report HTTP 404: no such campaign for this key.

    On a later page it is an error too, and never taken for the end of the list.
    """

    advice = "Check the campaign id, and that the key belongs to the same account."


class UnprocessableError(APIError):
    """Report HTTP 422: the server could not use the request.

    Attributes:
        problems: one line for each problem the server named, such as
            ``"query.per_page: Input should be less than or equal to 1000"``.
    """

    problems: tuple[str, ...] = ()


class RateLimitError(APIError):
    """Report HTTP 429 where waiting would take longer than ``max_wait`` allows.

    Attributes:
        retry_after: seconds the server asked to wait, or None if it named none.
    """

    advice = "Try again later, set `rate`, or raise `max_wait`."
    retry_after: float | None = None


class ServerError(APIError):
    """Report an HTTP 5xx that lasted through all attempts, or that no retry can mend."""

    advice = "The server is in trouble: start the pull again later."


class UnexpectedResponseError(BurkiError):
    """Report an answer that does not come from this API, such as a redirect, HTML or a 204.

    Attributes:
        status_code: the HTTP status of the answer.
    """

    advice = "Check base_url, and whether a proxy or a login page stands in between."
    status_code: int = 0


class ResponseDecodeError(BurkiError):
    """Report a 200 that is not a page of contacts.

    Attributes:
        problems: one line for each problem, with its place and never with a value, such as
            ``"contacts[17].created_at: not an ISO 8601 date and time"``.
    """

    advice = "The server's data is not what its documentation says; nothing of this page was used."
    problems: tuple[str, ...] = ()


class ResponseTooLargeError(ResponseDecodeError):
    """Report an answer whose decoded body is larger than ``max_body`` allows."""

    advice = "Lower `per_page`."
