"""What is known after paths meet again, and what a call leaves behind that later code reads."""

from __future__ import annotations

import pytest

from tests.program.test_followed import LOAD, analysed, scored

STOPPED = """
def main():
    model, val, train = GPT(), load("fineweb_val_*.bin"), load("fineweb_train_*.bin")
    opt = torch.optim.Adam(model.parameters())
    failure, step = None, 0
    while True:
        if step == 20000:
            break
        loss = model(train[step : step + 10], train[step + 1 : step + 11])
        loss.backward()
        if not torch.isfinite(loss).item():
            failure = f"not finite at step {step}: {loss.item()}"
            break
        opt.step()
        step += 1
    if failure is not None:
        print(failure)
        return
    evaluate(model, val)

main()
"""


def test_a_message_of_one_path_may_be_none_after_it() -> None:
    assert scored(analysed(train=LOAD + STOPPED))


LOOKED_AT = """
class Watched(GPT):
    def forward(self, x, y):
        h = self.emb(x)
        self.last_mask = h.mean(-1) >= 0.5
        return F.cross_entropy(torch.where(self.last_mask[:, None], h, -h) @ self.emb.weight.T, y)

model, val = Watched(), load("fineweb_val_*.bin")
evaluate(model, val)
torch.save({exported}, "final_model.pt")
model.load_state_dict(torch.load("final_model.pt"))
evaluate(model, val)
"""


@pytest.mark.parametrize(
    ("exported", "calibrated"),
    [("model.state_dict()", False), ("{'w': model.state_dict(), 'mask': model.last_mask}", True)],
)
def test_what_a_forward_leaves_beside_the_weights_is_not_exported(exported: str, calibrated: bool) -> None:
    program = analysed(train=LOAD + LOOKED_AT.replace("{exported}", exported))
    assert program.trace is not None and scored(program)
    assert any(a.kind == "calibration" for a in program.trace.adapts.values()) is calibrated
