"""Methods that an arm may use beside penalties, by name."""

from collections.abc import Mapping

from sweeper.config.registry.entries import Hyperparameter, MethodEntry

_PRUNING = "sweeper.training.pruning_schedules"
_AT = Hyperparameter(
    default=0.5, low=0.0, high=1.0, summary="share of the training after which weights are cut"
)
_BEGIN = Hyperparameter(
    default=0.2, low=0.0, high=1.0, summary="share of the training before the first cut"
)
_END = Hyperparameter(
    default=0.8, low=0.0, high=1.0, summary="share of the training before the last cut"
)

METHODS: Mapping[str, MethodEntry] = {
    "small_dense": MethodEntry(
        summary="a small dense network of as many weights, trained from the start",
        description="All hidden layers are narrowed by one factor, to the widest network whose "
        "weights are no more than density x all weights (one unit a layer at least). It is "
        "initialised as a network of that width, and never pruned.",
        reference="Liu et al. 2019, Rethinking the value of network pruning",
        factory="sweeper.training.small_dense:SmallDense",
        mlp_only=True,
    ),
    "random_pruning": MethodEntry(
        summary="weights cut at random",
        description="At one moment all but density x the weights are set to 0, chosen at random "
        "over all layers, and stay 0 while the training goes on.",
        reference="Blalock et al. 2020, What is the state of neural network pruning?",
        factory=f"{_PRUNING}:RandomPruning",
        hyper={"at": _AT},
    ),
    "one_shot_magnitude": MethodEntry(
        summary="the smallest weights cut at once",
        description="At one moment all but the density x weights that are largest in magnitude "
        "are set to 0, and stay 0 while the training goes on.",
        reference="Han et al. 2015, Learning both weights and connections",
        factory=f"{_PRUNING}:OneShotMagnitude",
        hyper={"at": _AT},
    ),
    "iterative_magnitude": MethodEntry(
        summary="the smallest weights cut in rounds",
        description="In rounds at equal distances from begin to end, each keeping the same share "
        "of the weights that are left: density^(k / rounds) after round k.",
        reference="Han et al. 2015, Learning both weights and connections",
        factory=f"{_PRUNING}:IterativeMagnitude",
        hyper={
            "begin": _BEGIN,
            "end": _END,
            "rounds": Hyperparameter(default=5, choices=(2, 3, 5, 8, 12), summary="number of cuts"),
        },
    ),
    "gradual_magnitude": MethodEntry(
        summary="the smallest weights cut little by little",
        description="In 41 cuts from begin to end of the training the density falls along "
        "density + (1 - density) (1 - t)^3, t from 0 to 1.",
        reference="Zhu and Gupta 2017, To prune, or not to prune",
        factory=f"{_PRUNING}:GradualMagnitude",
        hyper={"begin": _BEGIN, "end": _END},
    ),
    "l0_hard_concrete": MethodEntry(
        summary="gates on weights or input units, with a penalty on how many are open",
        description="Each weight is multiplied by a gate min(1, max(0, 1.2 s - 0.1)), s = "
        "sigmoid((log u - log(1 - u) + log alpha) / (2/3)), u uniform anew at every step; the "
        "penalty is strength x the expected number of weights with an open gate. The finished "
        "network has the deterministic gates, many of them exactly 0.",
        reference="Louizos et al. 2018, Learning sparse neural networks through L0 regularization",
        factory="sweeper.training.hard_concrete:HardConcrete",
        hyper={
            "per": Hyperparameter(
                default="weight",
                choices=("weight", "input"),
                summary="a gate for each weight, or one for all weights of an input unit",
            ),
            "open": Hyperparameter(
                default=0.9, low=0.01, high=0.999, summary="sigmoid(log alpha) at the start"
            ),
            "gate_rate": Hyperparameter(
                default=0.05,
                low=0.0,
                high=1.0,
                above=True,
                summary="learning rate of log alpha, by Adam whatever trains the weights",
            ),
        },
        has_strength=True,
        takes_density=False,
    ),
}
