"""The settings of a session."""

from ._call import WipedSecrets, call_ptr, call_status, encode, encode_path
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

    `Config()` is empty: it reads no file and no environment variable, and its session keeps tokens
    in memory only. `Config.load()` reads the user's `config.toml` and the environment. The keys are
    listed in docs/configuration.md in keyferry's repository.
    """

    __slots__ = ("_address",)
    _address: int

    def __init__(self, settings: "Optional[Mapping[str, Secret]]" = None) -> None:
        """Sets the given settings, such as `{"masv.api_key": key}`. Raises the errors of `set`."""
        self._address = call_ptr(_config_new)
        settings = settings or {}
        with WipedSecrets(*settings.values()) as copies:
            for key, copy in zip(settings, copies):
                call_status(_config_set, self._address, encode(key), copy)

    @classmethod
    def load(cls, path: "Union[str, bytes, PathLike[str], PathLike[bytes], None]" = None) -> "Config":
        """Reads a configuration file, then the environment, which overrides it.

        Without a path, reads `keyferry/config.toml` in the user's configuration directory, if it
        exists. Raises `ConfigError`, which names the file, key and line, or `UnsafeFile`, which
        shows the `chmod` command to run. In a process with raised privilege (setuid, setgid, file
        capabilities), reads no environment variable, and raises `ConfigError` without a path.
        """
        config = cls.__new__(cls)
        config._address = call_ptr(_config_load, None if path is None else encode_path(path))
        return config

    def set(self, key: str, value: "Secret") -> None:
        """Sets one value, which overrides file and environment.

        The value is always literal: `env:X` is not a reference to a variable. It must be UTF-8. A
        `bytearray` is wiped. Raises `ConfigError` if the key is unknown and `InvalidValue` if the
        value is invalid.
        """
        with WipedSecrets(value) as (copy,):
            call_status(_config_set, self._address, encode(key), copy)

    def __del__(self, _free: "Any" = _free) -> None:
        # The attribute is missing if the constructor failed.
        _free(getattr(self, "_address", None))

    def __reduce__(self) -> "NoReturn":
        raise TypeError("cannot copy or pickle a Config: it contains secrets; create it again where it is needed")
