"""Secrets by name, each a file in one folder, as Marathon's file-based secrets give them. They are read at the moment
when they are used, and kept nowhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from framework.namespace import secret_mistake

MOST: Final = 64 * 1024  # bytes


class SecretProblem(Exception):
    """A secret that cannot be had; the message says which and what to do."""


def read(folder: str, name: str) -> str:
    """The text of the file, without the line's end after it.

    Raises:
        SecretProblem: there is no such file, or it holds no text.
    """
    if mistake := secret_mistake(name):
        raise SecretProblem(mistake)
    if not folder:
        raise SecretProblem(
            f"the secret {name} cannot be read, as this scheduler has no folder of secrets; give --secrets-dir"
        )
    path = Path(folder) / name
    try:
        if path.stat().st_size > MOST:
            raise SecretProblem(f"the secret {name} is too long: {path} may hold at most {MOST} bytes")
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise SecretProblem(
            f"the secret {name} cannot be read from {folder} ({error.strerror}); put it there as a file of this name"
        ) from error
    except UnicodeDecodeError:
        raise SecretProblem(f"the secret {name} is no text; {path} must hold UTF-8") from None
    if not text or "\n" in text or "\0" in text:
        raise SecretProblem(f"the secret {name} must be one line that is not empty; look at {path}")
    return text
