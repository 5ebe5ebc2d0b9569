"""What a person does in MLflow's UI, and what stands in the registry behind it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from playwright.sync_api import expect
from tests.tracking.bundle_files import (
    Logged,
    close,
    log_folder,
    write_bundle,
    write_card,
)

from mlflow_normgate.registry import bind_contract
from normgate.contract import read_contract

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from playwright.sync_api import Locator, Page

    from normgate.contract import Spec

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
WIDTH = 1280
CONTRACT = read_contract(CONTRACTS / "plate_3ch.json")


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry as its clients know it, to prepare what a page shows."""

    client: MlflowClient
    folder: Path

    def model(self, name: str) -> str:
        """Make a registered model under the plate contract."""
        bind_contract(name, CONTRACT, "a browser's test")
        return name

    def log(self, spec: Spec, **card: Any) -> Logged:
        """Log a model of its own run, with some fields of its card changed."""
        bundle = self.folder / f"{len(list(self.folder.iterdir()))}"
        write_bundle(bundle, spec)
        write_card(bundle, **card)
        close(bundle)
        return log_folder(self.client, bundle)

    def register(self, name: str, logged: Logged) -> str:
        """Make a version of a logged model."""
        made = self.client.create_model_version(
            name, logged.source, logged.run_id, model_id=logged.model_id
        )
        return str(made.version)

    def aliases(self, name: str) -> dict[str, str]:
        """The aliases of a registered model and where they lead."""
        found = self.client.get_registered_model(name).aliases
        return {alias: str(version) for alias, version in found.items()}

    def stage(self, name: str, version: str) -> str:
        """A version's legacy stage."""
        return str(self.client.get_model_version(name, version).current_stage)


def open_version(page: Page, name: str, version: str) -> None:
    """Open a version's page."""
    page.goto(f"/#/models/{quote(name)}/versions/{version}")
    expect(page.get_by_role("heading", name=f"Version {version}")).to_be_visible()


def ask_alias(page: Page, alias: str) -> Locator:
    """Ask for an alias in the dialog of a version's page."""
    page.get_by_title("Add aliases").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").fill(alias)
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Save aliases").click()
    return dialog


def ask_stage(page: Page, stage: str) -> None:
    """Ask for a legacy stage, in the UI as it was before aliases."""
    page.get_by_role("switch").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(page.get_by_role("button", name="Promote model")).to_be_hidden()
    page.get_by_text("None", exact=True).click()
    page.locator("[class*=menu-item], [role=menuitem]").filter(has_text=stage).click()
    page.get_by_role("dialog").get_by_role("button", name="OK").click()


def copy_to(page: Page, name: str) -> None:
    """Copy a version into another registered model, which MLflow calls promoting."""
    page.get_by_role("button", name="Promote model").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").fill(name)
    # Models are asked of the server while one types.
    page.locator("[class*=select-item-option-content]", has_text=name).click()
    dialog.get_by_role("button", name="Promote", exact=True).click()


def delete(page: Page) -> None:
    """Delete the version whose page is open."""
    page.get_by_test_id("overflow-menu-trigger").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()


def picture(page: Page, figures: Path | None, name: str, height: int = 700) -> None:
    """Keep what is seen as a picture of the documentation, if pictures are wanted."""
    if figures is not None:
        page.set_viewport_size({"width": WIDTH, "height": height})
        page.wait_for_timeout(500)  # for what moves to come to rest
        page.screenshot(path=figures / f"{name}.png")
