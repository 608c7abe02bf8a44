"""The sections that every kind of experiment has: a backbone, a training run, an optimizer and a schedule.

Sections are frozen and refuse unknown keys. A yaml states only what differs from the defaults here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from detres.config.choices import OneOf, one_of_schema
from detres.config.lengths import Length
from detres.files.places import is_address, what_is_wrong_with
from detres.precision import Precision
from detres.tables import LOGGERS, NORMS, OPTIMIZERS, SCHEDULES

Positive = Annotated[float, Field(gt=0.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Weights4 = tuple[Positive, Positive, Positive, Positive]


def one_as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str | int) else value


def _some(values: tuple[int, ...]) -> tuple[int, ...]:
    if not values:
        raise ValueError("got [], expected at least 1 value")
    return values


def _possible(place: str) -> str:
    # Shards are text in braces, commands and addresses as well; files/shard_names.py looks at those.
    wrong = what_is_wrong_with(place)
    if wrong and ("\0" in place or not any(mark in place for mark in "{:")):
        raise ValueError(f"got {place[:60]!r}, which names no file: {wrong}")
    return place


def _local(place: str) -> str:
    if is_address(_possible(place)):
        raise ValueError(f"got {place}, an address; sets are read from disks: download it, and name the folder")
    return place


# Lists that most often have one entry, which may then stand alone: `train: instances.json`.
# json_schema_input_type: what editors are told of, as of every other short form.
Names = Annotated[
    tuple[Annotated[str, AfterValidator(_possible)], ...],
    BeforeValidator(one_as_list, json_schema_input_type=tuple[str, ...] | str),
]
# The folder of a set.
Root = Annotated[str, AfterValidator(_local)]
_Logger = Annotated[str, OneOf(LOGGERS, own=True)]
LoggerNames = Annotated[
    tuple[_Logger, ...], BeforeValidator(one_as_list, json_schema_input_type=tuple[_Logger, ...] | _Logger)
]
# Of a run: steps, or text such as 2 epochs or 10 %.
Steps = Annotated[int | str, Length()]
# Pixels.
Size = Annotated[int, Field(ge=1)]
Sizes = Annotated[
    tuple[Size, ...],
    BeforeValidator(one_as_list, json_schema_input_type=Annotated[tuple[Size, ...], Field(min_length=1)] | Size),
    AfterValidator(_some),
]


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )


class BackboneConfig(Section):
    """The arguments of detres.build_backbone."""

    name: str = "resnet50"
    """An architecture of detres.list_backbones(), timm/NAME, or module:callable."""
    weights: str | None = None
    """A file, a tag such as torchvision/IMAGENET1K_V2, or "pretrained": the architecture's usual one."""
    shortcut: Literal["A", "B", "C", "plain"] | None = None
    """A: zero-padded identity. B: projection where the shape changes. C: projection everywhere. plain: none. null: as
    usual for the architecture."""
    shortcut_padding: Literal["end", "both"] | None = None
    """Where shortcuts A have their zeros: behind the channels, or half of them on either side; null: as the weights
    were trained, else end."""
    stride_in: Literal["1x1", "3x3"] | None = None
    """Which convolution of a bottleneck strides; null: as the weights were trained, else 3x3."""
    norm: Annotated[Literal["batch", "frozen", "sync", "group"], OneOf(NORMS)] | None = None
    """Norm behind the convolutions; null: frozen where statistics were loaded, batch elsewhere."""
    frozen_stages: int = Field(default=0, ge=0, le=5)
    """Stages that are not trained: 0 none, 1 the stem, 2 the stem and c2, and so on."""
    zero_init_last: bool = False
    """Start the last norm of every block at zero, so that it starts as its shortcut."""
    allow_mismatch: bool = False
    """Use weights with another stride placement or shortcut than they were trained with."""
    norm_eps: float | None = None
    """eps of the norms; null: as the weights were trained, else 1e-5."""


class TrainingConfig(Section):
    steps: int = Field(default=90_000, ge=1)
    """Optimizer steps of the run; of two lengths, this and epochs, the one that is stated last counts."""
    epochs: float | None = Field(default=None, gt=0.0)
    """The length of the run in times that the training set is seen, instead of steps; a run's own config has steps."""
    batch: int = Field(default=16, ge=1)
    """Images of one optimizer step, over all devices."""
    per_device_batch: int | None = Field(default=None, ge=1)
    """Images a device takes at once, at most; null: as many as the step asks of it. Accumulation fills the step up."""
    precision: Precision = "float32"
    """float32, or half of it where autocast says it does no harm, with float32 weights: bf16, or float16 (its losses
    scaled) for GPUs without bf16, such as V100 and T4."""
    channels_last: bool = True
    """Keep maps with their channels innermost in memory, which convolutions are faster on; the results are the
    same."""
    deterministic: bool = False
    """Take algorithms alone that give the same bits each time, on the same device and versions; mostly slower on GPUs,
    where without it some sums are added in any order."""
    compile: bool = False
    """Compile the network by torch.compile: minutes at the start, faster steps."""
    ema: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Decay of the weights' moving average; 0: none."""
    clip_norm: float | None = Field(default=None, gt=0.0)
    """Gradients whose norm, over all parameters, is above this are scaled down to it; null: never."""
    seed: int = Field(default=0, ge=0)
    """Decides every random draw: first weights, order of the images, augmentation, sampling."""
    log_every: int = Field(default=20, ge=1)
    """Steps between two reports of the losses."""
    checkpoint_every: Steps = 5000
    """Steps, or text such as 1 epoch, after which the run is saved."""
    keep_every: Steps | None = None
    """Steps, or text such as 10 epochs, of which a checkpoint is kept for good; null: last and best only."""
    eval_every: Steps | None = None
    """Steps, or text such as 1 epoch, after which the model is evaluated; null: after the last step only."""
    patience: int | None = Field(default=None, ge=1)
    """Evaluations in a row without a better best_metric after which the run stops early; null: it never does."""
    logs: LoggerNames = ("json", "tensorboard")
    """Where the run is told of: json and text (metrics.jsonl and log.txt, which every run has), tensorboard, csv,
    wandb, mlflow, or module:callable."""
    allow_other_images: bool = False
    """Let --resume go on although the images are not those the run was begun with; it then ends as another run."""


