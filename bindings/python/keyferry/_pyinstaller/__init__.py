"""Tells PyInstaller where its hook for keyferry is.

The entry point `pyinstaller40` in pyproject.toml names this module. Source: PyInstaller, "Providing
PyInstaller Hooks with your Package".
"""

import os


def hook_dirs() -> "list[str]":
    return [os.path.dirname(__file__)]
