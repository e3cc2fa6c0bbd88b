"""Names of everything that a study file may choose, with facts about each; loads no torch.

Adding a formula, a model or a dataset takes three places: its function, its line here, and its
row of reference values in the test. Functions are named by `"module:function"` and loaded by
`load` at the moment they are used, so that `check`, `status` and `--help` stay fast.
"""

from sweeper.catalogue.families import FAMILIES, Family, family_of
from sweeper.catalogue.folder import FOLDER
from sweeper.catalogue.formulas import FORMULAS
from sweeper.catalogue.kinds import (
    EXACT_ZEROS,
    WAYS,
    Dataset,
    Formula,
    Hyper,
    MethodEntry,
    Model,
    Way,
)
from sweeper.catalogue.methods import METHODS
from sweeper.catalogue.networks import DATASETS, MODELS, count_parameters, layer_sizes
from sweeper.catalogue.plugins import GROUP, PLUGIN, formula_of, load, plugins
from sweeper.catalogue.recipes import (
    OPTIMIZERS,
    PRECISIONS,
    SAMPLERS,
    SCHEDULES,
    SLOT_SAMPLERS,
)

__all__ = [
    "DATASETS",
    "EXACT_ZEROS",
    "FAMILIES",
    "FOLDER",
    "FORMULAS",
    "GROUP",
    "METHODS",
    "MODELS",
    "OPTIMIZERS",
    "PLUGIN",
    "PRECISIONS",
    "SAMPLERS",
    "SCHEDULES",
    "SLOT_SAMPLERS",
    "WAYS",
    "Dataset",
    "Family",
    "Formula",
    "Hyper",
    "MethodEntry",
    "Model",
    "Way",
    "count_parameters",
    "family_of",
    "formula_of",
    "layer_sizes",
    "load",
    "plugins",
]
