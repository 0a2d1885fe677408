"""How a command gives its answer: standard output is the answer's alone, as a picture or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from framework.commands import waiting


def write(picture: RenderableType, width: int | None = waiting.WIDE) -> None:
    """``width`` holds where no terminal is. Written here and not by rich, which hides that a reader has gone."""
    console = Console(highlight=False)
    if not console.is_terminal and width is not None:
        console = Console(highlight=False, width=width)
    with console.capture() as captured:
        console.print(picture, soft_wrap=isinstance(picture, Text))
    # By lines, so that a reader that has gone is noticed soon; rich fills them up to the table's width.
    sys.stdout.writelines(f"{line.rstrip(' ')}\n" for line in captured.get().removesuffix("\n").split("\n"))
    sys.stdout.flush()


def answer(options: argparse.Namespace, document: Any, picture: Callable[[], RenderableType]) -> None:
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        write(picture())


def line(document: Mapping[str, Any]) -> None:
    """One document a line, for scripts that read as it goes."""
    print(json.dumps(document), flush=True)
