"""Token shards and tokenizers: the challenge's FineWeb export, and a small sample that ships with the package.

Layout below a root folder, the same for both: ``datasets/fineweb10B_sp1024/fineweb_{train,val}_NNNNNN.bin`` and
``tokenizers/fineweb_1024_bpe.model``. A submission started where ``./data`` is such a root needs no settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageFault


class DataError(UsageFault):
    """Data that is missing, damaged or of another kind than asked for; the message says which file and what to do."""


@dataclass(frozen=True)
class DataRoot:
    """A folder in the challenge's layout. Paths only: nothing is read."""

    root: Path
    variant: str = "sp1024"

    @property
    def dataset(self) -> Path:
        """What DATA_PATH of a submission names: the folder of the shards."""
        return self.root / "datasets" / f"fineweb10B_{self.variant}"

    @property
    def tokenizer(self) -> Path:
        """What TOKENIZER_PATH of a submission names: the SentencePiece model."""
        return self.root / "tokenizers" / f"fineweb_{self.variant.removeprefix('sp')}_bpe.model"

    def environment(self) -> dict[str, str]:
        """The variables by which a submission finds this data."""
        return {"DATA_PATH": str(self.dataset), "TOKENIZER_PATH": str(self.tokenizer)}


BUNDLED_SAMPLE = DataRoot(Path(__file__).parent / "bundled")
