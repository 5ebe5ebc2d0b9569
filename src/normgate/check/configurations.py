"""Configurations of other tools: read, judged, and put on record. No image is read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from normgate.check.against import against
from normgate.check.checked import Checked, Computed
from normgate.check.declared import judged
from normgate.contract import spec_digest
from normgate.gate.finding import ranked
from normgate.interop import find_configurations

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.contract import Spec
    from normgate.gate import Finding


def check_configurations(data: Path, spec: Spec | None) -> Checked:
    """Read a configuration, or all below a folder, and decide on them.

    Raises:
        DataError: There is none.
    """
    found = find_configurations(data)
    findings: list[Finding] = []
    for one in found.configurations:
        findings += judged(one)
        findings += against(one, spec) if spec is not None else ()
    tools = Counter(one.tool for one in found.configurations)
    told = ", ".join(f"{count} {tool}" for tool, count in tools.items())
    strange = f", {len(found.strange)} of no known tool" if found.strange else ""
    return Checked(
        kind="configurations",
        source=str(data),
        source_digest=found.digest,
        spec_digest="" if spec is None else spec_digest(spec),
        looked_at=f"{told}; {found.files} files{strange}",
        findings=ranked(findings),
        quarantined=found.unreadable,
        computed=tuple(
            Computed(one.name, one.tool, line.stage, line.input, str(line))
            for one in found.configurations
            for line in one.pipelines
        ),
    )
