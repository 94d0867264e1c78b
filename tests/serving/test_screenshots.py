"""tools/screenshots.py on a page of the service with a fake model."""

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")
pytest.importorskip(
    "playwright.sync_api", reason="looking at the page needs playwright: pip install playwright"
)

from absl import flags
from evaluation_fakes import script
from page_visits import ITEM, needs_browser

pytestmark = needs_browser


@pytest.fixture(scope="module")
def tool():
    with script("screenshots") as module:
        yield module
    flags.FLAGS.unparse_flags()


def test_pictures_of_a_desktop_and_of_a_phone(tool, browser, page_service, tmp_path):
    tool.take(browser, f"{page_service}?item={ITEM}&set=colour=red", tmp_path)
    for name, (width, height) in tool.SIZES.items():
        picture = cv2.imread(str(tmp_path / name))
        assert picture is not None and picture.shape == (height, width, 3)
        assert len(np.unique(picture)) > 50  # more than an empty page has


def test_a_missing_browser_is_named(tool, monkeypatch):
    monkeypatch.setattr(tool.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="apt-get install chromium"):
        tool.browser_path()


def test_half_of_what_a_drawn_search_needs_is_refused(tool, monkeypatch):
    arguments = ["--export=e", "--index=i", "--item=a", "--workdir=run"]
    flags.FLAGS.unparse_flags()
    flags.FLAGS(["screenshots.py", *arguments])
    with pytest.raises(ValueError, match="both --workdir and --query_id"):
        tool.main()
