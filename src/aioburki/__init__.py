"""The asyncio SDK that pulls every contact of a Burki campaign."""

from ._client import BurkiClient
from ._contact_list import ContactList
from ._contacts import Contacts
from ._deserialize import from_dict
from ._errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BurkiError,
    ClientClosedError,
    ConfigurationError,
    ConnectionFailedError,
    IncompletePullError,
    LimiterError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ResponseDecodeError,
    ResponseTooLargeError,
    ServerError,
    TransportError,
    UnexpectedResponseError,
    UnorderedListError,
    UnprocessableError,
)
from ._estimate import PullEstimate
from ._events import (
    Event,
    PageFetched,
    PauseReason,
    PauseStarted,
    PullFinished,
    PullOutcome,
    PullStarted,
    RequestFinished,
    RequestOutcome,
    RetryReason,
    RetryScheduled,
)
from ._models import Contact, ContactData, ContactPage, ContactStatus
from ._page import Pagination
from ._range import ContactRange
from ._report import PullReport
from ._serialize import to_dict
from ._stream import ContactStream
from ._version import __version__

__all__ = [
    "APIError",
    "AuthenticationError",
    "BadRequestError",
    "BurkiClient",
    "BurkiError",
    "ClientClosedError",
    "ConfigurationError",
    "ConnectionFailedError",
    "Contact",
    "ContactData",
    "ContactList",
    "ContactPage",
    "ContactRange",
    "ContactStatus",
    "ContactStream",
    "Contacts",
    "Event",
    "IncompletePullError",
    "LimiterError",
    "NotFoundError",
    "PageFetched",
    "Pagination",
    "PauseReason",
    "PauseStarted",
    "PermissionDeniedError",
    "PullEstimate",
    "PullFinished",
    "PullOutcome",
    "PullReport",
    "PullStarted",
    "RateLimitError",
    "RequestFinished",
    "RequestOutcome",
    "RequestTimeoutError",
    "ResponseDecodeError",
    "ResponseTooLargeError",
    "RetryReason",
    "RetryScheduled",
    "ServerError",
    "TransportError",
    "UnexpectedResponseError",
    "UnorderedListError",
    "UnprocessableError",
    "__version__",
    "from_dict",
    "to_dict",
]
