import copy
import itertools
import math
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from detres.structures import ClassificationBatch
from detres.training import loop
from detres.training.ema import MovingAverage
from detres.training.finite import NonFiniteLoss
from detres.training.loop import train_steps
from detres.training.optimizers import build_optimizer

CPU = torch.device("cpu")


class Net(nn.Module):
    """A loss in two parts; images whose first pixel is 255 spoil what `spoils` names."""

    def __init__(self, spoils: str = "nothing") -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 3)
        self.spoils = spoils

    def forward(self, batch):
        pixels = batch.images.permute(0, 3, 1, 2).to(self.fc.weight.dtype) / 255
        poison = torch.where((batch.images[:, 0, 0, 0] == 255).any(), float("nan"), 0.0)
        if self.spoils == "buffers":
            self.norm.running_mean += poison
        features = self.norm(self.conv(pixels)).relu().mean(dim=(2, 3))
        logits = self.fc(features)
        if self.spoils == "gradient" and not poison.isfinite() and logits.requires_grad:
            logits.register_hook(lambda g: g * float("inf"))
        box = features.abs().mean()
        if self.spoils in ("loss", "buffers"):
            box = box + poison.to(box)
        return {"loss_class": nn.functional.cross_entropy(logits, batch.labels), "loss_box": box}


def batches(count=1000, size=4, bad_at=()):
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        images = torch.randint(0, 250, (size, 5, 5, 3), generator=generator, dtype=torch.uint8)
        if number in bad_at:
            images[0, 0, 0, 0] = 255
        labels = torch.randint(0, 3, (size,), generator=generator)
        yield ClassificationBatch(images, labels, tuple(f"{number}-{i}" for i in range(size)))


def net(spoils="nothing", dtype=torch.float32):
    torch.manual_seed(0)
    return Net(spoils).to(dtype)


def assert_same_state(one, other, but):
    """Every leaf of two optimizers' state_dicts, but those of one name."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one.keys() - {but}:
            assert_same_state(one[key], other[key], but)
    elif isinstance(one, list | tuple):
        for mine, theirs in zip(one, other, strict=True):
            assert_same_state(mine, theirs, but)
    else:
        assert one == other


def snapshot(*holders):
    return [{k: v.clone() for k, v in holder.state_dict().items()} for holder in holders]


@pytest.mark.parametrize("spoils", ["loss", "gradient", "buffers"])
@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb", "timm/lion"])
def test_a_step_that_is_not_finite_leaves_everything_as_it_was_and_is_named_later(spoils, name):
    model = net(spoils)
    optimizer, ema = build_optimizer(model, name=name, lr=0.1), MovingAverage(model, 0.9)
    reports = train_steps(
        model,
        batches(bad_at=(8,)),  # the first micro-batch of step 5
        optimizer,
        lambda step: 0.1,
        steps=50,
        accumulate=2,
        device=CPU,
        ema=ema,
        due=lambda step: step % 10 == 0,
        clip_norm=1.0,
    )
    for _ in itertools.takewhile(lambda report: report.step < 4, reports):
        pass
    before, state = snapshot(model, ema), copy.deepcopy(optimizer.state_dict())
    with pytest.raises(NonFiniteLoss) as caught:
        list(reports)
    for old, new in zip(before, snapshot(model, ema), strict=True):
        for key in old:
            assert torch.equal(old[key], new[key]), key
    # A fused optimizer still counts; what it remembers of gradients is as it was.
    counts = "step" if name == "adamw" else "nothing"
    assert_same_state(state, optimizer.state_dict(), but=counts)
    assert caught.value.step == 5
    if spoils == "gradient":
        assert "the gradient's norm is" in str(caught.value)
        assert caught.value.image_ids == tuple(f"{n}-{i}" for n in (8, 9) for i in range(4))
    else:
        assert "loss_box is nan at step 5 (images 8-0, 8-1, 8-2, 8-3)" in str(caught.value)


def test_losses_are_means_since_the_last_line():
    model = net()
    each = list(train_steps(model, batches(), build_optimizer(model, lr=0.1), lambda s: 0.1, steps=6, device=CPU))
    model = net()
    rare = list(
        train_steps(
            model,
            batches(),
            build_optimizer(model, lr=0.1),
            lambda s: 0.1,
            steps=6,
            device=CPU,
            due=lambda step: step in (2, 6),
        )
    )
    assert [report.step for report in rare] == [1, 2, 3, 4, 5, 6]
    assert [report.losses is None for report in rare] == [True, False, True, True, True, False]
    for name in ("loss_class", "loss_box", "loss"):
        mean = sum(report.losses[name] for report in each[2:]) / 4
        assert rare[5].losses[name] == pytest.approx(mean, rel=1e-6)
    assert each[0].losses["loss"] == pytest.approx(each[0].losses["loss_class"] + each[0].losses["loss_box"])
    assert rare[5].gradient_norm == max(report.gradient_norm for report in each[2:])


def test_the_update_is_that_of_a_plain_loop():
    """The oracle: torch's unfused optimizer, its own clipping, whole batches, all of it in float64."""
    model = net(dtype=torch.float64).to(memory_format=torch.channels_last)
    model.norm.eval().requires_grad_(False)  # so that halves of a batch add up to the whole
    model.norm.train = lambda mode=True: model.norm
    plain = copy.deepcopy(model)
    optimizer = build_optimizer(model, lr=1.0, weight_decay=0.01)
    rates = [0.1, 0.05, 0.2]
    list(
        train_steps(
            model,
            batches(size=4),
            optimizer,
            rates.__getitem__,
            steps=3,
            accumulate=2,
            device=CPU,
            clip_norm=0.1,
        )
    )
    trained = [p for p in plain.parameters() if p.requires_grad]
    oracle = torch.optim.SGD(trained, lr=1.0, momentum=0.9, weight_decay=0.01, fused=False)
    source = batches(size=4)
    for rate in rates:
        parts = [next(source), next(source)]
        images, labels = (torch.cat([getattr(p, n) for p in parts]) for n in ("images", "labels"))
        oracle.param_groups[0]["lr"] = rate
        oracle.zero_grad()
        sum(plain(ClassificationBatch(images, labels, ())).values()).backward()
        torch.nn.utils.clip_grad_norm_(trained, 0.1)
        oracle.step()
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12, msg=name)


