"""``alluxio-mesos state``: the kept state of a service, shown, written to a file and read from one. It works on
ZooKeeper directly and needs no scheduler; nothing here talks to Mesos.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from framework import config, configuring, namespace, paths, wire
from framework.model import ExitCode, HistoryEntry, Kept, Record
from framework.store import StoreError

# The options that say which state is meant, as the scheduler has them.
PLACE: Final = tuple(option for option in config.OPTIONS if option.place)


class Refusal(Exception):
    """What was asked for is not done; the message says why and what to do."""

    def __init__(self, sentence: str, exit_code: ExitCode) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("state", help="show, export, import or mend what a service keeps in ZooKeeper")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, help_text, run in (
        ("show", "show the framework id, what was launched, what was wanted, and of which paths", _show),
        ("export", "write all of it to a file, as one JSON document", _export),
        ("import", "read such a file into a service's path", _import),
        ("forget-framework", "drop the framework id that Mesos has removed, and keep all else", _forget_framework),
    ):
        action = actions.add_parser(name, help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}.")
        for option in PLACE:
            action.add_argument(
                f"--{option.name}",
                dest=option.name,
                metavar=option.value,
                help=f"{option.help} [{option.environment}]",
            )
        action.set_defaults(run=lambda options, run=run, name=name: _guarded(name, run, options))
        if name == "show":
            action.add_argument("--json", action="store_true", help="print one JSON document")
        elif name == "forget-framework":
            action.add_argument("framework_id", metavar="FRAMEWORK_ID", help="the id, as the scheduler's log names it")
        else:
            action.add_argument("file", metavar="FILE", help="the file; - is standard output or input")
        if name == "import":
            action.add_argument("--replace", action="store_true", help="replace the state that is there")


def _guarded(
    name: str, run: Callable[[argparse.Namespace, Mapping[str, str]], None], options: argparse.Namespace
) -> int:
    place, problems = read_place(vars(options), os.environ)
    for problem in problems:
        print(f"alluxio-mesos state {name}: {problem}", file=sys.stderr)
    if problems:
        return ExitCode.CONFIGURATION
    try:
        run(options, place)
    except (Refusal, StoreError) as error:
        print(f"alluxio-mesos state {name}: {error}", file=sys.stderr)
        return error.exit_code
    return ExitCode.DONE


def read_place(given: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[dict[str, str], list[config.Problem]]:
    values: dict[str, str] = {}
    problems: list[config.Problem] = []
    for option in PLACE:
        text = given.get(option.name) or environment.get(option.environment, "") or option.default
        if text is None:
            problems.append(
                config.Problem(option.name, f"it is required ({option.help}); give it, or set {option.environment}")
            )
            continue
        try:
            values[option.name] = option.read(text)
        except config.Invalid as invalid:
            problems.append(config.Problem(option.name, str(invalid)))
    return values, problems


class Place:
    """A session, and the path of the service in it."""

    def __init__(self, place: Mapping[str, str]) -> None:
        from framework import zookeeper  # kazoo is loaded only where it is needed: --help is quick

        self.hosts = place["zookeeper"].partition("/")[0]
        self.path = config.service_path(place["zookeeper"], place["name"])
        credentials = zookeeper.read_credentials(place["zookeeper-auth-file"], os.environ)
        self.session = zookeeper.connect(self.hosts, credentials=credentials)

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *error: object) -> None:
        self.session.close()

    def kept(self) -> Kept:
        from framework.zookeeper import store

        nodes = store.read(self.session, self.path)
        if not nodes:
            raise Refusal(
                f"no state lies at {self.path} in ZooKeeper at {self.hosts}; check --zookeeper and --name",
                ExitCode.UNAVAILABLE,
            )
        return store.decode(nodes, self.path)

    def leader(self) -> str | None:
        from framework.zookeeper import election

        return election.leader_of(self.session, self.path)


# The actions ----------------------------------------------------------------------------------------------------------


def _show(options: argparse.Namespace, place: Mapping[str, str]) -> None:
    with Place(place) as there:
        kept, leader = there.kept(), there.leader()
    if options.json:
        head = {"path": there.path, "leader": leader}
        print(json.dumps({**head, **json.loads(wire.encode_state(kept))}, indent=2))
    else:
        print("\n".join(lines(kept, f"{there.path} in ZooKeeper at {there.hosts}", leader)))


def _export(options: argparse.Namespace, place: Mapping[str, str]) -> None:
    with Place(place) as there:
        kept = there.kept()
    document = wire.encode_state(kept)
    if options.file == "-":
        sys.stdout.write(document.decode())
        return
    file, scratch = Path(options.file), Path(f"{options.file}.new")
    try:
        scratch.write_bytes(document)
        scratch.replace(file)  # a file that is there is whole
    except OSError as error:
        raise Refusal(f"{file} cannot be written ({error.strerror})", ExitCode.UNAVAILABLE) from error
    print(f"{there.path}: {_counts(kept)} written to {file}")


def _import(options: argparse.Namespace, place: Mapping[str, str]) -> None:
    from framework.zookeeper import election, store

    kept = _read(options.file)
    with Place(place) as there:
        store.prepare(there.session, there.path)
        with election.lead_for_a_moment(there.session, there.path) as lead:
            if lead is None:
                leader = there.leader()
                raise Refusal(
                    f"a scheduler leads at {leader or 'an unknown address'}; stop every scheduler of the service first",
                    ExitCode.IN_USE,
                )
            if store.read(there.session, there.path) and not options.replace:
                raise Refusal(
                    f"{there.path} holds a state already; give --replace to replace it "
                    "(`alluxio-mesos state export` keeps a copy)",
                    ExitCode.IN_USE,
                )
            changed = store.ZooKeeperStore(there.session, there.path, lead).replace(kept)
    print(f"{there.path}: {_counts(kept)} imported, {changed} nodes written or removed")


def _forget_framework(options: argparse.Namespace, place: Mapping[str, str]) -> None:
    """The records stay: they alone say on which agent which journal and which volumes lie, and which journal was
    formatted. The next scheduler asks Mesos for each task, hears that none is there, and launches them where they were.
    """
    from framework.zookeeper import election, store

    with Place(place) as there:
        there.kept()  # before anything is made there
        with election.lead_for_a_moment(there.session, there.path) as lead:
            if lead is None:
                raise Refusal(
                    f"a scheduler leads at {there.leader() or 'an unknown address'}; Mesos has not removed the "
                    "framework, or the scheduler ends in a moment: try again, or stop it first",
                    ExitCode.IN_USE,
                )
            held = store.ZooKeeperStore(there.session, there.path, lead)
            kept = held.load()
            if kept.uninstalling:
                raise Refusal(
                    f"the service at {there.path} is being uninstalled; finish that with `alluxio-mesos uninstall`",
                    ExitCode.UNINSTALLING,
                )
            if kept.framework_id != options.framework_id:
                found = f"the framework id {kept.framework_id}" if kept.framework_id else "no framework id"
                raise Refusal(
                    f"{there.path} holds {found}, not {options.framework_id}; nothing was changed", ExitCode.CONFLICT
                )
            held.replace(dataclasses.replace(kept, framework_id=""))
    print(
        f"{there.path}: the framework id {options.framework_id} is forgotten; {len(kept.records)} records and "
        f"{len(kept.history)} entries of the history stay, and the next scheduler begins a new framework with them"
    )


def _read(name: str) -> Kept:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Refusal(f"{name} cannot be read ({error.strerror})", ExitCode.UNAVAILABLE) from error
    try:
        return wire.decode_state(data)
    except wire.NewerError as error:
        raise Refusal(f"{name}: {error}", ExitCode.NEWER) from error
    except wire.WireError as error:
        raise Refusal(f"{name}: {error}", ExitCode.CONFIGURATION) from error


def _counts(kept: Kept) -> str:
    framework = f"framework {kept.framework_id}" if kept.framework_id else "no framework id"
    return (
        f"{framework}, {len(kept.records)} records, {len(kept.retired)} forgotten slots, "
        f"{len(kept.history)} entries of the history"
    )


# For people -----------------------------------------------------------------------------------------------------------


def lines(kept: Kept, title: str, leader: str | None) -> list[str]:
    """The state as a page of text."""
    grouped = any(entry.groups for entry in kept.history)
    return [
        title,
        f"leader        {leader or ('no scheduler leads' if leader is None else 'an unknown address')}",
        f"framework id  {kept.framework_id or 'none yet'}",
        f"forgotten     {len(kept.retired)} slots",
        "",
        *table(
            ("SLOT", "TASK", "AGENT", "CONFIGURATION", "LAUNCHED", "MARKS", "PORTS"),
            [_record_row(record) for record in sorted(kept.records.values(), key=_order)],
            "nothing was launched",
        ),
        "",
        *table(
            (
                *("WANTED", "SINCE", "CONFIGURATION", "MASTERS", "WORKERS"),
                *(["GROUPS"] if grouped else []),
                *("PROXIES", "CHANGED"),
            ),
            [
                _entry_row(entry, before, grouped=grouped)
                for before, entry in reversed(list(zip((None, *kept.history), kept.history, strict=False)))
            ],
            "nothing was wanted yet",
        ),
        *_section(("MOUNT", "STORAGE", "HOW", "STANDS"), _mount_rows(kept)),
        *_section(
            ("PATH", "WANTED FOR GOOD"),
            [(one.path, paths.told(paths.as_document(one.attributes))) for one in kept.paths],
        ),
    ]


def _section(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Nothing where there are no rows."""
    return ["", *table(head, rows, "")] if rows else []


