"""The service, over a real connection, against requests made up from its own description."""

import threading
import time

import pytest
import uvicorn
from service_fakes import FakeIndex, FakeModel

from fashionsearchnet.serving import server
from fashionsearchnet.serving.app import create_app

schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis to fuzz")
hypothesis = pytest.importorskip("hypothesis")

# A made-up attribute or id is refused although it follows the description, so these do not hold.
NOT_CHECKED = ("positive_data_acceptance", "ensure_resource_availability")
DESCRIPTION = schemathesis.openapi.from_dict(create_app(FakeModel(), FakeIndex()).openapi())


@pytest.fixture(scope="module")
def address():
    app = create_app(FakeModel(), FakeIndex())
    bound = server.listen("127.0.0.1", 0)
    running = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    running.should_exit = True
    thread.join(20)
    bound.close()


@DESCRIPTION.parametrize()
@hypothesis.settings(
    max_examples=15,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_no_request_breaks_the_service_or_its_description(case, address):
    checks = schemathesis.checks
    checks.load_all_checks()
    case.call_and_validate(
        base_url=address, excluded_checks=checks.CHECKS.get_by_names(list(NOT_CHECKED)), timeout=20
    )
