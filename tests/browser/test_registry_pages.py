from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mlflow.exceptions import MlflowException
from playwright.sync_api import expect
from tests.browser.pages import (
    ask_alias,
    ask_stage,
    copy_to,
    delete,
    open_version,
    picture,
)
from tests.tracking.bundle_files import RIGHT, WRONG

from normgate.gate.vitals import channel_std

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page
    from tests.browser.pages import Registry

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*stages:FutureWarning"),
]


def sentence(registry: Registry, name: str, version: str, alias: str) -> str:
    """The refusal as another client hears it, word for word."""
    with pytest.raises(MlflowException) as caught:
        registry.client.set_registered_model_alias(name, alias, version)
    code, _, said = str(caught.value).partition(": ")
    assert code == "PERMISSION_DENIED"
    assert said.startswith(f"Promotion of {name} version {version} to {alias} refused")
    return said


def test_the_alias_dialog_shows_the_refusal_word_for_word(
    page: Page, registry: Registry, figures: Path | None
) -> None:
    name = registry.model("rescue-0ms")
    right = registry.register(name, registry.log(RIGHT))
    registry.client.set_registered_model_alias(name, "champion", right)
    wrong = registry.register(name, registry.log(WRONG))
    open_version(page, name, wrong)
    dialog = ask_alias(page, "champion")
    said = sentence(registry, name, wrong, "champion")
    expect(dialog.get_by_text(said, exact=True)).to_be_visible()
    for words in ("RFP1", "HALO", "HALO_MASKED", "0.2233", "clip 963..9016"):
        assert words in said
    picture(page, figures, "refusal-dialog")
    assert registry.aliases(name) == {"champion": right}


def test_the_page_of_a_refused_version_says_why(
    page: Page, registry: Registry, figures: Path | None
) -> None:
    name = registry.model("rescue-10s")
    version = registry.register(name, registry.log(WRONG))
    said = sentence(registry, name, version, "champion")
    open_version(page, name, version)
    told = page.get_by_text("Refused: champion under contract plate_3ch version 1")
    expect(told).to_be_visible()
    expect(
        page.get_by_text(said.partition(" refused: ")[2], exact=True)
    ).to_be_visible()
    row = page.get_by_role("row", name="HALO_MASKED")
    expect(row).to_contain_text("standardize mean 0.0507 std 0.1601")
    expect(row).to_contain_text("differs: uint16: clip 0..238")
    expect(page.get_by_text("normgate wrote")).to_have_count(0)
    picture(page, figures, "version-page")
    page.goto(f"/#/models/{name}")
    expect(page.get_by_text("plate_3ch version 1", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="Refused: champion")).to_be_visible()
    picture(page, figures, "model-page")


def test_what_fulfils_its_contract_is_promoted_in_the_dialog(
    page: Page, registry: Registry
) -> None:
    name = registry.model("rescue-right")
    version = registry.register(name, registry.log(RIGHT))
    open_version(page, name, version)
    expect(
        page.get_by_text("No verdict yet, contract in force: plate_3ch")
    ).to_be_visible()
    dialog = ask_alias(page, "champion")
    expect(dialog).to_be_hidden()
    assert registry.aliases(name) == {"champion": version}
    page.reload()
    told = page.get_by_text("Allowed: champion under contract plate_3ch version 1")
    expect(told).to_be_visible()
    expect(page.get_by_role("row", name="RFP1")).to_contain_text("the same")


def test_what_a_person_wrote_stays_above_the_note(
    page: Page, registry: Registry
) -> None:
    name = registry.model("rescue-words")
    version = registry.register(name, registry.log(WRONG))
    client = registry.client
    noted = client.get_model_version(name, version).description
    words = "<b>Mine</b>: compare with *last week*.\n\n" + noted
    client.update_model_version(name, version, words)
    sentence(registry, name, version, "champion")
    open_version(page, name, version)
    expect(page.get_by_text("Mine: compare with last week.")).to_be_visible()
    expect(page.get_by_text("Refused: champion under contract")).to_be_visible()
    expect(page.get_by_text("No verdict yet")).to_have_count(0)


def test_what_a_card_smuggles_into_a_refusal_is_shown_and_not_run(
    page: Page, registry: Registry
) -> None:
    said = "<img src=//h.org/x> ![](https://h.org/y.png) <script>alert(1)</script> www."
    vital = {**channel_std("RFP1", 1.0).record(), "level": "red", "sentence": said}
    name = registry.model("rescue-smuggler")
    version = registry.register(name, registry.log(RIGHT, vitals=[vital]))
    assert said in sentence(registry, name, version, "champion")
    open_version(page, name, version)
    expect(page.get_by_text(said)).to_be_visible()
    dialog = ask_alias(page, "champion")
    expect(dialog.get_by_text(said)).to_be_visible()
    # The fixture fails if another host was asked for a picture.
    expect(page.locator("img[src*='h.org']")).to_have_count(0)


def test_a_legacy_stage_is_refused_in_the_old_ui(
    page: Page, registry: Registry
) -> None:
    name = registry.model("rescue-stage")
    version = registry.register(name, registry.log(WRONG))
    open_version(page, name, version)
    ask_stage(page, "Production")
    begins = (
        f"Promotion of {name} version {version} to Production refused: Channel RFP1"
    )
    expect(page.get_by_text(begins)).to_be_visible()
    assert registry.stage(name, version) == "None"


def test_the_promote_button_copies_a_version_and_promotes_nothing(
    page: Page, registry: Registry
) -> None:
    name, target = registry.model("rescue-source"), registry.model("rescue-target")
    version = registry.register(name, registry.log(WRONG))
    open_version(page, name, version)
    copy_to(page, target)
    page.wait_for_url(f"**/models/{target}/versions/1")
    expect(page.get_by_text("Copied from")).to_be_visible()
    assert registry.aliases(target) == {}
    assert registry.stage(target, "1") == "None"
    dialog = ask_alias(page, "champion")
    said = sentence(registry, target, "1", "champion")
    expect(dialog.get_by_text(said, exact=True)).to_be_visible()


def test_a_version_that_was_deleted_and_registered_again_is_judged_again(
    page: Page, registry: Registry
) -> None:
    name = registry.model("rescue-again")
    right, wrong = registry.log(RIGHT), registry.log(WRONG)
    version = registry.register(name, right)
    registry.client.set_registered_model_alias(name, "champion", version)
    open_version(page, name, version)
    delete(page)
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    assert registry.aliases(name) == {}
    again = registry.register(name, wrong)
    open_version(page, name, again)
    dialog = ask_alias(page, "champion")
    said = sentence(registry, name, again, "champion")
    expect(dialog.get_by_text(said, exact=True)).to_be_visible()
    assert registry.aliases(name) == {}
