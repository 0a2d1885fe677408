"""Fills the generated stub modules: message classes and enum values out of the descriptor set that the build made.

Nothing here knows Alluxio; what the modules offer is typed by the .pyi files beside them.
"""

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

_POOL = descriptor_pool.DescriptorPool()


def load(name: str, module: dict[str, Any]) -> None:
    """Put all that the .proto file `name` declares into the namespace `module`, as protoc's own Python code would."""
    file = _file(name)
    module["DESCRIPTOR"] = file
    for message_name, message in file.message_types_by_name.items():
        module[message_name] = message_factory.GetMessageClass(message)
    for enum_name, enum in file.enum_types_by_name.items():
        module[enum_name] = EnumTypeWrapper(enum)
        module.update((value.name, value.number) for value in enum.values)


def _file(name: str) -> Any:
    """The file's descriptor; the first call reads the whole set, which lists imports before their importers."""
    try:
        return _POOL.FindFileByName(name)
    except KeyError:
        content = (Path(__file__).parent / "stubs" / "descriptors.binpb").read_bytes()
        for file in descriptor_pb2.FileDescriptorSet.FromString(content).file:
            _POOL.Add(file)
        return _POOL.FindFileByName(name)
