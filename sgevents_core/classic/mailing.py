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
        smtp_settings: The mail server and the sender.
        redact_secrets: Removes secrets from texts.
    """

    def __init__(self, smtp_settings: SmtpSettings, redact_secrets: Redactor) -> None:
        self._smtp_settings = smtp_settings
        self._redact_secrets = redact_secrets
        self._waiting_mails: queue.Queue[EmailMessage] = queue.Queue(MOST_WAITING)
        self._thread_lock = threading.Lock()
        self._mail_thread: threading.Thread | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """The addresses of the configuration."""
        return self._smtp_settings.recipients

    def send(self, mail_recipients: tuple[str, ...], subject_title: str, mail_text: str) -> None:
        """Send a mail soon; do nothing without recipients.

        Args:
            mail_recipients: The addresses.
            subject_title: The end of the subject line.
            mail_text: The text; secrets are removed.
        """
        if not mail_recipients:
            return
        mail_message = EmailMessage()
        mail_message["From"] = self._smtp_settings.sender
        mail_message["To"] = ", ".join(mail_recipients)
        mail_message["Date"] = formatdate(localtime=True)
        mail_message["Subject"] = " ".join(
            self._redact_secrets(f"{self._smtp_settings.subject} {subject_title}").split()
        )
        mail_message.set_content(self._redact_secrets(mail_text))
        try:
            self._waiting_mails.put_nowait(mail_message)
        except queue.Full:
            self._report("too many mails wait for the mail server")
            return
        self._ensure_thread()

    def flush(self, longest_wait: float) -> None:
        """Wait until all mails are sent, for at most some seconds."""
        wait_until = time.monotonic() + longest_wait
        while self._waiting_mails.unfinished_tasks and time.monotonic() < wait_until:
            time.sleep(0.02)

    def _ensure_thread(self) -> None:
        with self._thread_lock:
            if self._mail_thread is None:
                self._mail_thread = threading.Thread(target=self._run, name="mails", daemon=True)
                self._mail_thread.start()

    def _run(self) -> None:
        while True:
            with self._thread_lock:
                if self._waiting_mails.empty():
                    self._mail_thread = None
                    return
            mail_message = self._waiting_mails.get()
            try:
                self._deliver(mail_message)
            except (OSError, smtplib.SMTPException) as send_error:
                self._report(self._redact_secrets(f"{type(send_error).__name__}: {send_error}"))
            finally:
                self._waiting_mails.task_done()

    def _deliver(self, mail_message: EmailMessage) -> None:
        smtp_settings = self._smtp_settings
        with smtplib.SMTP(
            smtp_settings.server, smtp_settings.port, timeout=SEND_TIMEOUT
        ) as smtp_server:
            if smtp_settings.tls:
                smtp_server.starttls(context=ssl.create_default_context())
            if smtp_settings.username is not None:
                smtp_password = (
                    smtp_settings.password.reveal() if smtp_settings.password is not None else ""
                )
                smtp_server.login(smtp_settings.username, smtp_password)
            smtp_server.send_message(mail_message)

    def _report(self, problem_text: str) -> None:
        record_fields = {"action": "classic.mail_not_sent"}
        logger.warning(
            "A mail about a classic plugin was not sent: %s", problem_text, extra=record_fields
        )


class LoadMailer:
    """Mails that classic files cannot be loaded, to the addresses of the configuration.

    Who else gets mails about a plugin is not known before it is loaded.

    Args:
        settings: The configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._classic_files = settings.classic_files
        self._shared_mailer = None
        if settings.smtp is not None:
            self._shared_mailer = Mailer(settings.smtp, Redactor.of(settings))

    def mail_failure(self, plugin_status: PluginStatus) -> None:
        """Mail why a plugin is not loaded; do nothing for one that is, or is no classic plugin."""
        if self._shared_mailer is None or plugin_status.name not in self._classic_files:
            return
        if plugin_status.status not in ("enabled", "disabled"):
            subject_title = f"{plugin_status.name} cannot be loaded"
            reason_text = f"{subject_title}: {plugin_status.reason}. {plugin_status.fix}"
            mail_text = f"{reason_text}\n\n{plugin_status.traceback}"
            self._shared_mailer.send(self._shared_mailer.recipients, subject_title, mail_text)

    def close(self) -> None:
        """Wait a moment for the last mails."""
        if self._shared_mailer is not None:
            self._shared_mailer.flush(FLUSH_TIMEOUT)


