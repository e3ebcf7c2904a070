"""Sessions: configuration, services, cache and store."""

import os
from ctypes import addressof, c_char

from . import _abi
from ._call import WipedSecrets, call_ptr, call_status, encode, new_out_param, out_params, wrong_type
from ._library import bind_gil, bind_nogil
from .config import Config
from .error import Forked, InvalidValue, MultipleHeaders, error_from
from .request import Request
from .services import Services
from .token import Token, take_token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import Any, Dict, List, NoReturn, Optional, Union

    from ._call import Secret
    from ._library import Function
    from .token import Access

    Json = Dict[str, Any]

_open = bind_nogil("keyferry_session_open")
_free = bind_nogil("keyferry_session_free")
_token_for = bind_nogil("keyferry_session_token_for")
_cached = bind_gil("keyferry_session_cached")
_peek = bind_gil("keyferry_session_peek")
_reject = bind_nogil("keyferry_session_reject")
_reject_value = bind_nogil("keyferry_session_reject_value")
_adopt = bind_nogil("keyferry_session_adopt")
_forget = bind_nogil("keyferry_session_forget")
_explain = bind_nogil("keyferry_session_explain")
_list = bind_nogil("keyferry_session_list")
_stats = bind_nogil("keyferry_session_stats")

#: Longer header lines are taken from a token object.
_LINE_BYTES = 2048
_ZEROS = bytes(_LINE_BYTES)
#: Room for header lines: the buffer, its address, and where its length is written. For `out_params` says how they are used.
_line_buffers: "list[tuple[Any, int, Any, Any]]" = []

#: So many resources are kept as requests, which spares reading them again.
_MAX_KEPT_REQUESTS = 64


class _Handle:
    """The session of the C ABI. It is freed when nobody holds it any more: `close` takes it from the session, and calls that are under
    way in other threads keep it until they are done. So no call ever meets a session that is gone.
    """

    __slots__ = ("address", "child_handles", "process")

    def __init__(self, address: "Optional[int]") -> None:
        self.address = address
        self.process = os.getpid()
        #: By process: what a forked child uses instead.
        self.child_handles: "dict[int, _Handle]" = {}

    def __del__(self, _free: "Any" = _free) -> None:
        _free(self.address)


class _ClosedHandle:
    process = child_handles = None

    @property
    def address(self) -> "NoReturn":
        raise ValueError("the session is closed")

_CLOSED: "Any" = _ClosedHandle()


def _new_line_buffer() -> "tuple[Any, int, Any, Any]":
    buffer = (c_char * _LINE_BYTES)()
    return (buffer, addressof(buffer), *new_out_param())


