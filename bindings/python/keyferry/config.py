"""Configurations: the settings of a session."""

from ._call import WipedSecrets, call_ptr, call_status, encode
from ._library import bind_gil, bind_nogil
from .error import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any, Mapping, NoReturn, Optional, Union

    from ._call import Secret

_config_new = bind_gil("keyferry_config_new")
_config_load = bind_nogil("keyferry_config_load")
_config_set = bind_gil("keyferry_config_set")
_free = bind_gil("keyferry_config_free")


class Config:
    """The settings of a session.

    `Config()` begins with nothing: no file and no variable is read, and tokens stay in memory. `Config.load()` begins with the user's
    `config.toml` and the environment. The keys stand in the configuration table of keyferry's README.
    """

    __slots__ = ("_address",)
    _address: int

    def __init__(self, settings: "Optional[Mapping[str, Secret]]" = None) -> None:
        """Takes settings by key, such as `{"masv.api_key": key}`. Raises as `set` does."""
        self._address = call_ptr(_config_new)
        settings = settings or {}
        with WipedSecrets(*settings.values()) as copies:
            for key, copy in zip(settings, copies):
                call_status(_config_set, self._address, encode(key), copy)

    @classmethod
    def load(cls, path: "Union[str, PathLike[str], None]" = None) -> "Config":
        """Reads a file and, over it, the environment. Without a path: `keyferry/config.toml` in the user's configuration folder, which
        may be absent. Raises `ConfigError` with file, key and line, or `UnsafeFile` with the `chmod` that mends it.
        """
        config = cls.__new__(cls)
        config._address = call_ptr(_config_load, None if path is None else encode(str(path)))
        return config

    def set(self, key: str, value: "Secret") -> None:
        """Sets one value, over file and environment. It is always literal: `env:X` is a password that begins so.

        `value` is UTF-8; a `bytearray` is wiped. Raises `ConfigError` if there is no such key, `InvalidValue` if the value is out of range.
        """
        with WipedSecrets(value) as (copy,):
            call_status(_config_set, self._address, encode(key), copy)

    def __del__(self, _free: "Any" = _free) -> None:
        # What could not be made has none.
        _free(getattr(self, "_address", None))

    def __reduce__(self) -> "NoReturn":
        raise TypeError("a configuration holds secrets and can't be copied or sent to another process")
