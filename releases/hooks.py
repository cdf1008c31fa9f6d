"""Who is told of a decision, and what ``plan check`` says of it."""

from __future__ import annotations

from schemas.decision import Action
from schemas.hook import Hook
from schemas.plan import Plan


def told(plan: Plan, action: Action) -> tuple[Hook, ...]:
    """The plan's hooks for an action, in the plan's order.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> hooks = "hooks: [{when: [rollback, hold], command: page}, {when: [promote], command: tell}]"
    >>> plan = parse_plan(EXAMPLE + hooks)
    >>> [hook.command for hook in told(plan, Action.ROLLBACK)]
    ['page']
    """
    return tuple(hook for hook in plan.hooks if action.value in hook.when)


def hook_lines(plan: Plan) -> list[str]:
    """Each hook in a sentence.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> hook_lines(parse_plan(EXAMPLE + "hooks: [{when: [hold, rollback], command: page, format: slack}]"))
    ['On hold, rollback: command page is given slack, if the machine that runs `serinus hooks` allows it.']
    """
    return [
        f"On {', '.join(hook.when)}: {hook.target} is given {hook.format}, if the machine that runs `serinus hooks` "
        "allows it."
        for hook in plan.hooks
    ]


def hook_warnings(plan: Plan) -> list[str]:
    """What is allowed and hardly meant.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> len(hook_warnings(parse_plan(EXAMPLE + "hooks: [{when: [hold], command: page, format: alertmanager}]")))
    1
    """
    ends = {"resume", "rollback", "promote", *(["confirm"] if plan.ramp.confirm else [])}
    return [
        f"{hook.target}: an alert of a hold is ended by {', '.join(sorted(ends))}, and these are not all in `when`: "
        "without them it ends by itself after a day"
        for hook in plan.hooks
        if hook.format == "alertmanager" and "hold" in hook.when and not ends <= set(hook.when)
    ]
