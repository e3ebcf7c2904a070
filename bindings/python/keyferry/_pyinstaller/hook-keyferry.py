"""PyInstaller's hook for keyferry: takes the shared library into the program.

PyInstaller finds only libraries whose names are constants in the code.
"""

from PyInstaller.utils.hooks import collect_dynamic_libs  # type: ignore[import-not-found, import-untyped, unused-ignore]

binaries = collect_dynamic_libs("keyferry")
