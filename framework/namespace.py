"""What may be mounted where: paths, storages and options as they may be asked for. Pure.

Law: everything that can be known to be wrong before Alluxio is asked is found here, all of it at once, and no secret
passes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from framework import paths
from framework.model import Mount, MountPoint, Secret

ROOT: Final = "/"
MOST: Final = 100  # mounts: each entry of the history has all of them
MOST_OPTIONS: Final = 50
LONGEST: Final = 1000  # characters of a path, a URI or an option's value
FORBIDDEN: Final = '\\:*?"<>|'  # characters of a path
MOST_TEXT: Final = 200_000  # … and of all mounts together, which lie in one node of ZooKeeper
BUNDLED: Final = ("file", "s3", "s3a", "hdfs")  # the schemes whose under-storages are in the bundle
MARK: Final = "alluxio-mesos.mark"  # the option by which a mount of this service is known
HIDDEN: Final = "******"  # how Alluxio shows an option that is a secret

# By what an option's name shows that its value is a credential.
_CREDENTIAL: Final = re.compile(
    r"access\.?key|secret|passw|token|credential|account\.key|private\.?key|encryption\.?key|^aws\.", re.IGNORECASE
)
# Alluxio shows these options under their newer names.
_NEWER: Final[Mapping[str, str]] = {"aws.accessKeyId": "s3a.accessKeyId", "aws.secretKey": "s3a.secretKey"}
_OPTION: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,199}")
_SECRET: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_URI: Final = re.compile(r"(?:([a-z][a-z0-9+.-]*)://([^/\s?#]*))?(/[^\s?#]*)?")
# Azure's, whose storages are container@account.
OF_AN_ACCOUNT: Final = ("wasb", "wasbs", "abfs", "abfss")
CREDENTIALS_IN_URI: Final = "credentials must not stand in it; give them as options, each as a secret"


# Paths and storages ---------------------------------------------------------------------------------------------------


def scheme_of(uri: str) -> str:
    return uri.partition("://")[0] if "://" in uri else "file"


def same_storage(one: str, other: str) -> bool:
    return _parts(one) == _parts(other)


def overlap(one: str, other: str) -> bool:
    """Whether one of two storages lies in the other, or is the same: Alluxio mounts no storage twice."""
    (*where, first), (*there, second) = _parts(one), _parts(other)
    return where == there and (paths.is_below(first, second) or paths.is_below(second, first))


def nests(one: str, other: str) -> bool:
    """Whether one of two paths lies in the other, or is the same."""
    return paths.is_below(one, other) or paths.is_below(other, one)


def _parts(uri: str) -> tuple[str, str, str]:
    """Scheme, authority and path. s3a is another name of s3."""
    scheme = scheme_of(uri)
    rest = uri.partition("://")[2] if "://" in uri else uri
    authority, slash, path = rest.partition("/")
    return {"s3a": "s3"}.get(scheme, scheme), authority, f"{slash}{path}".rstrip("/")


def path_mistake(path: str) -> str:
    """Why nothing can be mounted at such a path; "" where something may."""
    if path == ROOT:
        return "the root is what --under-storage says, for the life of the service; choose a path below it"
    return paths.path_mistake(path, LONGEST, FORBIDDEN)


def uri_mistake(uri: str, schemes: Collection[str] | None) -> str:
    """Why such a storage cannot be mounted; "" where it can. ``schemes`` are those that Alluxio has under-storages for
    (None: nobody knows).
    """
    match = _URI.fullmatch(uri)
    if match is None or len(uri) > LONGEST or not (match[1] or match[3]):
        return f"{uri!a:.100} is no address; write s3://bucket/folder, hdfs://namenode:8020/folder or /folder"
    scheme, authority = match[1] or "file", match[2] or ""
    account, at, _ = authority.partition("@")
    if at and (scheme not in OF_AN_ACCOUNT or ":" in account):
        return CREDENTIALS_IN_URI
    if any(part in (".", "..") for part in (match[3] or "").split("/")):
        return f"{uri!a:.100} is not normal; write it without /./ and /../"
    if scheme in ("s3", "s3a", "hdfs") and not authority:
        return f"{uri!a:.100} names no {'namenode' if scheme == 'hdfs' else 'bucket'}; write {scheme}://NAME/folder"
    if schemes is not None and scheme not in schemes:
        return (
            f"there is no under-storage for {scheme}:// here (there is for {', '.join(schemes)}); name its jar in "
            "--under-storage-jars, or give an Alluxio that has it with --alluxio-uri"
        )
    return ""


def how(*, readonly: bool, shared: bool) -> str:
    """In which way something is mounted, for people."""
    words = ["read-only" if readonly else "read and write", *(["shared"] if shared else [])]
    return ", ".join(words)


# Options --------------------------------------------------------------------------------------------------------------


def is_credential(option: str) -> bool:
    return _CREDENTIAL.search(option) is not None


def secret_mistake(name: str) -> str:
    """Why no secret is called so; "" where one may be."""
    if _SECRET.fullmatch(name):
        return ""
    return f"{name!a:.100} is no name of a secret; use letters, digits, dots, dashes and underscores, no dot first"


def option_mistakes(options: Mapping[str, str | Secret]) -> Iterator[str]:
    if len(options) > MOST_OPTIONS:
        yield f"options: there are {len(options)}; at most {MOST_OPTIONS} are allowed"
    for name, value in options.items():
        if not _OPTION.fullmatch(name) or name == MARK:
            yield f"options: {name!a:.100} is no option of Alluxio's; write one such as alluxio.underfs.s3.endpoint"
        elif isinstance(value, Secret):
            if mistake := secret_mistake(value.name):
                yield f"options: {name}: {mistake}"
        elif is_credential(name):
            yield (
                f'options: {name} is a credential, which is kept nowhere in clear text; give {{"secret": "NAME"}} '
                f"(--secret {name}=NAME on the command line), and the secret itself as the file NAME in the folder of "
                "--secrets-dir"
            )
        elif not value.strip():
            yield f"options: {name} has no value; give one, or leave the option out"
        elif len(value) > LONGEST or re.search(r"[\x00-\x1f\x7f]", value):
            yield f"options: the value of {name} must be one line of at most {LONGEST} characters"
        elif re.search(r"://[^/\s@]*@", value):
            yield f"options: {name}: {CREDENTIALS_IN_URI}"


def agrees(mount: Mount, point: MountPoint) -> bool:
    """Whether Alluxio's mount table shows what is wanted, as far as it shows it."""
    wanted = {_NEWER.get(name, name): value for name, value in mount.options.items()}
    shown = {_NEWER.get(name, name): value for name, value in point.options.items() if name != MARK}
    return (
        same_storage(mount.uri, point.uri)
        and (mount.readonly, mount.shared) == (point.readonly, point.shared)
        and wanted.keys() == shown.keys()
        and all(isinstance(value, Secret) or shown[name] in (value, HIDDEN) for name, value in wanted.items())
    )


