"""TLS failures: what an error of Python's `ssl` module says of the connection that failed.

OpenSSL names the reason of an error, such as ``TLSV1_ALERT_PROTOCOL_VERSION``; its names are in
https://github.com/openssl/openssl/blob/master/crypto/err/openssl.txt. They hold nothing of what the
server sent.
"""

from __future__ import annotations

import ssl

from .route import Route

# Of a server that does not speak TLS; while a handshake is under way. Later they mean damage.
_NO_TLS = (
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
    "BAD_RECORD_TYPE",
    "UNKNOWN_PROTOCOL",
    "HTTP_REQUEST",
)
_VERSION = (
    "ALERT_PROTOCOL_VERSION",
    "UNSUPPORTED_PROTOCOL",
    "NO_PROTOCOLS_AVAILABLE",
    "WRONG_SSL_VERSION",
    "VERSION_TOO_LOW",
)
# With TLS 1.3 they come after the handshake, instead of the first response.
_CLIENT_CERTIFICATE = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNKNOWN_CA",
)
# Not ALERT_INTERNAL_ERROR or ALERT_USER_CANCELLED, which may pass.
_REJECTED = (
    "ALERT_HANDSHAKE_FAILURE",
    "ALERT_INSUFFICIENT_SECURITY",
    "ALERT_ACCESS_DENIED",
    "ALERT_ILLEGAL_PARAMETER",
    "ALERT_NO_APPLICATION_PROTOCOL",
    "UNRECOGNIZED_NAME",
    "UNSUPPORTED_EXTENSION",
    "NO_CIPHERS_AVAILABLE",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
    "KEY_TOO_SMALL",
)

# By number, from https://github.com/openssl/openssl/blob/master/include/openssl/x509_vfy.h.in
_CERTIFICATE_REASONS = {
    2: "its issuer is not trusted",
    9: "it is not valid yet; check this machine's clock too",
    10: "it has expired; check this machine's clock too",
    18: "it is signed by itself",
    19: "its issuer is not trusted",
    20: "its issuer is not trusted",
    21: "its issuer is not trusted",
    23: "it was revoked",
    62: "it is for another host",
    64: "it is for another IP address",
}


def refusal_of_tls(error: BaseException | None, route: Route, *, connecting: bool) -> str | None:
    """Return why there will be no TLS connection; None if another attempt may succeed.

    Args:
        error: what broke the connection.
        route: how the server was to be reached.
        connecting: whether the connection was being opened.
    """
    host = route.host
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = _certificate_reason(error)
        return (
            f"the TLS certificate of {host} was not accepted: {reason}; {route.certificate_advice}"
        )
    name = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    if name is None:
        return None
    if connecting and name.endswith(_NO_TLS):
        happened = f"there is no TLS on this port of {host}: it sent something else"
    elif name.endswith(_VERSION):
        happened = f"{host} and this side have no version of TLS in common"
    elif name.endswith(_CLIENT_CERTIFICATE):
        happened = (
            f"{host} requires a client certificate, or another one; "
            f"{route.client_certificate_advice}"
        )
    elif name.endswith(_REJECTED):
        happened = f"the TLS handshake with {host} was rejected"
    else:
        return None
    return f"{happened} ({name})"


def _certificate_reason(error: ssl.SSLCertVerificationError) -> str:
    code = getattr(error, "verify_code", 0)  # not every verifier sets it
    return _CERTIFICATE_REASONS.get(code, f"OpenSSL's verification error {code}")
