"""Numbers and nouns as people say them. Pure."""

from __future__ import annotations


def counted(number: object, noun: str, several: str = "") -> str:
    """3 workers; 1 worker; 10,000 workers; all workers."""
    shown = f"{number:,}" if isinstance(number, int) else str(number)
    return f"{shown} {noun if number == 1 else several or noun + 's'}"


def as_wanted(made: int, wanted: int) -> str:
    """Of storages, or of paths: 2 of 3 as wanted; nothing where none is wanted."""
    return f"{made:,} of {wanted:,} as wanted" if wanted else ""
