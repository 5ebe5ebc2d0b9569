"""Every method of MLflow's registry store: gated, harmless, or no write at all.

A test holds these lists against the MLflow that is installed and against its REST
endpoints, so that a release with a new way to promote fails the build until somebody
has judged it here.
"""

from __future__ import annotations

GATED = {
    "create_model_version": "records evidence; tags that were sent are replaced by it",
    "create_registered_model": "takes no reserved tags, and shows the contract",
    "delete_model_version": "waits for decisions; the database ends its promotions",
    "delete_model_version_tag": "refuses reserved tags",
    "delete_registered_model": "waits for decisions; the database ends its promotions",
    "delete_registered_model_alias": "waits for decisions; the same for one alias",
    "delete_registered_model_tag": "refuses reserved tags",
    "rename_registered_model": "decides on what is promoted, under the new name",
    "set_model_version_tag": "refuses reserved tags",
    "set_registered_model_alias": "decides on protected aliases",
    "set_registered_model_tag": "refuses reserved tags; one of them binds a contract",
    "transition_model_version_stage": "decides on Staging and Production",
}
"""Writes that our store does itself, and what the gate does about them."""

VERIFIED = {
    "get_latest_versions": "hashes again what a protected stage leads to",
    "get_model_version_by_alias": "hashes again what a protected alias leads to",
    "get_model_version_download_uri": "hashes again what is promoted",
}
"""Reads that our store does itself."""

_BY = "asks for it by {}"
_WEBHOOK = "concerns messages that are sent when all is done"
_LINK = "writes a tag in the tracking store, which nothing is decided on"
_TEXT = "writes a description, which nothing is decided on"
HARMLESS = {
    "copy_model_version": _BY.format("create_model_version"),
    "create_prompt": _BY.format("create_registered_model"),
    "create_prompt_version": _BY.format("create_model_version"),
    "create_webhook": _WEBHOOK,
    "delete_prompt": _BY.format("delete_registered_model"),
    "delete_prompt_alias": _BY.format("delete_registered_model_alias"),
    "delete_prompt_tag": _BY.format("delete_registered_model_tag"),
    "delete_prompt_version": _BY.format("delete_model_version"),
    "delete_prompt_version_tag": _BY.format("delete_model_version_tag"),
    "delete_webhook": _WEBHOOK,
    "link_prompt_version_to_model": _LINK,
    "link_prompt_version_to_run": _LINK,
    "link_prompts_to_trace": _LINK,
    "set_prompt_alias": _BY.format("set_registered_model_alias"),
    "set_prompt_tag": _BY.format("set_registered_model_tag"),
    "set_prompt_version_tag": _BY.format("set_model_version_tag"),
    "test_webhook": _WEBHOOK,
    "update_model_version": _TEXT,
    "update_registered_model": _TEXT,
    "update_webhook": _WEBHOOK,
}
"""Writes that stay MLflow's own, and why they can promote nothing."""

READS = frozenset(
    {
        "get_model_version",
        "get_prompt",
        "get_prompt_version",
        "get_prompt_version_by_alias",
        "get_registered_model",
        "get_webhook",
        "list_webhooks",
        "list_webhooks_by_event",
        "search_model_versions",
        "search_prompt_versions",
        "search_prompts",
        "search_registered_models",
        "supports_workspaces",
    }
)
"""What changes nothing. What it gives is for people and is verified by no one."""
