"""Traced network: a module as a graph of layers and functions, or why there is none."""

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass

from torch import nn
from torch.fx import Graph, Node, Tracer

from sweeper.errors import PluginError, first_line


class NotFollowed(PluginError):
    """A network cannot be followed from its inputs to its outputs; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class TracedNetwork:
    """A module in its evaluation mode, each of its layers used once."""

    module: nn.Module
    graph: Graph

    @classmethod
    def of(cls, module: nn.Module) -> "TracedNetwork":
        """Trace a copy of a module. Raises NotFollowed."""
        _refuse_what_a_trace_does_not_show(module)
        try:
            # What it keeps of a trace, as some do of what they saw, must not stay in the module.
            module = deepcopy(module).eval()
            graph = Tracer().trace(module)
        except Exception as error:  # of a user's code, run with stand-ins for tensors
            reason = first_line(error)
            raise NotFollowed(f"its code cannot be traced: {reason}") from None
        traced = cls(module, graph)
        traced._refuse_layers_used_twice()
        traced._refuse_changes_of_what_is_used_again()
        return traced

    def layer(self, node: Node) -> nn.Module:
        """Return the layer that a node of the graph calls."""
        return self.module.get_submodule(str(node.target))

    def _refuse_layers_used_twice(self) -> None:
        calls = Counter(str(node.target) for node in self.graph.nodes if node.op == "call_module")
        for name, times in calls.items():
            if times > 1 and any(True for _ in self.module.get_submodule(name).parameters()):
                raise NotFollowed(f"its layer {name} is used {times} times")
        for node in self.graph.nodes:
            if node.op == "get_attr":
                raise NotFollowed(f"its code uses {node.target} outside of a layer")

    def _refuse_changes_of_what_is_used_again(self) -> None:
        for node in self.graph.nodes:
            if not self.changes_in_place(node):
                continue
            changed = node.args[0] if node.args else None
            while isinstance(changed, Node) and changed.op != "placeholder":
                if len(changed.users) > 1:
                    raise NotFollowed(
                        f"its code changes {changed.name} in place, and uses it again"
                    )
                # What is changed may be a view of what a function was given.
                views = changed.op in ("call_function", "call_method") and changed.args
                changed = changed.args[0] if views else None

    def changes_in_place(self, node: Node) -> bool:
        """Tell whether a node writes into its input."""
        if node.op == "call_module":
            return bool(getattr(self.layer(node), "inplace", False))
        name = getattr(node.target, "__name__", str(node.target))
        in_place = name.endswith("_") and not name.endswith("__")
        return in_place or name in ("iadd", "imul", "isub") or bool(node.kwargs.get("inplace"))


def _refuse_what_a_trace_does_not_show(module: nn.Module) -> None:
    for name, part in module.named_modules():
        hooks = (part._forward_hooks, part._forward_pre_hooks)
        if any(hooks) or "forward" in vars(part):
            raise NotFollowed(f"its part {name or 'as a whole'} has a hook or a forward of its own")
    names: dict[int, str] = {}
    for name, value in module.named_parameters(remove_duplicate=False):
        if id(value) in names:
            raise NotFollowed(f"its parameters {names[id(value)]} and {name} are one")
        names[id(value)] = name
