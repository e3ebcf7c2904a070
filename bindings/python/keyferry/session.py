"""Sessions: configuration, services, cache and store."""

import os
from ctypes import addressof, byref, c_char, c_char_p, c_size_t, c_void_p

from . import _abi
from ._call import WipedSecrets, call_ptr, call_status, encode, new_out_param, out_params
from ._library import bind_gil, bind_gil_converted, bind_nogil
from ._wait import await_call, stop_sharing, wait
from .config import Config
from .error import Forked, InvalidValue, MultipleHeaders, error_from
from .request import Request
from .services import Services
from .token import Token, take_token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import Any, Callable, Dict, Hashable, List, NoReturn, Optional, TypeVar, Union

    from ._call import Secret
    from ._library import Function
    from ._wait import Call
    from .token import Access

    Json = Dict[str, Any]
    T = TypeVar("T")

_open = bind_nogil("keyferry_session_open")
_free = bind_nogil("keyferry_session_free")
_token_for = bind_nogil("keyferry_session_token_for")
_cached = bind_gil_converted("keyferry_session_cached")
_cached_or_error = bind_gil("keyferry_session_cached")
_peek = bind_gil_converted("keyferry_session_peek")
_reject = bind_nogil("keyferry_session_reject")
_reject_value = bind_nogil("keyferry_session_reject_value")
_adopt = bind_nogil("keyferry_session_adopt")
_forget = bind_nogil("keyferry_session_forget")
_explain = bind_nogil("keyferry_session_explain")
_list = bind_nogil("keyferry_session_list")
_stats = bind_nogil("keyferry_session_stats")

#: Size of the buffer for a header line. Longer lines are read from a token object.
_LINE_BYTES = 2048
_ZEROS = bytes(_LINE_BYTES)
_LINE_BYTES_ARGUMENT: "Any" = c_size_t.from_param(_LINE_BYTES)
_NO_BYTES_ARGUMENT: "Any" = c_size_t.from_param(0)
#: Buffers for header lines: the buffer, a reference to it, and the same memory as a C string. They
#: are taken and put back like `out_params`.
_line_buffers: "list[tuple[Any, Any, Any]]" = []

#: The statuses of `peek` for a cached token that needs no refresh, if the buffer is empty.
_IS_CACHED = (_abi.KEYFERRY_E_BUFFER_TOO_SMALL, _abi.KEYFERRY_E_MULTIPLE_HEADERS)

#: Raises TypeError if its argument is not a `str`.
_encode_str = str.encode

#: Maximum number of requests that a session keeps, one for each resource. A kept request saves
#: parsing the resource again.
_MAX_KEPT_REQUESTS = 64


class _Handle:
    """A session of the C ABI, freed when the last reference to it is dropped.

    `close` drops the reference of the `Session`. Calls that are running in other threads keep
    theirs until they return, so no call uses a freed session.
    """

    __slots__ = ("address", "argument", "child_handles", "process")

    def __init__(self, address: "Optional[int]") -> None:
        self.address = address
        #: The address, converted for functions of `bind_gil_converted`.
        self.argument: "Any" = c_void_p.from_param(address)
        self.process = os.getpid()
        #: The handles that forked children use instead, by process id.
        self.child_handles: "dict[int, _Handle]" = {}

    def __del__(self, _free: "Any" = _free) -> None:
        _free(self.address)


class _ClosedHandle:
    process = child_handles = None

    @property
    def address(self) -> "NoReturn":
        raise ValueError("the session is closed")

    argument = address


_CLOSED: "Any" = _ClosedHandle()


def _new_line_buffer() -> "tuple[Any, Any, Any]":
    buffer = (c_char * _LINE_BYTES)()
    return buffer, byref(buffer), c_char_p(addressof(buffer))


