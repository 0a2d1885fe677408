"""Makes the pictures of the dashboard: python -m browser.pictures FOLDER, with tests/ on the path."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from api_stage import serving
from browser.scene import REASONS, Scene, browser, cluster, fill, furnished
from framework.planner import State

SENTENCES = (
    ("subscribed", "subscribed to the Mesos master 10.0.0.1:5050 as framework 1d3f-0001"),
    ("launch", "launching master-0.1 on agent agent-0 (ports: rpc 19998, web 19999)"),
    ("updated", "master-0.1 is running: every process answers"),
    ("launch", "launching worker-0.1 on agent agent-1 (ports: rpc 29999, web 30000)"),
    ("updated", "worker-0.1 is running: every process answers"),
    ("decline", "worker-2 on agent small-1: declined, offers 512 MiB of 1280 MiB memory"),
)


def scenes() -> dict[str, State]:
    return {
        "calm": cluster(5),
        "furnished": furnished(cluster(5)),
        "trouble": furnished(cluster(6, agents=4, down=(1,))),
        "large": cluster(1000, down=(17, 230, 231)),
    }


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as home, browser() as look:
        scene = Scene()
        with serving(Path(home)) as api:
            scene.api = api
            api.standing_of_paths = dict(REASONS)
            for kind, text in SENTENCES:
                api.chronicle.add(time.time(), kind, text)
            for name, state in scenes().items():
                api.state = state
                api.series._samples.clear()
                fill(api.series, sum(worker.capacity for worker in state.cache.workers))
                for width in (390, 1000, 1280, 1600):
                    for dark in (False, True):
                        look.looks(width, 900, dark)
                        look.driver.get(f"{api.url}/")
                        look.shows("#events", "master-0.1")
                        look.picture(folder / f"{name}-{width}-{'dark' if dark else 'light'}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
