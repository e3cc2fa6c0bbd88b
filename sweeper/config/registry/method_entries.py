"""Methods that an arm may use beside penalties, by name."""

from collections.abc import Mapping
from dataclasses import replace

from sweeper.config.registry.entries import Hyperparameter, MethodEntry

_PRUNING = "sweeper.training.pruning_schedules"
_DYNAMIC = "sweeper.training.dynamic_sparsity"
_AT_START = "sweeper.training.pruning_at_start"
_AT = Hyperparameter(
    default=0.5, low=0.0, high=1.0, summary="share of the training after which weights are cut"
)
_BEGIN = Hyperparameter(
    default=0.2, low=0.0, high=1.0, summary="share of the training before the first cut"
)
_END = Hyperparameter(
    default=0.8, low=0.0, high=1.0, summary="share of the training before the last cut"
)
_EXAMPLES = Hyperparameter(
    default=256, choices=(64, 128, 256, 512, 1024), summary="training examples it is computed on"
)
_EVERY = Hyperparameter(
    default=0.02, low=0.001, high=1.0, summary="share of the training between two updates"
)
_FRACTION = Hyperparameter(
    default=0.3, low=0.0, high=1.0, summary="share of a layer's weights that an update drops"
)
_ANNEALED = replace(
    _FRACTION,
    summary="share of a layer's weights that the first update drops; it falls to 0 along a cosine",
)
_HELD = Hyperparameter(
    default=0.75, low=0.0, high=1.0, summary="share of the training after which the mask is held"
)
_DISTRIBUTION = Hyperparameter(
    default="erk",
    choices=("erk", "uniform"),
    summary="layers keep the same share, or, as erk, a larger one the smaller they are",
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
        "are set to 0, and stay 0 while the training goes on. With score obd those stay whose "
        "h w^2 / 2 is largest, h the mean over examples of the squared gradient of the loss of "
        "each: the diagonal of the empirical Fisher matrix in place of the Hessian's.",
        reference="Han et al. 2015, Learning both weights and connections; obd: LeCun, Denker and "
        "Solla 1990, Optimal brain damage",
        factory=f"{_PRUNING}:OneShotMagnitude",
        hyper={
            "at": _AT,
            "score": Hyperparameter(
                default="magnitude",
                choices=("magnitude", "obd"),
                summary="what ranks the weights: magnitude, or the rise of the loss without them",
            ),
            "examples": replace(_EXAMPLES, summary="training examples that obd is computed on"),
        },
    ),
    "iterative_magnitude": MethodEntry(
        summary="the smallest weights cut in rounds",
        description="In rounds at equal distances from begin to end, each keeping the same share "
        "of the weights that are left: density^(k / rounds) after round k.",
        reference="Han et al. 2015, Learning both weights and connections",
        factory=f"{_PRUNING}:IterativeMagnitude",
        passes_densities=True,
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
        passes_densities=True,
        hyper={"begin": _BEGIN, "end": _END},
    ),
    "rewinding": MethodEntry(
        summary="the smallest weights cut in rounds; those left are trained again after each",
        description="The training is divided into a first round of steps / (1 + rounds (1 - to)) "
        "steps, which has the whole schedule of the learning rate, and as many later ones, each "
        "shorter by the share `to`. After each round but the last the smallest weights are cut, to "
        "density^(n / rounds) after the n-th, and the schedule goes back to where the share `to` "
        "of the first round was done; with rewind weights so do all parameters, momentum and "
        "moments. Batches go on as they come, and there are as many steps as in any arm.",
        reference="Frankle et al. 2020, Linear mode connectivity and the lottery ticket "
        "hypothesis; learning_rate: Renda, Frankle and Carbin 2020, Comparing rewinding and "
        "fine-tuning in neural network pruning",
        factory="sweeper.training.rewinding:Rewinding",
        hyper={
            "rewind": Hyperparameter(
                default="weights",
                choices=("weights", "learning_rate"),
                summary="what goes back after a cut: all, or the learning rate alone",
            ),
            "rounds": Hyperparameter(default=3, choices=(1, 2, 3, 5, 8), summary="number of cuts"),
            "to": Hyperparameter(
                default=0.1, low=0.0, high=0.9, summary="share of the first round to go back to"
            ),
        },
    ),
    "snip": MethodEntry(
        summary="weights chosen before training by how much the loss would change without them",
        description="Of the initial weights those density x all that are largest in |w g| are "
        "trained, g the gradient of the loss on some training examples; the mask is held.",
        reference="Lee, Ajanthan and Torr 2019, SNIP: single-shot network pruning based on "
        "connection sensitivity",
        factory=f"{_AT_START}:Snip",
        hyper={"examples": _EXAMPLES},
        picks_weights=True,
    ),
    "grasp": MethodEntry(
        summary="weights chosen before training by what they do for the flow of gradients",
        description="As snip, but the smallest in -w (H g) are trained, H the Hessian of the loss: "
        "those without which the gradient would lose most.",
        reference="Wang, Zhang and Grosse 2020, Picking winning tickets before training by "
        "preserving gradient flow",
        factory=f"{_AT_START}:Grasp",
        hyper={"examples": _EXAMPLES},
        picks_weights=True,
    ),
    "set": MethodEntry(
        summary="sparse from the start; the smallest weights give way to random ones",
        description="Density x the weights are trained, drawn at random. At each update a layer "
        "drops the fraction of them that is smallest in magnitude, and as many others come, at "
        "random among those with a gradient, and begin with a step along it; the paper draws them "
        "among all, with random values, after each epoch. An update comes after a step of the "
        "optimizer.",
        reference="Mocanu et al. 2018, Scalable training of artificial neural networks with "
        "adaptive sparse connectivity",
        factory=f"{_DYNAMIC}:Set",
        hyper={
            "fraction": _FRACTION,
            "every": _EVERY,
            "end": _HELD,
            "distribution": _DISTRIBUTION,
        },
        picks_weights=True,
    ),
    "rigl": MethodEntry(
        summary="sparse from the start; the smallest weights give way to those of large gradient",
        description="As set, but those weights come whose gradient is largest in magnitude at that "
        "step, from 0 on, and the fraction is fraction / 2 (1 + cos(pi t / end)). The paper has an "
        "update every 100 of some 30,000 steps, in place of a step; here it comes after one, every "
        "2 % of the training unless the file says otherwise, so that short trainings have updates.",
        reference="Evci et al. 2020, Rigging the lottery: making all tickets winners",
        factory=f"{_DYNAMIC}:RigL",
        hyper={
            "fraction": _ANNEALED,
            "every": _EVERY,
            "end": _HELD,
            "distribution": _DISTRIBUTION,
        },
        picks_weights=True,
    ),
    "sparse_momentum": MethodEntry(
        summary="sparse from the start; weights go to layers and places of large momentum",
        description="As rigl, but those weights come whose mean gradient, the optimizer's, is "
        "largest in magnitude, and of all that were dropped a layer gets a share in proportion to "
        "the mean magnitude of that of its weights. The paper's updates come after each epoch, "
        "until the end.",
        reference="Dettmers and Zettlemoyer 2019, Sparse networks from scratch: faster training "
        "without losing performance",
        factory=f"{_DYNAMIC}:SparseMomentum",
        hyper={
            "fraction": replace(_ANNEALED, default=0.5),
            "every": replace(_EVERY, default=0.05),
            "end": replace(_HELD, default=1.0),
            "distribution": replace(_DISTRIBUTION, default="uniform"),
        },
        picks_weights=True,
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
    "factorized": MethodEntry(
        summary="each weight a product of factors, with weight decay on them",
        description="w = u1 x ... x uD, D = depth, all factors trained as the weights would be, "
        "with strength / 2 x the sum of their squares in the loss: where that is least it is "
        "strength x D / 2 x sum |w|^(2 / D), for two factors L1. Factors are drawn so that the "
        "product has about the deviation of the initial weights, and their signs. The finished "
        "network has the products, and 0 for those below 1.2e-7 in magnitude.",
        reference="Kolb et al. 2025, Deep weight factorization: sparse learning through the lens "
        "of artificial symmetries; two factors: Ziyin and Wang 2023, spred: solving L1 penalty "
        "with SGD",
        factory="sweeper.training.weight_factorization:Factorized",
        hyper={
            "depth": Hyperparameter(default=2, choices=(2, 3, 4), summary="number of factors D")
        },
        has_strength=True,
        takes_density=False,
    ),
}
