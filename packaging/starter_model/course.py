"""One tower's training: its loss over the bank, optimisers, moving average and resumable checkpoints."""

from __future__ import annotations

import copy
import time
from pathlib import Path

import torch
from common import DEVICE, RUN, device_name
from torch import Tensor, nn

LOGIT_SCALE = 20.0  # ceiling of the softmax scale: above it vectors rank well but end far from each other


def save_atomically(state: object, path: Path) -> None:
    """torch.save to a temporary file, then rename: a killed training leaves the previous checkpoint whole."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


class Average:
    """Exponential moving average of a module's weights and buffers; its decay warms up with the steps."""

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        self.decay, self.steps = decay, 0
        self.state = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Moves towards the module's current weights."""
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value.detach(), 1 - keep)
            else:
                self.state[name].copy_(value)


@torch.no_grad()
def orthogonalised(matrix: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix, by five quintic Newton-Schulz steps (Jordan et al. 2024, "Muon")."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (matrix / (matrix.norm() + 1e-7)).bfloat16()
    flipped = x.shape[0] > x.shape[1]
    x = x.T if flipped else x
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if flipped else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum whose step is orthogonalised, for matrices and (flattened) convolutions: fewer steps than AdamW here."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.01) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step with Nesterov momentum."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                direction = orthogonalised(p.grad.lerp(buffer, group["momentum"]).reshape(len(p), -1))
                rows, columns = direction.shape
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(direction.view_as(p), alpha=-group["lr"] * max(1, rows / columns) ** 0.5)


def optimisers(module: nn.Module, lr: float, muon_lr: float = 0.0) -> list[torch.optim.Optimizer]:
    """Muon for inner matrices (if muon_lr), AdamW for everything else."""
    inner, decayed, plain = [], [], []
    for name, p in module.named_parameters():
        if muon_lr and p.ndim >= 2 and not any(k in name for k in ("project", "words", "places", "place.", "score")):
            inner.append(p)
        else:
            (decayed if p.ndim >= 2 else plain).append(p)
    adam = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}], lr=lr, betas=(0.9, 0.98)
    )
    return [adam, Muon(inner, muon_lr)] if inner else [adam]


def schedule(step: int, seen: int, goal: int, warm_up: int, final_share: float) -> float:
    """Learning-rate factor: warm-up, constant, then linear to almost zero over the last `final_share` of the goal."""
    return min(1.0, (step + 1) / warm_up, max(0.02, (goal - seen) / (final_share * goal)))


class Ranking(nn.Module):
    """Softmax over a bank of concept vectors with a learned, capped scale."""

    def __init__(self, bank: Tensor, hidden: Tensor) -> None:
        super().__init__()
        self.bank = bank  # (concepts, 384)
        self.hidden = hidden.to(bank.device)  # (concepts,) bool: held out, never an answer
        self.log_scale = nn.Parameter(torch.tensor(12.0).log())

    def scale(self) -> Tensor:
        """The softmax scale, at most LOGIT_SCALE."""
        return self.log_scale.exp().clamp(max=LOGIT_SCALE)

    def ranked(self, vectors: Tensor, bank: Tensor, wanted: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Cross-entropy of vectors (n, 384) over a bank (concepts, 384) to soft targets (n, concepts)."""
        hidden = self.hidden if hidden is None else hidden
        logits = (self.scale() * vectors @ bank.T).masked_fill(hidden, -1e4)
        return -(wanted.masked_fill(hidden, 0.0) * logits.log_softmax(-1)).sum(-1).mean()

    def matched(self, vectors: Tensor, said: Tensor, rivals: Tensor | None = None) -> Tensor:
        """Contrast within the batch, both ways: vectors (n, 384) and their captions' (n, 384); rivals say the same."""
        alike, same = self.scale() * vectors @ said.T, torch.arange(len(vectors), device=vectors.device)
        alike = alike if rivals is None else alike.masked_fill(rivals, -1e4)
        both: Tensor = nn.functional.cross_entropy(alike, same) + nn.functional.cross_entropy(alike.T, same)
        return both


class Course:
    """A tower on its way: what was seen, what it cost, and how to go on after a stop."""

    def __init__(
        self,
        name: str,
        tower: nn.Module,
        objective: nn.Module,
        goal: int,
        *,
        lr: float = 1e-3,
        muon: float = 0.02,
        decay: float = 0.999,
        warm_up: int = 100,
        final_share: float = 0.35,
        every: int = 240,
    ) -> None:
        self.name, self.tower, self.objective, self.goal = name, tower.to(DEVICE), objective.to(DEVICE), goal
        self.warm_up, self.final_share, self.every = warm_up, final_share, every
        self.average = Average(tower, decay)
        self.optimisers = optimisers(nn.ModuleDict({"tower": tower, "objective": objective}), lr, muon)
        self.rates = [[g["lr"] for g in o.param_groups] for o in self.optimisers]
        self.step = self.seen = self.checkpoints = 0
        self.loss, self.spent, self.more = 0.0, 0.0, {}
        if self.path.exists():
            self._resume(torch.load(self.path, weights_only=False, map_location=DEVICE))
        self.began = time.process_time() - self.spent
        self.last = time.process_time()

    @property
    def path(self) -> Path:
        """The checkpoint."""
        return RUN / f"{self.name}.pt"

    def _resume(self, state: dict) -> None:
        self.tower.load_state_dict(state["tower"])
        self.objective.load_state_dict(state.get("objective", {}))
        self.average.state, self.average.steps = state["average"], state["steps"]
        for optimiser, stored in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(stored)
        self.step, self.seen, self.spent = state["step"], state["seen"], state["spent"]
        self.more = state.get("more", {})

    def save(self) -> None:
        """Writes everything that going on needs."""
        self.spent = time.process_time() - self.began
        state = {
            "tower": self.tower.state_dict(),
            "objective": self.objective.state_dict(),
            "average": self.average.state,
            "steps": self.average.steps,
            "optimisers": [o.state_dict() for o in self.optimisers],
            "step": self.step,
            "seen": self.seen,
            "spent": self.spent,
            "device": device_name(),
            "more": self.more,
        }
        save_atomically(state, self.path)

    def learn(self, loss: Tensor, count: int) -> None:
        """One step from the loss of `count` new examples."""
        factor = schedule(self.step, self.seen, self.goal, self.warm_up, self.final_share)
        for optimiser, rates in zip(self.optimisers, self.rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        loss.backward()
        nn.utils.clip_grad_norm_(self.tower.parameters(), 5.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.average.update(self.tower)
        self.step, self.seen = self.step + 1, self.seen + count
        self.loss += (loss.item() - self.loss) * 0.02

    def due(self) -> bool:
        """Whether it is time for a checkpoint: every so many CPU-seconds, and at the goal."""
        if time.process_time() - self.last < self.every and self.seen < self.goal:
            return False
        self.last = time.process_time()
        self.checkpoints += 1
        return True

    def time_to_leave_vectors(self) -> bool:
        """At some checkpoints, once they mean something, a tower leaves vectors for the other one."""
        return self.seen > 100_000 and (self.checkpoints % 3 == 1 or self.seen >= self.goal)

    def judged(self) -> nn.Module:
        """A copy of the tower with the averaged weights."""
        judge = copy.deepcopy(self.tower)
        judge.load_state_dict(self.average.state)
        return judge.eval()
