"""MLflow's own UI in headless Chromium, against a real server with the gated store.

Chromium is the machine's (Debian's package), driven by Playwright, which downloads
nothing. Where there is none its tests are skipped, unless $NORMGATE_REQUIRE names
chromium: then they fail. With $NORMGATE_FIGURES a folder, the pictures of the
documentation are written there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow import MlflowClient
from playwright.sync_api import expect, sync_playwright
from tests.browser.pages import WIDTH, Registry
from tests.tracking.conftest import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Route

# Nothing but the page is asked of the network.
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE_MS = 30_000
expect.set_options(timeout=_PATIENCE_MS)
# MLflow shows a chat beside the page on the first visit.
_NO_CHAT = "localStorage['mlflow.assistant.fab.autoOpenedOnFirstLoad_v1'] = 'true'"


def _chromium() -> str:
    for name in (os.environ.get("NORMGATE_CHROMIUM"), "chromium", "google-chrome"):
        if name and (found := shutil.which(name)):
            return found
    absent = "Chromium is not installed (or set NORMGATE_CHROMIUM)"
    if "chromium" in os.environ.get("NORMGATE_REQUIRE", "").split(","):
        pytest.fail(f"{absent} (demanded by $NORMGATE_REQUIRE)")
    pytest.skip(absent)


# Both end with each module: other tests start event loops of their own, and there is
# one running in this thread as long as Playwright is. Scope "package" would be the
# session: folders of tests are no packages.


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, started once a module."""
    path = _chromium()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def server(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server; this process speaks to it as well."""
    server, before = Server(tmp_path_factory.mktemp("ui")), mlflow.get_tracking_uri()
    server.start()
    mlflow.set_tracking_uri(server.uri)
    yield server
    mlflow.set_tracking_uri(before)
    server.stop()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """An empty tab, which may ask this server alone."""
    strangers: list[str] = []
    context = browser.new_context(
        base_url=server.uri, viewport={"width": WIDTH, "height": 900}, locale="en-GB"
    )
    context.set_default_timeout(_PATIENCE_MS)
    context.add_init_script(_NO_CHAT)

    def refuse(route: Route) -> None:
        strangers.append(route.request.url)
        route.abort()

    context.route(lambda url: not url.startswith(server.uri), refuse)
    yield context.new_page()
    context.close()
    assert strangers == []


@pytest.fixture
def registry(server: Server, tmp_path: Path) -> Registry:
    """What the tests put into the registry, without the UI."""
    return Registry(MlflowClient(server.uri), tmp_path)


@pytest.fixture
def figures() -> Path | None:
    """Where pictures for the documentation go, if they are wanted."""
    folder = os.environ.get("NORMGATE_FIGURES")
    return Path(folder) if folder else None
