"""The DC/OS package: its four files in a repository's layout, and a repository of this one package. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from framework.packaging import form, icons, rendering

NAME: Final = "alluxio-mesos"
VERSION: Final = re.compile(r"[-a-zA-Z0-9.]+")


def files(
    version: str, release: int, address: str, assets: Mapping[str, str] = rendering.ASSETS
) -> Mapping[str, bytes]:
    """Path by path what is to be written; the assets lie at ``address``, and the icons belong there too."""
    package = rendering.package(version)
    template = rendering.app(rendering.Mustache(), dcos=True)
    config = _json(form.document())
    resource = rendering.resource(address, assets)
    folder = f"repo/packages/{NAME[0].upper()}/{NAME}/{release}"
    texts = {
        f"{folder}/package.json": package,
        f"{folder}/config.json": config,
        f"{folder}/marathon.json.mustache": template,
        f"{folder}/resource.json": resource,
        "repo.json": _repository(json.loads(package), release, config, template, resource),
    }
    drawn = {f"assets/{name}.png": icons.png(side) for name, side in icons.SIZES.items()}
    # Universe takes ASCII only, without escapes; encoding is what proves it.
    return {path: text.encode("ascii") for path, text in texts.items()} | drawn


def _repository(package: Mapping[str, Any], release: int, config: str, template: str, resource: str) -> str:
    """What ``dcos package repo add`` takes."""
    entry = {
        **package,
        "releaseVersion": release,
        "config": json.loads(config),
        "marathon": {"v2AppMustacheTemplate": base64.b64encode(template.encode("ascii")).decode()},
        "resource": json.loads(resource),
    }
    return _json({"packages": [entry]})


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
