"""Secrets as files of one folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.secrets_folder import MOST, SecretProblem, read


def test_a_secret_is_the_line_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("abc=\n")
    assert read(str(tmp_path), "key") == "abc="


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing", None, r"the secret missing cannot be read from .* \(No such file or directory\); put it there"),
        ("../key", None, r"'\.\./key' is no name of a secret"),
        (".key", b"x", r"'\.key' is no name of a secret"),
        ("empty", b"\n", "must be one line that is not empty"),
        ("lines", b"a\nb\n", "must be one line that is not empty"),
        ("bytes", b"\xff\xfe", "is no text"),
        ("long", b"x" * (MOST + 1), "is too long"),
    ],
)
def test_what_is_no_secret(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SecretProblem, match=words):
        read(str(tmp_path), name)


def test_without_a_folder_there_are_none() -> None:
    with pytest.raises(SecretProblem, match="this scheduler has no folder of secrets; give --secrets-dir"):
        read("", "key")
