"""A pretended GPU: operations for which the host would wait are counted on a machine that has none.

Work on a GPU is queued: the host runs ahead, and prepares the next operations while earlier ones are computed. It must
wait for the GPU where it asks for a number (`tensor.item()`, `if tensor > 0`), where the shape of a result depends on
numbers (`nonzero`, a mask as an index), and where it copies from one memory to the other in the plain way.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import arg_tree_leaves, tree_map_only

DEVICE = "meta"
"""The device that is pretended: one without numbers, which torch has on every machine, and differentiates on."""

PACKAGE = Path(__file__).parents[1]

_ASKS = {"_local_scalar_dense", "equal", "_linalg_check_errors"}
"""Operations that return a number to the host, or that raise an error where numbers are bad."""

_SIZED_BY_NUMBERS = {
    *("nonzero", "masked_select", "bincount", "histc"),
    *("_unique", "_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"),
}
"""Operations whose result has a shape that depends on numbers, or that read a range first."""

_INDEXES = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put"}
_COPIES = {"_to_copy", "copy_", "_copy_from"}
"""The operations that take tensors of both memories: any other takes no more than single numbers from the host."""


class OnDevice(Tensor):
    """A tensor of the pretended device.

    Attributes:
        host: its numbers, on the CPU.
    """

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor) -> Self:
        """From numbers on the CPU."""
        made: Self = torch.Tensor._make_wrapper_subclass(  # noqa: SLF001
            cls,
            host.size(),
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=torch.device(DEVICE),
        )
        made.host = host
        return made

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"{type(self).__name__}({self.host})"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # noqa: SLF001

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: object) -> Any:
        """Refused outside `pretended`."""
        raise RuntimeError(f"{func} of a pretended device's tensor, which computes inside a `with pretended()` alone")


class PretendedDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Computes what is asked of the pretended device on the CPU, and counts what a GPU's host would wait for.

    Attributes:
        waits: by operation and line of relbench that asks for it, in a backward pass the line that began it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Compute on the CPU; the result lies where it would on a machine with a GPU."""
        del types
        given = dict(kwargs or {})
        tensors = [each for each in arg_tree_leaves(*args, **given) if isinstance(each, Tensor)]
        name = _name(func)
        is_there = _is_there(name, tensors, given)
        if is_there or any(isinstance(each, OnDevice) for each in tensors):
            _refuse_mixed(name, tensors)
            if _waits(name, args, given, tensors):
                self.waits[f"{name}, {_place()}"] += 1
        if given.get("device") is not None:
            given["device"] = torch.device("cpu")
        found = func(*_on_the_host(args), **_on_the_host(given))
        return _placed(found, tensors) if is_there else found


@contextmanager
def pretended() -> Iterator[PretendedDevice]:
    """Pretend that there is a GPU: inside the `with`, `.to(DEVICE)` copies there, and networks are trained there.

    Autocast and fused optimisers do not know the device; it is left out of the first and let pass by the second.
    """
    autocast = torch.autocast

    def known(device_type: str, *args: Any, **kwargs: Any) -> torch.autocast:
        return autocast("cpu" if device_type == DEVICE else device_type, *args, **kwargs)

    fused = patch("torch.optim.optimizer._get_fused_kernels_supported_devices", lambda: ["cpu", DEVICE])
    with patch("torch.autocast", known), fused, PretendedDevice() as device:
        yield device


def _name(func: Any) -> str:
    name: str = func.name()
    return name.partition("::")[2].partition(".")[0]


def _is_there(name: str, tensors: Sequence[Tensor], given: Mapping[str, Any]) -> bool:
    """Whether the result lies on the pretended device: where it is asked to, or else with what it is made of."""
    if given.get("device") is not None:
        return torch.device(given["device"]).type == DEVICE
    first = tensors[:1] if name in _INDEXES | _COPIES else tensors
    return any(isinstance(each, OnDevice) for each in first)


def _refuse_mixed(name: str, tensors: Sequence[Tensor]) -> None:
    """As torch does of a real device."""
    is_on_the_host = [each.ndim > 0 and not isinstance(each, OnDevice) for each in tensors]
    if name in _COPIES or (name in _INDEXES and not is_on_the_host[0]):
        return
    if any(is_on_the_host):
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, but there is one on the CPU")


def _waits(name: str, args: Sequence[Any], given: Mapping[str, Any], tensors: Sequence[Tensor]) -> bool:
    """Whether torch's CUDA code for an operation waits for the GPU, where some of its tensors are there."""
    if name in _COPIES:
        return _copy_waits(name, args, given)
    if name in _INDEXES:
        return _index_waits(name, args)
    if name == "where":  # brings a single number from the host by a copy
        return not all(isinstance(each, OnDevice) for each in tensors)
    if name == "repeat_interleave":
        return isinstance(args[0], Tensor) and given.get("output_size") is None
    if name == "multinomial":  # which reads sums and extremes first, unless several are drawn with replacement
        replacement = args[2] if len(args) > 2 else given.get("replacement", False)
        return not replacement or args[1] == 1
    return name in _ASKS | _SIZED_BY_NUMBERS


def _copy_waits(name: str, args: Sequence[Any], given: Mapping[str, Any]) -> bool:
    """A copy to the other memory waits, unless it is told not to."""
    if name == "_to_copy":
        target = args[0].device if given.get("device") is None else torch.device(given["device"])
        crosses, spared = args[0].device != target, given.get("non_blocking", False)
    else:
        crosses, spared = args[0].device != args[1].device, len(args) > 2 and args[2]
    return crosses and not spared


def _index_waits(name: str, args: Sequence[Any]) -> bool:
    """Masks are counted first, but where a single number is put in; indices on the host are copied."""
    indices = [each for each in args[1] if each is not None]
    has_mask = any(each.dtype in (torch.bool, torch.uint8) for each in indices)
    fills = "put" in name and args[2].numel() == 1 and not (len(args) > 3 and args[3])
    return (has_mask and not fills) or not all(isinstance(each, OnDevice) for each in indices)


def _place() -> str:
    """The line of relbench that is at work."""
    inside = [
        frame
        for frame in traceback.extract_stack()
        if PACKAGE in Path(frame.filename).parents and frame.filename != __file__
    ]
    return f"{Path(inside[-1].filename).relative_to(PACKAGE)}:{inside[-1].lineno}" if inside else "outside relbench"


def _on_the_host(arguments: Any) -> Any:
    return tree_map_only(OnDevice, lambda tensor: tensor.host, arguments)


def _placed(found: Any, tensors: Sequence[Tensor]) -> Any:
    """Results on the pretended device; what was changed in place stays the same tensor."""
    known = {id(each.host): each for each in tensors if isinstance(each, OnDevice)}
    place: Callable[[Tensor], Tensor] = lambda tensor: known[id(tensor)] if id(tensor) in known else OnDevice(tensor)  # noqa: E731
    return tree_map_only(Tensor, place, found)
