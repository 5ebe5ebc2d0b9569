"""How often a client may ask: the buckets, and a server that has them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import mlflow
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.tracking.bundle_files import CONTRACT, WRONG, log_folder, write_bundle
from tests.tracking.serving import Serving

from mlflow_normgate import pace
from mlflow_normgate.pace import Buckets, TooOften, asks_per_minute, keep_pace
from mlflow_normgate.registry import bind_contract
from mlflow_normgate.server import plan
from normgate.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

STEPS = st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=60)


@given(limit=st.integers(1, 40), steps=STEPS)
def test_no_client_takes_more_than_its_bucket_and_what_it_gains(
    limit: int, steps: list[float]
) -> None:
    buckets, now, taken = Buckets(limit), 0.0, 0
    for step in steps:
        now += step
        taken += buckets.take("a", now) == 0
        assert taken <= limit + now * limit / 60 + 1e-6


@given(limit=st.integers(1, 40), early=st.floats(0.01, 0.9))
def test_who_waits_as_long_as_it_is_told_may_ask(limit: int, early: float) -> None:
    buckets = Buckets(limit)
    assert [buckets.take("a", 0.0) for _ in range(limit)] == [0.0] * limit
    wait = buckets.take("a", 0.0)
    assert wait == pytest.approx(60 / limit)
    assert buckets.take("a", wait * early) > 0
    assert buckets.take("a", wait * (1 + 1e-9)) == 0


def test_clients_have_buckets_of_their_own_and_the_oldest_is_forgotten() -> None:
    buckets = Buckets(1, most=2)
    assert buckets.take("a", 0.0) == 0
    assert buckets.take("a", 0.0) > 0
    assert buckets.take("b", 0.0) == 0
    assert buckets.take("c", 0.0) == 0
    assert buckets.take("a", 0.0) == 0


@pytest.mark.parametrize("text", ["", "many", "-1", "1.5", "\u0663", "9" * 10])
def test_a_limit_that_is_none_stops_the_server_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(pace.VARIABLE, text)
    with pytest.raises(SettingsError, match=r"^NORMGATE_ASKS_PER_MINUTE is .*expected"):
        plan(None, None, [])


def test_a_process_that_serves_nobody_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "_buckets", None)
    monkeypatch.setenv(pace.VARIABLE, "1")
    for _ in range(3):
        keep_pace()
    address = {"REMOTE_ADDR": "1.2.3.4"}
    served = Flask("server").test_request_context(environ_base=address)
    with served:
        keep_pace()
        with pytest.raises(TooOften, match=r"^Someone at 1\.2\.3\.4 has") as caught:
            keep_pace()
    assert caught.value.get_http_status_code() == 429
    monkeypatch.setenv(pace.VARIABLE, "0")
    assert asks_per_minute() == 0
    with served:
        keep_pace()


@pytest.mark.slow
def test_a_server_slows_a_client_down_and_loses_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = Serving(
        tmp_path,
        [],
        NORMGATE_ASKS_PER_MINUTE="30",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
    )
    try:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
        mlflow.set_tracking_uri(serving.uri)
        client = MlflowClient()
        bind_contract("rescue", CONTRACT, "first of its kind")
        logged = log_folder(client, write_bundle(tmp_path / "bundle", WRONG))
        made = client.create_model_version(
            "rescue", logged.source, logged.run_id, model_id=logged.model_id
        )
        url = f"{serving.uri}/api/2.0/mlflow/registered-models/alias"
        asked = {"name": "rescue", "alias": "champion", "version": made.version}
        answers = [_post(url, asked) for _ in range(100)]
        statuses = [status for status, _ in answers]
        assert set(statuses) == {403, 429}
        first = json.loads(answers[statuses.index(429)][1])
        assert first["error_code"] == "REQUEST_LIMIT_EXCEEDED"
        assert first["message"].startswith(
            "Someone at 127.0.0.1 has asked for more than 30 registrations"
        )
        # MLflow's own client waits, asks again, and is answered.
        with pytest.raises(MlflowException, match="Promotion of rescue version 1"):
            client.set_registered_model_alias("rescue", "champion", made.version)
    finally:
        serving.kill()


def _post(url: str, body: dict[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
