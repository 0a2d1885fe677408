"""What a master remembers, and what the next one that leads reads of it."""

from __future__ import annotations

from pathlib import Path

from localmesos.registry import Registry

INFO = {"hostname": "127.0.0.11"}


def test_the_next_leader_knows_what_the_last_one_knew(tmp_path: Path) -> None:
    path = tmp_path / "mesos" / "registry.json"
    first, second = Registry(path), Registry(path)
    first.lead()
    for agent_id in ("S0", "S1", "S2", "S3"):
        first.admit(agent_id, INFO)
    first.mark_unreachable("S1", 5.0)
    first.mark_gone("S2", 6.0)
    first.remove("S3")
    second.lead()
    assert (second.admitted, second.unreachable, second.gone) == ({"S0": INFO}, {"S1": 5.0}, {"S2": 6.0})
    assert len(path.read_text().splitlines()) == 1
    second.admit("S1", INFO)
    assert (Registry(path).admitted, Registry(path).unreachable) == ({"S0": INFO, "S1": INFO}, {})


def test_a_last_line_that_is_not_whole_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    Registry(path).admit("S0", INFO)
    with path.open("a") as file:
        file.write('{"admit": "S1", "in')
    registry = Registry(path)
    assert registry.admitted == {"S0": INFO}
    registry.lead()
    registry.admit("S2", INFO)
    assert Registry(path).admitted == {"S0": INFO, "S2": INFO}
