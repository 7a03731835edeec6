"""Selection of the next entity by composition-rejection, for `kmc.kinetics.advance`.

Entities whose total rates agree in exponent and first binary digit share a group with one bound (Slepoy,
Thompson & Plimpton, J. Chem. Phys. 128, 205101 (2008)). Integer counts replace sums, so nothing drifts.
"""

import numpy as np

from kmc.system.neighbours import index, inlined, kernel
from kmc.system.prefetch import prefetch
from kmc.system.state import GROUP_OFFSET, GROUPS


@kernel
def leave_group(state, entity: int) -> None:
    """Take an entity out of its group: the last member takes its place."""
    g = np.int64(state.entities[entity].group)
    if g < 0:
        return
    group, run = state.groups[g], state.run[0]
    run.regrouped = 1
    last = group.count - 1
    moved = index(state.members[g, last])
    state.members[g, state.entities[entity].slot] = moved
    state.entities[moved].slot = state.entities[entity].slot
    group.count = last
    state.entities[entity].group = -1
    if last == 0:
        group.bound = 0.0
        run.active -= 1
        k = 0
        while state.groups[k].active != g:
            k += 1
        while k < run.active:
            state.groups[k].active = state.groups[k + 1].active
            k += 1


@inlined
def group_of(total: float) -> int:
    """Group of a positive total rate: exponent and first digit of the fraction, within the table."""
    return index(min(max((np.float64(total).view(np.int64) >> 51) - GROUP_OFFSET, 0), GROUPS - 1))


@kernel
def join_group(state, entity: int, total: float) -> None:
    """Put an entity into the group of its total rate, whose bound only rises until the group is empty."""
    if not total > 0.0:
        return
    g = group_of(total)
    group, run = state.groups[g], state.run[0]
    run.regrouped = 1
    if group.count == 0:
        k = run.active
        run.active += 1
        while k > 0 and state.groups[k - 1].active < g:
            state.groups[k].active = state.groups[k - 1].active
            k -= 1
        state.groups[k].active = g
    state.members[g, group.count] = entity
    state.entities[entity].slot = group.count
    state.entities[entity].group = g
    group.count += 1
    group.bound = max(group.bound, total)


@inlined
def regroup(state, entity: int, total: float) -> None:
    """Give an entity its new total rate."""
    state.entities[entity].total = total
    g = np.int64(state.entities[entity].group)
    if g >= 0 and total > 0.0 and group_of(total) == g:
        if total > state.groups[g].bound:
            state.groups[g].bound = total
            state.run[0].regrouped = 1
    else:
        leave_group(state, entity)
        join_group(state, entity, total)


@kernel
def clear_groups(state) -> None:
    """Take all entities out, so that the bounds become tight again."""
    for k in range(state.run[0].active):
        group = state.groups[index(state.groups[k].active)]
        group.count, group.bound = 0, 0.0
    state.run[0].active = 0
    state.run[0].regrouped = 1
    for entity in range(state.run[0].entities):
        state.entities[entity].group = -1


@inlined
def sum_bounds(state) -> None:
    """Re-sum the bound on the total rate if a group changed: never incremented, so it cannot drift."""
    if state.run[0].regrouped == 0:
        return
    state.run[0].regrouped = 0
    total = 0.0
    for k in range(state.run[0].active):
        group = state.groups[index(state.groups[k].active)]
        total += group.count * group.bound
    state.run[0].bound_total = total


@inlined
def choose(state, draw: float) -> tuple[int, float]:
    """Entity for a uniform draw, and what is left of it in (0, bound): a miss if above the entity's total."""
    rest = draw * state.run[0].bound_total
    g = index(state.groups[0].active)
    for k in range(state.run[0].active):
        g = index(state.groups[k].active)
        weight = state.groups[g].count * state.groups[g].bound
        if rest < weight:
            break
        rest -= weight
    bound = state.groups[g].bound
    ratio = rest / bound
    member = index(min(int(ratio), state.groups[g].count - 1))
    return index(state.members[g, member]), (ratio - member) * bound


@inlined
def ask_for_next(state) -> None:
    """Have the next entity brought near: its draw is made, and it is another only where groups change."""
    entity = choose(state, state.run[0].draw)[0]
    prefetch(state.entities, entity)
    prefetch(state.rates, entity)


@kernel
def touch(state, entity: int) -> None:
    """Note that the rates of an entity must be computed again."""
    if state.entities[entity].touched == 0:
        run = state.run[0]
        state.entities[entity].touched = 1
        state.entities[run.touched].waiting = entity
        run.touched += 1