def test_the_rate_is_asked_for_the_completed_steps_and_scaled_by_group():
    model = net()
    optimizer = build_optimizer(model, lr=9.0)
    optimizer.param_groups[1]["lr_scale"] = 2.0
    reports = train_steps(
        model, batches(), optimizer, lambda step: 0.001 * (step + 1), steps=7, start_step=5, device=CPU
    )
    assert [(report.step, report.lr) for report in reports] == [(6, 0.006), (7, 0.007)]
    assert [group["lr"] for group in optimizer.param_groups] == [0.007, 0.014]


def test_groups_of_any_optimizer_get_the_rate_itself():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=9.0)
    list(train_steps(model, batches(), optimizer, lambda step: 0.001, steps=1, device=CPU))
    assert optimizer.param_groups[0]["lr"] == 0.001


def test_what_is_not_said_is_one_micro_batch_a_step_from_the_start_and_no_clipping():
    trained = []
    for said in ({}, {"start_step": 0, "accumulate": 1, "precision": "float32", "clip_norm": None, "seed": 0}):
        model = Dropping()
        reports = train_steps(
            model, batches(), build_optimizer(model, lr=0.1), lambda step: 0.1, steps=3, device=CPU, **said
        )
        assert [(report.step, report.losses is None) for report in reports] == [(1, False), (2, False), (3, False)]
        trained.append([model.kept, *model.parameters()])
    for one, other in zip(*trained, strict=True):
        assert torch.equal(one, other)


def test_bf16_computes_in_bf16_and_keeps_float32_weights():
    model = net()
    seen = []
    model.conv.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    list(
        train_steps(
            model,
            batches(),
            build_optimizer(model, lr=0.1),
            lambda s: 0.1,
            steps=2,
            device=CPU,
            precision="bf16",
        )
    )
    assert set(seen) == {torch.bfloat16}
    assert model.conv.weight.dtype == torch.float32


