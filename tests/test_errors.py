"""The errors: class hierarchy, text and attributes."""

from __future__ import annotations

import pickle
from typing import Literal

import pytest

import aioburki
from aioburki import (
    APIError,
    AuthenticationError,
    BurkiError,
    ConfigurationError,
    IncompletePullError,
    PullReport,
    RateLimitError,
    RequestTimeoutError,
    ResponseDecodeError,
    ResponseTooLargeError,
    TransportError,
)


def test_text_says_what_where_and_what_to_do() -> None:
    """The text has the message, the campaign, the page, the attempts and the advice."""
    error = AuthenticationError("HTTP 401", status_code=401, campaign_id=42, page=7, attempts=1)
    assert str(error) == (
        "HTTP 401 (campaign 42, page 7, 1 attempt). "
        "Check the API key (BURKI_API_KEY, or the first argument of BurkiClient)."
    )
    assert str(BurkiError("it failed", attempts=6)) == "it failed (6 attempts)"
    assert str(BurkiError("it failed")) == "it failed"


def test_errors_derive_from_builtin_errors() -> None:
    """A ConfigurationError is a ValueError, a RequestTimeoutError a TimeoutError."""
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(RequestTimeoutError, TimeoutError)
    assert issubclass(RequestTimeoutError, TransportError)
    assert issubclass(RateLimitError, APIError)
    assert issubclass(ResponseTooLargeError, ResponseDecodeError)
    assert RateLimitError("x").retry_after is None
    assert ResponseDecodeError("x").problems == ()


@pytest.mark.parametrize("name", [name for name in aioburki.__all__ if name.endswith("Error")])
def test_every_error_can_be_pickled(name: str) -> None:
    """Pickling keeps the class, the text and all attributes."""
    kind: type[BurkiError] = getattr(aioburki, name)
    error = kind("it failed", campaign_id=42, page=7, attempts=2)
    assert isinstance(error, BurkiError)
    if isinstance(error, APIError):
        error.status_code, error.detail = 418, "short and stout"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize("proof", ["single page", "coverage"])
def test_proved_report_is_complete(proof: Literal["single page", "coverage"]) -> None:
    """A report that has a proof is complete, and does not raise."""
    report = PullReport(contacts=3, proof=proof)
    assert report.complete
    report.raise_if_incomplete()


@pytest.mark.parametrize("proof", ["count", "none"])
def test_report_without_proof_raises(proof: Literal["count", "none"]) -> None:
    """A report without a proof raises IncompletePullError, with the report and what is missing."""
    for missing, words in ((0, f"proof: {proof}\\)"), (1_200, "the server counts 1,200 more")):
        report = PullReport(contacts=3, proof=proof, missing=missing)
        assert not report.complete
        with pytest.raises(IncompletePullError, match=words) as caught:
            report.raise_if_incomplete()
        assert caught.value.report is report
        assert pickle.loads(pickle.dumps(caught.value)).report == report