# Several mounts -------------------------------------------------------------------------------------------------------


def in_the_way(mount: Mount, others: Iterable[Mount | MountPoint]) -> str:
    """Why this cannot be mounted beside those; "" where it can. Each is at another path."""
    beside = tuple(others)
    for other in beside:
        if other.path != ROOT and nests(mount.path, other.path):
            inner, outer = sorted((mount.path, other.path), key=len, reverse=True)
            return f"path: {inner} would lie in the mount {outer}; mounts do not nest, so choose another path"
    for other in beside:
        if overlap(mount.uri, other.uri):
            return (
                f"uri: {mount.uri} overlaps with {other.uri}, which has its place at {other.path}; Alluxio mounts no "
                "storage twice, so name another folder"
            )
    return ""


def mistakes(mount: Mount, others: Collection[Mount | MountPoint], schemes: Collection[str] | None) -> Iterator[str]:
    """All that is wrong with what is asked for. ``others`` are mounted at other paths, or shall be."""
    wrong_path, wrong_uri = path_mistake(mount.path), uri_mistake(mount.uri, schemes)
    if wrong_path:
        yield f"path: {wrong_path}"
    if wrong_uri:
        yield f"uri: {wrong_uri}"
    yield from option_mistakes(mount.options)
    if not (wrong_path or wrong_uri) and (nested := in_the_way(mount, others)):
        yield nested


def all_mistakes(mounts: Collection[Mount]) -> Iterator[str]:
    """What is too much of all of them together."""
    if len(mounts) > MOST:
        yield f"path: there would be {len(mounts)} mounts; at most {MOST} are allowed, so remove one first"
    if sum(map(_length, mounts)) > MOST_TEXT:
        yield f"options: all mounts together would have more than {MOST_TEXT:,} characters; remove some first"


def _length(mount: Mount) -> int:
    options = sum(
        len(name) + len(value.name if isinstance(value, Secret) else value) for name, value in mount.options.items()
    )
    return len(mount.path) + len(mount.uri) + options


def read(text: str) -> tuple[Mount, ...]:
    """``/s3=s3://bucket/prefix;/nfs=/mnt/nfs`` as mounts.

    Raises:
        ValueError: the message says what is wrong.
    """
    found: list[Mount] = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        path, equals, uri = (word.strip() for word in part.partition("="))
        if not equals:
            raise ValueError(f"{part!r} is no mount; write /path=URI with ';' between several")
        mount = Mount(path, uri)
        if any(other.path == path for other in found):
            raise ValueError(f"{path!r} is given twice")
        if wrong := next(mistakes(mount, found, None), ""):
            raise ValueError(wrong)
        found.append(mount)
    if wrong := next(all_mistakes(found), ""):
        raise ValueError(wrong)
    return tuple(sorted(found, key=lambda mount: mount.path))
