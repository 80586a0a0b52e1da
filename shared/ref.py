"""What a message carries: which task of which batch, or which run. Tens of bytes, nothing else."""

from typing import Annotated, Literal

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


class RunRef(BaseModel):
    """A training run to advance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["run"] = "run"
    run: str

    @property
    def id(self) -> str:
        """The message's id."""
        return f"run/{self.run}"


Ref = Annotated[TaskRef | RunRef, Field(discriminator="kind")]
REF: TypeAdapter[TaskRef | RunRef] = TypeAdapter(Ref)
