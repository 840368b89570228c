"""Tensors from a file of PyTorch before 1.6, read without PyTorch and without running what it says.

Such a file is five pickles (a magic number, the format's version, the sizes of C's types, the
tensors by name, the keys of their storages) and then, in the order of the keys, each storage's
length and its numbers
(https://github.com/pytorch/pytorch/blob/main/torch/serialization.py, `_legacy_save`).
"""

import pickle
from collections import OrderedDict
from typing import IO, Any, NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int  # these three count numbers, not bytes
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(file: IO[bytes]) -> dict[str, np.ndarray]:
    """The tensors of a saved `state_dict` by name.

    `ValueError` for a file that is none, is cut off, or holds anything but float32 and int64.
    """
    try:
        magic, _version, _sizes, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    except (pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"not a PyTorch file of before 1.6: {error}") from error
    if magic != MAGIC:
        raise ValueError("not a PyTorch file of before 1.6")
    dtypes = dict(tensor.storage for tensor in tensors.values())
    storages = {key: _numbers(file, dtypes[key]) for key in keys}
    return {
        name: _strided(name, tensor, storages[tensor.storage.key])
        for name, tensor in tensors.items()
    }


class _Unpickler(pickle.Unpickler):
    """Knows what a file of tensors needs, and refuses the rest: a pickle may name any function."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(
                storage, offset, shape, strides
            )
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        _kind, dtype, key, _device, _length, _view = pid
        return _Storage(key, dtype)


def _numbers(file: IO[bytes], dtype: np.dtype) -> np.ndarray:
    size = int.from_bytes(file.read(8), "little") * dtype.itemsize
    numbers = file.read(size)
    if len(numbers) < size:
        raise ValueError("not a PyTorch file that is whole: it is cut off")
    return np.frombuffer(numbers, dtype)


def _strided(name: str, tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    size = numbers.itemsize
    strides = [stride * size for stride in tensor.strides]
    try:
        view = np.ndarray(tensor.shape, numbers.dtype, numbers, tensor.offset * size, strides)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the tensor {name} reaches beyond its numbers") from error
    return view.copy()
