"""The command line: texts in, one call, an exit code out."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from framework import config, grouping, state_commands, uninstall_command
from framework.commands import arguments as service_commands
from framework.demo import arguments as demo
from framework.local import arguments as local
from framework.model import ExitCode
from framework.packaging import arguments as packaging

LOG_FORMAT: Final = "%(asctime)s %(levelname)-7s %(message)s"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    result: int = options.run(options)
    return result


class _Parser(argparse.ArgumentParser):
    """Lists the commands in groups and in one column, neither of which argparse can."""

    def format_help(self) -> str:
        text = re.sub(
            r"^    ([a-z-]+)\s+(?=\S)", lambda found: f"    {found[1]:<12}", super().format_help(), flags=re.M
        )
        for name, heading in service_commands.HEADINGS.items():
            text = re.sub(rf"^(?=    {name} )", f"\n  {heading}:\n", text, count=1, flags=re.M)
        return text


class _Version(argparse.Action):
    """Looks the version up only where it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import importlib.metadata

        print(f"alluxio-mesos {importlib.metadata.version('alluxio-mesos')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="alluxio-mesos",
        description="Deploys and runs an Alluxio cache cluster on Apache Mesos.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=argparse.ArgumentParser
    )
    service_commands.add(commands)
    _add_scheduler(commands)
    state_commands.add(commands)
    uninstall_command.add(commands, lambda values: _run_service(values, "uninstall", removes=True))
    local.add(commands)
    demo.add(commands)
    packaging.add(commands)
    _add_completion(commands, parser)
    return parser


def _add_completion(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parser: argparse.ArgumentParser
) -> None:
    completion = commands.add_parser(
        "completion",
        help="print what makes a shell complete commands and options",
        description='Prints what makes a shell complete commands and options: eval "$(alluxio-mesos completion bash)".',
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")
    completion.set_defaults(run=lambda options: _print_completion(parser, options.shell))


def _print_completion(parser: argparse.ArgumentParser, shell: str) -> int:
    import shtab

    print(shtab.complete(parser, shell=shell))
    return ExitCode.DONE


def _add_scheduler(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    scheduler = commands.add_parser(
        "scheduler",
        help="run the scheduler against a Mesos master",
        description="Runs the scheduler. "
        "Every option is also an environment variable, named in brackets; the option wins.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=36, width=120),
    )
    groups = {group: scheduler.add_argument_group(title) for group, title in config.GROUPS.items()}
    for option in config.OPTIONS:
        default = (
            "required" if option.default is None else f"default {option.default}" if option.default else "no default"
        )
        groups[option.group].add_argument(
            f"--{option.name}",
            dest=option.name,
            metavar=option.value,
            help=f"{option.help} ({default}) [{option.environment}]".replace("%", "%%"),
        )
    scheduler.set_defaults(run=_run_scheduler)


def option_values(given: Mapping[str, str | None], environment: Mapping[str, str]) -> dict[str, str]:
    """What the command line says, else what the environment says."""
    values = {
        option.name: given.get(option.name) or environment.get(option.environment, "") for option in config.OPTIONS
    }
    return {name: value for name, value in values.items() if value}


def _refused(command: str, problems: Iterable[config.Problem]) -> int:
    for problem in problems:
        print(f"alluxio-mesos {command}: {problem}", file=sys.stderr)
    return ExitCode.CONFIGURATION


def _run_scheduler(options: argparse.Namespace) -> int:
    return _run_service(option_values(vars(options), os.environ), "scheduler")


def _run_service(values: Mapping[str, str], command: str, *, removes: bool = False) -> int:
    """Run a scheduler with these options' texts, for this command; it removes the service when it is told to."""
    configuration = config.read(values)
    if isinstance(configuration, config.Configuration):
        configuration = config.without_secrets(configuration, os.environ) or configuration
    if not isinstance(configuration, config.Configuration):
        return _refused(command, configuration)
    first = grouping.first(values, configuration)
    if isinstance(first, list):
        return _refused(command, (config.Problem(grouping.FIRST, mistake) for mistake in first))
    logging.basicConfig(level=configuration.log_level, format=LOG_FORMAT, stream=sys.stderr)
    from framework import service  # pymesos, grpc and kazoo are loaded only where they are needed: --help is quick

    logging.getLogger("pymesos").handlers.clear()  # its import adds a handler of its own
    try:
        leaving = service.Farewell.END if removes else service.farewell(os.environ)
        return service.run(configuration, values, os.environ, first, leaving)
    except Exception:
        # A defect must not leave a process behind that looks alive (C31).
        logging.getLogger(__name__).exception("the scheduler ends because of a defect in it")
        return ExitCode.BUG
