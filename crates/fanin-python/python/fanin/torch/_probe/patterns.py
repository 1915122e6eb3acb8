"""Writes rules of a recipe: finds name patterns that match given parameters of a model and no others."""

from __future__ import annotations

import fnmatch


def patterns(specs: dict[str, str], every: dict[str, str]) -> dict[str, str]:
    """Returns the rules of a recipe as a dict from patterns to specs.

    The rules set each parameter in `specs` to its spec, and match no other parameters.

    Parameters
    ----------
    specs
        The spec of each parameter that the rules must set, by the parameter's name.
    every
        A pattern for each parameter of the model, by the parameter's name. A pattern such as h.*.mlp.weight matches the
        same parameter in all blocks.
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
    """Returns a recipe with these rules and a last rule `"*" = "copy"`.

    The last rule keeps the values of all other tensors in `names`. If there are no others, it is left out, because an
    unused rule is an error.
    """
    matched = (any(fnmatch.fnmatchcase(name, pattern) for pattern in rules) for name in names)
    every = rules if rules and all(matched) else {**rules, "*": "copy"}
    return "\n".join(["[init]", *(f'"{pattern}" = "{spec}"' for pattern, spec in every.items())])


def escaped(name: str) -> str:
    """Returns a pattern that matches exactly one name: the special characters in the name are escaped."""
    return "".join(f"[{one}]" if one in "*?[{" else one for one in name)
