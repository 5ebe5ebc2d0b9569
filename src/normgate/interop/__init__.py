"""What other tools' configurations say of normalization, and what the tools execute.

    declared        the words for it: operations, pipelines, promises, texts, exceptions
    arguments       arguments of an operation as the tool will take them
    files           a file or folder of configurations, each recognized and read
    monai           bundles: metadata.json, inference.json, train.json (or YAML)
    monai_steps     what each of its transforms executes
    bioimageio      rdf.yaml and bioimageio.yaml of models, formats 0.3 to 0.5
    bioimageio_steps  what each of its operations executes
    nnunet          plans, fingerprint and dataset of nnU-Net v2
    sampled         steps that measure each picture, as all of them have them
    timm            pretrained_cfg, alone or in a list
    stardist        config.json of a model

Files are read, never run: an expression or a reference to code stays what it is. A step
is what one version of the tool executes, which is not always what its file declares;
where they differ, both are told.
"""

from normgate.interop.declared import Configuration, Operation, Pipeline
from normgate.interop.files import Found, find_configurations

__all__ = ["Configuration", "Found", "Operation", "Pipeline", "find_configurations"]
