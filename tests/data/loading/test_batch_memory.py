import os
import resource
import socket
import threading

import pytest
import torch

from detres.data.loading import batch_memory
from detres.data.loading.batch_memory import PeerGone, forget_unsent, mapped_memory, receive, send, shared_zeros


def through_a_socket(value):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=send, args=(ours, value))
        sender.start()
        received = receive(theirs)
        sender.join()
    return received


@pytest.mark.parametrize("memory", [True, False], ids=["mapped", "by value"])
def test_tensors_arrive_as_they_were_sent(monkeypatch, memory):
    monkeypatch.setattr(batch_memory, "_HAS_MEMFD", memory and batch_memory._HAS_MEMFD)
    images = mapped_memory((2, 200, 300, 3)).fill_(7)
    images[1, 199, 299, 2] = 9
    sent = {
        "images": images,
        "part of them": images[1:, 50:, ::3],
        "large and turned": torch.arange(40_000).view(200, 200).t(),
        "small": torch.tensor([True, False]),
        "nothing": torch.empty(0, 4),
        "a number": torch.tensor(2.5),
        "no tensor": ("a", 1),
    }
    expected = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in sent.items()}
    received = through_a_socket(sent)
    assert received["no tensor"] == expected.pop("no tensor")
    for name, value in expected.items():
        assert received[name].dtype == value.dtype
        assert torch.equal(received[name], value), name
    received["images"][0] = 1  # What was received may be written to.


@pytest.mark.skipif(not batch_memory._HAS_MEMFD, reason="the system has no memory without a file")
def test_a_large_tensor_is_neither_copied_nor_a_file_in_dev_shm():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        before = set(os.listdir("/dev/shm"))
        images = mapped_memory((400, 300, 3)).fill_(1)
        send(ours, images)
        images[0] = 5  # the same memory still
        assert (receive(theirs)[0] == 5).all()
        assert set(os.listdir("/dev/shm")) <= before


def test_many_small_tensors_need_no_descriptors():
    received = through_a_socket([torch.tensor([float(i)]) for i in range(5000)])
    assert [int(value) for value in received] == list(range(5000))


def test_where_no_descriptor_is_left_tensors_go_by_value():
    ours, theirs = socket.socketpair()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ours, theirs:
        resource.setrlimit(resource.RLIMIT_NOFILE, (theirs.fileno() + 1, hard))
        try:
            images = mapped_memory((400, 300, 3)).fill_(3)
            sender = threading.Thread(target=send, args=(ours, images))
            sender.start()
            received = receive(theirs)
            sender.join()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert torch.equal(received, images)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_what_a_child_marks_its_parent_reads():
    marks = shared_zeros(3, 2, dtype=torch.bool)
    assert not marks.any()
    if (child := os.fork()) == 0:
        marks[1, 0] = True
        os._exit(0)
    os.waitpid(child, 0)
    assert marks.nonzero().tolist() == [[1, 0]]
    assert shared_zeros(0, dtype=torch.bool).shape == (0,)


def test_memory_of_a_batch_that_was_not_sent_is_let_go_of():
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    mapped_memory((400, 300, 3))
    forget_unsent()
    assert not batch_memory._unsent
    assert before == (len(os.listdir("/proc/self/fd")) if before else 0)


def test_a_peer_that_went_away_is_named_so():
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        with pytest.raises(PeerGone):
            receive(ours)
        with pytest.raises(PeerGone):
            send(ours, b"x" * 1_000_000)


def test_a_message_that_breaks_off_is_none():
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(batch_memory._LENGTH.pack(100, 0) + b"half")
        ours.close()
        with pytest.raises(PeerGone):
            receive(theirs)
