"""Tune a family's weights with Optuna, judged on what the weights can't touch."""

from __future__ import annotations

from typing import Any

import click
from _engine import with_engine
from _tune import tune


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
)
@click.option("--family", default="plate", help="plate, fusion or imc.")
@click.option("--preset", default="", help="The family's preset; empty: its usual.")
@click.option("--data", default="", help="As the family's training takes it.")
@click.option("--spec", default="", help="The spec; empty: the contract's own.")
@click.option("--trials", default=20, help="Trials in all; a rerun adds what lacks.")
@click.option("--workers", default=1, help="Processes that share the study.")
@click.option("--objectives", default="", help="Weight-free metrics; empty: usual.")
@click.option("--single", default="false", help="Join them to one desirability.")
@click.option("--sampler", default="tpe", help="tpe, nsga2 or random.")
@click.option("--top", default=3, help="How many of the best are trained again.")
@click.option("--seeds", default=3, help="Fresh seeds for each of them.")
@click.option("--study", default="", help="Its name; empty: the model's.")
@click.option("--storage", default="", help="sqlite:///... or postgresql://...")
@click.option("--fork", default="false", help="Begin a new study where pins differ.")
@click.option("--heartbeat", default=10, help="Seconds between signs of life.")
@click.option("--seed", default=0, help="Of every trial, and of the split.")
@click.option("--out", default="work", help="Where everything is written.")
@with_engine
def main(**options: Any) -> None:
    """Tune a family's weights with Optuna."""
    tune(options, click.get_current_context().args)


if __name__ == "__main__":
    main()
