"""PyTorch's old weight files: what comes out, and what is refused."""

import io
import pickle
import sys
from collections import OrderedDict

import numpy as np
import pytest

from car_damage.training import torch_file

MAGIC = 0x1950A86A20F9469CFC6C
NUMBERS = np.arange(24, dtype=np.float32)


FloatStorage = type("FloatStorage", (), {"__module__": "torch"})


def _rebuild_tensor_v2(*parts):
    return parts


_rebuild_tensor_v2.__module__ = "torch._utils"


class Tensor:
    """A view of `NUMBERS`, pickled as PyTorch does."""

    def __init__(self, shape, strides, offset=0):
        self.view = (offset, shape, strides)

    def __reduce__(self):
        return _rebuild_tensor_v2, ("numbers", *self.view, False, OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        return (
            ("storage", FloatStorage, "7", "cpu", NUMBERS.size, None) if obj == "numbers" else None
        )


@pytest.fixture
def saved(monkeypatch):
    """What writes a file as PyTorch did, without PyTorch."""
    here = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "torch", here)
    monkeypatch.setitem(sys.modules, "torch._utils", here)

    def save(tensors) -> io.BytesIO:
        file = io.BytesIO()
        for part in (MAGIC, 1001, {"little_endian": True}, OrderedDict(tensors), ["7"]):
            Pickler(file, 2).dump(part)
        file.write(NUMBERS.size.to_bytes(8, "little") + NUMBERS.tobytes())
        file.seek(0)
        return file

    return save


def test_tensors_come_back_by_name_whatever_their_strides(saved):
    file = saved({"rows": Tensor((4, 6), (6, 1)), "turned": Tensor((6, 2), (1, 6), offset=12)})
    tensors = torch_file.read(file)
    np.testing.assert_array_equal(tensors["rows"], NUMBERS.reshape(4, 6))
    np.testing.assert_array_equal(tensors["turned"], NUMBERS.reshape(4, 6)[2:].T)


def test_a_tensor_that_reaches_beyond_its_numbers_is_refused(saved):
    with pytest.raises(ValueError, match="far"):
        torch_file.read(saved({"far": Tensor((5, 6), (6, 1))}))


@pytest.mark.parametrize("kept", [0, 100, -1])
def test_a_file_that_is_cut_off_is_refused(saved, kept):
    whole = saved({"rows": Tensor((4, 6), (6, 1))}).read()
    with pytest.raises(ValueError, match="not a PyTorch file"):
        torch_file.read(io.BytesIO(whole[:kept]))


def test_a_file_that_names_a_function_is_refused_and_not_obeyed(capsys):
    with pytest.raises(ValueError, match=r"__builtin__\.print is no tensor"):
        torch_file.read(io.BytesIO(b"\x80\x02c__builtin__\nprint\nX\x04\x00\x00\x00boo!\x85R."))
    assert capsys.readouterr().out == ""


def test_another_pickle_is_refused():
    with pytest.raises(ValueError, match="not a PyTorch file"):
        torch_file.read(io.BytesIO(pickle.dumps(1) * 5))
