"""``alluxio-mesos render``: the package, the Marathon app and the page of the options, written to files."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from framework.model import ExitCode

PAGE: Final = "docs/configuration.md"


class Refused(Exception):
    """What was asked for cannot be rendered; each text says one mistake."""

    def __init__(self, *sentences: str, code: ExitCode = ExitCode.CONFIGURATION) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences
        self.code = code


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("render", help="write the DC/OS package, the Marathon app or the page of the options")
    kinds = parser.add_subparsers(title="what", required=True, metavar="WHAT")

    universe = kinds.add_parser(
        "universe",
        help="write the DC/OS package, and a repository of it alone",
        description="Writes the DC/OS package in a repository's layout, a repository file of it alone (repo.json), and "
        "the icons that belong to the assets.",
    )
    universe.add_argument("--version", required=True, metavar="VERSION", help="the package's version")
    universe.add_argument("--release", required=True, metavar="NUMBER", help="the package's place in the repository")
    universe.add_argument(
        "--assets", required=True, metavar="URL", help="the address below which the assets lie, which `make dist` makes"
    )
    universe.add_argument("--out", required=True, metavar="FOLDER", help="the folder to write to")
    universe.set_defaults(run=lambda options: _guarded("universe", options, _universe))

    marathon = kinds.add_parser(
        "marathon",
        help="write the app for plain Marathon",
        description="Writes the app that runs the scheduler. Its options stand in docs/configuration.md.",
    )
    marathon.add_argument("--options", metavar="FILE", help="the options, as the DC/OS package takes them (JSON)")
    marathon.add_argument(
        "--instances", default="1", metavar="COUNT", help="how many schedulers run, of which one leads (default 1)"
    )
    marathon.add_argument(
        "--assets",
        default="",
        metavar="URL",
        help="the address below which the assets lie that the options do not name",
    )
    marathon.add_argument("--out", required=True, metavar="FILE", help="the file to write; - is standard output")
    marathon.set_defaults(run=lambda options: _guarded("marathon", options, _marathon))

    docs = kinds.add_parser(
        "docs", help="write the page of the options", description="Writes the page of the options, in Markdown."
    )
    docs.add_argument("--out", default=PAGE, metavar="FILE", help=f"the file to write (default {PAGE})")
    docs.set_defaults(run=lambda options: _guarded("docs", options, _docs))


def _guarded(name: str, options: argparse.Namespace, run: Any) -> int:
    try:
        written: Mapping[Path | None, bytes] = run(options)
        _write(written)
    except Refused as refused:
        for sentence in refused.sentences:
            print(f"alluxio-mesos render {name}: {sentence}", file=sys.stderr)
        return refused.code
    return ExitCode.DONE


def _write(files: Mapping[Path | None, bytes]) -> None:
    """None is standard output."""
    for path, content in files.items():
        if path is None:
            sys.stdout.write(content.decode())
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise Refused(f"{path} cannot be written ({error.strerror})", code=ExitCode.UNAVAILABLE) from None


def _universe(options: argparse.Namespace) -> Mapping[Path | None, bytes]:
    from framework.packaging import universe  # what others do not need is not loaded: --help is quick

    mistakes = []
    if not universe.VERSION.fullmatch(options.version):
        mistakes.append(f"--version: {options.version!r} is not allowed; use letters, digits, dots and dashes")
    if not re.fullmatch(r"\d{1,9}", options.release):
        mistakes.append(f"--release: {options.release!r} is not allowed; write a whole number, at least 0")
    address = _address(options.assets, mistakes)
    if mistakes:
        raise Refused(*mistakes)
    found = universe.files(options.version, int(options.release), address)
    return {Path(options.out) / path: content for path, content in found.items()}


def _marathon(options: argparse.Namespace) -> Mapping[Path | None, bytes]:
    from framework.packaging import deployment, rendering

    mistakes: list[str] = []
    if not re.fullmatch("[1-9]", options.instances):
        mistakes.append(f"--instances: {options.instances!r} is not allowed; write a whole number from 1 to 9")
    address = _address(options.assets, mistakes) if options.assets else ""
    read = deployment.read(_document(options.options), rendering.ASSETS if address else ())
    if isinstance(read, list):
        mistakes += read
    if mistakes or isinstance(read, list):
        raise Refused(*mistakes)
    text = rendering.plain_app(read, address, instances=int(options.instances))
    return {None if options.out == "-" else Path(options.out): text.encode()}


def _docs(options: argparse.Namespace) -> Mapping[Path | None, bytes]:
    from framework.packaging import page

    return {Path(options.out): page.page().encode()}


def _document(file: str | None) -> Any:
    if file is None:
        return {}
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"--options: {file} cannot be read ({error.strerror})", code=ExitCode.UNAVAILABLE) from None
    except ValueError as error:
        raise Refused(f"--options: {file} is no JSON ({error})") from None


def _address(text: str, mistakes: list[str]) -> str:
    if not re.fullmatch(r"https?://[!-~]+", text) or '"' in text:
        mistakes.append(f"--assets: {text!r} is no web address; write http://host/folder")
    return text.rstrip("/")
