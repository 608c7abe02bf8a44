import torch
from torch import nn

from detres.training.finite import FiniteGuard, NonFiniteLoss

CPU = torch.device("cpu")


def check(guard, *values, norm=1.0):
    guard.check([torch.tensor([value]) for value in values], torch.tensor(norm))
    return guard.flag.item()


def test_the_flag_stays_up():
    guard = FiniteGuard(nn.Identity(), CPU)
    assert check(guard, 1.0, 2.0) == 0
    assert check(guard, 1.0, float("-inf")) == 1
    assert check(guard, 1.0) == 1


def test_a_gradient_alone_raises_the_flag():
    assert check(FiniteGuard(nn.Identity(), CPU), 1.0, norm=float("nan")) == 1


def test_buffers_go_back_only_under_the_flag_and_only_where_modules_train():
    model = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(3))
    model[1].eval()
    guard = FiniteGuard(model, CPU)
    for finite in (True, False):
        guard.remember_buffers()
        before = {k: v.clone() for k, v in model.state_dict().items()}
        for buffer in model.buffers():
            buffer += 1
        check(guard, 1.0 if finite else float("nan"))
        guard.restore_buffers(guard.flag)
        for key, now in model[0].state_dict(prefix="0.").items():
            if "running" in key or "num" in key:
                assert torch.equal(now, before[key] + finite), key
        assert torch.equal(model[1].running_mean, before["1.running_mean"] + 1)


def test_a_model_without_buffers_has_nothing_to_restore():
    guard = FiniteGuard(nn.Linear(1, 1), CPU)
    guard.remember_buffers()
    guard.restore_buffers(guard.flag)


def test_the_message_names_no_more_images_than_one_can_read():
    message = str(NonFiniteLoss("loss is nan", 3, tuple(range(100))))
    assert "31, …)" in message
    assert "99" not in message
