"""What real libraries raise, tried on servers that answer badly or not at all."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import botocore.config
import botocore.exceptions
import botocore.session
import grpc
import httpx
import jira
import paramiko
import pika
import psycopg
import pymongo
import pymysql
import pytest
import redis
import requests
import slack_sdk
import sqlalchemy
import telegram
import urllib3
import websockets.sync.client
from redis.backoff import NoBackoff
from redis.retry import Retry
from tornado.httpclient import AsyncHTTPClient
from unkind_server import closed_port, greeting_server, unkind_server
from waiting import PATIENCE

from sgevents_core.calling.transient import TransientFailure, transient_failure
from sgevents_core.moments import MAX_RETRY_AFTER

pytestmark = [  # an error that is kept holds the sockets of its library
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
Get = Callable[[str], object]
SOON = 0.05
ONCE = Retry(NoBackoff(), 0)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Where a server is that answers as its path says."""
    with unkind_server() as address:
        yield address


def _patience(url: str) -> float:
    """Return the timeout of a call: short for the address that never answers, and for TLS."""
    return SOON if url.endswith("/silent") or url.startswith("https:") else PATIENCE


def _urllib(url: str) -> object:
    return urllib.request.urlopen(url, timeout=_patience(url)).read()


def _http_client(url: str) -> object:
    host, path = url.removeprefix("http://").split("/", 1)
    connection = http.client.HTTPConnection(host, timeout=_patience(url))
    connection.request("GET", f"/{path}")
    return connection.getresponse().read()


def _requests(url: str) -> object:
    answer = requests.get(url, timeout=_patience(url))
    answer.raise_for_status()
    return answer


def _httpx(url: str) -> object:
    answer = httpx.get(url, timeout=_patience(url))
    answer.raise_for_status()
    return answer


def _urllib3(url: str) -> object:
    pool = urllib3.PoolManager(timeout=_patience(url))
    retries = urllib3.Retry(1, status_forcelist=[503, 429], respect_retry_after_header=False)
    return pool.request("GET", url, retries=retries).data


def _aiohttp(url: str) -> object:
    async def get() -> object:
        timeout = aiohttp.ClientTimeout(total=_patience(url))
        async with (
            aiohttp.ClientSession(raise_for_status=True, timeout=timeout) as session,
            session.get(url) as answer,
        ):
            return await answer.read()

    return asyncio.run(get())


CLIENTS = [_urllib, _requests, _httpx, _aiohttp]


def _raised(call: Callable[..., object], *args: Any) -> BaseException:
    try:
        call(*args)
    except Exception as error:
        return error
    pytest.fail("it went well")


@pytest.mark.parametrize("get", CLIENTS)
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_statuses_that_pass(get: Get, status: int, server: str) -> None:
    """Such an answer is one for now, and the wait that it asks for is known."""
    assert transient_failure(_raised(get, f"{server}/{status}"), 0.0) == TransientFailure(7.0)


