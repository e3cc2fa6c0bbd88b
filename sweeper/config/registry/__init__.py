"""Names of everything that a study file may choose, with facts about each; loads no torch.

`sweeper/README.md` says where a formula, a model or a dataset is added. Functions are named by
`"module:function"` and loaded by `load` at the moment they are used, so that `check`, `status` and
`--help` stay fast.
"""

from sweeper.config.registry.choices import (
    FAMILIES,
    FORMULAS,
    OPTIMIZERS,
    PRECISIONS,
    RESERVED_FAMILIES,
    SAMPLERS,
    SCHEDULES,
    SLOT_SAMPLERS,
    family_of,
    family_title,
)
from sweeper.config.registry.dataset_entries import DATASET_FORMS, DATASETS
from sweeper.config.registry.entries import (
    EXACT_ZEROS,
    DatasetEntry,
    DatasetForm,
    ExampleShape,
    Family,
    Formula,
    Hyperparameter,
    MethodEntry,
    ModelEntry,
)
from sweeper.config.registry.import_folder import FOLDER
from sweeper.config.registry.loss_entries import LOSSES, LossEntry
from sweeper.config.registry.measure_entries import MEASURES, MeasureEntry
from sweeper.config.registry.method_entries import METHODS
from sweeper.config.registry.model_entries import MODELS
from sweeper.config.registry.network_sizes import LayerSize
from sweeper.config.registry.plugins import (
    DATASET_GROUP,
    GROUP,
    METHOD_GROUP,
    PLUGIN,
    dataset_plugins,
    formula_of,
    load,
    method_of,
    method_plugins,
    plugins,
)
from sweeper.types import APPLY_MODES, ApplyMode

__all__ = [
    "APPLY_MODES",
    "DATASETS",
    "DATASET_FORMS",
    "DATASET_GROUP",
    "EXACT_ZEROS",
    "FAMILIES",
    "FOLDER",
    "FORMULAS",
    "GROUP",
    "LOSSES",
    "MEASURES",
    "METHODS",
    "METHOD_GROUP",
    "MODELS",
    "OPTIMIZERS",
    "PLUGIN",
    "PRECISIONS",
    "RESERVED_FAMILIES",
    "SAMPLERS",
    "SCHEDULES",
    "SLOT_SAMPLERS",
    "ApplyMode",
    "DatasetEntry",
    "DatasetForm",
    "ExampleShape",
    "Family",
    "Formula",
    "Hyperparameter",
    "LayerSize",
    "LossEntry",
    "MeasureEntry",
    "MethodEntry",
    "ModelEntry",
    "dataset_plugins",
    "family_of",
    "family_title",
    "formula_of",
    "load",
    "method_of",
    "method_plugins",
    "plugins",
]
