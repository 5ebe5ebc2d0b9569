"""What stands beside a good bundle: code, loaders and environments of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.attacks.artifacts import logged_in
from tests.attacks.catalog import SQLITE, TRAINER, Layer, Stage, attack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.attacks.scene import Scene


def packed(title: str, slug: str) -> Callable[[Callable[[Path], None]], None]:
    """Put a model on the list that holds a good bundle, and something else besides."""

    def put(change: Callable[[Path], None]) -> None:
        @attack(
            title,
            Layer.RULES,
            holds=TRAINER,
            on=Stage.EMBEDDED,
            databases=SQLITE,
            slug=f"packed-{slug}",
        )
        def deed(scene: Scene, name: str) -> str:
            scene.model(name)
            experiment = scene.client.create_experiment(
                name, (scene.folder / "artifacts").as_uri()
            )
            logged = logged_in(scene, name, experiment, change=change)
            return scene.refusal(name, scene.register(name, logged))

    return put


def said(title: str, slug: str, old: str, new: str, file: str = "MLmodel") -> None:
    """Put a model on the list in which one of MLflow's files says something else."""

    @packed(title, slug)
    def _(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text, text
        (folder / file).write_text(text.replace(old, new, 1))


def added(title: str, slug: str, file: str, text: str) -> None:
    """Put a model on the list that holds one more file."""

    @packed(title, slug)
    def _(folder: Path) -> None:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


LOADER = "loader_module: mlflow.pyfunc.loaders.code_model"
said(
    "Let MLflow load the model by another module", "loader", LOADER, "loader_module: os"
)
said(
    "Add a flavor that unpickles, beside the good one",
    "pickle-flavor",
    "flavors:\n",
    "flavors:\n  sklearn:\n    pickled_model: model.bin\n    code: null\n",
)
said(
    "Put a folder on the import path of whoever loads the model",
    "code-path",
    "code: null",
    "code: artifacts/bundle",
)
said(
    "Serve another bundle than the one that was looked at",
    "other-artifact",
    "path: artifacts/bundle",
    "path: ../other/bundle",
)
said(
    "Serve by another file than `scoring.py`",
    "other-code",
    "scoring.py",
    "input_example.json",
)
said("Give a key of `MLmodel` twice", "key-twice", LOADER, f"{LOADER}\n    {LOADER}")
said(
    "Give `MLmodel` a YAML tag that runs code",
    "yaml-tag",
    "code: null",
    "code: !!python/object/apply:os.system ['true']",
)
said(
    "Give `MLmodel` YAML aliases that grow without end",
    "yaml-bomb",
    "flavors:\n",
    "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nflavors:\n",
)
said(
    "Demand a package of one's own when the model is served",
    "package",
    "normgate[train]",
    "normgate-train",
    "requirements.txt",
)
said(
    "Take packages from an index of one's own",
    "index",
    "normgate[train]",
    "--extra-index-url ../wheels\nnormgate[train]",
    "requirements.txt",
)
said(
    "Take packages from a channel of one's own",
    "channel",
    "conda-forge",
    "http://example.org/channel",
    "conda.yaml",
)
added(
    "Change `scoring.py`, which runs when the model is loaded", "scoring", "scoring.py",
    "import os\n",
)  # fmt: skip
added("Add a module that `scoring.py` imports first", "shadow", "normgate.py", "")
added("Add a folder of code", "code-folder", "code/evil.py", "")
added("Add weights for a loader of one's own", "weights", "data/model.bin", "")
added("Hide a pickle among the bundle's files by its name", "renamed-pickle",
      "artifacts/bundle/weights.bin", "cos\nsystem\n(S'id'\ntR.")  # fmt: skip
added("Log compiled code in `__pycache__`", "compiled",
      "__pycache__/scoring.cpython-311.pyc", "")  # fmt: skip


@packed("Leave out `MLmodel`", "no-mlmodel")
def _(folder: Path) -> None:
    (folder / "MLmodel").unlink()
