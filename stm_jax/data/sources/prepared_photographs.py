"""Photographs that `tools/prepare_data.py` has written."""

import dataclasses
from typing import Literal

from stm_jax.data.bad_files import BadFiles
from stm_jax.data.records import prepared_photographs
from stm_jax.data.samples import Sample
from stm_jax.data.sources.protocol import PhotographSource, Prepared


@dataclasses.dataclass(frozen=True)
class PreparedPhotographs(Prepared, PhotographSource):
    """Photographs that `tools/prepare_data.py` has written."""

    kind: Literal["prepared-photographs"] = "prepared-photographs"

    def photographs(self, rule: BadFiles = "refuse") -> list[Sample]:
        """Lists the photographs; all of them have been looked at when they were prepared."""
        return prepared_photographs(self.folder)
