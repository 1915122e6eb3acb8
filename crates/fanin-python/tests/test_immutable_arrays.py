"""fill refuses memory that must not change: JAX arrays, read-only arrays, and arrays that may be read-only."""

import numpy as np
import pytest
import torch

import fanin
from fanin._fanin import Prepared


def jax_array():
    jax = pytest.importorskip("jax")
    return jax.numpy.zeros((4, 4))


def read_only(array):
    array.flags.writeable = False
    return array


class Subclass(np.ndarray):
    pass


class Unversioned:
    """An array that supports only DLPack versions below 1.0. These versions cannot mark memory as read-only."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Copying:
    """An array that exports a copy of its values through DLPack."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options, copy=True)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


ARRAYS = {
    "a copy": (lambda: Copying(np.zeros((4, 4))), "this Copying returns a copy"),
    "JAX": (jax_array, "immutable: use fanin.jax.fill_sharded"),
    "a NumPy view of a JAX array": (lambda: np.asarray(jax_array()), "read-only"),
    "read-only": (lambda: read_only(np.zeros((4, 4))), "read-only"),
    "a subclass": (lambda: read_only(np.zeros((4, 4)).view(Subclass)), "this Subclass is read-only"),
    "broadcast": (lambda: np.broadcast_to(np.zeros(4), (4, 4)), "read-only"),
    "bytes": (lambda: np.frombuffer(bytes(64), np.float32).reshape(4, 4), "read-only"),
    "unversioned": (lambda: Unversioned(np.zeros((4, 4))), "this Unversioned may be read-only"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_memory_that_must_not_change_is_an_error(case):
    make, needle = ARRAYS[case]
    array = make()
    for call in (
        lambda: fanin.fill(array, "normal"),
        lambda: fanin.fill(np.zeros((4, 4)), "normal", out=array),
        lambda: Prepared("normal", (4, 4), "f64" if array.dtype == np.float64 else "f32", 0, "w").fill_region(array, (0, 0)),
    ):
        with pytest.raises(ValueError, match=needle):
            call()
    assert not np.asarray(getattr(array, "array", array)).any()


def test_a_read_only_array_of_bits_is_an_error():
    with pytest.raises(ValueError, match="read-only"):
        fanin.fill(read_only(np.zeros(4, np.uint16)), "normal", dtype="bf16")
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with pytest.raises(ValueError, match="read-only"):
        fanin.fill(read_only(np.zeros(4, ml_dtypes.bfloat16)), "normal")


def test_a_file_that_is_mapped_for_reading_is_an_error(tmp_path):
    path = tmp_path / "array"
    path.write_bytes(bytes(64))
    with pytest.raises(ValueError, match="this memmap is read-only"):
        fanin.fill(np.memmap(path, np.float32, "r"), "normal")
    fanin.fill(np.memmap(path, np.float32, "r+"), "ones")
    assert np.fromfile(path, np.float32).all()


def test_writable_memory_is_filled():
    expected = fanin.filled((4, 4), "normal", dtype="f64")
    for array in (np.empty((4, 4)), np.empty((4, 4)).view(Subclass), torch.empty(4, 4, dtype=torch.float64)):
        assert (np.asarray(fanin.fill(array, "normal")) == expected).all()