class Dropping(Net):
    """Seeded, and drops half of `kept`; each micro-batch's is in `drawn`."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__()
        self.drawn = []

    def forward(self, batch):
        self.kept = nn.functional.dropout(torch.ones(64), 0.5)
        self.drawn.append(self.kept.tolist())
        return super().forward(batch)


def test_dropout_is_drawn_by_the_step_not_by_what_was_drawn_before():
    kept = []
    for start in (0, 3):
        model = Dropping()
        torch.rand(start + 5)
        reports = train_steps(
            model,
            itertools.islice(batches(), start, None),
            build_optimizer(model, lr=0.1),
            lambda s: 0.1,
            steps=5,
            start_step=start,
            device=CPU,
        )
        kept.append([model.kept.clone() for _ in reports])
    assert torch.equal(kept[0][3], kept[1][0])
    assert torch.equal(kept[0][4], kept[1][1])
    assert not torch.equal(kept[0][3], kept[0][4])


def drawn_by(monkeypatch, rank, accumulate, steps=2):
    """What a rank drops in each of its micro-batches."""
    monkeypatch.setattr(loop, "rank", lambda: rank)
    model = Dropping()
    optimizer = build_optimizer(model, lr=0.1)
    list(train_steps(model, batches(), optimizer, lambda s: 0.1, steps=steps, accumulate=accumulate, device=CPU))
    return model.drawn


def test_a_micro_batch_of_the_whole_step_draws_the_same_on_whichever_rank_it_is(monkeypatch):
    of_four = [drawn_by(monkeypatch, rank, 1) for rank in range(4)]
    of_two = [drawn_by(monkeypatch, rank, 2) for rank in range(2)]
    for step in (0, 1):
        whole = [drawn[step] for drawn in of_four]
        assert [draw for drawn in of_two for draw in drawn[2 * step : 2 * step + 2]] == whole
        assert all(one != other for one, other in itertools.combinations(whole, 2))


class Wrapped(nn.Module):
    """Stands in for torch's data-parallel wrapper: it tells which micro-batches were computed without an exchange."""

    def __init__(self, module):
        super().__init__()
        self.module, self.alone, self.told = module, False, []

    @contextmanager
    def no_sync(self):
        self.alone = True
        yield
        self.alone = False

    def forward(self, batch):
        self.told.append(self.alone)
        return self.module(batch)


def test_ranks_exchange_gradients_once_a_step(monkeypatch):
    monkeypatch.setattr(loop, "DistributedDataParallel", Wrapped)
    model = Wrapped(net())
    optimizer = build_optimizer(model, lr=0.1)
    list(train_steps(model, batches(), optimizer, lambda s: 0.1, steps=2, accumulate=3, device=CPU))
    assert model.told == [True, True, False] * 2


def test_a_model_that_changes_its_losses_names_is_refused():
    class Fickle(Net):
        def forward(self, batch):
            losses = super().forward(batch)
            return losses if "0-0" in batch.image_ids else {"loss": sum(losses.values())}

    model = Fickle()
    with pytest.raises(ValueError, match="at step 2"):
        list(train_steps(model, batches(), build_optimizer(model, lr=0.1), lambda s: 0.1, steps=2, device=CPU))


class MeasuringNet(Net):
    """Measures how many labels are 0, over which a gradient must not notice."""

    def forward(self, batch):
        zeros = (batch.labels == 0).double().mean()
        return {**super().forward(batch), "zeros": zeros, "weight": self.fc.weight.sum()}


def test_what_is_measured_is_reported_over_all_micro_batches_and_not_learned_from():
    torch.manual_seed(0)
    measuring, told = MeasuringNet(), []
    plain = net()
    arguments = {"steps": 4, "accumulate": 2, "device": CPU, "due": lambda step: step == 4}
    reports = [
        list(train_steps(model, batches(), build_optimizer(model, lr=0.1), lambda s: 0.1, **arguments, **more))
        for model, more in ((plain, {}), (measuring, {"measured": lambda *of_step: told.append(of_step)}))
    ]
    assert reports[0][3].losses == reports[1][3].losses
    assert reports[0][3].measurements == {}
    for ours, theirs in zip(measuring.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    labels = torch.stack([batch.labels for batch in batches(8)])
    assert reports[1][3].measurements["zeros"] == pytest.approx((labels == 0).double().mean().item(), rel=1e-6)
    assert [step for step, _ in told] == [1, 2, 3, 4]
    of_step = [[measured["zeros"].item() for measured in micro_batches] for _, micro_batches in told]
    assert of_step == (labels == 0).double().mean(dim=1).view(4, 2).tolist()
    assert not any(measured["weight"].requires_grad for _, micros in told for measured in micros)


def test_a_measurement_that_is_not_finite_stops_nothing():
    class Undefined(Net):
        def forward(self, batch):
            return {**super().forward(batch), "ratio": torch.tensor(float("nan"))}

    model = Undefined()
    (report,) = train_steps(model, batches(), build_optimizer(model, lr=0.1), lambda s: 0.1, steps=1, device=CPU)
    assert math.isnan(report.measurements["ratio"])
    assert math.isfinite(report.losses["loss"])


def test_seconds_are_means_since_the_last_line_of_what_happens_within_the_loop(monkeypatch):
    """A batch takes 1 second more each time, the model 10, and whoever asks for the steps 1000 between two."""
    now = 500.0

    def spend(seconds):
        nonlocal now
        now += seconds

    class Slow(Net):
        def forward(self, batch):
            spend(10)
            return super().forward(batch)

    def late():
        for number, batch in enumerate(batches()):
            spend(number + 1)
            yield batch

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: now))
    model, reports = Slow(), []
    for report in train_steps(
        model,
        late(),
        build_optimizer(model, lr=0.1),
        lambda s: 0.1,
        steps=6,
        device=CPU,
        due=lambda step: step in (1, 3, 6),
    ):
        spend(1000)
        reports.append((report.seconds, report.waiting))
    assert reports == [(11, 1), (None, None), (10 + 2.5, 2.5), (None, None), (None, None), (10 + 5, 5)]


