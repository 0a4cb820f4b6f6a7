"""Each Triton kernel against its eager reference, under the Triton interpreter: values, gradients, odd shapes.

Triton decides at its first import whether it interprets: test_kernels.py runs these in a process of their own.
"""

from __future__ import annotations

from types import ModuleType

import pytest

torch = pytest.importorskip("torch", reason="running the reference needs the repro extra")


def test_the_kernels_are_what_runs(script: ModuleType) -> None:
    assert script.INTERPRETED and script.kernels_for(torch.zeros(1))


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (2, 513)])
@pytest.mark.parametrize(("clip", "dtype"), [(7, torch.float32), (31, torch.float32), (7, torch.bfloat16)])
def test_fake_quant(script: ModuleType, shape: tuple[int, int], clip: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    w = torch.randn(shape)
    w[0] = 0.0  # a row of zeros must not divide by zero
    found, expected = script.fake_quant_op(w, clip, dtype), script.fake_quant_eager(w, clip, dtype)
    if dtype == torch.float32:
        assert torch.equal(found, expected)
    else:  # the interpreter cuts where hardware rounds to bfloat16: one unit in the last place
        torch.testing.assert_close(found, expected, rtol=2**-7, atol=0)


def test_fake_quant_rounds_ties_to_even_and_reaches_the_lower_end(script: ModuleType) -> None:
    w = torch.tensor([[7.0, 0.5, 1.5, 2.5, -0.5, -1.5, -7.0]])
    out = script.fake_quant_op(w, 7, torch.float32)
    assert out.tolist() == [[7.0, 0.0, 2.0, 2.0, 0.0, -2.0, -7.0]]


def test_the_gradient_of_fake_quant_goes_straight_through(script: ModuleType) -> None:
    w = torch.randn(5, 33, requires_grad=True)
    weight = torch.randn(5, 33)
    (script.FakeQuant.apply(w, 7, torch.bfloat16) * weight.bfloat16()).sum().backward()
    assert torch.equal(w.grad, weight.bfloat16().float())
    assert w.grad.dtype == torch.float32


@pytest.mark.parametrize(("n", "v"), [(1, 2), (7, 96), (5, 1000), (1, 8192)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_softcap_cross_entropy(script: ModuleType, n: int, v: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    z = (40 * torch.randn(n, v)).to(dtype).requires_grad_()
    y = torch.randint(0, v, (n,))
    upstream = torch.rand(n)
    nll = script.softcap_ce(z, y, 30.0)
    (nll * upstream).sum().backward()
    exact = z.detach().float().requires_grad_()
    expected = script.softcap_ce_eager(exact, y, 30.0)
    (expected * upstream).sum().backward()
    assert nll.dtype == torch.float32
    torch.testing.assert_close(nll, expected, rtol=1e-5, atol=2e-5)
    loose = {"rtol": 2e-2, "atol": 2e-3} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(z.grad.float(), exact.grad, **loose)


def test_scoring_keeps_no_gradient(script: ModuleType) -> None:
    z, y = torch.randn(4, 96), torch.randint(0, 96, (4,))
    nll, dz = script.softcap_ce_op(z, y, 30.0, False)
    assert dz.numel() == 0
    torch.testing.assert_close(nll, script.softcap_ce_eager(z, y, 30.0), rtol=1e-5, atol=2e-5)


def test_a_larger_vocabulary_takes_the_eager_path(script: ModuleType) -> None:
    z, y = torch.randn(2, 9000), torch.randint(0, 9000, (2,))
    assert torch.equal(script.softcap_ce(z, y, 30.0), script.softcap_ce_eager(z, y, 30.0))


@pytest.mark.parametrize("bits", [4, 5, 6])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 1024)])
def test_unpack_dequant(script: ModuleType, bits: int, shape: tuple[int, int]) -> None:
    torch.manual_seed(bits)
    q = torch.randint(-(1 << (bits - 1)), 1 << (bits - 1), shape).to(torch.int8)
    scale = (torch.rand(shape[0]) + 0.01).half()
    packed = script.pack_bits(q, bits)
    assert len(packed) == (q.numel() * bits + 7) // 8 + 1
    expected = q.float() * scale.float()[:, None]
    assert torch.equal(script.unpack_dequant_eager(packed, scale, shape, bits), expected)
    assert torch.equal(script.unpack_dequant(packed, scale, shape, bits), expected)


def test_a_whole_step_with_kernels_equals_one_without(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dict(script.Hyperparameters().gpt_config(), num_layers=2, model_dim=32, num_heads=2, num_kv_heads=1)
    config |= {"bigram_vocab_size": 64, "bigram_dim": 16, "xsa_last_n": 1, "vocab_size": 96, "rope_dims": 8}
    torch.manual_seed(0)
    model = script.GPT(**config)
    model.set_quant_bits(4)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.1)
    x, y = torch.randint(0, 96, (2, 12)), torch.randint(0, 96, (2, 12))
    results = []
    for kernels in ("triton", "eager"):
        monkeypatch.setattr(script.Hyperparameters, "kernels", kernels)
        model.zero_grad()
        loss = model(x, y, True)
        loss.backward()
        results.append((loss.item(), [p.grad.clone() for p in model.parameters()]))
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-5)
    for with_kernel, without in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(with_kernel, without, rtol=1e-3, atol=1e-5)


def test_both_graphs_compile_once_and_the_switch_compiles_nothing(script: ModuleType) -> None:
    from torch._dynamo.testing import CompileCounter

    config = dict(script.Hyperparameters().gpt_config(), num_layers=2, model_dim=32, num_heads=2, num_kv_heads=1)
    config |= {"bigram_vocab_size": 64, "bigram_dim": 16, "xsa_last_n": 1, "vocab_size": 96, "rope_dims": 8}
    model = script.GPT(**config)
    model.set_quant_bits(4)
    x, y = torch.randint(0, 96, (2, 12)), torch.randint(0, 96, (2, 12))
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter, dynamic=False, fullgraph=True)
    for qat in (False, True):  # the warm-up
        compiled(x, y, qat).backward()
    assert counter.frame_count == 2
    for qat in (False, False, True, True):  # training and the switch
        torch.testing.assert_close(compiled(x, y, qat), model(x, y, qat))
    assert counter.frame_count == 2
