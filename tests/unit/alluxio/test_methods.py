"""The table of methods says what the .proto files of Alluxio's jar say; what is common to all calls is always sent."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from framework import alluxio
from framework.alluxio import methods, stubs
from framework.alluxio.stubs import common_pb2 as common
from framework.alluxio.stubs import file_system_master_pb2 as protocol

METHODS = {name: method for name, method in vars(methods).items() if isinstance(method, methods.Method)}
FOR_EVER = protocol.FileSystemMasterCommonPOptions(ttl=-1, ttlAction=common.FREE, syncIntervalMs=-1)


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
    assert len(METHODS) == 29
    for method in METHODS.values():
        types = (method.request.DESCRIPTOR.full_name, method.response.DESCRIPTOR.full_name)
        assert declared[method.path] == types, method.path


def sent(method: methods.Method[Any, Any], request: Any) -> Any:
    return method.request.FromString(method.serialized(request))


def common_of(message: Any) -> list[Any]:
    """All common options in it, however deep."""
    found = [value for field, value in message.ListFields() if field.message_type is not None]
    if isinstance(message, protocol.FileSystemMasterCommonPOptions):
        return [message]
    return [options for value in found for options in common_of(value)]


def has_common(kind: Any) -> bool:
    inner = [field.message_type for field in kind.fields if field.message_type is not None]
    return any(one.name == "FileSystemMasterCommonPOptions" or has_common(one) for one in inner)


def test_each_call_about_a_path_says_that_what_it_finds_lives_for_ever() -> None:
    """Also where its request says nothing at all. Left out it is 0 to Alluxio: found and deleted."""
    told = {
        name: common_of(sent(method, method.request()))
        for name, method in METHODS.items()
        if has_common(method.request.DESCRIPTOR)
    }
    assert len(told) == 14
    # Here a life is what is said of the path itself.
    assert told.pop("SET_ATTRIBUTE") == [protocol.FileSystemMasterCommonPOptions(syncIntervalMs=-1)]
    assert told == {name: [FOR_EVER] for name in told}


def test_no_call_leaves_the_package_past_the_table() -> None:
    """A method made elsewhere, or a serializer of its own, would be a call that the test above does not see."""
    written = {path.name: path.read_text("utf-8") for path in Path(*alluxio.__path__).glob("*.py")}
    assert [name for name, text in written.items() if "Method(" in text] == ["methods.py"]
    # A load is asked for with bytes that hold options; those of a load have nothing common.
    assert {name for name, text in written.items() if "SerializeToString" in text} == {"methods.py", "load_request.py"}
    assert not has_common(protocol.LoadJobPOptions.DESCRIPTOR)


def test_what_a_request_says_itself_is_kept_and_the_request_is_not_changed() -> None:
    said = protocol.FileSystemMasterCommonPOptions(syncIntervalMs=0)
    request = protocol.GetStatusPRequest(path="/a", options=protocol.GetStatusPOptions(commonOptions=said))
    (filled,) = common_of(sent(methods.GET_STATUS, request))
    assert filled == protocol.FileSystemMasterCommonPOptions(ttl=-1, ttlAction=common.FREE, syncIntervalMs=0)
    assert request.options.commonOptions == said
    life = protocol.FileSystemMasterCommonPOptions(ttl=60_000, ttlAction=common.DELETE)
    change = protocol.SetAttributePRequest(path="/a", options=protocol.SetAttributePOptions(commonOptions=life))
    (filled,) = common_of(sent(methods.SET_ATTRIBUTE, change))
    assert (filled.ttl, filled.ttlAction, filled.syncIntervalMs) == (60_000, common.DELETE, -1)


def test_a_part_that_asks_for_something_by_being_there_is_filled_only_where_it_is() -> None:
    """To complete a file with options of its being persisted persists it."""
    request = protocol.CompleteFilePRequest(path="/a")
    assert not sent(methods.COMPLETE_FILE, request).options.HasField("asyncPersistOptions")
    request.options.asyncPersistOptions.persistenceWaitTime = 0
    complete = sent(methods.COMPLETE_FILE, request).options
    assert (complete.commonOptions, complete.asyncPersistOptions.commonOptions) == (FOR_EVER, FOR_EVER)
    assert complete.asyncPersistOptions.persistenceWaitTime == 0
