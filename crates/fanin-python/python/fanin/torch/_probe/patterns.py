"""Patterns that match given parameters of a model and no others."""

from __future__ import annotations

import fnmatch


def patterns(specs: dict[str, str], every: dict[str, str]) -> dict[str, str]:
    """Returns rules, pattern to spec, that give each parameter its spec and match no other parameter.

    Parameters
    ----------
    specs
        The parameters to change, and their specs.
    every
        The names of all parameters of the model, and the patterns of their peers.
    """
    left = dict(specs)
    rules: dict[str, str] = {}
    while left:
        name, spec = next(iter(left.items()))
        for pattern in (f"*.{name.rpartition('.')[2]}", every[name]):
            matched = [one for one in every if fnmatch.fnmatchcase(one, pattern)]
            if len(matched) > 1 and all(left.get(one) == spec for one in matched):
                break
        else:
            pattern, matched = escaped(name), [name]
        rules[pattern] = spec
        for one in matched:
            del left[one]
    return rules


def recipe(rules: dict[str, str], names: list[str]) -> str:
    """Returns a recipe with these rules that keeps the values of all other tensors.

    The rule that keeps values is left out if the others match all tensors: a rule that is never used would be an error.
    """
    matched = (any(fnmatch.fnmatchcase(name, pattern) for pattern in rules) for name in names)
    every = rules if rules and all(matched) else {**rules, "*": "copy"}
    return "\n".join(["[init]", *(f'"{pattern}" = "{spec}"' for pattern, spec in every.items())])


def escaped(name: str) -> str:
    """Returns a pattern that matches a name and nothing else."""
    return "".join(f"[{one}]" if one in "*?[{" else one for one in name)
