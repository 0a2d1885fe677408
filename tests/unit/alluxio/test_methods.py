"""The table of methods says what the .proto files of Alluxio's jar say."""

from __future__ import annotations

import importlib
import pkgutil

from framework.alluxio import methods, stubs


def test_every_method_has_the_path_and_types_of_the_proto_files() -> None:
    modules = [
        importlib.import_module(f"{stubs.__name__}.{found.name}") for found in pkgutil.iter_modules(stubs.__path__)
    ]
    declared = {
        f"{service.full_name}/{method.name}": (method.input_type.full_name, method.output_type.full_name)
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    used = [value for value in vars(methods).values() if isinstance(value, methods.Method)]
    assert len(used) == 29
    for method in used:
        types = (method.request.DESCRIPTOR.full_name, method.response.DESCRIPTOR.full_name)
        assert declared[method.path] == types, method.path
