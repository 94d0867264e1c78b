"""Takes the pictures of the docs: a search drawn, and the search page with its results.

  python tools/screenshots.py --export=exports/garments --index=indexes/garments \\
      --item=garments-022002 --set=neckline=v-neck --workdir=runs/garments/ours \\
      --query_id=garments-040007 --output=docs

Starts the service, opens its page in Chromium, and searches for the item with the edits. Writes
what the page shows then: page.png on a desktop, page_phone.png on a phone. With --workdir and
--query_id, tools/search.py also draws search.png. Needs playwright (pip install playwright) and an
installed Chromium.
"""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_string("export", None, "Folder that tools/export.py wrote.", required=True)
flags.DEFINE_string("index", None, "Folder that tools/build_index.py wrote.", required=True)
flags.DEFINE_string("item", None, "Id of the item to search with.", required=True)
flags.DEFINE_multi_string("set", [], "An edit, attribute=value; repeatable.")
flags.DEFINE_multi_string("must", [], "What results must have, attribute=value; repeatable.")
flags.DEFINE_integer("k", 12, "Results on the page.", 1)
flags.DEFINE_string("workdir", "", "Folder of a finished run, to draw search.png.")
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets, for search.png.")
flags.DEFINE_string("query_id", "", "Query of the run's data set, for search.png.")
flags.DEFINE_string("output", "docs", "Folder of the pictures.")

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
SIZES = {"page.png": (1280, 860), "page_phone.png": (390, 844)}  # pixels
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def browser_path() -> str:
    """Returns where Chromium is; raises a FileNotFoundError if there is none."""
    for name in _BROWSERS:
        if path := shutil.which(name):
            return path
    raise FileNotFoundError(
        f"screenshots need Chromium; there is none of {', '.join(_BROWSERS)}. Install one, such as "
        "with apt-get install chromium."
    )


@contextlib.contextmanager
def service() -> Iterator[str]:
    """Yields the address of a service of --export and --index."""
    line = [sys.executable, str(ROOT / "tools" / "serve.py"), "--port=0"]
    line += [f"--export={FLAGS.export}", f"--index={FLAGS.index}"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ready = next((words for words in process.stdout if words.startswith("ready: ")), None)
            if ready is None:
                raise ValueError("the service did not start; its message stands above.")
            yield ready.split()[1]
        finally:
            process.terminate()


def take(browser: Browser, address: str, folder: Path) -> None:
    """Writes a picture of the page at an address, for each of `SIZES`."""
    for name, (width, height) in SIZES.items():
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="light",
            reduced_motion="reduce",
        )
        page.goto(address)
        page.locator(".facts").first.wait_for()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / name)
        print(f"{folder / name}: {width} x {height} pixels of {address}")
        page.close()


def draw_search() -> None:
    """Lets tools/search.py draw search.png."""
    line = [sys.executable, str(ROOT / "tools" / "search.py"), f"--workdir={FLAGS.workdir}"]
    line += [f"--data_dir={FLAGS.data_dir}", f"--query_id={FLAGS.query_id}"]
    line += [f"--set={edit}" for edit in FLAGS.set]
    subprocess.run([*line, f"--output={FLAGS.output}/search.png"], check=True)


def main() -> None:
    if bool(FLAGS.workdir) != bool(FLAGS.query_id):
        raise ValueError("search.png needs both --workdir and --query_id, or leave out both.")
    path = browser_path()
    folder = Path(FLAGS.output).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    fields = [("item", FLAGS.item), ("k", FLAGS.k)]
    fields += [("set", edit) for edit in FLAGS.set] + [("must", pair) for pair in FLAGS.must]
    with service() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        take(browser, f"{address}?{urlencode(fields)}", folder)
        browser.close()
    if FLAGS.workdir:
        draw_search()


if __name__ == "__main__":
    command.run(main)
