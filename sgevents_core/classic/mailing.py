"""Mail the errors of classic plugins: errors that they log, and calls that fail."""

from __future__ import annotations

import logging
import queue
import smtplib
import ssl
import threading
import time
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final

from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.plugin_status import PluginStatus
from sgevents_core.protocols import CallbackFailure, Context
from sgevents_core.settings import Settings, SmtpSettings

logger = logging.getLogger("sgevents.daemon")

MOST_WAITING: Final = 200
"""The most mails that wait for the mail server; any beyond are only in the log."""
SEND_TIMEOUT: Final = 10.0
"""Seconds that the mail server may take for each answer."""
FLUSH_TIMEOUT: Final = 5.0
"""Seconds for the last mails when the daemon stops."""


class Mailer:
    """Sends mails, in its own thread, which runs only while mails wait.

    Args:
        smtp: The mail server and the sender.
        redact: Removes secrets from texts.
    """

    def __init__(self, smtp: SmtpSettings, redact: Redactor) -> None:
        self._smtp = smtp
        self._redact = redact
        self._waiting: queue.Queue[EmailMessage] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """The addresses of the configuration."""
        return self._smtp.recipients

    def send(self, recipients: tuple[str, ...], title: str, text: str) -> None:
        """Send a mail soon; do nothing without recipients.

        Args:
            recipients: The addresses.
            title: The end of the subject line.
            text: The text; secrets are removed.
        """
        if not recipients:
            return
        mail = EmailMessage()
        mail["From"] = self._smtp.sender
        mail["To"] = ", ".join(recipients)
        mail["Date"] = formatdate(localtime=True)
        mail["Subject"] = " ".join(self._redact(f"{self._smtp.subject} {title}").split())
        mail.set_content(self._redact(text))
        try:
            self._waiting.put_nowait(mail)
        except queue.Full:
            self._report("too many mails wait for the mail server")
            return
        self._ensure_thread()

    def flush(self, seconds: float) -> None:
        """Wait until all mails are sent, for at most some seconds."""
        until = time.monotonic() + seconds
        while self._waiting.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.02)

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mails", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._waiting.empty():
                    self._thread = None
                    return
            mail = self._waiting.get()
            try:
                self._deliver(mail)
            except (OSError, smtplib.SMTPException) as error:
                self._report(self._redact(f"{type(error).__name__}: {error}"))
            finally:
                self._waiting.task_done()

    def _deliver(self, mail: EmailMessage) -> None:
        smtp = self._smtp
        with smtplib.SMTP(smtp.server, smtp.port, timeout=SEND_TIMEOUT) as server:
            if smtp.tls:
                server.starttls(context=ssl.create_default_context())
            if smtp.username is not None:
                password = smtp.password.reveal() if smtp.password is not None else ""
                server.login(smtp.username, password)
            server.send_message(mail)

    def _report(self, problem: str) -> None:
        extra = {"action": "classic.mail_not_sent"}
        logger.warning("A mail about a classic plugin was not sent: %s", problem, extra=extra)


class LoadMailer:
    """Mails that classic files cannot be loaded, to the addresses of the configuration.

    Who else gets mails about a plugin is not known before it is loaded.

    Args:
        settings: The configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._classic_files = settings.classic_files
        self._mailer = None
        if settings.smtp is not None:
            self._mailer = Mailer(settings.smtp, Redactor.of(settings))

    def mail_failure(self, status: PluginStatus) -> None:
        """Mail why a plugin is not loaded; do nothing for one that is, or is no classic plugin."""
        if self._mailer is None or status.name not in self._classic_files:
            return
        if status.status not in ("enabled", "disabled"):
            title = f"{status.name} cannot be loaded"
            text = f"{title}: {status.reason}. {status.fix}\n\n{status.traceback}"
            self._mailer.send(self._mailer.recipients, title, text)

    def close(self) -> None:
        """Wait a moment for the last mails."""
        if self._mailer is not None:
            self._mailer.flush(FLUSH_TIMEOUT)


class Mailing:
    """The mails of one plugin.

    Args:
        plugin: The plugin's name.
        mailer: Sends mails; None if none are sent.
    """

    def __init__(self, plugin: str, mailer: Mailer | None) -> None:
        self._plugin = plugin
        self._mailer = mailer
        self.recipients: tuple[str, ...] = mailer.recipients if mailer else ()

    def set_recipients(self, emails: tuple[object, ...]) -> str | None:
        """Set the recipients from the arguments of `setEmails`; return a warning about them.

        Args:
            emails: Its arguments. Without an address in them, mails go to the configured
                recipients: an error should be seen.
        """
        given = emails[0] if len(emails) == 1 else emails
        if given is False or given is None or given in ((), []):
            self.recipients = ()
            return None
        addresses = _addresses(given)
        self.recipients = addresses or (self._mailer.recipients if self._mailer else ())
        if given is True or addresses:
            return None
        return f"setEmails was given {given!r}: give True, False, or addresses"

    def attach_to(self, plugin_logger: logging.Logger) -> None:
        """Mail the errors logged through a logger, replacing the handler attached before."""
        for handler in [one for one in plugin_logger.handlers if isinstance(one, _MailHandler)]:
            plugin_logger.removeHandler(handler)
        if self._mailer is not None and self.recipients:
            plugin_logger.addHandler(_MailHandler(self, self._mailer))

    def callback_failed(self, details: CallbackFailure, ctx: Context) -> None:
        """Mail that a callback of the plugin has failed and will not be retried automatically."""
        if details.plugin != self._plugin or details.next_attempt_at is not None:
            return
        if self._mailer is not None:
            title = f"{details.callback} of {self._plugin} failed on event {details.event.id}"
            text = f"{title}: {details.error}\n\n{details.traceback}"
            self._mailer.send(self.recipients, title, text)

    def shutdown(self, ctx: Context) -> None:
        """Wait a moment for the last mails."""
        if self._mailer is not None:
            self._mailer.flush(FLUSH_TIMEOUT)


class _MailHandler(logging.Handler):
    """Mails records that are errors."""

    def __init__(self, mailing: Mailing, mailer: Mailer) -> None:
        super().__init__(logging.ERROR)
        self._mailing = mailing
        self._mailer = mailer

    def emit(self, record: logging.LogRecord) -> None:
        """Mail a record."""
        try:
            message = record.getMessage()
            if record.exc_info:
                message += f"\n\n{logging.Formatter().formatException(record.exc_info)}"
            place = f"{record.pathname}:{record.lineno}"
            text = f"Logger: {record.name}\nPlace: {place}, in {record.funcName}\n\n{message}"
            title = f"{record.levelname} of {record.name}"
            self._mailer.send(self._mailing.recipients, title, text)
        except Exception:  # formatting runs plugin code, which must not fail the call
            self.handleError(record)


def _addresses(given: object) -> tuple[str, ...]:
    """Return the addresses among the arguments of `setEmails`."""
    candidates = given if isinstance(given, (list, tuple, set, frozenset)) else [given]
    return tuple(address for address in candidates if isinstance(address, str) and address.strip())
