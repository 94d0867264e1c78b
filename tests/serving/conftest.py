"""One service with a fake model and one browser for all tests of the page."""

import pytest

SIZES = {"desktop": {"width": 1280, "height": 860}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="session")
def page_service(tmp_path_factory):
    """The address of a service with a fake model."""
    from page_fixtures import FakeModel, running_service

    with running_service(tmp_path_factory.mktemp("page") / "index", FakeModel()) as address:
        yield address


@pytest.fixture(scope="session")
def vector_service(tmp_path_factory):
    """The address of a service whose fake model takes vectors."""
    from page_fixtures import FakeVectorModel, running_service

    with running_service(
        tmp_path_factory.mktemp("vectors") / "index", FakeVectorModel()
    ) as address:
        yield address


@pytest.fixture(scope="module")  # its event loop must not run while other files are tested
def browser():
    """A Chromium without a window."""
    from page_fixtures import FLAGS, browser_path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def contexts(browser):
    """A window of each size, whose cache the tests share."""
    from page_visits import new_context

    return {name: new_context(browser, viewport) for name, viewport in SIZES.items()}


@pytest.fixture
def visit(contexts, page_service):
    """Opens the page of a desktop's size at a query string; see `page_visits.visiting`."""
    from page_visits import visiting

    with visiting(contexts["desktop"], page_service) as open_page:
        yield open_page


@pytest.fixture(params=list(SIZES))
def visit_both(contexts, page_service, request):
    """The same as `visit`, on a desktop and on a phone."""
    from page_visits import visiting

    with visiting(contexts[request.param], page_service) as open_page:
        yield open_page
