"""What `server/compose.yaml` runs, on this machine instead of in containers.

Its commands and variables are taken from the file; only host names, folders and the
number of workers are other ones.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tests.tracking.conftest import clean_environment
from tests.tracking.serving import NORMGATE, Serving

if TYPE_CHECKING:
    from tests.postgresql import Postgresql

SERVER = Path(__file__).resolve().parents[2] / "server"
COMPOSE: dict[str, Any] = yaml.safe_load((SERVER / "compose.yaml").read_text())
PASSWORD = "it's a p@ss:/%40word"
"""Of the first administrator, and in every other place where a secret stands."""


class Composed:
    """The services of the file, around a database server of the tests' own.

    Args:
        folder: For secrets, artifacts and logs.
        database: Databases `mlflow` and `mlflow_auth` are made there.
    """

    def __init__(self, folder: Path, database: Postgresql) -> None:
        self.folder = folder
        self._database = database
        roles = ["--dbname", database.uri("postgres"), "--file", SERVER / "roles.sql"]
        for _ in range(2):  # As often as one likes.
            subprocess.run(["psql", "--quiet", *roles], check=True, capture_output=True)
        (folder / "artifacts").mkdir()
        ini = (SERVER / "basic_auth.ini").read_text()
        (folder / "basic_auth.ini").write_text(self._here(ini))

    def migrate(self) -> None:
        """Run the service that makes the tables."""
        service = COMPOSE["services"]["migrate"]
        variables = self.variables("migrate")
        words = [self._here(word) for word in service["command"]]
        secrets = str(self.folder / "secrets-migrate")
        subprocess.run(
            [
                *service["entrypoint"],
                *(w.replace("/run/secrets", secrets) for w in words),
            ],
            env=clean_environment(**variables),
            check=True,
            capture_output=True,
        )

    def serve(self) -> Serving:
        """Run the service that clients see."""
        command, *options = COMPOSE["services"]["server"]["command"]
        assert command == "server"
        ours = ("--port", "--workers", "--allowed-hosts")
        kept = [option for option in options if not option.startswith(ours)]
        assert len(options) == len(kept) + len(ours)
        variables = self.variables("server")
        return Serving(self.folder, kept, **variables)

    def variables(self, name: str) -> dict[str, str]:
        """A service's environment, its secrets in a folder of their own."""
        service = COMPOSE["services"][name]
        secrets = self.folder / f"secrets-{name}"
        secrets.mkdir(exist_ok=True)
        for secret in service["secrets"]:
            (secrets / secret["target"]).write_text(f"{PASSWORD}\n")
        path = f"{NORMGATE.parent}{os.pathsep}{os.environ['PATH']}"
        found = {key: self._here(v) for key, v in service["environment"].items()}
        if "NORMGATE_SECRETS" in found:
            found["NORMGATE_SECRETS"] = str(secrets)
        return {**found, "PATH": path}

    def uri(self, role: str) -> str:
        """The database `mlflow` for one of its roles."""
        return self._database.uri("mlflow").replace("owner@", f"{role}@")

    def _here(self, text: str) -> str:
        places = {
            "@database/": f"@127.0.0.1:{self._database.port}/",
            "/artifacts": f"{self.folder}/artifacts",
            "/etc/normgate": str(self.folder),
            "$$": "$",
        }
        for there, here in places.items():
            text = text.replace(there, here)
        return text
