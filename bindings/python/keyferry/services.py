"""Methods of a session that are specific to one service.

Their names are those of the C functions.
"""

from ._call import WipedSecrets, call_ptr, call_text, encode
from ._library import bind_gil, bind_nogil
from .token import Token, take_token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, TypeVar

    from ._call import Secret
    from ._library import Function

    Json = Dict[str, Any]
    T = TypeVar("T")

_masv_login = bind_nogil("masv_login")
_masv_agent_session = bind_nogil("masv_agent_session")
_masv_agent_sign_in = bind_nogil("masv_agent_sign_in")
_masv_agent_sign_up = bind_nogil("masv_agent_sign_up")
_fileverbs_bearer = bind_nogil("fileverbs_bearer")
_fileverbs_secret_key = bind_nogil("fileverbs_secret_key")


class Services:
    """The part of `Session` with the methods that are specific to one service."""

    __slots__ = ()

    def _call_with_handle(self, call: "Function", function: "Function", *arguments: "Any") -> "Any":
        raise NotImplementedError

    def _json(self, function: "Function", *arguments: "Any") -> "Any":
        """Calls a function that returns JSON, and parses the result."""
        from json import loads

        return loads(self._call_with_handle(call_text, function, *arguments))

    def _wait(self, function: "Callable[[], T]") -> "T":
        raise NotImplementedError

    def masv_login(self, email: "Optional[str]" = None, password: "Optional[Secret]" = None) -> Token:
        """Logs in to MASV.

        Always sends one `POST /v1/auth`, even if an earlier login was rejected.

        A missing argument is read from `masv.email` or `masv.password`. A `bytearray` is wiped. The
        login is cached and stored, so `token_for` uses it from then on. When the login expires and
        no password is configured, `token_for` raises `LoginRequired`. The token's `details` contain
        `user` and `teams`.

        Raises `NotConfigured` if an argument is neither passed nor configured; `BadCredentials` for
        a wrong password, and for accounts with MFA or SSO, which need an API key; `Unreachable`,
        `Timeout` and others. Source: MASV API, `POST /v1/auth`.
        """
        def log_in() -> Token:
            with WipedSecrets(email, password) as secrets:
                return take_token(self._call_with_handle(call_ptr, _masv_login, *secrets))

        return self._wait(log_in)

    def masv_agent_session(self) -> "Json":
        """Returns the user who is signed in to the MASV Agent on this machine: `user` and `teams`,
        as the agent sent them.

        Never uses a proxy.

        Raises `LoginRequired` if no user is signed in, `Unreachable` if no agent is running.
        Source: MASV Agent, `GET /api/v1/login`.
        """
        return self._wait(lambda: self._json(_masv_agent_session))

    def masv_agent_sign_in(self, email: "Optional[str]" = None, password: "Optional[Secret]" = None) -> "Json":
        """Signs in to the MASV Agent and returns `user` and `teams`.

        The agent then acts as this user for all programs on the machine.

        A missing argument is read from `masv.email` or `masv.password`. A `bytearray` is wiped.
        Raises `BadCredentials` if e-mail or password is wrong, `Unsupported` if this agent accepts
        only an API key. Source: MASV Agent, `POST /api/v1/login`.
        """
        def sign_in() -> "Json":
            with WipedSecrets(email, password) as secrets:
                session: "Json" = self._json(_masv_agent_sign_in, *secrets)
                return session

        return self._wait(sign_in)

    def masv_agent_sign_up(self, email: str, password: "Secret", name: str) -> "Json":
        """Creates a MASV account through a legacy MASV Transfer Agent and signs in with it.
        keyferry never does this by itself.

        A `bytearray` is wiped. Raises `BadCredentials` if the agent refuses, `Unsupported` if the
        agent is a newer one. Source: MASV Transfer Agent (legacy), `POST /api/v1/signup`.
        """
        def sign_up() -> "Json":
            with WipedSecrets(email, password) as secrets:
                session: "Json" = self._json(_masv_agent_sign_up, *secrets, encode(name))
                return session

        return self._wait(sign_up)

    def fileverbs_bearer(self) -> Token:
        """Returns the `Authorization: Bearer` header of FileVerbs, refreshed if necessary.

        May use the network.

        Raises `NotConfigured` unless both `fileverbs.secret_key` and `fileverbs.api_key` are set,
        `BadCredentials` if they are wrong, `Unreachable`, `Timeout` and others. Source: FileVerbs
        API, `POST /accounts/access-token`.
        """
        return self._wait(lambda: take_token(self._call_with_handle(call_ptr, _fileverbs_bearer)))

    def fileverbs_secret_key(self) -> Token:
        """Returns the configured `SecretKey` header of FileVerbs as a token, for machine-to-machine
        requests.

        Raises `NotConfigured` if `fileverbs.secret_key` is not set, and `BadCredentials` for a
        while after the key was rejected. Source: FileVerbs API, SecretKey (Integration, API
        Secret).
        """
        return take_token(self._call_with_handle(call_ptr, _fileverbs_secret_key))
