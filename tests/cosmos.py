"""What DC/OS's Cosmos does with a package, as far as a package's author must know it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import chevron

Json = dict[str, Any]


def defaults(schema: Mapping[str, Any]) -> Json:
    """All defaults out of config.json, section by section."""
    found: Json = {}
    for name, part in schema.get("properties", {}).items():
        if "properties" in part:
            found[name] = defaults(part)
        elif "default" in part:
            found[name] = part["default"]
    return found


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """Objects are merged, all else of ``over`` takes the place of what was there."""
    both = {**under, **over}
    for name in set(under) & set(over):
        if isinstance(under[name], dict) and isinstance(over[name], dict):
            both[name] = merged(under[name], over[name])
    return both


def encoded(value: Any) -> Any:
    """Texts as they stand between the quotes of JSON, all else as JSON."""
    if isinstance(value, dict):
        return {name: encoded(part) for name, part in value.items()}
    return json.dumps(value, ensure_ascii=False)[1:-1] if isinstance(value, str) else json.dumps(value)


def rendered(template: str, options: Json, resource: Json) -> Json:
    """The app; Cosmos's mustache escapes nothing for HTML."""
    unescaped = re.sub(r"\{\{(?=[a-z])", "{{&", template)
    text = chevron.render(unescaped, encoded({**options, "resource": resource}))
    app: Json = json.loads(text)
    return app
