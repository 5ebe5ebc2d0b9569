"""What is claimed of incident imc, and which figures its table shows."""

from __future__ import annotations

from normgate.incidents.claims import Claim
from normgate.incidents.port import Column

COLUMNS = (
    Column(metric="spatial_r2", title="spatial R2"),
    Column(metric="r2_median", title="R2, median channel"),
    Column(metric="r2_low_scale", title="R2, least scales", digits=2),
    Column(metric="density_probe", title="density probe R2", digits=2),
    Column(metric="class_probe", title="class probe", digits=2),
    Column(metric="kl_true", title="true KL, nats", better="neither", digits=1),
    Column(metric="abundance_r2", title="abundance R2", digits=2),
    Column(metric="sharpness", title="sharpness", digits=2),
    Column(metric="diversity", title="diversity", digits=2),
    Column(metric="legacy_cosine_loss", title="cosine loss", better="lower"),
    Column(metric="legacy_kld_loss", title="kld_loss as logged", better="neither"),
    Column(metric="perm_accuracy", title="orientation found", digits=2),
)

CLAIMS = (
    Claim(
        name="before_blurry",
        sentence="Before, reconstructions are blurry: spatial R2 below .2",
        source="post-mortem",
        quantity=lambda of: of("before", "spatial_r2"),
        relation="below",
        bound=0.2,
    ),
    Claim(
        name="after_sharp",
        sentence="After all repairs they are detailed: spatial R2 above .5",
        source="post-mortem",
        quantity=lambda of: of("after", "spatial_r2"),
        relation="above",
        bound=0.5,
    ),
    Claim(
        name="collapse",
        sentence="Before, the latent was not used: true KL below 10 nats",
        source="post-mortem",
        quantity=lambda of: of("before", "kl_true"),
        relation="below",
        bound=10.0,
    ),
    Claim(
        name="kl_repair",
        sentence="A ten times heavier KL term with 2.0 free bits makes the model use "
        "its latent: spatial R2 rises by more than .1",
        source="post-mortem",
        quantity=lambda of: of("kl_only", "spatial_r2") - of("before", "spatial_r2"),
        relation="above",
        bound=0.1,
    ),
    Claim(
        name="loss_repair",
        sentence="Cosine and gradient losses preserve structure: they alone raise "
        "spatial R2 by more than .1",
        source="post-mortem",
        quantity=lambda of: (
            of("losses_only", "spatial_r2") - of("before", "spatial_r2")
        ),
        relation="above",
        bound=0.1,
    ),
    Claim(
        name="cosine_below",
        sentence="After all repairs cosine_loss is below .1",
        source="post-mortem",
        quantity=lambda of: of("after", "legacy_cosine_loss"),
        relation="below",
        bound=0.1,
    ),
    Claim(
        name="heavier_is_sharper",
        sentence="Blurry still? Raise kld_loss_scale: fifty times heavier, spatial R2 "
        "is higher",
        source="post-mortem",
        quantity=lambda of: (
            of("kld_0.05", "spatial_r2") - of("kld_0.001", "spatial_r2")
        ),
        relation="above",
        bound=0.0,
    ),
    Claim(
        name="normalization_did_it",
        sentence="Normalization alone brings the detail: spatial R2 rises by more than "
        ".2",
        source="prototype",
        quantity=lambda of: (
            of("image_z_only", "spatial_r2") - of("before", "spatial_r2")
        ),
        relation="above",
        bound=0.2,
    ),
    Claim(
        name="low_scales_lost",
        sentence="Before, channels of least scale are worse than a mean: R2 below 0",
        source="prototype",
        quantity=lambda of: of("before", "r2_low_scale"),
        relation="below",
        bound=0.0,
    ),
    Claim(
        name="abundance_lost",
        sentence="The repair by image erases abundance: density probe below .2",
        source="prototype",
        quantity=lambda of: of("after", "density_probe"),
        relation="below",
        bound=0.2,
    ),
    Claim(
        name="dataset_sharp",
        sentence="Constants of the data set are as sharp: spatial R2 above .5",
        source="prototype",
        quantity=lambda of: of("dataset_z", "spatial_r2"),
        relation="above",
        bound=0.5,
    ),
    Claim(
        name="dataset_abundance",
        sentence="And they keep abundance: density probe above .8",
        source="prototype",
        quantity=lambda of: of("dataset_z", "density_probe"),
        relation="above",
        bound=0.8,
    ),
    Claim(
        name="kld_no_signal",
        sentence="KL does not tell the broken run from the repaired: they differ by "
        "less than 25 nats",
        source="prototype",
        quantity=lambda of: abs(of("after", "kl_true") - of("before", "kl_true")),
        relation="below",
        bound=25.0,
    ),
    Claim(
        name="mixture_cheats",
        sentence="A mixture of orientations cheats: held to one of them its spatial R2 "
        "is below 0",
        source="prototype",
        quantity=lambda of: of("d4_mixture", "spatial_r2"),
        relation="below",
        bound=0.0,
    ),
    Claim(
        name="expectation_works",
        sentence="The expectation of errors finds the orientation: in more than half "
        "of the units",
        source="prototype",
        quantity=lambda of: of("d4_expectation", "perm_accuracy"),
        relation="above",
        bound=0.5,
    ),
)
