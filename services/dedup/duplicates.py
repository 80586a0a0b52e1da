"""Parameters of the three duplicate steps."""

from typing import Literal, Self

from pydantic import Field, model_validator

from services.dedup.verification import Verification
from services.dedup.within import Within
from shared.step import Params


class DuplicateParams(Params):
    """Which documents are compared, and which one of a cluster stays.

    Links are transitive (specs 1.7): a document may leave for one that it shares no key with.

    With `index`, documents of earlier batches count too, and what a batch keeps depends on what
    came before it only: a document goes where an earlier one, kept or not, has a key of its own.
    Two batches one after the other so keep what both keep at once.
    """

    keeper: Literal["first", "longest", "best", "random"] = "first"
    """`first` in the order of the batch (sources by name, then offset); `longest`, the first of
    several; `best` by `score`; `random` by a hash of `seed` and the document's id, so that it does
    not depend on the batch's order (RefinedWeb, specs 1.7)."""

    score: str | None = None
    """Column of numbers that `best` takes the highest of, e.g. `fineweb_edu_v1.score`."""

    seed: int = 0
    partitions: int = Field(default=16, ge=1, le=4096)
    """Tasks of matching; the keys are cut evenly among them."""

    within: Within = "all"
    """Only documents of one crawl, or of one part of all crawls, are compared."""

    parts: int = Field(default=100, ge=1, le=65536)
    """How many parts the archives are cut into, by a hash of their names (specs 1.7)."""

    index: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """Name of an index: documents of all batches that joined it earlier count too."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.keeper == "best") != (self.score is not None):
            raise ValueError("keeper: best and score: <column> go together")
        if self.index is not None and self.keeper != "first":
            raise ValueError("under an index the earliest document stays: keeper: first")
        return self


class NearDuplicateParams(DuplicateParams):
    """With `verify`, only pairs that are as similar as it asks for are linked (specs 15.9)."""

    verify: Verification | None = None

    @model_validator(mode="after")
    def _check_verify(self) -> Self:
        if self.index is not None and self.verify is not None:
            raise ValueError("documents of earlier batches are not read again: index or verify")
        return self


class UrlDuplicateParams(DuplicateParams):
    """With `across_parts`, RefinedWeb's rule in place of one page a URL.

    The archives are cut into that many parts; in the order of the parts a document goes where its
    URL was kept in an earlier one, and repeats within a part stay (specs 1.9).
    """

    across_parts: int | None = Field(default=None, ge=2, le=65536)

    @model_validator(mode="after")
    def _check_across_parts(self) -> Self:
        if self.across_parts is not None and (self.index is not None or self.within != "all"):
            raise ValueError("across_parts compares all parts of this batch: no index, no within")
        if self.across_parts is not None and self.keeper != "first":
            raise ValueError("across_parts keeps the documents of the first part: keeper: first")
        return self
