"""Kernels: compiled once, kept while they are used, named by all that decides their code."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import llvmlite.binding as llvm
import pytest

from sdkit import compile_model, kernel
from tests.small import model


class Named:
    """What stands for a kernel: its name."""

    def __init__(self, name):
        self.name = name


@pytest.fixture
def source(tmp_path):
    return compile_model(model(tmp_path, "x = INTEG(y, 1)\ny = 0.123*x", end=2), ["x"]).source


@pytest.fixture
def compiled(monkeypatch):
    """The names of kernels that are compiled; none was before."""
    names, real = [], kernel._compiled

    def counted(name, source):
        names.append(name)
        return real(name, source)

    monkeypatch.setattr(kernel, "_compiled", counted)
    monkeypatch.setattr(kernel, "_kernels", type(kernel._kernels)())
    monkeypatch.setattr(kernel, "_latest", type(kernel._latest)(maxlen=2))
    return names


def test_two_threads_compile_a_kernel_once(source, compiled):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(kernel.load_kernel, [source] * 8))
    assert len({id(one) for one in found}) == 1
    assert compiled == [found[0].name]


def test_the_kernels_used_last_are_kept(source, compiled):
    a, b, c = (f"# {letter}\n{source}" for letter in "abc")
    for text in (a, b, a, c):  # of three, two are kept
        kernel.load_kernel(text)
    assert len(compiled) == 3
    kernel.load_kernel(a)
    assert len(compiled) == 3
    kernel.load_kernel(b)
    assert len(compiled) == 4


def test_a_feature_of_the_processor_names_unfinished_work_and_kernels(source, monkeypatch):
    before = kernel.processor(), kernel.load_kernel(source).name
    features = llvm.get_host_cpu_features()
    features["sdkit-test"] = False
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: features)
    kernel._target.cache_clear()
    try:
        assert kernel.processor() != before[0]
        monkeypatch.setattr(kernel, "_compiled", lambda name, source: Named(name))
        assert kernel.load_kernel(source).name != before[1]
    finally:
        kernel._target.cache_clear()
