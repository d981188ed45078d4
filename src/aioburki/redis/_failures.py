"""Failures: what an exception of redis means for a limiter, without what may be secret in it."""

from __future__ import annotations

import socket
import ssl

from redis import exceptions

from .._errors import LimiterError

# Answers that say that the server will work later: their first words, and redis's classes for
# those of which it removes the word.
_LATER_WORDS = ("MISCONF", "NOREPLICAS", "BUSY", "OOM", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN")
_CLUSTER_WORDS = ("ASK", "CROSSSLOT", "MOVED")
_LATER: dict[type[BaseException], str] = {
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.TryAgainError: "TRYAGAIN",
    exceptions.OutOfMemoryError: "OOM",
}

_DENIED = (
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
    exceptions.AuthenticationWrongNumberOfArgsError,
)


def limiter_error(error: Exception, limiter: str, *, was_reached: bool) -> LimiterError:
    """Return the error for what redis has raised; nothing is chained to it.

    Args:
        error: what redis has raised.
        limiter: the limiter's name and place.
        was_reached: whether the server has ever answered. If so, a name that cannot be resolved
            or a certificate that is refused may be a failover; before, it is a wrong setting.
    """
    problem, transient = _problem(error)
    result = LimiterError(f"{limiter} {problem}")
    result.transient = was_reached if transient is None else transient
    return result


def _problem(error: Exception) -> tuple[str, bool | None]:
    """Return what happened and whether it is transient; None: it is if the server was reached."""
    causes = _causes(error)  # redis wraps what the server answers while a connection is made
    if any(isinstance(cause, _DENIED) for cause in causes):
        return "refuses this user or password, or does not permit what a limiter needs", False
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return "has a certificate that is not trusted", None
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "cannot be reached: its host name cannot be resolved", None
    if any(isinstance(cause, exceptions.TimeoutError | TimeoutError) for cause in causes):
        return "did not answer in time", True
    for cause in causes:
        if isinstance(cause, exceptions.ResponseError | exceptions.BusyLoadingError):
            return _answer(cause)
    return f"cannot be reached: {_cause(causes)}", True


def _answer(error: exceptions.RedisError) -> tuple[str, bool]:
    """Return what an error that the server has answered means."""
    word = str(error).partition(" ")[0]
    if isinstance(error, exceptions.AskError) or word in _CLUSTER_WORDS:
        return (
            "is a node of a cluster, which is not supported: give the URL of a single server",
            False,
        )
    later = _LATER.get(type(error)) or (word if word in _LATER_WORDS else None)
    if later is not None:
        return f"cannot be used at present: {later}", True
    # The first word is the server's name for its error; what follows may quote anything.
    kind = word if word.isupper() and word.isalpha() else type(error).__name__
    return f"answered with an error: {kind}", False


def _cause(causes: list[BaseException]) -> str:
    """Return the reason of the operating system for a failed connection, if there is one."""
    for cause in causes:
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused"
        if isinstance(cause, FileNotFoundError):
            return "there is no such socket"
    return "the connection failed"


def _causes(error: BaseException) -> list[BaseException]:
    """Return *error* and what it was raised from."""
    causes: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in causes:
        causes.append(following)
        following = following.__cause__ or following.__context__
    return causes