class Session(Services):
    """Configuration, services, cache and store. Any thread may use it, several at once.

    ```
    with keyferry.Session() as session:
        name, value = session.header("https://api.massive.app/v1/packages/01EXAMPLE/files")
    ```

    A session in a forked child opens itself anew, from the same configuration. Each method says what it raises beyond `ValueError` for a
    closed session; every exception of the library is an `Error`.
    """

    __slots__ = ("__weakref__", "_config", "_handle", "_requests")

    def __init__(self, config: "Optional[Config]" = None) -> None:
        """Opens a session: with `config`, else with the user's `config.toml` and the environment. Goes to no network, and starts
        no thread but those that initialise plugins.

        Raises `ConfigError` or `UnsafeFile` if the configuration can't be used.
        """
        self._handle: "_Handle" = _CLOSED
        if config is not None and not isinstance(config, Config):
            raise TypeError("a session is opened with a Config")
        self._config = config
        self._requests: "dict[str, Request]" = {}
        self._handle = self._open_handle()

    @classmethod
    def default(cls) -> "Session":
        """The session of the whole process, which other parts of it share, in whatever language they are. Opened at its first use from
        the user's configuration, and never closed.
        """
        session = cls.__new__(cls)
        session._config = None
        session._requests = {}
        session._handle = _Handle(None)
        return session

    def _open_handle(self) -> "_Handle":
        return _Handle(call_ptr(_open, None if self._config is None else self._config._address))

    def close(self) -> None:
        """Closes the session: cancels refreshes and ends its threads, within a second; calls that are under way in other threads end
        first. Tokens live on. Does nothing to the default session, and nothing the second time.
        """
        if self._handle is not _CLOSED and self._handle.address is not None:
            self._handle = _CLOSED
            self._requests.clear()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: "Optional[type[BaseException]]", value: "Optional[BaseException]", trace: "Optional[TracebackType]") -> None:
        self.close()

    def __reduce__(self) -> "tuple[Any, ...]":
        if self._handle is not _CLOSED and self._handle.address is None:
            return Session.default, ()
        raise TypeError("a session can't be copied or sent to another process: open one there")

    def _call_with_handle(self, call: "Function", function: "Function", *arguments: "Any") -> "Any":
        """A call with the handle in front; where a fork made that useless, with a new one."""
        handle = self._handle
        try:
            return call(function, handle.address, *arguments)
        except Forked:
            process = os.getpid()
            if handle.process == process or handle.address is None:
                raise
        # Threads of the child may come here at once: the first one's session is everybody's.
        child_handle = self._handle = handle.child_handles.setdefault(process, self._open_handle())
        return call(function, child_handle.address, *arguments)

    def header(self, resource: str) -> "tuple[str, str]":
        """Name and value of the header for a URL or another resource, from memory if it is fresh, else from the store or the service.

        May go to the network. Raises as `token_for` does, and `MultipleHeaders` where `headers` is needed. The value is a secret.
        """
        handle = self._handle
        # One call less for a hit. What else than plain ASCII there is, and what can't be told, is left to `encode`.
        try:
            key = resource.encode() if "\0" not in resource and resource.isascii() else encode(resource)
        except (AttributeError, TypeError):
            raise wrong_type(resource) from None
        try:
            line = _line_buffers.pop()
        except IndexError:
            line = _new_line_buffer()
        buffer, address, length, reference = line
        if not _peek(handle.address, key, address, _LINE_BYTES, reference):
            name, _, value = buffer[: length.value].decode().partition(": ")
            buffer.raw = _ZEROS
            _line_buffers.append(line)
            return name, value
        buffer.raw = _ZEROS
        _line_buffers.append(line)
        # Not `token_for`: it would ask `peek` again, which says only once that a refresh is due.
        headers = self._fetch_token(self._request_for(resource)).headers
        if len(headers) != 1:
            raise error_from(_abi.KEYFERRY_E_MULTIPLE_HEADERS, None)
        return headers.popitem()

    def headers(self, resource: str) -> "dict[str, str]":
        """The headers for a URL or another resource, as `header` gets them, in a new `dict` for an HTTP client."""
        try:
            name, value = self.header(resource)
        except MultipleHeaders:
            return self.token_for(resource).headers
        return {name: value}

    async def aheaders(self, resource: str) -> "dict[str, str]":
        """`headers` for asyncio, as `atoken_for` gets them."""
        return (await self.atoken_for(resource)).headers

    def token_for(self, resource: "Union[str, Request]") -> Token:
        """The token for a URL, another resource or a `Request`, from memory if it is fresh, else from the store or the service.

        May go to the network, for as many seconds as the request or `http.timeout_ms` says; Ctrl-C takes effect after that. Threads that
        want the same token wait for one request. Raises `UnknownService`, `NoHeader`, `NotConfigured`, `LoginRequired`,
        `BadCredentials`, `NotFound`, `InsufficientAccess`, `Throttled`, `Unreachable`, `Timeout` and others of `keyferry.error`.
        Source: the services' documents.
        """
        return self._cached_if_fresh(resource) or self._fetch_token(self._request_for(resource))

    def _cached_if_fresh(self, resource: "Union[str, Request]") -> "Optional[Token]":
        """The token if it is in memory and no refresh is due: with an empty buffer, `peek` tells just that."""
        request = self._requests.get(resource)  # type: ignore[arg-type]
        if request is None:
            return None
        handle = self._handle
        if _peek(handle.address, request._key, None, 0, None) != _abi.KEYFERRY_E_BUFFER_TOO_SMALL:
            return None
        try:
            out_param = out_params.pop()
        except IndexError:
            out_param = new_out_param()
        value, reference = out_param
        token = None if _cached(handle.address, request._address, reference, None) else take_token(value.value)
        out_params.append(out_param)
        return token

    def _request_for(self, resource: "Union[str, Request]") -> Request:
        """The request for a resource. One of a text is kept for the next time, unless its query may hold a secret."""
        if isinstance(resource, Request):
            return resource
        request = Request(resource)
        if "?" not in resource:
            if len(self._requests) >= _MAX_KEPT_REQUESTS:
                self._requests.clear()
            self._requests[resource] = request
        return request

    def cached(self, resource: "Union[str, Request]") -> Token:
        """An unexpired token from memory: goes to no store and no network. Raises `NotCached` where there is none."""
        return take_token(self._call_with_handle(call_ptr, _cached, self._request_for(resource)._address))

    def _fetch_token(self, request: Request) -> Token:
        return take_token(self._call_with_handle(call_ptr, _token_for, request._address))

    async def atoken_for(self, resource: "Union[str, Request]") -> Token:
        """`token_for` for asyncio: what may wait runs in the event loop's thread pool. Cancelling the task cancels the request."""
        token = self._cached_if_fresh(resource)
        if token:
            return token
        request = self._request_for(resource)
        from asyncio import CancelledError, get_running_loop

        try:
            return await get_running_loop().run_in_executor(None, self._fetch_token, request)
        except CancelledError:
            request.cancel()
            raise

    def reject(self, token: Token) -> None:
        """Says that the service refused a token (401): its generation is dead, here and in the store, and the next call gets another. A
        later generation is not harmed. A rejected API key or SecretKey is not handed out for a while. Source: RFC 9110, 15.5.2.
        """
        self._call_with_handle(call_status, _reject, token._address)

    def reject_value(self, resource: str, value: "Secret") -> None:
        """The same for a header's value, with or without `Bearer `, that was got for a resource. Nothing happens unless it is the present
        one.
        """
        with WipedSecrets(value) as (copy,):
            self._call_with_handle(call_status, _reject_value, encode(resource), copy)

    def adopt(self, resource: str, value: "Secret", expires_at: "Optional[datetime]" = None) -> None:
        """Keeps a token that the caller got itself: of a package that it made through a Portal, of a transfer that it started.

        `resource` is `packages/ID` or `transfers/ID`, or a URL of that. `expires_at` is an aware `datetime`; without it the token says
        itself when it ends. Raises `InvalidValue` if it can't be a token or has ended, `Unsupported` if the resource takes no such token.
        """
        with WipedSecrets(value) as (copy,):
            expires = _abi.KEYFERRY_NO_EXPIRY if expires_at is None else _unix_s(expires_at)
            self._call_with_handle(call_status, _adopt, encode(resource), copy, expires)

    def forget(self, resource: str) -> None:
        """Forgets what is kept of a resource: token, record, renewal secret, refusals. Other processes drop theirs at their next read."""
        self._call_with_handle(call_status, _forget, encode(resource))

    def forget_all(self) -> None:
        """The same for everything of every account."""
        self._call_with_handle(call_status, _forget, None)

    def explain(self, resource: str) -> "Json":
        """What would happen for a resource and why: service, account, key, what is in memory, when it is refreshed, for how long the last
        failure is answered. Goes nowhere and tells no secret.
        """
        explanation: "Json" = self._json(_explain, encode(resource))
        return explanation

    def list(self) -> "List[Json]":
        """The tokens in memory and in the store, without secrets: service, account, kind, id, access, generation, expires_unix_s."""
        tokens: "List[Json]" = self._json(_list)
        return tokens

    def stats(self) -> "Json":
        """What the session did, counted: flights, waits, logins, refreshes, refusals. Hits are not counted."""
        counts: "Json" = self._json(_stats)
        return counts


def _unix_s(moment: "datetime") -> int:
    if moment.tzinfo is None:
        raise InvalidValue("expires_at has no time zone: give it one")
    from datetime import datetime, timedelta, timezone

    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(seconds=1)