def test_a_weight_without_a_gradient_in_a_step_is_left_alone():
    """Momentum and decay would move one whose gradient is zero."""

    class Resting(Net):
        def __init__(self):
            super().__init__()
            self.extra = nn.Parameter(torch.ones(3))

        def forward(self, batch):
            losses = super().forward(batch)
            asked = self.extra.sum() if "0-0" in batch.image_ids else 0.0
            return {**losses, "loss_extra": asked + losses["loss_box"] * 0}

    model = Resting()
    optimizer = build_optimizer(model, lr=0.1, weight_decay=0.1)
    reports = train_steps(model, batches(), optimizer, lambda s: 0.1, steps=3, device=CPU)
    next(reports)
    after_first = model.extra.clone()
    assert not torch.equal(after_first, torch.ones(3))
    list(reports)
    assert torch.equal(model.extra, after_first)


def test_batches_go_to_the_device_without_a_wait():
    told = []

    class Moved(ClassificationBatch):
        def to(self, device, *, non_blocking=False):
            told.append((device, non_blocking))
            return self

    model, source = net(), (Moved(b.images, b.labels, b.image_ids) for b in batches())
    list(train_steps(model, source, build_optimizer(model, lr=0.1), lambda s: 0.1, steps=2, device=CPU))
    assert told == [(CPU, True)] * 2


def test_the_average_is_told_the_completed_steps():
    model, told = net(), []

    class Told(MovingAverage):
        def update(self, step, keep):
            told.append((step, keep.item()))

    optimizer, ema = build_optimizer(model, lr=0.1), Told(model, 0.9)
    list(train_steps(model, batches(), optimizer, lambda s: 0.1, steps=5, start_step=3, device=CPU, ema=ema))
    assert told == [(4, 1.0), (5, 1.0)]


def test_a_step_of_whose_micro_batches_one_loss_is_infinite_moves_nothing_though_its_gradient_be_finite():
    """The gradient of a constant is zero: the loss alone tells."""

    class Infinite(Net):
        def forward(self, batch):
            bad = float("inf") if "1-0" in batch.image_ids else 0.0
            losses = super().forward(batch)
            return {**losses, "loss_box": losses["loss_box"] + bad}

    model = Infinite()
    optimizer = build_optimizer(model, lr=0.1)
    reports = train_steps(
        model, batches(), optimizer, lambda s: 0.1, steps=2, accumulate=2, device=CPU, due=lambda s: s == 2
    )
    (before,) = snapshot(model)
    with pytest.raises(NonFiniteLoss, match="loss_box is inf at step 1"):
        list(reports)
    for key, value in snapshot(model)[0].items():
        assert torch.equal(value, before[key]), key


def test_no_steps_left_yields_nothing():
    model = net()
    assert not list(
        train_steps(model, iter(()), build_optimizer(model, lr=0.1), lambda s: 0.1, steps=3, start_step=3, device=CPU)
    )


def test_gradients_lie_in_memory_as_their_weights_do():
    """torch's fused optimizers walk memory: a gradient in another order would move the wrong weights."""
    model = net().to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, lr=0.1)
    list(train_steps(model, batches(), optimizer, lambda s: 0.1, steps=2, accumulate=2, device=CPU))
    assert model.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert model.conv.weight.grad.stride() == model.conv.weight.stride()
    assert optimizer.state[model.conv.weight]["momentum_buffer"].stride() == model.conv.weight.stride()