class OptimizerConfig(Section):
    name: Annotated[str, WithJsonSchema(one_of_schema(OPTIMIZERS, ("timm/NAME", "^timm/")))] = "sgd"
    """sgd, adamw, lamb, or timm/NAME for any of timm's optimizers."""
    lr: float = Field(default=0.02, gt=0.0)
    """The highest learning rate, for the batch of training.batch; the schedule multiplies it."""
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    """Share of the last update that goes into the next one."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the averages of the gradient and of its square; as it is here, timm/NAME keeps its own."""
    nesterov: bool = False
    """Nesterov's momentum: the gradient counts as if the step by momentum had been taken."""
    weight_decay: float = Field(default=1e-4, ge=0.0)
    """Pull of the weights towards zero, times the learning rate in every step."""
    norm_weight_decay: float | None = Field(default=None, ge=0.0)
    """weight_decay of norms and biases; null: the same."""

    @field_validator("name")
    @classmethod
    def _name_is_known(cls, name: str) -> str:
        return name if name.startswith("timm/") else OPTIMIZERS.check(name, also=", or timm/NAME")

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov=true needs a momentum above 0")
        return self


class ScheduleConfig(Section):
    name: Annotated[str, OneOf(SCHEDULES, own=True)] = "step"
    """How the rate goes on after the warm-up. plateau: it is multiplied by gamma when training.best_metric no longer
    gets better."""
    warmup_steps: Annotated[int | str, Length(0)] = 0
    """Steps, or text such as 1 epoch or 5 %, over which the rate grows from warmup_factor to 1."""
    warmup_factor: float = Field(default=0.001, gt=0.0, le=1.0)
    """Share of the learning rate that the warm-up begins with."""
    warmup_error: float | None = Field(default=None, gt=0.0, le=1.0)
    """Instead of warmup_steps: the rate stays at warmup_factor until the training error falls below this."""
    warmup_window: int = Field(default=50, ge=1)
    """Steps over which the training error of warmup_error is averaged."""
    milestones: tuple[Steps, ...] = ()
    """Steps, or text such as 8 epochs or 67 % of the run, at which the rate is multiplied by gamma."""
    gamma: float = Field(default=0.1, gt=0.0)
    """What the rate is multiplied by at a milestone, or on a plateau."""
    power: float = Field(default=0.9, gt=0.0)
    """Of poly: the rate is what is left of the run, as a share, to this power."""
    end_factor: float = Field(default=0.0, ge=0.0)
    """The rate at the end of cosine and poly, and the least of plateau, as a share of the first."""
    patience: int = Field(default=5, ge=1)
    """Evaluations in a row without a better one after which plateau lowers the rate."""
    threshold: float = Field(default=0.001, ge=0.0)
    """By how much an evaluation must beat the best to be better."""
    options: dict[str, Any] = {}
    """Parameters of a schedule that are none of the keys above, as one of your own may have."""

    @model_validator(mode="after")
    def _milestones_ascend(self) -> Self:
        steps = [one for one in self.milestones if isinstance(one, int)]  # Of others the set says where they lie.
        if steps != sorted(set(steps)):
            raise ValueError(f"milestones must ascend, got {list(self.milestones)}")
        return self

    @model_validator(mode="after")
    def _one_warmup(self) -> Self:
        if self.warmup_error is not None and self.warmup_steps:
            raise ValueError("warmup_steps and warmup_error are both set; a warm-up ends by one of them")
        return self


class ExperimentConfig(Section):
    """What the config of every task has; each states its own model, data and test sections."""

    task: str
    recipe: str = ""
    """What the weights will say they were trained by; the config's name where it is empty."""
    model: Section
    data: Section
    training: TrainingConfig
    optimizer: OptimizerConfig = OptimizerConfig()
    """What moves the weights."""
    schedule: ScheduleConfig = ScheduleConfig()
    """How the learning rate changes along the run."""
    test: Section

    @model_validator(mode="after")
    def _batches_fit(self) -> Self:
        batch, at_once = self.training.batch, self.training.per_device_batch
        if at_once is not None and batch > at_once and batch % at_once:
            raise ValueError(f"training.batch={batch} is no multiple of training.per_device_batch={at_once}")
        return self

    @model_validator(mode="after")
    def _plateaus_are_looked_for(self) -> Self:
        if self.schedule.name == "plateau" and self.training.eval_every is None:
            raise ValueError("schedule.name=plateau waits for evaluations; set training.eval_every")
        return self