def table(head: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> list[str]:
    """Columns as wide as their widest cell; ``nothing`` when there are no rows."""
    if not rows:
        return [nothing]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


def _order(record: Record) -> tuple[str, str, int]:
    return record.kind.value, record.group, record.index


def _record_row(record: Record) -> tuple[str, ...]:
    marks = [name for name, is_set in (("formatted", record.formatted), ("deployed", record.deployed)) if is_set]
    marks += [f"{volume.tier} {volume.size} MiB" for volume in record.volumes]
    ports = ", ".join(f"{name} {port}" for name, port in record.ports.items())
    return (
        record.slot,
        record.task_id,
        record.hostname,
        record.configuration,
        _time(record.launched_at),
        ", ".join(marks) or "-",
        ports or "-",
    )


def _mount_rows(kept: Kept) -> Sequence[Sequence[str]]:
    """What is wanted, and what was made and is wanted no more. Whether it is there only Alluxio can tell."""
    wanted = {mount.path: mount for mount in kept.history[-1].mounts} if kept.history else {}
    rows = []
    for path in sorted({*wanted, *kept.mounts}):
        record = kept.mounts.get(path)
        mount = wanted[path] if path in wanted else kept.mounts[path].mount
        stands = ["wanted" if path in wanted else "wanted no more"]
        if record is not None:
            stands.append(f"{'made' if record.proved else 'asked for'} {_time(record.at)}")
        how = namespace.how(readonly=mount.readonly, shared=mount.shared)
        rows.append((path, mount.uri, how, ", ".join(stands)))
    return rows


def _entry_row(entry: HistoryEntry, before: HistoryEntry | None, *, grouped: bool) -> tuple[str, ...]:
    groups = ", ".join(f"{group.name} {_count(group.count)}" for group in entry.groups) or "-"
    return (
        str(entry.number),
        _time(entry.at),
        entry.configuration,
        str(entry.masters),
        _count(entry.workers),
        *([groups] if grouped else []),
        str(entry.proxies),
        "; ".join(configuring.changes(before, entry)) or "-",
    )


def _count(workers: int | None) -> str:
    return "all" if workers is None else str(workers)


def _time(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
