"""What a message carries: which task of which batch, which run or which index. Tens of bytes."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class TaskRef(BaseModel):
    """One unit (shard or partition) of one stage of a batch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["task"] = "task"
    batch: str
    stage: int = Field(ge=0)
    unit: str

    @property
    def id(self) -> str:
        """The message's id: the same task always has the same."""
        return f"{self.batch}/{self.stage}/{self.unit}"

    @property
    def failed_key(self) -> str:
        """Where the mark of a failure lies."""
        return f"batches/{self.batch}/failed/{self.stage:03d}-{self.unit}.json"


class RunRef(BaseModel):
    """A training run to advance."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    #: Whose job it is (`shared.step.job`).
    service: ClassVar[str] = "training"

    kind: Literal["run"] = "run"
    run: str

    @property
    def id(self) -> str:
        """The message's id."""
        return f"run/{self.run}"

    @property
    def job(self) -> str:
        """What the service's job handler is told."""
        return self.run

    @property
    def failed_key(self) -> str:
        """Where the mark of a failure lies."""
        return f"runs/{self.run}/failed.json"


class IndexRef(BaseModel):
    """An index (`<name>/<step>`) to merge runs of, or to clear away what was merged."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    service: ClassVar[str] = "dedup"

    kind: Literal["index"] = "index"
    index: str

    @property
    def id(self) -> str:
        """The message's id: one at a time for an index."""
        return f"index/{self.index}"

    @property
    def job(self) -> str:
        """What the service's job handler is told."""
        return self.index

    @property
    def failed_key(self) -> str:
        """Where the mark of a failure lies."""
        return f"index/data/{self.index}/failed.json"


JobRef = RunRef | IndexRef
Ref = Annotated[TaskRef | RunRef | IndexRef, Field(discriminator="kind")]
REF: TypeAdapter[TaskRef | RunRef | IndexRef] = TypeAdapter(Ref)
