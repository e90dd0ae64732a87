"""Mails about the errors of classic plugins."""

from __future__ import annotations

from sgevents_core.errors import RegistrationError
from sgevents_core.settings import SmtpSettings


class Mailing:
    """To whom the errors of one plugin are mailed.

    Args:
        smtp: How mails are sent; None if none are.

    `recipients` are the addresses.
    """

    def __init__(self, smtp: SmtpSettings | None) -> None:
        self._smtp = smtp
        self.recipients: tuple[str, ...] = smtp.recipients if smtp else ()

    def set_recipients(self, emails: tuple[object, ...], place: str) -> None:
        """Set the recipients as `setEmails` was called.

        Args:
            emails: Its arguments.
            place: Where it was called.

        Raises:
            RegistrationError: They are nothing that it takes.
        """
        given = emails[0] if len(emails) == 1 else emails
        if given is True:
            self.recipients = self._smtp.recipients if self._smtp else ()
        elif given is False or given is None:
            self.recipients = ()
        else:
            addresses = [given] if isinstance(given, str) else given
            if not isinstance(addresses, (list, tuple, set, frozenset)) or not all(
                isinstance(address, str) for address in addresses
            ):
                raise RegistrationError(
                    where=place,
                    problem=f"setEmails was given {given!r}",
                    advice="Give True, False, or addresses.",
                )
            self.recipients = tuple(addresses)
