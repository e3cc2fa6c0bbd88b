"""Hard-concrete gates: an L0 penalty that gradients can follow.

Reference: Louizos, Welling and Kingma 2018, Learning sparse neural networks through L0
regularization: beta = 2/3, gamma = -0.1, zeta = 1.1.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sweeper.config import derive_seed
from sweeper.regularizers.ops import per_network
from sweeper.training.methods import Method, TrainingContext, TrainingStep
from sweeper.training.noise import generator_on
from sweeper.training.optimizers import Adam
from sweeper.training.stack import NetworkRange, Stack

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
SHIFT = BETA * math.log(-GAMMA / ZETA)


@dataclass(slots=True, eq=False)
class Gates:
    """Gates of a slice by the name of the weights, [pack, out, in] or [pack, 1, in] each."""

    generator: torch.Generator
    noise: Stack
    """Of this step, [1, out, in] or [1, 1, in] each."""
    log_alpha: Stack
    gradient: Stack
    """Of the loss in log alpha, at this step; the optimizer's."""
    optimizer: Adam
    gate: Stack = field(default_factory=dict)
    slope: Stack = field(default_factory=dict)
    """d gate / d log alpha, at this step."""


@dataclass(frozen=True, slots=True, eq=False)
class HardConcrete(Method):
    """Each weight, or all weights of an input unit, times a gate in [0, 1].

    The penalty is strength x the expected number of weights whose gate is not 0. The noise of a
    step is the same for all networks of a slice, so that a network does not depend on its pack.
    """

    strength: Tensor
    open: Tensor
    gate_rate: Tensor
    per: str

    def start(self, weights: Stack, biases: Stack, context: TrainingContext) -> Gates:
        begin = torch.logit(self.open)
        alphas = {}
        for name, weight in weights.items():
            pack, out, inputs = weight.shape
            shape = (pack, out if self.per == "weight" else 1, inputs)
            alphas[name] = per_network(begin, weight).expand(shape).clone()
        noise = {name: torch.zeros_like(alpha[:1]) for name, alpha in alphas.items()}
        device = next(iter(alphas.values())).device
        generator = generator_on(device, derive_seed(context.order_seed, "gates"))
        # By Adam whatever trains the weights.
        moment = torch.full_like(self.gate_rate, 0.9)
        optimizer = Adam(moment, torch.zeros_like(moment))
        optimizer.bind(alphas)
        gradients = optimizer.gradients(NetworkRange(0, len(moment)))
        return Gates(generator, noise, alphas, gradients, optimizer)

    @torch.no_grad()
    def draw_noise(self, state: Gates) -> None:
        for noise in state.noise.values():
            noise.uniform_(generator=state.generator).clamp_(1e-6, 1 - 1e-6).logit_()

    @torch.no_grad()
    def forward(self, weights: Stack, state: Gates) -> Stack:
        """Return the weights times this step's gates."""
        inside = {}
        for name, weight in weights.items():
            alpha = state.log_alpha[name]
            soft = (alpha + state.noise[name]).mul_(1 / BETA).sigmoid_()
            stretched = soft * (ZETA - GAMMA) + GAMMA
            moves = (stretched > 0) & (stretched < 1)
            state.gate[name] = stretched.clamp_(0, 1)
            # ds/d log alpha = s (1 - s) / beta
            state.slope[name] = soft.sub_(soft * soft).mul_((ZETA - GAMMA) / BETA).mul_(moves)
            inside[name] = weight * state.gate[name]
        return inside

    @torch.no_grad()
    def vjp(self, weights: Stack, gradients: Stack, state: Gates) -> None:
        for name, weight in weights.items():
            gradient = gradients[name]
            through = gradient * weight  # d loss / d gate of each weight
            gated = 1
            if self.per == "input":
                through, gated = through.sum(1, keepdim=True), weight.shape[1]
            open_ = (state.log_alpha[name] - SHIFT).sigmoid_()  # probability of a gate above 0
            penalty = open_.sub_(open_ * open_).mul_(per_network(self.strength * gated, weight))
            state.gradient[name].copy_(through.mul_(state.slope[name]).add_(penalty))
            gradient.mul_(state.gate[name])

    def after(self, weights: Stack, state: Gates, step: TrainingStep) -> None:
        """Train the gates, on the schedule of the weights."""
        state.optimizer.step(self.gate_rate * step.factor)

    @torch.no_grad()
    def finish(self, weights: Stack, state: Gates) -> None:
        """Multiply by the deterministic gates min(1, max(0, 1.2 sigmoid(log alpha) - 0.1))."""
        for name, weight in weights.items():
            gate = state.log_alpha[name].sigmoid().mul_(ZETA - GAMMA).add_(GAMMA).clamp_(0, 1)
            weight.mul_(gate)