class Mailing:
    """The mails of one plugin.

    Args:
        plugin_name: The plugin's name.
        shared_mailer: Sends mails; None if none are sent.
    """

    def __init__(self, plugin_name: str, shared_mailer: Mailer | None) -> None:
        self._plugin_name = plugin_name
        self._shared_mailer = shared_mailer
        self.recipients: tuple[str, ...] = shared_mailer.recipients if shared_mailer else ()

    def set_recipients(self, email_arguments: tuple[object, ...]) -> str | None:
        """Set the recipients from the arguments of `setEmails`; return a warning about them.

        Args:
            email_arguments: Its arguments. Without an address in them, mails go to the configured
                recipients: an error should be seen.
        """
        given_emails = email_arguments[0] if len(email_arguments) == 1 else email_arguments
        if given_emails is False or given_emails is None or given_emails in ((), []):
            self.recipients = ()
            return None
        given_addresses = _addresses(given_emails)
        self.recipients = given_addresses or (
            self._shared_mailer.recipients if self._shared_mailer else ()
        )
        if given_emails is True or given_addresses:
            return None
        return f"setEmails was given {given_emails!r}: give True, False, or addresses"

    def attach_to(self, plugin_logger: logging.Logger) -> None:
        """Mail the errors logged through a logger, replacing the handler attached before."""
        for log_handler in [
            old_handler
            for old_handler in plugin_logger.handlers
            if isinstance(old_handler, _MailHandler)
        ]:
            plugin_logger.removeHandler(log_handler)
        if self._shared_mailer is not None and self.recipients:
            plugin_logger.addHandler(_MailHandler(self, self._shared_mailer))

    def callback_failed(self, details: CallbackFailure, ctx: Context) -> None:
        """Mail that a callback of the plugin has failed and will not be retried automatically."""
        if details.plugin != self._plugin_name or details.next_attempt_at is not None:
            return
        if self._shared_mailer is not None:
            callback_name = f"{details.callback} of {self._plugin_name}"
            subject_title = f"{callback_name} failed on event {details.event.id}"
            mail_text = f"{subject_title}: {details.error}\n\n{details.traceback}"
            self._shared_mailer.send(self.recipients, subject_title, mail_text)

    def shutdown(self, ctx: Context) -> None:
        """Wait a moment for the last mails."""
        if self._shared_mailer is not None:
            self._shared_mailer.flush(FLUSH_TIMEOUT)


class _MailHandler(logging.Handler):
    """Mails records that are errors."""

    def __init__(self, plugin_mailing: Mailing, shared_mailer: Mailer) -> None:
        super().__init__(logging.ERROR)
        self._plugin_mailing = plugin_mailing
        self._shared_mailer = shared_mailer

    def emit(self, log_record: logging.LogRecord) -> None:
        """Mail a record."""
        try:
            record_message = log_record.getMessage()
            if log_record.exc_info:
                record_message += f"\n\n{logging.Formatter().formatException(log_record.exc_info)}"
            log_place = f"{log_record.pathname}:{log_record.lineno}, in {log_record.funcName}"
            mail_text = f"Logger: {log_record.name}\nPlace: {log_place}\n\n{record_message}"
            subject_title = f"{log_record.levelname} of {log_record.name}"
            self._shared_mailer.send(self._plugin_mailing.recipients, subject_title, mail_text)
        except Exception:  # formatting runs plugin code, which must not fail the call
            self.handleError(log_record)


def _addresses(given_emails: object) -> tuple[str, ...]:
    """Return the addresses among the arguments of `setEmails`."""
    possible_addresses = (
        given_emails if isinstance(given_emails, (list, tuple, set, frozenset)) else [given_emails]
    )
    return tuple(
        mail_address
        for mail_address in possible_addresses
        if isinstance(mail_address, str) and mail_address.strip()
    )
