"""docs/configuration.md: the options as a page to read. Pure."""

from __future__ import annotations

from framework.option_table import ENVIRONMENT_PREFIX, OPTIONS, Option
from framework.packaging.deployment import DEPLOYMENT, SECTIONS

_HEAD = f"""\
# The options

`alluxio-mesos render docs` writes this page out of the options' table; do not edit it.

- **On the command line** `alluxio-mesos scheduler` takes each as `--NAME`, and as an environment variable:
  `--worker-ram` is `{ENVIRONMENT_PREFIX}WORKER_RAM`. The flag wins, and an empty text counts as not given.
- **In a DC/OS package, and in a file for `alluxio-mesos render marathon`**, they stand in the sections below:
  `{{"workers": {{"worker-ram": "4GB"}}}}`. Numbers are numbers there, and all else is a text. Where the default differs
  on DC/OS both are named; "the app" means that the Marathon app says it itself.
- **A change** while the service runs (`alluxio-mesos config set`, [api.md](api.md#changing-the-configuration)) restarts
  only the tasks that are launched with the option.
- **Secrets** are never values of options: they name a file, or a secret in Marathon's store. Where there is no file the
  environment may hold the secret itself.
"""


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_HEAD, *(_section(section, title) for section, title in SECTIONS.items())])


def _section(section: str, title: str) -> str:
    own = [option for option in OPTIONS if option.group == section]
    of_app = [option for option in DEPLOYMENT if option.group == section]
    parts = [f"## {title[0].upper()}{title[1:]}: `{section}`\n"]
    if own:
        rows = [_row(option, str(option.change)) for option in own]
        parts.append(_table(["option", "default", "what it is", "what to write", "a change"], rows))
    if of_app:
        if own:
            parts.append("In Marathon and DC/OS only:\n")
        rows = [_row(option) for option in of_app]
        parts.append(_table(["option", "default", "what it is", "what to write"], rows))
    return "\n".join(parts)


def _row(option: Option, *more: str) -> list[str]:
    return [f"`{option.name}`", _default(option), option.help, option.type.advice, *more]


def _default(option: Option) -> str:
    default = "required" if option.default is None else f"`{option.default}`" if option.default else ""
    dcos = f"on DC/OS `{option.dcos}`" if option.dcos is not None else "in Marathon the app" if option.app else ""
    return "; ".join(filter(None, [default, dcos]))


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
