"""What is claimed of incident fusion, and which figures its table shows.

PSNR and SSIM with `legacy_` are the incident's own, in normalized units; they are what
its claims are about, and comparable within one normalization only.
"""

from __future__ import annotations

from normgate.incidents.claims import Claim
from normgate.incidents.port import Column

COLUMNS = (
    Column(metric="legacy_brain_ssim", title="brain SSIM (legacy)"),
    Column(metric="legacy_bone_ssim", title="bone SSIM (legacy)"),
    Column(metric="legacy_bone_psnr", title="bone PSNR (legacy), dB", digits=1),
    Column(metric="bone_psnr_hu", title="bone PSNR of 2000 HU, dB", digits=1),
    Column(metric="bone_ncc", title="bone NCC"),
    Column(metric="brain_ncc", title="brain NCC"),
    Column(metric="lesion_dice", title="lesion Dice", digits=2),
    Column(metric="bone_ncc_drop", title="NCC lost, CT shuffled", digits=2),
    Column(metric="fused_low", title="lowest", better="neither", digits=2),
    Column(metric="fused_high", title="highest", better="neither", digits=2),
)

CLAIMS = (
    Claim(
        name="before_no_bone_ssim",
        sentence="Before, nothing of bone is learned: bone SSIM (legacy) is below .05",
        source="post-mortem",
        quantity=lambda of: of("before", "legacy_bone_ssim"),
        relation="below",
        bound=0.05,
    ),
    Claim(
        name="before_negative_psnr",
        sentence="Before, bone PSNR (legacy) is negative",
        source="post-mortem",
        quantity=lambda of: of("before", "legacy_bone_psnr"),
        relation="below",
        bound=0.0,
    ),
    Claim(
        name="before_at_the_bound",
        sentence="Before, fused images lie at the clamp: the lowest value is -3.000",
        source="post-mortem",
        quantity=lambda of: of("before", "fused_low"),
        relation="below",
        bound=-2.999,
    ),
    Claim(
        name="after_psnr",
        sentence="After all three repairs bone PSNR (legacy) is above 5 dB",
        source="post-mortem",
        quantity=lambda of: of("after", "legacy_bone_psnr"),
        relation="above",
        bound=5.0,
    ),
    Claim(
        name="after_bone_ssim",
        sentence="After all three repairs bone SSIM (legacy) is above .05",
        source="post-mortem",
        quantity=lambda of: of("after", "legacy_bone_ssim"),
        relation="above",
        bound=0.05,
    ),
    Claim(
        name="after_brain_ssim",
        sentence="After all three repairs brain SSIM (legacy) is above .70",
        source="post-mortem",
        quantity=lambda of: of("after", "legacy_brain_ssim"),
        relation="above",
        bound=0.70,
    ),
    Claim(
        name="clamp_alone",
        sentence="The clamp prevents learning: without it bone SSIM (legacy) is above "
        ".05",
        source="post-mortem",
        quantity=lambda of: of("clamp_only", "legacy_bone_ssim"),
        relation="above",
        bound=0.05,
    ),
    Claim(
        name="weights_alone",
        sentence="A larger weight on bone raises its PSNR (legacy) by more than 1 dB",
        source="post-mortem",
        quantity=lambda of: (
            of("weights_only", "legacy_bone_psnr") - of("before", "legacy_bone_psnr")
        ),
        relation="above",
        bound=1.0,
    ),
    Claim(
        name="ct_ignored",
        sentence="Before, the model ignores CT: bone NCC falls by less than .2 when CT "
        "is another patient's",
        source="prototype",
        quantity=lambda of: of("before", "bone_ncc_drop"),
        relation="below",
        bound=0.2,
    ),
    Claim(
        name="brain_fell",
        sentence="The repair cost the brain: brain NCC is lower than before",
        source="prototype",
        quantity=lambda of: of("after", "brain_ncc") - of("before", "brain_ncc"),
        relation="below",
        bound=0.0,
    ),
    Claim(
        name="best_hu",
        sentence="Good practice reaches a bone PSNR above 26 dB of 2000 HU",
        source="prototype",
        quantity=lambda of: of("best", "bone_psnr_hu"),
        relation="above",
        bound=26.0,
    ),
    Claim(
        name="best_ncc",
        sentence="Good practice reaches a bone NCC above .9",
        source="prototype",
        quantity=lambda of: of("best", "bone_ncc"),
        relation="above",
        bound=0.9,
    ),
    Claim(
        name="normalization_real",
        sentence="With all else as it should be, CT in 0..1 still costs more than "
        "10 dB of bone PSNR in HU",
        source="prototype",
        quantity=lambda of: (
            of("best", "bone_psnr_hu") - of("best_minmax_ct", "bone_psnr_hu")
        ),
        relation="above",
        bound=10.0,
    ),
    Claim(
        name="window_kills_bone",
        sentence="A window of -160..240 HU leaves nothing of bone: bone NCC below .2",
        source="prototype",
        quantity=lambda of: of("best_window_ct", "bone_ncc"),
        relation="below",
        bound=0.2,
    ),
    Claim(
        name="pooled",
        sentence="Pooled conditioning carries no place: bone NCC below .2 with all "
        "else as it should be",
        source="prototype",
        quantity=lambda of: of("best_pooled", "bone_ncc"),
        relation="below",
        bound=0.2,
    ),
    Claim(
        name="sampler",
        sentence="The incident's sampler alone makes brain SSIM (legacy) vanish: below "
        ".05 even with the best weights",
        source="prototype",
        quantity=lambda of: of("best_legacy_sampler", "legacy_brain_ssim"),
        relation="below",
        bound=0.05,
    ),
    Claim(
        name="incidents_table",
        sentence="With the incident's sampler the repair turns bone PSNR (legacy) from "
        "below to above 0 while SSIM stays 0: the change is above 3 dB",
        source="prototype",
        quantity=lambda of: (
            of("after_legacy_sampler", "legacy_bone_psnr")
            - of("before_legacy_sampler", "legacy_bone_psnr")
        ),
        relation="above",
        bound=3.0,
    ),
)
