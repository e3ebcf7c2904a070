"""Configurations: the settings of a session."""

from ._call import Wiped, done, encoded, made
from ._library import quick, slow
from .error import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any, Mapping, NoReturn, Optional, Union

    from ._call import Secret

_config_new = quick("keyferry_config_new")
_config_load = slow("keyferry_config_load")
_config_set = quick("keyferry_config_set")
_free = quick("keyferry_config_free")


class Config:
    """The settings of a session.

    `Config()` begins with nothing: no file and no variable is read, and tokens stay in memory. `Config.load()` begins with the user's
    `config.toml` and the environment. The keys stand in the configuration table of keyferry's README.
    """

    __slots__ = ("_address",)
    _address: int

    def __init__(self, settings: "Optional[Mapping[str, Secret]]" = None) -> None:
        """Takes settings by key, such as `{"masv.api_key": key}`. Raises as `set` does."""
        self._address = made(_config_new)
        settings = settings or {}
        with Wiped(*settings.values()) as copies:
            for key, copy in zip(settings, copies):
                done(_config_set, self._address, encoded(key), copy)

    @classmethod
    def load(cls, path: "Union[str, PathLike[str], None]" = None) -> "Config":
        """Reads a file and, over it, the environment. Without a path: `keyferry/config.toml` in the user's configuration folder, which
        may be absent. Raises `BadConfig` with file, key and line, or `UnsafeFile` with the `chmod` that mends it.
        """
        config = cls.__new__(cls)
        config._address = made(_config_load, None if path is None else encoded(str(path)))
        return config

    def set(self, key: str, value: "Secret") -> None:
        """Sets one value, over file and environment. It is always literal: `env:X` is a password that begins so.

        `value` is UTF-8; a `bytearray` is wiped. Raises `BadConfig` if there is no such key, `BadValue` if the value is out of range.
        """
        with Wiped(value) as (copy,):
            done(_config_set, self._address, encoded(key), copy)

    def __del__(self, _free: "Any" = _free) -> None:
        # What could not be made has none.
        _free(getattr(self, "_address", None))

    def __reduce__(self) -> "NoReturn":
        raise TypeError("a configuration holds secrets and can't be copied or sent to another process")
