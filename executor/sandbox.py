"""The files around the processes: where Alluxio and Java lie, the checks, the folders' room, the configuration files,
the steps' markers.

Reads and writes the file system and nothing else. Trouble is an answer (`Mistakes`, all sentences at once), never an
exception of the operating system.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import shutil
from typing import Any, Iterable, Mapping, Sequence

from executor.document import Absent, Check, EmptyUnless, File, Folder, Mistakes

_MEBIBYTE = 1024 * 1024
# Beside a step's marker while the step runs, and after it was interrupted; holds the slot's name.
BEGUN = ".begun"


def find_variables(names: Iterable[str], sandbox: str, environment: Mapping[str, str]) -> dict[str, str] | Mistakes:
    """The values of document.VARIABLES that are asked for; what nobody asks for need not be there."""
    wanted = set(names)
    values, sentences = {"SANDBOX": sandbox}, []
    if wanted & {"ALLUXIO_HOME", "CLASS_PATH"}:
        home = _find_home(sandbox, environment)
        if home is None:
            sentences.append(
                f"No Alluxio is in the sandbox {sandbox} (looked for alluxio-*/lib and the variable ALLUXIO_HOME); "
                "let the Mesos fetcher extract the Alluxio bundle, or set ALLUXIO_HOME for this agent."
            )
        else:
            values.update(ALLUXIO_HOME=home, CLASS_PATH=_class_path(sandbox, home))
    if "JAVA" in wanted:
        java = _find_java(sandbox, environment)
        if java is None:
            looked = "JAVA_HOME/bin/java, */bin/java in the sandbox and java on PATH"
            sentences.append(
                f"No Java was found (looked for {looked}); install Java 17 on this agent or name a JRE to fetch."
            )
        else:
            values["JAVA"] = java
    return Mistakes(tuple(sentences)) if sentences else values


def _find_home(sandbox: str, environment: Mapping[str, str]) -> str | None:
    if environment.get("ALLUXIO_HOME"):
        return environment["ALLUXIO_HOME"]
    homes = [
        path
        for path in glob.glob(os.path.join(glob.escape(sandbox), "alluxio-*"))
        if os.path.isdir(os.path.join(path, "lib"))
    ]
    return max(homes, default=None)


def _class_path(sandbox: str, home: str) -> str:
    # An official tarball keeps the servers in one jar under assembly/; lib/ then holds the under storages only.
    servers = sorted(glob.glob(os.path.join(glob.escape(home), "assembly", "alluxio-server-*.jar")))
    return ":".join([os.path.join(sandbox, "conf"), *servers, os.path.join(home, "lib", "*")])


def _find_java(sandbox: str, environment: Mapping[str, str]) -> str | None:
    candidates = [os.path.join(environment["JAVA_HOME"], "bin", "java")] if environment.get("JAVA_HOME") else []
    candidates += sorted(glob.glob(os.path.join(glob.escape(sandbox), "*", "bin", "java")))
    candidates += [os.path.join(folder, "java") for folder in os.get_exec_path(environment)]
    return next((path for path in candidates if os.path.isfile(path) and os.access(path, os.X_OK)), None)


def run_checks(checks: Iterable[Check], slot: str) -> Mistakes:
    """The sentences of the checks that fail for this slot. A path that cannot be looked at fails with its own."""
    return Mistakes(tuple(sentence for sentence in (_complaint(check, slot) for check in checks) if sentence))


def _complaint(check: Check, slot: str) -> str | None:
    try:
        if isinstance(check, Absent):
            passes = not _is_there(check.path, follow=False)
        elif isinstance(check, EmptyUnless):
            passes = _is_there(check.marker) or _begun_by(check.marker) == slot or not _names_in(check.path)
        else:
            passes = _is_there(check.path)
    except OSError as error:
        return f"{error.filename} cannot be looked at: {error.strerror}."
    return None if passes else check.sentence


def _is_there(path: str, follow: bool = True) -> bool:
    """Unlike os.path.exists, which takes every trouble for a no. Raises OSError."""
    try:
        os.stat(path, follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _names_in(path: str) -> Sequence[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return ()


def take_lock(path: str, slot: str) -> int | str:
    """Lock the file at `path` for as long as this process lives: its descriptor, which no child inherits, or the
    sentence that says who has it. A file system without locks lets everybody pass.
    """
    try:
        _make_folder(os.path.dirname(path))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        return f"The lock {path} cannot be made: {error.strerror}."
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another task"
        os.close(descriptor)
        return f"Another copy of {slot} runs on this agent ({holder}, which holds {path}); it must end first."
    except OSError:
        pass
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()}".encode("ascii"))
    return descriptor


def make_folders(folders: Sequence[Folder]) -> Mistakes:
    """Create each folder and see that its file system has room for it; an empty answer means all is well.

    A folder keeps what it holds (blocks cached by an earlier start), so that counts as room. Folders on one file system
    share it.
    """
    sentences: list[str] = []
    devices: dict[int, list[Folder]] = {}
    for folder in folders:
        try:
            _make_folder(folder.path)
            devices.setdefault(os.stat(folder.path).st_dev, []).append(folder)
        except OSError as error:
            sentences.append(f"The folder {folder.path} for {folder.purpose} cannot be made: {error.strerror}.")
    for shared in devices.values():
        sentences += _room(shared)
    return Mistakes(tuple(sentences))


def remove(path: str) -> Mistakes:
    """Remove a folder with all that is in it; one that is not there is fine."""
    sentences: list[str] = []

    def keep(function: object, name: str, trouble: Any) -> None:
        error = trouble[1]
        if not isinstance(error, FileNotFoundError):
            sentences.append(f"{name} stays: {getattr(error, 'strerror', error)}.")

    shutil.rmtree(path, onerror=keep)
    return Mistakes(tuple(sentences))


def _room(folders: Sequence[Folder]) -> Iterable[str]:
    """One sentence if the folders of one file system want more than it has."""
    wanted = sum(folder.bytes for folder in folders)
    file_system = os.statvfs(folders[0].path)
    size = file_system.f_blocks * file_system.f_frsize
    free = file_system.f_bavail * file_system.f_frsize + sum(_held(folder.path) for folder in folders)
    names = " and ".join(f"{folder.path} ({folder.purpose})" for folder in folders if folder.bytes)
    asked = f"but {_mebibytes(wanted)} are asked for; make that file system larger or ask for less"
    if size < wanted:
        yield f"The file system of {names} has {_mebibytes(size)} in all, {asked}."
    elif free < wanted:
        yield f"The file system of {names} has {_mebibytes(free)} free, {asked}."


def _held(path: str) -> int:
    """Bytes that the files under `path` take up on disk; a file that vanishes meanwhile counts for nothing."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _mebibytes(size: int) -> str:
    return f"{size // _MEBIBYTE} MiB"


