"""All penalties R(W) by name, in the order in which they are listed to people."""

from collections.abc import Mapping

from sweeper.catalogue.entropies import ENTROPIES
from sweeper.catalogue.kinds import Formula
from sweeper.catalogue.penalties import PENALTIES

FORMULAS: Mapping[str, Formula] = {**PENALTIES, **ENTROPIES}
