"""The two forms that both sign-in pages show: user name and password, then the authenticator's code.

Who asks for what, and what was wrong, is told the same way wherever a person signs in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from landbridge_server.identity.rendering import render

USER_NAME = 320
"""Characters of a user name that a form shows again."""


@dataclass(frozen=True)
class Asking:
    """Who asks, what for, and where its forms go with what they bring back.

    ``user_code`` is what the program shows on another screen; without one it is on this computer.
    """

    application: str
    resource: str
    action: str
    csrf: str
    carried: Mapping[str, str] = field(default_factory=dict)
    user_code: str = ""

    def password_form(self, user_name: str, error: str = "") -> str:
        """Return the form for user name and password."""
        return render("sign_in.html", asking=self, username=user_name[:USER_NAME], error=error)

    def code_form(self, voucher: str, error: str = "") -> str:
        """Return the form for the authenticator's code; ``voucher`` says whose it must be."""
        return render("second_factor.html", asking=self, voucher=voucher, error=error)
