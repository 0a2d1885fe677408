"""`python -m framework.distribution [--out FOLDER] [--assets URL] [--release NUMBER]`: what `make dist` calls."""

import argparse
import re
import sys
from pathlib import Path

from framework.artefacts import ArtefactError
from framework.distribution import NOWHERE, Order, build


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m framework.distribution", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("dist"), help="the folder to fill (default: %(default)s)")
    parser.add_argument(
        "--assets",
        type=_address,
        default=NOWHERE,
        metavar="URL",
        help="the address at which the folder will lie, which the packages name (default: %(default)s, nobody's)",
    )
    parser.add_argument(
        "--release", type=int, default=0, metavar="NUMBER", help="the package's place in its repository (default: 0)"
    )
    chosen = parser.parse_args()
    try:
        build(Order(chosen.out.absolute(), chosen.assets, chosen.release), print)
    except ArtefactError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"All of it lies in {chosen.out}.")
    if chosen.assets == NOWHERE:
        print(f"The packages fetch from {NOWHERE}, which is nobody's: `make dist ASSETS=URL` names your own address.")
    return 0


def _address(text: str) -> str:
    if not re.fullmatch(r"https?://[!#-~]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no web address; write http://host/folder")
    return text.rstrip("/")


if __name__ == "__main__":
    sys.exit(main())
