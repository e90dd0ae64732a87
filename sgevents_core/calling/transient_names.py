"""The numbers and names of transient failures; `transient` decides."""

from __future__ import annotations

import errno
from typing import Final


def _split_names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MAX_LINKED_ERRORS: Final = 32
"""The most related errors inspected for one error: causes, reasons, group members."""
NETWORK_ERRNOS: Final = frozenset(
    {
        *(errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.ESHUTDOWN),
        *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETRESET, errno.ENETUNREACH),
        *(errno.ETIMEDOUT, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOTCONN),
    }
)
BUSY_ERRNOS: Final = frozenset({errno.EAGAIN, errno.EBUSY, errno.ESTALE})
"""`OSError` numbers, besides network ones, that mean a resource is currently in use."""
RETRYABLE_STATUSES: Final = frozenset({408, 425, 429})
"""HTTP statuses below 500 that are transient."""
MYSQL_CODES: Final = frozenset(
    {0, 1040, 1053, 1129, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 2002, 2003, 2006, 2013, 2055}
)
"""Codes of MySQL: the server is away or full, a lock was not granted."""
SQLSTATE_PREFIXES: Final = ("08", "40001", "40P01", "53", "55P03", "57014", "57P", "HYT")
"""Prefixes of transient SQL states: connections, conflicts, resources, shutdown, timeouts."""
THROTTLING_CODES: Final = _split_names(
    "BandwidthLimitExceeded EC2ThrottledException InternalError LimitExceededException"
    " PriorRequestNotComplete ProvisionedThroughputExceededException RequestLimitExceeded"
    " RequestThrottled RequestThrottledException RequestTimeout RequestTimeoutException"
    " ServiceUnavailable SlowDown ThrottledException Throttling ThrottlingException"
    " TooManyRequestsException TransactionInProgressException"
)
"""Codes with which AWS and compatible services ask to slow down, some with status 400."""
AMQP_CODES: Final = frozenset({320, 405, 506, 541})
"""Codes of message brokers: they are shut down, have no resources, or somebody has the queue."""
GRPC_CODES: Final = frozenset({"ABORTED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"})

TRANSIENT_CLASSES: Final = _split_names(
    # of Python
    "ConnectionError TimeoutError TimeoutExpired gaierror herror SSLError"
    " http.RemoteDisconnected http.IncompleteRead http.BadStatusLine http.CannotSendRequest"
    " http.CannotSendHeader http.ResponseNotReady http.NotConnected asyncio.IncompleteReadError"
    " ftplib.error_temp imaplib.abort smtplib.SMTPServerDisconnected smtplib.SMTPConnectError"
    # of HTTP clients
    " ConnectError ConnectTimeout ConnectTimeoutError ReadTimeout ReadTimeoutError"
    " WriteTimeout PoolTimeout Timeout TimeoutException NetworkError httpx.ReadError"
    " httpx.WriteError httpx.CloseError httpcore.ReadError httpcore.WriteError"
    " httpx.ProxyError httpx.RemoteProtocolError httpcore.ProxyError httpcore.RemoteProtocolError"
    " h11.RemoteProtocolError requests.ChunkedEncodingError requests.RetryError"
    " urllib3.IncompleteRead urllib3.NewConnectionError urllib3.ProtocolError urllib3.ProxyError"
    " urllib3.ResponseError ClientConnectionError ClientPayloadError ServerDisconnectedError"
    " ServerNotFoundError httplib2.ProxyError shotgun_api3.ProxyError"
    # of services
    " aiosmtplib.SMTPServerDisconnected BusyLoadingError ClusterDownError MasterDownError"
    " redis.ReadOnlyError TryAgainError ConnectionFailure AutoReconnect NotPrimaryError"
    " NotMasterError NetworkTimeout ServerSelectionTimeoutError ExecutionTimeout WTimeoutError"
    " EndpointConnectionError ConnectionClosedError botocore.HTTPClientError"
    " ConnectionClosed NoBrokersAvailable KafkaConnectionError KafkaTimeoutError"
    " AMQPConnectionError StreamLostError WebSocketConnectionClosedException"
    " WebSocketTimeoutException paramiko.SSHException NoValidConnectionsError"
)
"""Classes by name, with the package if the name alone is ambiguous."""
PERMANENT_CLASSES: Final = _split_names(
    "CertificateError SSLCertVerificationError sgevents_core.CallbackTimeout"
    " shotgun_api3.Fault redis.AuthenticationError"
    " redis.AuthorizationError paramiko.AuthenticationException paramiko.BadHostKeyException"
    " paramiko.ConfigParseError paramiko.CouldNotCanonicalize paramiko.IncompatiblePeer"
    " paramiko.PasswordRequiredException pika.AuthenticationError"
    " pika.ProbableAuthenticationError pika.ProbableAccessDeniedError"
    " telegram.BadRequest"
)
"""Classes that are permanent although their base classes are transient."""
BUG_CLASSES: Final = _split_names(
    "ArithmeticError AssertionError AttributeError GeneratorExit ImportError KeyboardInterrupt"
    " LookupError MemoryError NameError NotImplementedError RecursionError StopIteration"
    " StopAsyncIteration SyntaxError SystemExit TypeError ValueError"
)
"""Built-in programming errors: raised while another error was handled, they are still that."""