@pytest.mark.parametrize("get", CLIENTS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_statuses_that_last(get: Get, status: int, server: str) -> None:
    """Such an answer is the same the next time."""
    assert transient_failure(_raised(get, f"{server}/{status}"), 0.0) is None


@pytest.mark.parametrize("get", [*CLIENTS, _http_client, _urllib3])
@pytest.mark.parametrize("path", ["reset", "drop", "silent", "cut"])
def test_connections_that_break(get: Get, path: str, server: str) -> None:
    """Reset, closed without an answer, silent, or cut in the middle of a body: it passes."""
    assert transient_failure(_raised(get, f"{server}/{path}"), 0.0) == TransientFailure()


@pytest.mark.parametrize("get", [*CLIENTS, _http_client, _urllib3])
def test_refused_connections_and_unknown_names(get: Get) -> None:
    """Nobody listens, or nobody knows the name: it passes."""
    assert (
        transient_failure(_raised(get, f"http://127.0.0.1:{closed_port()}/x"), 0.0)
        == TransientFailure()
    )
    assert transient_failure(_raised(get, "http://nowhere.invalid/x"), 0.0) == TransientFailure()


@pytest.mark.parametrize("get", [_urllib, _requests, _httpx, _urllib3])
def test_addresses_that_are_none(get: Get) -> None:
    """A mistake in an address stays one."""
    assert transient_failure(_raised(get, "nonsense://x"), 0.0) is None


def test_urllib3_that_has_tried_again(server: str) -> None:
    """Too many answers of the kind, as urllib3 and requests say it."""
    assert transient_failure(_raised(_urllib3, f"{server}/503"), 0.0) == TransientFailure()


def test_untrusted_certificates() -> None:
    """A certificate that is not trusted is a mistake of a configuration, whoever tells of it."""
    with unkind_server() as address:
        port = int(address.rpartition(":")[2])
        error = _raised(_requests, f"https://127.0.0.1:{port}/x")
        assert transient_failure(error, 0.0) == TransientFailure()  # no TLS there
    untrusted = requests.exceptions.SSLError(
        urllib3.exceptions.MaxRetryError(
            urllib3.HTTPSConnectionPool("x"),
            "/",
            urllib3.exceptions.SSLError(ssl.SSLCertVerificationError("expired")),
        )
    )
    assert transient_failure(untrusted, 0.0) is None


@pytest.mark.parametrize("get", CLIENTS)
def test_waits_that_answers_ask_for(get: Get, server: str) -> None:
    """Seconds or a date, at most an hour; text that is neither asks for nothing."""
    date = quote(formatdate(1_750_000_090, usegmt=True))
    waits = {
        "12": 12.0,
        date: 90.0,
        quote(formatdate(1_749_999_000, usegmt=True)): 0.0,
        "86400": MAX_RETRY_AFTER,
        "soon": None,
    }
    for asked, wait in waits.items():
        error = _raised(get, f"{server}/503?{asked}")
        assert transient_failure(error, 1_750_000_000.0) == TransientFailure(wait)


def _slack(url: str) -> object:
    client = slack_sdk.WebClient(token="demo-token", base_url=f"{url}/", timeout=5)
    return client.chat_postMessage(channel="dailies", text="published")


def _telegram(url: str) -> object:
    async def send() -> object:
        async with telegram.Bot("1:demo", base_url=f"{url}/bot") as bot:
            return await bot.send_message(1, "published")

    return asyncio.run(send())


def _tornado(url: str) -> object:
    async def fetch() -> object:
        return await AsyncHTTPClient().fetch(url)

    return asyncio.run(fetch())


def _websocket(url: str) -> object:
    return websockets.sync.client.connect(url.replace("http:", "ws:"))


@pytest.mark.parametrize("send", [_slack, _telegram, _tornado, _websocket])
def test_chats(send: Get, server: str) -> None:
    """Clients of chats: what the server cannot do now passes, what it refuses does not."""
    assert transient_failure(_raised(send, f"{server}/503"), 0.0) is not None
    refused = f"http://127.0.0.1:{closed_port()}"
    assert transient_failure(_raised(send, refused), 0.0) == TransientFailure()
    if send is not _telegram:  # it reads the reason in the answer, and there is none
        assert transient_failure(_raised(send, f"{server}/404"), 0.0) is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the library's, for reading it
def test_chats_that_ask_for_a_pause() -> None:
    """An error that has a `retry_after` of its own passes, after that time."""
    flood = telegram.error.RetryAfter(11)
    assert transient_failure(flood, 0.0) == TransientFailure(11.0)
    assert transient_failure(telegram.error.BadRequest("no such chat"), 0.0) is None


def _pika(port: int) -> object:
    return pika.BlockingConnection(
        pika.ConnectionParameters("127.0.0.1", port, connection_attempts=1)
    )


def test_message_brokers() -> None:
    """A broker that refuses, hangs up, shuts down or lacks resources passes; one that does not
    know the queue or the password does not."""
    assert transient_failure(_raised(_pika, closed_port()), 0.0) == TransientFailure()
    with greeting_server(b"") as port:
        assert transient_failure(_raised(_pika, port), 0.0) == TransientFailure()
    broker = pika.exceptions
    passes = [
        broker.ConnectionClosedByBroker(320, "CONNECTION_FORCED - shutdown"),
        broker.ChannelClosedByBroker(506, "RESOURCE_ERROR"),
        broker.ChannelClosedByBroker(405, "RESOURCE_LOCKED"),
        broker.StreamLostError("gone"),
        broker.AMQPHeartbeatTimeout("gone"),
        broker.ConnectionBlockedTimeout("full"),
    ]
    assert [transient_failure(error, 0.0) for error in passes] == [TransientFailure()] * 6
    lasts = [
        broker.ChannelClosedByBroker(404, "NOT_FOUND - no queue"),
        broker.ConnectionClosedByBroker(530, "NOT_ALLOWED - vhost"),
        broker.ProbableAuthenticationError("wrong password"),
        broker.AuthenticationError("PLAIN"),
    ]
    assert [transient_failure(error, 0.0) for error in lasts] == [None] * 4


def _jira(url: str) -> object:
    client = jira.JIRA(url, max_retries=0, timeout=_patience(url), get_server_info=False)
    return client.issue("X-1")


def test_jira(server: str) -> None:
    """The client's own error carries the status."""
    assert (
        transient_failure(jira.JIRAError(status_code=503, text="down"), 0.0) == TransientFailure()
    )
    assert transient_failure(jira.JIRAError(status_code=404), 0.0) is None
    assert transient_failure(_raised(_jira, f"{server}/503"), 0.0) is not None
    assert transient_failure(_raised(_jira, f"{server}/404"), 0.0) is None


def _aws(url: str, **answer: Any) -> object:
    config = botocore.config.Config(
        retries={"total_max_attempts": 1}, connect_timeout=PATIENCE, read_timeout=_patience(url)
    )
    session = botocore.session.get_session()
    session.set_credentials("nobody", "nothing")
    client = session.create_client("s3", "eu-west-1", endpoint_url=url, config=config)
    return client.list_buckets()


def test_botocore(server: str) -> None:
    """Statuses, refusals and timeouts pass, and what is throttled does with any status."""
    assert transient_failure(_raised(_aws, f"{server}/503"), 0.0) == TransientFailure(7.0)
    assert transient_failure(_raised(_aws, f"{server}/404"), 0.0) is None
    assert transient_failure(_raised(_aws, f"{server}/silent"), 0.0) == TransientFailure()
    assert (
        transient_failure(_raised(_aws, f"http://127.0.0.1:{closed_port()}"), 0.0)
        == TransientFailure()
    )
    told = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    throttled = botocore.exceptions.ClientError(told, "PutItem")
    assert transient_failure(throttled, 0.0) == TransientFailure()


def test_redis() -> None:
    """A refusal and a server that hangs up pass, a refused password does not."""
    refused = redis.Redis(port=closed_port(), socket_timeout=SOON, retry=ONCE)
    assert transient_failure(_raised(refused.ping), 0.0) == TransientFailure()
    with greeting_server(b"") as port:
        assert (
            transient_failure(_raised(redis.Redis(port=port, retry=ONCE).ping), 0.0)
            == TransientFailure()
        )
    with greeting_server(b"-LOADING Redis is loading the dataset in memory\r\n") as port:
        assert (
            transient_failure(_raised(redis.Redis(port=port, retry=ONCE).ping), 0.0)
            == TransientFailure()
        )
    assert transient_failure(redis.AuthenticationError("wrong password"), 0.0) is None
    assert transient_failure(redis.ResponseError("wrong kind of value"), 0.0) is None


def test_databases_that_are_away() -> None:
    """PostgreSQL, MySQL, MongoDB and what SQLAlchemy makes of them: a refusal passes."""
    port = closed_port()
    url = f"mysql+pymysql://x@127.0.0.1:{port}/x"
    away: list[Callable[[], object]] = [
        lambda: psycopg.connect(f"host=127.0.0.1 port={port}"),
        lambda: pymysql.connect(host="127.0.0.1", port=port),
        lambda: sqlalchemy.create_engine(url).connect(),
        lambda: pymongo.MongoClient(port=port, serverSelectionTimeoutMS=20).admin.command("ping"),
    ]
    for connect in away:
        assert transient_failure(_raised(connect), 0.0) == TransientFailure()


def test_databases_that_say_why() -> None:
    """Locks, conflicts and full servers pass; refused passwords and wrong queries do not."""
    for passes in (
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.SerializationFailure(),
        psycopg.errors.AdminShutdown(),
        psycopg.errors.TooManyConnections(),
        pymysql.err.OperationalError(1205, "Lock wait timeout exceeded"),
        pymysql.err.OperationalError(2013, "Lost connection to MySQL server"),
        pymysql.err.InterfaceError(0, ""),
    ):
        assert transient_failure(passes, 0.0) == TransientFailure()
    for lasts in (
        psycopg.errors.UndefinedTable(),
        psycopg.errors.UniqueViolation(),
        psycopg.errors.InvalidPassword(),
        pymysql.err.OperationalError(1045, "Access denied"),
        pymysql.err.ProgrammingError(1064, "You have an error in your SQL syntax"),
    ):
        assert transient_failure(lasts, 0.0) is None


def test_sqlite(tmp_path: Path) -> None:
    """A database that somebody else has locked passes; one without the table does not."""
    held = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    other = sqlite3.connect(tmp_path / "x.db", timeout=0)
    locked = _raised(other.execute, "SELECT * FROM sqlite_master")
    held.execute("COMMIT")
    missing = _raised(other.execute, "SELECT * FROM nothing")
    unreadable = _raised(sqlite3.connect, tmp_path / "no" / "x.db")
    held.close()
    other.close()
    assert transient_failure(locked, 0.0) == TransientFailure()
    assert transient_failure(missing, 0.0) is None
    assert transient_failure(unreadable, 0.0) is None


def test_mail() -> None:
    """A server that is busy or hangs up passes, one that does not know the address does not."""
    for greeting in (b"421 too busy\r\n", b""):
        with greeting_server(greeting) as port:
            assert (
                transient_failure(_raised(smtplib.SMTP, "127.0.0.1", port), 0.0)
                == TransientFailure()
            )
    assert transient_failure(smtplib.SMTPDataError(451, b"later"), 0.0) == TransientFailure()
    assert transient_failure(smtplib.SMTPAuthenticationError(535, b"no"), 0.0) is None
    assert (
        transient_failure(smtplib.SMTPRecipientsRefused({"a": (450, b"greylisted")}), 0.0)
        == TransientFailure()
    )
    mixed = {"a": (450, b"greylisted"), "b": (550, b"no such user")}
    assert transient_failure(smtplib.SMTPRecipientsRefused(mixed), 0.0) is None


def test_remote_shells() -> None:
    """A host that refuses or hangs up passes; one that does not accept the key does not."""
    client = paramiko.SSHClient()
    refused = _raised(lambda: client.connect("127.0.0.1", closed_port(), timeout=1))
    assert transient_failure(refused, 0.0) == TransientFailure()
    with greeting_server(b"") as port:
        hung_up = _raised(lambda: client.connect("127.0.0.1", port, timeout=1, banner_timeout=1))
    assert transient_failure(hung_up, 0.0) == TransientFailure()
    assert transient_failure(paramiko.AuthenticationException("no"), 0.0) is None


def test_grpc() -> None:
    """UNAVAILABLE and its kind pass."""
    with grpc.insecure_channel(f"127.0.0.1:{closed_port()}") as channel:
        unavailable = _raised(channel.unary_unary("/x/y"), b"")
    assert transient_failure(unavailable, 0.0) == TransientFailure()


def test_what_python_itself_raises() -> None:
    """Programs and sockets that take too long, and coroutines that do."""
    asleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    errors = [
        _raised(lambda: subprocess.run(asleep, timeout=SOON)),
        _raised(lambda: asyncio.run(asyncio.wait_for(asyncio.sleep(60), SOON))),
        _raised(lambda: socket.getaddrinfo("nowhere.invalid", 80)),
    ]
    assert [transient_failure(error, time.time()) for error in errors] == [TransientFailure()] * 3
    failed = _raised(lambda: subprocess.run([sys.executable, "-c", "1 / 0"], check=True,
                                            stderr=subprocess.DEVNULL))  # fmt: skip
    assert transient_failure(failed, 0.0) is None


def test_names_that_several_libraries_use(tmp_path: Path) -> None:
    """A broken archive or a refused document is none of the network, though its error has the
    name of one."""
    archive = tmp_path / "plates.tar.gz"
    archive.write_bytes(b"no archive")
    lasts = [
        _raised(tarfile.open, archive),
        _raised(shutil.unpack_archive, archive, tmp_path, "gztar"),
        pymongo.errors.DuplicateKeyError("E11000 duplicate key error", 11000),
        pymongo.errors.WriteError("Document failed validation", 121),
    ]
    assert [transient_failure(error, 0.0) for error in lasts] == [None] * 4
    passes = [httpx.ReadError("no"), httpx.WriteError("no"), httpx.CloseError("no"),
              redis.exceptions.ReadOnlyError("a replica")]  # fmt: skip
    assert [transient_failure(error, 0.0) for error in passes] == [TransientFailure()] * 4
