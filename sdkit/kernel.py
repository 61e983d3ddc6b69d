"""A program compiled for this processor by LLVM, and called on blocks of lanes.

The only module that knows llvmlite.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np

from .cache import cached, code_of, name_of
from .progress import tell
from .vector import LIBRARY, assemble

# Machine code is freed with the last use of its kernel; a few are kept for the next call.
_kernels: WeakValueDictionary[str, Kernel] = WeakValueDictionary()
_latest: deque[Kernel] = deque(maxlen=16)
_loading = Lock()


class Kernel:
    """The compiled `lanes` of a program.

    `name` changes with the program and the processor, `width` is the number of lanes in a block.
    Arrays that have the lane as their first axis in `runtime.lanes` have the shape
    (blocks, items, width) here.
    """

    def __init__(self, name: str, engine, width: int):
        self.name, self.width = name, width
        self._engine = engine  # the code lives as long as it does
        self._lanes = engine.get_function_address("lanes")
        self.frame = ctypes.CFUNCTYPE(ctypes.c_int64)(engine.get_function_address("frame"))()

    def __call__(self, *arguments: np.ndarray | int | float) -> None:
        """Call `runtime.lanes` without its `at`. Holds no lock while it runs.

        An array of rows is handed over with the length of a row, which its shape gives.
        """
        types: list[type] = []
        values: list[int | float] = []
        for item in arguments:
            if isinstance(item, np.ndarray):
                types.append(ctypes.c_void_p)
                values.append(item.ctypes.data)
                if item.ndim > 1:
                    types.append(ctypes.c_int64)
                    values.append(item.shape[1])
            else:
                types.append(ctypes.c_double if isinstance(item, float) else ctypes.c_int64)
                values.append(item)
        ctypes.CFUNCTYPE(None, *types)(self._lanes)(*values)


def blocks(lanes: np.ndarray, width: int) -> np.ndarray:
    """(lanes, items) as (blocks, items, width); the last lane fills the last block."""
    count = -(-len(lanes) // width)
    missing = count * width - len(lanes)
    if missing:
        lanes = np.concatenate([lanes, np.repeat(lanes[-1:], missing, axis=0)])
    result = zeros((count, lanes.shape[1], width), lanes.dtype)
    result[:] = lanes.reshape(count, width, lanes.shape[1]).transpose(0, 2, 1)
    return result


def unblock(array: np.ndarray, lanes: Sequence[int] | slice) -> np.ndarray:
    """Lanes of (blocks, items, width) as (lanes, items)."""
    count, items, width = array.shape
    return array.transpose(0, 2, 1).reshape(count * width, items)[lanes]


def zeros(shape: tuple[int, ...], dtype=float) -> np.ndarray:
    """An array of zeros that begins where a vector register's load is quickest."""
    size = int(np.prod(shape)) * 8
    raw = np.zeros(size + 64, dtype=np.uint8)
    begin = -raw.ctypes.data % 64
    return raw[begin : begin + size].view(dtype).reshape(shape)


@lru_cache
def _target() -> tuple[str, str, str, int]:
    """The triple, the name and the features of this processor, and the lanes in a block."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    # Two registers a vector: while one waits for a result, the other works.
    width = 16 if features.get("avx512f") else 8 if features.get("avx") else 4
    if features.get("avx512f"):
        features["prefer-256-bit"] = False
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), features.flatten(), width


def processor() -> str:
    """A text that changes with the processor and what compiles for it."""
    import llvmlite
    import llvmlite.binding as llvm

    versions = (llvmlite.__version__, llvm.llvm_version_info)
    return " ".join(map(str, (*_target(), *versions)))


def load_kernel(source: str) -> Kernel:
    """The compiled kernel of a program's text: from this process, the cache or LLVM."""
    name = name_of(code_of("kernel"), processor(), source)
    with _loading:  # a second thread waits for the first one's kernel
        kernel = _kernels.get(name)
        if kernel is None:
            kernel = _kernels[name] = _compiled(name, source)
        if kernel in _latest:
            _latest.remove(kernel)
        _latest.append(kernel)
        return kernel


def _compiled(name: str, source: str) -> Kernel:
    import llvmlite.binding as llvm

    triple, cpu, features, width = _target()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=2, reloc="pic", codemodel="small"
    )

    def compile_text() -> bytes:
        tell("compiling")
        module = llvm.parse_assembly(assemble(source, width))
        module.verify()
        passes = llvm.create_new_module_pass_manager()
        passes.add_sroa_pass()
        passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
        return machine.emit_object(module)

    code = cached(f"{name}.o", compile_text)
    # Python itself has loaded the C library's functions (on Windows they have a file of their own).
    library = ctypes.CDLL("ucrtbase") if os.name == "nt" else ctypes.pythonapi
    for function in LIBRARY:
        address = ctypes.cast(getattr(library, function), ctypes.c_void_p).value
        llvm.add_symbol(f"sdkit_{function}", address)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Kernel(name, engine, width)