def write_files(files: Sequence[File]) -> Mistakes:
    """Write each file with its mode; it never has wider rights than that, not even while it is written."""
    sentences = []
    for file in files:
        try:
            os.makedirs(os.path.dirname(file.path), exist_ok=True)
            _write(file.path, file.content, file.mode)
        except OSError as error:
            sentences.append(f"The file {file.path} cannot be written: {error.strerror}.")
    return Mistakes(tuple(sentences))


def begin_marker(path: str, slot: str) -> str | None:
    """Note that a step begins, so that an interrupted one is told apart from somebody else's work: the slot that began
    it before, if that is another one; then nothing was noted. Raises OSError.

    Of two slots that share a folder, one is the first.
    """
    _make_folder(os.path.dirname(path))
    try:
        descriptor = os.open(path + BEGUN, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        other = _begun_by(path)
        return None if other == slot else other
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(slot)
        stream.flush()
        os.fsync(stream.fileno())
    _make_durable(os.path.dirname(path))
    return None


def write_marker(path: str) -> None:
    """Note that a step is done, in a way that outlives the agent's power. Raises OSError."""
    _make_folder(os.path.dirname(path))
    try:
        os.replace(path + BEGUN, path)
    except FileNotFoundError:
        # It lay in the folder that the step emptied.
        _write(path, "", 0o644)
    _make_durable(os.path.dirname(path))


def _begun_by(marker: str) -> str | None:
    """The slot that began the step of this marker and has not ended it, None if there is none. Raises OSError."""
    try:
        with open(marker + BEGUN, encoding="utf-8", errors="replace") as stream:
            return stream.read(256)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _make_folder(path: str) -> None:
    """Make a folder and those above it, so that they outlive the agent's power. Raises OSError."""
    new = []
    folder = path
    while folder and not os.path.lexists(folder):
        new.append(folder)
        folder = os.path.dirname(folder)
    os.makedirs(path, exist_ok=True)
    for folder in new:
        _make_durable(os.path.dirname(folder))


def _make_durable(folder: str) -> None:
    """Put the names in a folder on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems know no such thing for a folder.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _write(path: str, content: str, mode: int) -> None:
    temporary = path + ".new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)