class Session(Services):
    """Configuration, services, cache and store. Any number of threads may use it at once.

    ```
    with keyferry.Session() as session:
        name, value = session.header("https://api.massive.app/v1/packages/01EXAMPLE/files")
    ```

    In a forked child, a session opens itself again with the same configuration. Each method
    documents the errors that it raises. All of them also raise `ValueError` if the session is
    closed. Every exception of the library is an `Error`.
    """

    __slots__ = ("__weakref__", "_config", "_handle", "_requests")

    def __init__(self, config: "Optional[Config]" = None) -> None:
        """Opens a session with `config`, by default with the user's `config.toml` and the
        environment.

        Uses no network. Starts no threads, except to initialize plugins.

        Raises `ConfigError` or `UnsafeFile` if the configuration can't be used.
        """
        self._handle: "_Handle" = _CLOSED
        if config is not None and not isinstance(config, Config):
            raise TypeError(f"expected a Config, not {type(config).__name__}; pass a keyferry.Config")
        self._config = config
        self._requests: "dict[str, Request]" = {}
        self._handle = self._open_handle()

    @classmethod
    def default(cls) -> "Session":
        """Returns the default session of the process.

        Code in other languages in the same process shares this session. Its first use opens the
        session from the user's configuration. It is never closed.
        """
        session = cls.__new__(cls)
        session._config = None
        session._requests = {}
        session._handle = _Handle(None)
        return session

    def _open_handle(self) -> "_Handle":
        return _Handle(call_ptr(_open, None if self._config is None else self._config._address))

    def close(self) -> None:
        """Closes the session: cancels refreshes and ends its threads, within 1 second.

        Calls that are running in other threads finish first. Tokens remain valid. A second call
        does nothing. The default session can't be closed: for it, `close` does nothing.
        """
        if not self._is_default:
            self._handle = _CLOSED
            self._requests.clear()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: "Optional[type[BaseException]]", value: "Optional[BaseException]", trace: "Optional[TracebackType]") -> None:
        self.close()

    @property
    def _is_default(self) -> bool:
        """Whether this is the default session of the process."""
        return self._handle is not _CLOSED and self._handle.address is None

    def __reduce__(self) -> "tuple[Any, ...]":
        if self._is_default:
            return Session.default, ()
        raise TypeError("cannot copy or pickle a Session; open another one where it is needed")

    def _call_with_handle(self, call: "Function", function: "Function", *arguments: "Any") -> "Any":
        """Calls a function with the session's handle.

        If the handle was created before a fork, opens a new one and calls the function again.
        """
        handle = self._handle
        try:
            return call(function, handle.address, *arguments)
        except Forked:
            process = os.getpid()
            if handle.process == process or handle.address is None:
                raise
        # Several threads of the child may get here at once. They all use the session of the first
        # one.
        child_handle = self._handle = handle.child_handles.setdefault(process, self._open_handle())
        return call(function, child_handle.address, *arguments)

    def _wait(self, function: "Callable[[], T]") -> "T":
        """Makes a call that can't be cancelled. Ctrl-C ends the wait, but not the call."""
        owner = self._sharing_owner()
        try:
            result: "T" = wait(None, lambda _: (function, None))
            return result
        finally:
            stop_sharing(owner)

    def _change(self, function: "Function", *arguments: "Any") -> None:
        """Calls a function that changes what the session knows of its tokens."""
        owner = self._sharing_owner()
        try:
            self._call_with_handle(call_status, function, *arguments)
        finally:
            stop_sharing(owner)

    def header(self, resource: str) -> "tuple[str, str]":
        """Returns the name and value of the header for a URL or another resource.

        A fresh header comes from the cache, any other from the store or the service.

        May use the network. Raises the errors of `token_for`, and `MultipleHeaders` if there are
        several headers; use `headers` then. The value is a secret.
        """
        handle = self._handle
        # Encoding here saves a function call for each cache hit. `encode` raises the error for a
        # resource that can't be passed to C.
        try:
            key = _encode_str(resource)
        except (TypeError, UnicodeEncodeError):
            key = b"\0"
        if 0 in key:
            key = encode(resource)
        try:
            line = _line_buffers.pop()
        except IndexError:
            line = _new_line_buffer()
        buffer, reference, text = line
        status = _peek(handle.argument, key, reference, _LINE_BYTES_ARGUMENT, None)
        if not status:
            name, _, value = text.value.decode().partition(": ")
            buffer.raw = _ZEROS
            _line_buffers.append(line)
            return name, value
        buffer.raw = _ZEROS
        _line_buffers.append(line)
        if status == _abi.KEYFERRY_E_MULTIPLE_HEADERS:
            raise error_from(status, None)
        # Don't call `token_for`: it would call `peek` again, which reports only once that a refresh
        # is due.
        headers = self._fetch_token(self._request_for(resource)).headers
        if len(headers) != 1:
            raise error_from(_abi.KEYFERRY_E_MULTIPLE_HEADERS, None)
        return headers.popitem()

    def headers(self, resource: str) -> "dict[str, str]":
        """Returns the headers for a URL or another resource, in a new `dict`.

        Uses the cache, the store and the network as `header` does. Raises the errors of
        `token_for`.
        """
        try:
            name, value = self.header(resource)
        except MultipleHeaders:
            return self.token_for(resource).headers
        return {name: value}

    async def aheaders(self, resource: str) -> "dict[str, str]":
        """The asynchronous version of `headers`. Waits as `atoken_for` does."""
        return (await self.atoken_for(resource)).headers

    def token_for(self, resource: "Union[str, Request]") -> Token:
        """Returns the token for a URL, another resource or a `Request`.

        A fresh token comes from the cache, any other from the store or the service.

        May use the network. Waits at most as long as the request's timeout or `http.timeout_ms`.
        Ctrl-C ends the wait at once. If several threads need the same token, keyferry fetches it
        once. Raises `UnknownService`, `NoHeader`, `NotConfigured`, `LoginRequired`,
        `BadCredentials`, `NotFound`, `InsufficientAccess`, `Throttled`, `Unreachable`, `Timeout`
        and others of `keyferry.error`. Source: the services' documentation.
        """
        return self._cached_if_fresh(resource) or self._fetch_token(self._request_for(resource))

    def _cached_if_fresh(self, resource: "Union[str, Request]") -> "Optional[Token]":
        """Returns the token if it is cached and no refresh is due.

        The status of `peek` with an empty buffer says whether both are true.
        """
        handle = self._handle
        request = self._kept_request_for(resource)
        if not request._can_peek:
            return None
        if _peek(handle.argument, request._key, None, _NO_BYTES_ARGUMENT, None) not in _IS_CACHED:
            return None
        return self._cached_token(request)

    def _cached_token(self, request: Request) -> "Optional[Token]":
        """Returns an unexpired token from the cache, or `None` if the call fails."""
        handle = self._handle
        try:
            out_param = out_params.pop()
        except IndexError:
            out_param = new_out_param()
        value, reference = out_param
        token = None if _cached(handle.argument, request._argument, reference, None) else take_token(value.value)
        out_params.append(out_param)
        return token

    def _kept_request_for(self, resource: "Union[str, Request]") -> Request:
        """Returns the kept request for a resource, or a new one.

        In a forked child, the kept request may be the parent's, which gets no token.
        """
        if type(resource) is Request:
            return resource
        return self._requests.get(resource) or self._request_for(resource)  # type: ignore[arg-type]

    def _request_for(self, resource: "Union[str, Request]") -> Request:
        """Returns the request for a resource.

        Keeps a request made from a string for the next call, unless the string has a query, which
        may contain a secret.
        """
        if isinstance(resource, Request):
            return resource
        request = Request(resource)
        if "?" not in resource:
            if len(self._requests) >= _MAX_KEPT_REQUESTS:
                self._requests.clear()
            self._requests[resource] = request
        return request

    def cached(self, resource: "Union[str, Request]") -> Token:
        """Returns an unexpired token from the cache.

        Uses neither store nor network. Raises `NotCached` if there is none.
        """
        token = self._cached_token(self._kept_request_for(resource))
        if token:
            return token
        # The call failed. This one raises the error, and works in a forked child.
        return take_token(self._call_with_handle(call_ptr, _cached_or_error, self._request_for(resource)._address))

    def _fetch_token(self, request: Request) -> Token:
        token: Token = wait(self._sharing_key(request), lambda timeout: self._token_call(request, timeout), request)
        return token

    def _sharing_key(self, request: Request) -> "Hashable":
        return self._sharing_owner(), request._sharing_key()

    def _sharing_owner(self) -> "Optional[_Handle]":
        """Returns the handle whose callers share their waits. All default sessions are one."""
        return self._handle if self._handle.address is not None else None

    def _token_call(self, request: Request, timeout: "Optional[float]") -> "Call":
        """Returns a call for a token, with a request of its own: the caller's may live longer."""
        copy = request._copy(timeout)
        return (lambda: take_token(self._call_with_handle(call_ptr, _token_for, copy._address))), copy.cancel

    async def atoken_for(self, resource: "Union[str, Request]") -> Token:
        """The asynchronous version of `token_for`, for asyncio and trio.

        A task that has to wait doesn't block its event loop, and uses no thread of the loop's own
        pool. Tasks that need the same token share one thread of keyferry's. Cancelling a task ends
        its wait. The others' goes on.
        """
        token = self._cached_if_fresh(resource)
        if token:
            return token
        request = self._request_for(resource)
        fetched: Token = await await_call(self._sharing_key(request), lambda timeout: self._token_call(request, timeout), request)
        return fetched

    def reject(self, token: Token) -> None:
        """Reports that the service responded with a 401 to a token.

        This session doesn't get the token again, for any resource. If the service then accepts the
        token, the session gets it again after 10 seconds. Other sessions and processes go on using
        it until a newer one is stored. Prefer `reject_value`, which names the resource. Source: RFC
        9110, 15.5.2.
        """
        self._change(_reject, token._address)

    def reject_value(self, resource: str, value: "Secret") -> None:
        """Reports that the service responded with a 401 to a header value, with or without
        `Bearer `, that keyferry returned for a resource.

        No process gets the token for this resource again; other resources go on using it. The next
        call for the resource returns a new token if the service doesn't accept the old one any
        more. Otherwise it raises `InsufficientAccess`, or `BadCredentials` if the service can't be
        asked. Does nothing if the value isn't the current one.
        """
        with WipedSecrets(value) as (copy,):
            self._change(_reject_value, encode(resource), copy)

    def adopt(self, resource: str, value: "Secret", expires_at: "Optional[datetime]" = None) -> None:
        """Adds a token that the caller got without keyferry.

        Examples are the token of a package that the caller created in a Portal (a MASV team's upload
        page), and the token of a transfer that the caller started. `resource` is `packages/ID`, `transfers/ID`, or a URL of
        one of them. `expires_at` is an aware `datetime`; without it the expiry is read from the
        token.

        Raises `InvalidValue` if the value can't be a token or has expired, `Unsupported` if the
        resource doesn't accept adopted tokens.
        """
        with WipedSecrets(value) as (copy,):
            expires = _abi.KEYFERRY_NO_EXPIRY if expires_at is None else _unix_s(expires_at)
            self._change(_adopt, encode(resource), copy, expires)

    def forget(self, resource: str) -> None:
        """Deletes everything that keyferry caches or stores for a resource: the token, the secret
        that refreshes the token, and recorded rejections of a credential.

        Other processes delete their copies when they next read the store.
        """
        self._change(_forget, encode(resource))

    def forget_all(self) -> None:
        """Does what `forget` does, for all resources of all accounts."""
        self._change(_forget, None)

    def explain(self, resource: str) -> "Json":
        """Explains which credential a resource would get and why: the service, the account, the key
        of the token in the cache, the cached token, when keyferry will refresh the token, and how
        long keyferry will return the last error without a new network request.

        Uses no network. The result contains no secret.
        """
        explanation: "Json" = self._json(_explain, encode(resource))
        return explanation

    def list(self) -> "List[Json]":
        """Returns the cached and stored tokens without secrets: service, account, kind, id, access,
        generation, expires_unix_s.
        """
        tokens: "List[Json]" = self._json(_list)
        return tokens

    def stats(self) -> "Json":
        """Returns counters of the session, such as flights, waits, logins, refreshes and rejected
        tokens. A flight is one fetch that several callers share.

        Cache hits are not counted.
        """
        counts: "Json" = self._json(_stats)
        return counts


def _unix_s(moment: "datetime") -> int:
    if moment.tzinfo is None:
        raise InvalidValue("expires_at has no time zone; pass an aware datetime")
    from datetime import datetime, timedelta, timezone

    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(seconds=1)
