"""The one thing that setup.cfg cannot say: the gRPC stubs are generated when the package is built."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent))  # the build backend does not put it there

from framework.artefacts import ArtefactError, Artefacts, default_directory


class BuildWithStubs(build_py):
    """Runs for a wheel and for an editable installation alike."""

    def run(self) -> None:
        try:
            Artefacts(default_directory()).stubs()
        except ArtefactError as error:
            sys.exit(str(error))
        super().run()


setup(cmdclass={"build_py": BuildWithStubs})
