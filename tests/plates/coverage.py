"""How often the 95% interval of a rescue score holds the truth, by simulation.

    python -m tests.plates.coverage [screens]

Every screen has 2 plates, 3 replicates, 9 units a well, drugs of rescue 0, 0.5 and 1,
the diseased and the healthy 2.0 apart, replicates of SD 0.2, and each control well held
out of one replicate or two. In "noisy units" wells have SD 0.3 and units 1.0; in
"noisy wells" 0.5 and 0.3: the harder case, as only wells tell of wells.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import click
from tests.plates.screens import Screen, predicted

from normgate.plates.treatments import AggregateSettings, analyse

TRUTH = {"none": 0.0, "half": 0.5, "full": 1.0}


def coverage(screen: Screen, screens: int, draws: int = 400) -> tuple[float, float]:
    """Share of intervals that hold the truth, and their mean width."""
    held, widths = 0, 0.0
    for seed in range(screens):
        one = replace(screen, seed=seed, drugs=TRUTH)
        found = analyse(predicted(one), AggregateSettings(bootstrap=draws)).treatments
        for row in found.to_dict("records"):
            held += row["low"] <= TRUTH[row["treatment"]] <= row["high"]
            widths += row["high"] - row["low"]
    return held / (screens * len(TRUTH)), widths / (screens * len(TRUTH))


def main() -> None:
    """Print one line of a Markdown table for each design."""
    screens = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    click.echo("| noise | control wells | drug wells | coverage | mean width |")
    click.echo("|---|---|---|---|---|")
    for name, well_sd, unit_sd in (
        ("noisy units", 0.3, 1.0),
        ("noisy wells", 0.5, 0.3),
    ):
        for controls in (4, 8, 16):
            for wells in (1, 2, 3, 4, 8):
                screen = Screen(
                    controls=controls, wells=wells, units=9, replicates=3,
                    well_sd=well_sd, unit_sd=unit_sd,
                )  # fmt: skip
                share, width = coverage(screen, screens)
                click.echo(
                    f"| {name} | {controls} | {wells} | {share:.3f} | {width:.2f} |"
                )


if __name__ == "__main__":
    main()
