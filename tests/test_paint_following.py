"""What has been painted is followed on the page: shown, paused, corrected, made and fetched."""

import json
import time
import zipfile

import numpy as np
import pytest

from stm_jax.data.truth_masks import read_truth
from tests.paint_page import COUNT, Page, needs_browser, served_page

pytest.importorskip("selenium.webdriver", reason="needs pip install '.[browser]'")
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

pytestmark = needs_browser
FOLLOWED = "a" + "d" * (COUNT - 1)  # the states of frames of which the first is given


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with served_page(tmp_path_factory.mktemp("paint")) as page:
        yield page


@pytest.fixture
def page(opened):
    opened.open_anew()
    return opened


def test_following_is_shown_paused_and_gone_on_with(page):
    page.go(4)
    page.draw((40, 30), (60, 50))
    page.saved()
    page.click("#follow")
    page.wait(lambda: "d" in page.states, 120)
    page.click("#follow")
    page.wait(lambda: page.find("#follow").text == "Follow")
    paused = page.states
    time.sleep(0.5)
    assert page.states == paused and paused[4] == "a"
    page.follow("dddda" + "d" * 4)
    masks = sorted(file.name for file in (page.folder / "masks").glob("*.png"))
    assert len(masks) == COUNT
    page.go(6)
    np.testing.assert_array_equal(page.ids(), read_truth(page.folder / "masks" / "006.png"))


def test_a_correction_stays_and_what_follows_changes(page):
    page.draw((40, 30), (60, 50))
    page.saved()
    page.follow(FOLLOWED)
    page.go(5)
    found = page.ids()
    page.draw((20, 80), (100, 80))
    page.saved()
    assert page.states[5] == "a"
    page.press(Keys.CONTROL, "z")
    page.wait(lambda: page.states == FOLLOWED)  # as if nothing had been given
    np.testing.assert_array_equal(page.ids(), found)
    page.press("e")
    page.draw((5, 5), (120, 90))
    page.press("b")
    page.draw((90, 20))
    corrected = page.ids()
    np.testing.assert_array_equal(page.given(5), corrected)
    assert page.states == "a" + "ssss" + "a" + "sss"
    certainty = page.run("return paint.hub.state.certainty")
    assert len(certainty) == COUNT and max(certainty) <= 100
    Select(page.find("#range")).select_by_value("here")
    page.follow("assssaddd")
    Select(page.find("#range")).select_by_value("all")
    page.follow("addddaddd")
    page.go(5)
    np.testing.assert_array_equal(page.ids(), corrected)
    looked = page.run("return paint.hub.state.look")
    page.press("n")
    page.shown(looked[0])
    assert looked[0] not in (0, 5)


def test_another_direction_is_another_answer(page):
    page.go(4)
    page.draw((40, 30), (60, 50))
    page.saved()
    Select(page.find("#direction")).select_by_value("forward")
    page.wait(lambda: page.states[:5] == "nnnna")
    page.follow("nnnnadddd")
    Select(page.find("#direction")).select_by_value("both")
    page.wait(lambda: page.states[4:] == "adddd" and set(page.states[:4]) <= {"t", "s"})


def test_where_a_pixel_looked(page):
    page.draw((40, 30), (60, 50))
    page.saved()
    page.follow(FOLLOWED)
    page.go(6)
    page.press("l")
    page.draw((50, 40))
    image = page.find("#looked img")
    page.wait(lambda: image.is_displayed() and image.get_property("naturalWidth") > 500)
    page.click("#looked button")
    page.press("b")


def test_results_are_made_and_fetched(page, tmp_path):
    page.draw((40, 30), (60, 50))
    page.saved()
    page.follow(FOLLOWED)
    page.press("t")
    kinds = ("overlay", "rgba", "coco", "report")
    for kind in kinds:
        page.click(f"#kinds input[value='{kind}']")
    page.click("#make")
    exported = page.folder / "export"
    links = "return [...document.querySelectorAll('#made a')].map((link) => link.textContent)"
    page.wait(lambda: page.find("#results").is_displayed())  # again, when all is made
    assert set(page.run(links)) == {"palette", *kinds}
    assert len(list((exported / "masks").glob("*.png"))) == COUNT
    assert len(list((exported / "rgba").glob("*.png"))) == COUNT
    assert (exported / "overlay.mp4").stat().st_size > 1000
    assert json.loads((exported / "coco.json").read_text())["annotations"]
    np.testing.assert_array_equal(read_truth(exported / "masks" / "000.png"), page.given(0))
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    for kind, name in (("coco", "video-coco.json"), ("rgba", "video-rgba.zip")):
        page.click(f"#made a[href$='{kind}']")
        page.wait((tmp_path / name).exists)
    assert (tmp_path / "video-coco.json").read_bytes() == (exported / "coco.json").read_bytes()
    with zipfile.ZipFile(tmp_path / "video-rgba.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"rgba/{frame:03d}.png" for frame in range(COUNT)]
    page.click("#results form button")


def test_the_report_is_a_page_by_itself(page):
    page.draw((40, 30), (60, 50))
    page.saved()
    page.follow(FOLLOWED)
    page.press("t")
    page.click("#kinds input[value='report']")
    page.click("#make")
    page.wait(lambda: page.find("#results").is_displayed())
    page.click("#results form button")
    report = Page((page.folder / "export" / "report.html").as_uri(), page.folder)
    try:
        report.driver.get(report.address)
        canvas = report.find("#prediction")
        report.wait(lambda: canvas.get_attribute("data-frame") == "0")
        assert "1 frame given by hand" in report.find("#summary").text
        assert len(report.driver.find_elements(By.CSS_SELECTOR, ".plots path.curve")) == 2
        assert report.find("#readout").text == f"frame 0 of {COUNT}, given"
        report.find("#stage").send_keys(Keys.END)
        report.wait(lambda: canvas.get_attribute("data-frame") == str(COUNT - 1))
        assert "certainty" in report.find("#readout").text
        report.wait(lambda: report.driver.find_elements(By.CSS_SELECTOR, "#worst-here button"))
        report.click("#play")
        report.wait(lambda: canvas.get_attribute("data-frame") == "3")
    finally:
        report.close()
