"""The dashboard in Chromium: what a person sees, does and hears of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from api_stage import Api, serving
from browser.scene import (
    AXE,
    CHROMEDRIVER,
    CHROMIUM,
    FULL,
    IN_CI,
    NOTHING_LISTENS,
    REASONS,
    Browser,
    Scene,
    browser,
    cluster,
    fill,
    furnished,
)
from eventually import eventually
from framework.alluxio.figures import Figures
from framework.api.safety import Safety
from framework.api.tokens import Tokens

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not ((CHROMIUM and CHROMEDRIVER) or IN_CI),
        reason="needs Chromium (Debian: chromium chromium-driver)",
    ),
]
TOKEN = "admin-token-of-this-test"


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.fixture
def chromium(started: Browser) -> Iterator[Browser]:
    """Its page goes with the test: else it would look for its server, which has gone, and complain in the next one."""
    yield started
    started.driver.get("about:blank")
    started.complaints()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene()
    with serving(tmp_path) as api:
        made.api = api
        api.state = cluster(3)
        yield made


@pytest.fixture
def look(chromium: Browser, scene: Scene) -> Iterator[Browser]:
    """Nothing that a test shows may make the console complain."""
    chromium.looks(1000, 1400)
    chromium.complaints()
    yield chromium
    assert chromium.complaints() == []


def open_page(look: Browser, api: Api, path: str = "/") -> None:
    look.driver.get(api.url + path)


def test_it_says_in_one_sentence_that_all_is_well(look: Browser, scene: Scene) -> None:
    scene.happens(cluster(3), "launch", "launching worker-0.1 on agent agent-1")
    fill(scene.api.series)
    open_page(look, scene.api)
    look.shows("#verdict", "All is well")
    assert "Alluxio serves with 3 workers" in look.text("#verdict")
    assert look.driver.title == "✓ alluxio – ✓ All is well".replace("– ✓", "–")
    look.shows("#cache", "of 12 GiB")
    assert "3 of 3 wanted workers serve" in look.text("#cache")
    look.shows("#charts", "Hits")
    look.shows("#plans", "Nothing is left to do.")
    assert "Too little memory 3 offers of 3 agents" in look.text("#reasons")
    assert "worker-2 registered" in look.text("#agents")
    look.shows("#events", "launching worker-0.1 on agent agent-1")
    assert look.text("#links a") == "Mesos"
    scene.api.figures = Figures(pages=True)  # no event tells this: it shows within ten seconds
    look.shows("#links", "Alluxio master-0 (primary)")
    assert look.get("#links a").get_attribute("href") == "http://agent-0:2/"


def test_a_killed_worker_and_its_return_are_shown_without_a_reload(look: Browser, scene: Scene) -> None:
    open_page(look, scene.api)
    look.shows("#verdict", "All is well")
    look.driver.execute_script("window.unchanged = true")
    scene.happens(cluster(3, down=(1,)), "updated", "worker-1.1 failed: the worker's process was killed")
    look.shows("#verdict", "1 task is being brought back", 5)  # sooner than the page asks by itself
    look.shows("[data-slot=worker-1]", "waiting")
    assert "the worker's process was killed" in look.text("[data-slot=worker-1]")
    look.shows("#announce", "1 task is being brought back")  # a screen reader says it
    look.shows("#events", "worker-1.1 failed")
    scene.happens(cluster(3), "updated", "worker-1.2 is running")
    look.shows("#verdict", "All is well")
    look.shows("[data-slot=worker-1]", "registered")
    assert look.driver.execute_script("return window.unchanged") is True


def test_workers_are_scaled_with_clicks_after_a_preview(look: Browser, scene: Scene) -> None:
    open_page(look, scene.api)
    look.shows("#scale", "Preview")
    look.get("#more").click()
    look.get("#more").click()
    look.get("#preview").click()
    look.shows("#scale-answer", "Would start: worker-3, worker-4.")
    assert scene.workers == 3  # so far it was only asked
    look.get("#apply").click()
    look.shows("#scale-answer", "5 workers are wanted now.")
    look.shows("#cache", "3 of 5 wanted workers serve")
    scene.settles()
    look.shows("#cache", "5 of 5 wanted workers serve")
    for _ in range(4):
        look.get("#fewer").click()
    look.get("#preview").click()
    look.shows("#scale-answer", "Would stop: worker-0, worker-1, worker-2, worker-3, which hold 5.6 GiB of cache.")
    look.get("#apply").click()
    look.shows("#scale-answer", "1 worker is wanted now.")
    look.shows("#verdict", "4 workers are leaving")
    scene.settles()
    look.shows("#cache", "1 of 1 wanted workers serve")


def test_with_other_groups_it_says_which_one_is_scaled(look: Browser, scene: Scene) -> None:
    open_page(look, scene.api)
    look.shows("#scale-title", "Scale the workers")
    assert "group" not in look.text("#scale-title") + look.text("#cache")
    change_group(scene.api, "PUT", json={"count": 2, "options": {"worker-ssd": "2GB"}})
    look.shows("#scale-title", "Scale the workers of the default group")
    look.shows("#cache", "default 3 of 3 ready\nssd 0 of 2 ready\nworker-ssd 2GB")
    assert "3 of 5 wanted workers serve" in look.text("#cache")
    look.get("#more").click()
    look.get("#preview").click()
    look.shows("#scale-answer", "From 3 to 4.")
    change_group(scene.api, "DELETE")
    eventually(lambda: look.text("#scale-title") == "Scale the workers", "there is one group alone")
    assert "Groups" not in look.text("#cache")


def change_group(api: Api, method: str, **more: Any) -> None:
    assert api.ask(method, "/v1/worker-groups/ssd", **more).status_code == 200
    api.chronicle.add(time.time(), "scale", "the group ssd was changed")


@pytest.mark.parametrize("width", [390, 1280])
def test_storages_and_wanted_paths_say_where_they_stand_and_why(look: Browser, scene: Scene, width: int) -> None:
    look.looks(width, 900)
    scene.api.state = furnished(cluster(3))
    scene.api.standing_of_paths = dict(REASONS)
    open_page(look, scene.api)
    look.shows("#verdict", "1 storage is not mounted as wanted")
    assert f"/archive: {NOTHING_LISTENS}" in look.text("#verdict")
    archive = in_one_line(look, "#mounts [data-path='/archive']")
    assert archive.startswith(
        f"/archive hdfs://namenode:8020/archive read-only failing: {NOTHING_LISTENS}; it is tried"
    )
    lake, scratch = (in_one_line(look, f"#mounts [data-path='{path}']") for path in ("/lake", "/scratch"))
    assert lake == "/lake s3://lake/tables read and write; mounted by this service mounted"
    assert scratch.endswith("mounted by somebody else foreign: somebody else mounted it; it is left alone")
    assert in_one_line(look, "#paths") == (
        f"Wanted of paths 1 of 3 as wanted /lake/visits at least 2 copies failing: {FULL} "
        "/lake/later ttl 7d, free waiting: it is not there yet /lake/orders pinned made"
    )
    assert look.text("#mounts-title") == "Storages 1 of 2 as wanted"
    assert "default 3 of 3 ready\nssd 1 of 1 ready\nworker-ssd 200GB" in look.text("#cache")
    assert not look.is_wider_than_it_looks()
    # Nothing of a sentence lies where one has to scroll for it.
    assert look.driver.execute_script(
        "return [...document.querySelectorAll('#mounts p, #paths p')]"
        ".every((one) => one.scrollWidth <= one.clientWidth && one.getBoundingClientRect().right <= innerWidth)"
    )
    scene.api.standing_of_paths = {**REASONS, "/lake/later": ""}  # no event tells this: it shows within ten seconds
    look.shows("#paths [data-path='/lake/later']", "made")


def in_one_line(look: Browser, selector: str) -> str:
    return " ".join(look.text(selector).split())


def test_what_would_wait_is_told_before(look: Browser, scene: Scene) -> None:
    scene.api.state = cluster(4, agents=3)
    open_page(look, scene.api)
    look.shows("#scale", "Preview")
    look.get("#count").send_keys(Keys.BACKSPACE, "6", Keys.ENTER)
    look.shows("#scale-answer", "3 would have to wait: worker-3: ")
    look.get("#cancel").click()
    eventually(lambda: look.text("#scale-answer") == "", "the preview is gone")
    assert scene.workers == 4


def test_two_operators_do_not_overwrite_each_other(chromium: Browser, scene: Scene) -> None:
    look = chromium
    open_page(look, scene.api)
    look.shows("#scale", "Preview")
    look.get("#fewer").click()
    look.get("#preview").click()
    look.shows("#scale-answer", "Would stop: worker-1, which")
    assert scene.api.ask("PUT", "/v1/workers", json={"count": 4}).status_code == 200  # somebody else was faster
    look.get("#apply").click()
    look.shows("#scale-answer", "Somebody else changed the number meanwhile")
    assert scene.workers == 4
    # A refusal is what the browser itself tells the console.
    assert all("412" in complaint for complaint in look.complaints())


def test_without_a_token_nothing_of_the_cluster_is_there(chromium: Browser, tmp_path: Path) -> None:
    look = chromium
    tokens = Tokens.of("", "", {"ALLUXIO_MESOS_API_TOKEN": TOKEN})
    with serving(tmp_path, safety=Safety(tokens, "/service/alluxio")) as api:
        api.state = cluster(3)
        open_page(look, api, "/service/alluxio")
        look.shows("#token", "A token is needed")
        assert "worker-0" not in look.driver.page_source
        look.get("#token-text").send_keys("a-wrong-token-altogether", Keys.ENTER)
        look.shows("#notice", "This token is not valid here")
        look.get("#token-text").send_keys(TOKEN, Keys.ENTER)
        look.shows("#verdict", "All is well")
        assert look.violations() == []
        open_page(look, api, "/service/alluxio/")
        look.shows("#verdict", "All is well")  # this tab still knows it
        look.get("#forget").click()
        look.shows("#token", "A token is needed")
        assert "worker-0" not in look.driver.page_source
        # 401 is what the browser itself tells the console.
        assert all("401" in complaint for complaint in look.complaints())


def test_a_scheduler_that_is_gone_is_no_calm_sea(chromium: Browser, tmp_path: Path) -> None:
    look, scene = chromium, Scene()
    with serving(tmp_path) as api:
        scene.api = api
        api.state = cluster(3)
        open_page(look, api)
        look.shows("#verdict", "All is well")
    look.shows("#notice", "The scheduler does not answer. What is shown was so at ")
    assert look.text("#link").endswith("Not live")


@pytest.mark.skipif(not (AXE.exists() or IN_CI), reason="needs axe-core (make axe)")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_everybody_can_use_it(look: Browser, scene: Scene, width: int, dark: bool) -> None:
    fill(scene.api.series)
    scene.api.standing_of_paths = dict(REASONS)
    scene.happens(furnished(cluster(6, agents=4, down=(1,))), "launch", "launching worker-0.1 on agent agent-1")
    change_group(scene.api, "PUT", json={"count": "all", "options": {"worker-ssd": "2GB"}})
    look.looks(width, 900, dark)
    open_page(look, scene.api)
    look.shows("#events", "launching")
    look.shows("#cache", "one wanted on each agent")
    look.shows("#scale", "Preview")
    look.get("#preview").click()
    look.shows("#scale-answer", "Nothing would change.")
    assert look.violations() == []
    assert not look.is_wider_than_it_looks()


@pytest.mark.skipif(not (AXE.exists() or IN_CI), reason="needs axe-core (make axe)")
def test_it_goes_with_a_thousand_workers(look: Browser, scene: Scene) -> None:
    scene.happens(cluster(1000, down=(500,)), "launch", "launching")
    look.looks(400, 900)
    open_page(look, scene.api)
    look.shows("#agents", "agent-501")
    assert len(look.driver.find_elements("css selector", "#agents li")) == 1004
    assert look.text("#agents li").startswith("agent-501")  # what is in trouble comes first
    assert "worker-500 waiting" in look.text("#agents li")
    assert not look.is_wider_than_it_looks()
    assert look.violations() == []


def test_the_keyboard_reaches_everything(look: Browser, scene: Scene) -> None:
    open_page(look, scene.api)
    look.shows("#scale", "Preview")
    reached = []
    for _ in range(30):
        ActionChains(look.driver).send_keys(Keys.TAB).perform()
        reached.append(
            look.driver.execute_script("return document.activeElement.id || document.activeElement.className")
        )
    assert {"skip", "fewer", "count", "more", "every", "preview", "log"} <= set(reached)
