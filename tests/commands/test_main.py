import pytest
from torch.utils.data import DataLoader, Dataset

from detres.commands.main import message_of
from detres.errors import DataError

MESSAGE = "a.tar: this shard cannot be read\n  copy it again"


class Failing(Dataset[int]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise DataError(MESSAGE)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_found_in_a_worker_is_told_without_its_traceback(workers: int) -> None:
    with pytest.raises(DataError) as caught:
        next(iter(DataLoader(Failing(), num_workers=workers)))
    assert ("Traceback" in str(caught.value)) == (workers == 1)
    assert message_of(caught.value) == MESSAGE
