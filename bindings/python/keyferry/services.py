"""What a session does for one service alone, by the names that these calls have in C."""

from ._call import WipedSecrets, call_ptr, call_text, encode
from ._library import bind_gil, bind_nogil
from .token import Token, take_token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

    from ._call import Secret
    from ._library import Function

    Json = Dict[str, Any]

_masv_login = bind_nogil("masv_login")
_masv_agent_session = bind_nogil("masv_agent_session")
_masv_agent_sign_in = bind_nogil("masv_agent_sign_in")
_masv_agent_sign_up = bind_nogil("masv_agent_sign_up")
_fileverbs_bearer = bind_nogil("fileverbs_bearer")
_fileverbs_secret_key = bind_nogil("fileverbs_secret_key")


class Services:
    """The part of `Session` that knows services by name."""

    __slots__ = ()

    def _call_with_handle(self, call: "Function", function: "Function", *arguments: "Any") -> "Any":
        raise NotImplementedError

    def _json(self, function: "Function", *arguments: "Any") -> "Any":
        """A call that gives a text, read."""
        from json import loads

        return loads(self._call_with_handle(call_text, function, *arguments))

    def masv_login(self, email: "Optional[str]" = None, password: "Optional[Secret]" = None) -> Token:
        """Logs in to MASV: always one `POST /v1/auth`, also where an earlier one was refused. Goes to the network.

        What is not given is taken from `masv.email` and `masv.password`. A `bytearray` is wiped. The login is kept, so `token_for` works
        from then on; when it ends and no password is configured, that one raises `LoginRequired`. The token's `details` have `user` and
        `teams`. Raises `NotConfigured` if one is neither given nor configured; `BadCredentials` for a wrong password, and for
        accounts with MFA or SSO, which need an API key; `Unreachable`, `Timeout` and others. Source: MASV API, `POST /v1/auth`.
        """
        with WipedSecrets(email, password) as secrets:
            return take_token(self._call_with_handle(call_ptr, _masv_login, *secrets))

    def masv_agent_session(self) -> "Json":
        """Who is signed in to the MASV Agent on this machine: `user` and `teams`, as the agent sent them. Never goes through a proxy.

        Raises `LoginRequired` if nobody is, `Unreachable` if no agent runs. Source: MASV Agent, `GET /api/v1/login`.
        """
        session: "Json" = self._json(_masv_agent_session)
        return session

    def masv_agent_sign_in(self, email: "Optional[str]" = None, password: "Optional[Secret]" = None) -> "Json":
        """Signs in to the MASV Agent, which then acts as this user for all programs of the machine; returns `user` and `teams`.

        What is not given is taken from `masv.email` and `masv.password`. A `bytearray` is wiped. Raises `BadCredentials` if they are wrong,
        `Unsupported` if this agent takes an API key only. Source: MASV Agent, `POST /api/v1/login`.
        """
        with WipedSecrets(email, password) as secrets:
            session: "Json" = self._json(_masv_agent_sign_in, *secrets)
            return session

    def masv_agent_sign_up(self, email: str, password: "Secret", name: str) -> "Json":
        """Makes a MASV account through an old MASV Transfer Agent and signs in with it. Never called by keyferry itself.

        A `bytearray` is wiped. Raises `BadCredentials` if the agent will not, `Unsupported` if it is a new one. Source: MASV Transfer Agent
        (legacy), `POST /api/v1/signup`.
        """
        with WipedSecrets(email, password) as secrets:
            session: "Json" = self._json(_masv_agent_sign_up, *secrets, encode(name))
            return session

    def fileverbs_bearer(self) -> Token:
        """The `Authorization: Bearer` header of FileVerbs, renewed when it is due. May go to the network.

        Raises `NotConfigured` without `fileverbs.secret_key` and `fileverbs.api_key`, `BadCredentials` if they are wrong, `Unreachable`,
        `Timeout` and others. Source: FileVerbs API, `POST /accounts/access-token`.
        """
        return take_token(self._call_with_handle(call_ptr, _fileverbs_bearer))

    def fileverbs_secret_key(self) -> Token:
        """The `SecretKey` header of FileVerbs for machine-to-machine calls: the configured one, in the shape of a token.

        Raises `NotConfigured` without `fileverbs.secret_key`, `BadCredentials` for a while after it was rejected. Source: FileVerbs API,
        SecretKey (Integration, API Secret).
        """
        return take_token(self._call_with_handle(call_ptr, _fileverbs_secret_key))
