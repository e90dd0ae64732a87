"""Explain why TLS or a proxy refused a connection to a site, and what to do about it. Pure."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple

from sgevents_core.site.answers import excerpt


class Objection(NamedTuple):
    """The problem and its fix, each a clause without a full stop."""

    reason: str
    advice: str


_SET_THE_CLOCK: Final = "set this machine's clock"
_OR_FIND_WHAT_IS_BETWEEN: Final = "or find out what stands between this machine and the site"
_TRUST_THE_AUTHORITY: Final = (
    "if it belongs to your studio's own authority, or to a proxy that opens connections, set"
    " ca_certs in [site] to that authority's certificate"
)
_CERTIFICATE_OBJECTIONS: Final[Mapping[int, Objection]] = {
    9: Objection(
        "its certificate is not valid yet",
        f"{_SET_THE_CLOCK}, which says {{now}}; if it is right, the site's certificate is wrong",
    ),
    10: Objection(
        "its certificate has expired",
        "ask whoever runs the site to renew it; first check that this machine's clock is right: "
        "{now}. No setting here helps",
    ),
    18: Objection(
        "its certificate is signed by itself alone",
        "if that is intended, set ca_certs in [site] to that certificate; if not,"
        f" {_OR_FIND_WHAT_IS_BETWEEN[3:]}",
    ),
    19: Objection(
        "its certificate is signed by an authority that is not known here", _TRUST_THE_AUTHORITY
    ),
    20: Objection(
        "its certificate is signed by an authority that is not known here", _TRUST_THE_AUTHORITY
    ),
    21: Objection(
        "it does not send the certificates between its own and a known authority",
        "whoever runs the site lets it send the whole chain; or set ca_certs in [site] to a file"
        " that has the missing ones",
    ),
    23: Objection(
        "its certificate was revoked",
        "whoever runs the site has it replaced; do not use it until then",
    ),
    24: Objection(
        "whoever signed its certificate is not a known authority",
        "if ca_certs is set in [site], it has to name an authority's certificate",
    ),
    26: Objection(
        "its certificate is not for web servers",
        "whoever runs the site has one made that is",
    ),
    62: Objection(
        "its certificate is for another host",
        f"write the host in url of [site] as the certificate has it, {_OR_FIND_WHAT_IS_BETWEEN}",
    ),
    64: Objection(
        "its certificate is for another address",
        "write the host by its name, not by its number, in url of [site]",
    ),
    **dict.fromkeys(
        (66, 67, 68),
        Objection(
            "its certificate is too weak for today's rules",
            "whoever runs the site has one made with a longer key or a newer hash",
        ),
    ),
}
"""OpenSSL's number for a fault of a certificate -> its meaning."""
_NO_TLS_SPOKEN: Final = Objection(
    "what answers there does not speak TLS",
    "correct the port in url of [site], or write http:// if the site has no https",
)
_NO_COMMON_VERSION: Final = Objection(
    "it and this machine have no version of TLS in common",
    "whoever runs the site lets it speak TLS 1.2 or newer; a proxy may be what is too old",
)
_NO_COMMON_CIPHER: Final = Objection(
    "it and this machine have no cipher in common",
    "whoever runs the site lets it use those of today; a proxy may be what is too old",
)
_CLIENT_CERTIFICATE_WANTED: Final = Objection(
    "it asks for a certificate of this machine",
    "that is not supported; ask whoever runs the site or its proxy for a way without",
)
_NO_SUCH_HOST: Final = Objection(
    "it knows no host of this name", "correct the host in url of [site]"
)
_NO_READABLE_CERTIFICATES: Final = Objection(
    "the file ca_certs holds no certificate that can be read",
    "set ca_certs in [site] to a file in PEM form, or leave it out",
)
_TLS_BROKEN_OFF: Final = Objection(
    "it broke off while TLS began",
    f"try again; if it stays, check the proxy, {_OR_FIND_WHAT_IS_BETWEEN}",
)
_TLS_OBJECTIONS: Final[Mapping[str, Objection]] = {
    **dict.fromkeys(
        ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"), _NO_TLS_SPOKEN
    ),
    **dict.fromkeys(
        ("RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "BAD_PACKET_LENGTH"), _NO_TLS_SPOKEN
    ),
    **dict.fromkeys(
        (
            *("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"),
            *("VERSION_TOO_LOW", "WRONG_SSL_VERSION"),
        ),
        _NO_COMMON_VERSION,
    ),
    **dict.fromkeys(
        (
            *("SSLV3_ALERT_HANDSHAKE_FAILURE", "SSL/TLS_ALERT_HANDSHAKE_FAILURE"),
            *("NO_SHARED_CIPHER", "DH_KEY_TOO_SMALL", "TLSV1_ALERT_INSUFFICIENT_SECURITY"),
            "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
        ),
        _NO_COMMON_CIPHER,
    ),
    **dict.fromkeys(
        (
            *("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE"),
            *("SSL/TLS_ALERT_BAD_CERTIFICATE", "TLSV1_ALERT_UNKNOWN_CA"),
        ),
        _CLIENT_CERTIFICATE_WANTED,
    ),
    **dict.fromkeys(("TLSV1_UNRECOGNIZED_NAME", "TLSV1_ALERT_UNRECOGNIZED_NAME"), _NO_SUCH_HOST),
    **dict.fromkeys(
        ("NO_CERTIFICATE_OR_CRL_FOUND", "NO_START_LINE", "X509_LIB"), _NO_READABLE_CERTIFICATES
    ),
}
"""OpenSSL's name for a failed handshake's reason -> its meaning."""
_CHECK_THE_ADDRESS: Final = f"check the host and port in url of [site], {_OR_FIND_WHAT_IS_BETWEEN}"


def objection_to(error: ssl.SSLError, current_time: float) -> Objection:
    """Return why TLS refused the connection, and the remedy.

    Args:
        error: The exception raised.
        current_time: Seconds since 1970, by this machine's clock.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        error_message = str(getattr(error, "verify_message", "") or error)
        objection = _CERTIFICATE_OBJECTIONS.get(error.verify_code) or Objection(
            _one_line(error_message), _CHECK_THE_ADDRESS
        )
        utc_clock = datetime.fromtimestamp(current_time, timezone.utc).strftime(
            "%Y-%m-%d %H:%M UTC"
        )
        return Objection(objection.reason, objection.advice.replace("{now}", utc_clock))
    if isinstance(error, ssl.SSLEOFError):
        return _TLS_BROKEN_OFF
    return _TLS_OBJECTIONS.get(str(error.reason)) or Objection(
        _one_line(str(error)), _CHECK_THE_ADDRESS
    )


def objection_of_proxy(http_status: int, reason_text: str) -> Objection:
    """Return why a proxy refused the connection, by the status of its answer, and the remedy."""
    answer_text = _one_line(f"{http_status} {reason_text}")
    if http_status == 407:
        advice_text = (
            "write its user and password as http_proxy = user:password@host:port in [site]"
        )
    elif 400 <= http_status < 500:
        advice_text = "whoever runs the proxy has to let this machine through to the site"
    else:
        advice_text = "the proxy may be in trouble, or not reach the site; try again later"
    return Objection(f"its proxy answers {answer_text}", advice_text)


def _one_line(message_text: Any) -> str:
    return excerpt(str(message_text).encode(errors="replace"))
