"""The mistakes that people make in plans: what is right, what stands there instead, and the message they get.

Each row replaces one piece of :data:`GOOD`; the message begins with the line.
"""

from __future__ import annotations

RAMP = """\
  kind: stages
  steps:
    - {weight: 1%, hold: 2m}
    - {weight: 5%, hold: 5m}
"""
STEPS = RAMP.removeprefix("  kind: stages\n")
METRICS = """\
metrics:
  - {name: error_rate, worse: higher, margin: 0.5%}
  - {name: latency_ms, margin: 10%}
"""
GOOD = f"""\
service: chat
baseline: v1
canaries: [v2]
alpha: 0.05
advance: population
by_segment: true
independent: request
ramp:
{RAMP}{METRICS}limits:
  max_duration: 4h
  no_data: {{after: 2m, action: hold}}
"""

PLAN_FIELDS = (
    "allowed are service, baseline, canaries, ramp, metrics, alpha, advance, by_segment, independent, limits, "
    "segments, together, hooks"
)

MISTAKES = [
    ("service: chat\n", "", "1: service: missing; it is required"),
    ("service: chat", "service: 7", "1: service: found '7'; allowed is text, in quotes"),
    ("service: chat", "service: ''", "1: service: found 0 characters; allowed are 1 to 256"),
    ("service: chat", "service:", "1: service: found ''; allowed is text"),
    ("service: chat", "service: [chat]", "1: service: found a list; allowed is text"),
    (
        "service: chat",
        'service: " chat"',
        "1: service: found ' chat'; allowed is a name without control characters or outer blanks",
    ),
    (
        "service: chat",
        'service: "ch\\nat"',
        "1: service: found 'ch\\nat'; allowed is a name without control characters or outer blanks",
    ),
    ("baseline: v1", "baseline: 1.0", "2: baseline: found '1.0'; allowed is text, in quotes"),
    ("baseline: v1", "baseline: 2026-01-01", "2: baseline: found '2026-01-01'; allowed is text, in quotes"),
    (
        "baseline: v1",
        "baseline: other",
        "2: baseline: found 'other', the name into which surplus versions are folded; use another",
    ),
    ("baseline: v1", "baseline: v1\nbaseline: v0", "3: baseline: found twice; allowed once"),
    ("[v2]", "v2", "3: canaries: found 'v2'; allowed is a list"),
    ("[v2]", "[]", "3: canaries: found 0 versions; allowed are 1 to 7"),
    ("[v2]", "[v1]", "3: canaries[0]: found 'v1', which is the baseline; a canary must be another version"),
    ("[v2]", "[v2, v2]", "3: canaries[1]: found 'v2' twice; allowed once"),
    ("[v2]", "[a, b, c, d, e, f, g, h]", "3: canaries: found 8 versions; allowed are 1 to 7"),
    ("[v2]", "[v2, 3]", "3: canaries[1]: found '3'; allowed is text, in quotes"),
    ("alpha: 0.05", "alpha: 0", "4: alpha: found 0; allowed is more than 0 and at most 0.5"),
    ("alpha: 0.05", "alpha: 0.6", "4: alpha: found 0.6; allowed is more than 0 and at most 0.5"),
    ("alpha: 0.05", "alpha: .nan", "4: alpha: found nan; allowed is more than 0 and at most 0.5"),
    ("alpha: 0.05", "alpha: 5%", "4: alpha: found '5%'; allowed is a number"),
    (
        "alpha: 0.05",
        "alpah: 0.05",
        "4: alpah: unknown field; " + PLAN_FIELDS,
    ),
    ("alpha: 0.05", "alpha: yes", "4: alpha: found 'yes'; allowed is a number"),
    ("kind: stages", "kind: stage", "9: ramp.kind: found 'stage'; allowed are stages, linear, exponential, adaptive"),
    (
        "kind: stages",
        "kind: adaptive",
        "10: ramp.steps: unknown field; allowed are from, to, harm_budget, hold, start, windows, holidays, segments, "
        "confirm, shadow, min_requests",
    ),
    (
        RAMP,
        "  {kind: adaptive, from: 1%, to: 5%, harm_budget: 5}\n",
        "9: ramp.harm_budget: found 5; allowed are 20 to 1,000,000 failed requests",
    ),
    (
        RAMP,
        "  {kind: adaptive, from: 1%, to: 5%, harm_budget: 5%}\n",
        "9: ramp.harm_budget: found '5%'; allowed is a whole number",
    ),
    (
        RAMP + METRICS,
        "  {kind: adaptive, from: 1%, to: 5%, harm_budget: 50}\nmetrics: [{name: latency_ms, margin: 5%}]\n",
        "9: ramp.kind: found 'adaptive' and no gate on error_rate; its harm budget counts failed requests",
    ),
    ("  kind: stages\n", "", "8: ramp.kind: missing; it is required: stages or linear or exponential or adaptive"),
    ("kind: stages", "kind: [stages]", "9: ramp.kind: found a list; allowed is text"),
    ("weight: 1%", "weight: 1", "11: ramp.steps[0].weight: found 1; allowed is a percentage such as 5% or 0.001%"),
    ("weight: 1%", "weight: 0%", "11: ramp.steps[0].weight: found 0%; allowed is more than 0%"),
    ("weight: 1%", "weight: 101%", "11: ramp.steps[0].weight: found '101%'; allowed is 0% to 100% in steps of 0.0001%"),
    ("weight: 1%", "weight: 6%", "12: ramp.steps[1].weight: found 5%; allowed is more than the step before (6%)"),
    (
        "weight: 1%",
        "weight: -1%",
        "11: ramp.steps[0].weight: found '-1%'; allowed is a percentage such as 5% or 0.001%",
    ),
    ("weight: 1%", "wieght: 1%", "11: ramp.steps[0].wieght: unknown field; allowed are weight, hold"),
    ("weight: 1%, ", "", "11: ramp.steps[0].weight: missing; it is required"),
    (
        "weight: 1%",
        "weight: 0.00001%",
        "11: ramp.steps[0].weight: found '0.00001%'; allowed is 0% to 100% in steps of 0.0001%",
    ),
    (
        "weight: 5%",
        "weight: 100%",
        "12: ramp.steps[1].weight: found 100%; allowed is at most 99.9999%: the canaries together must "
        "leave the baseline traffic to compare with",
    ),
    (
        "hold: 2m",
        "hold: 2 minutes",
        "11: ramp.steps[0].hold: found '2 minutes'; allowed is a duration such as 500ms, 5s, 2m, 1h or 7d",
    ),
    (
        "hold: 2m",
        "hold: 120",
        "11: ramp.steps[0].hold: found 120; allowed is a duration such as 500ms, 5s, 2m, 1h or 7d",
    ),
    ("hold: 2m", "hold: 0s", "11: ramp.steps[0].hold: found 0s; allowed is more than 0s and at most 365d"),
    ("hold: 2m", "hold: 0.5ms", "11: ramp.steps[0].hold: found '0.5ms'; allowed are whole milliseconds"),
    (
        "hold: 2m",
        "hold: 2m30s",
        "11: ramp.steps[0].hold: found '2m30s'; allowed is a duration such as 500ms, 5s, 2m, 1h or 7d",
    ),
    ("hold: 2m", "hold: 900d", "11: ramp.steps[0].hold: found 900d; allowed is more than 0s and at most 365d"),
    (STEPS, "  steps: []\n", "10: ramp.steps: found 0 steps; allowed are 1 to 200"),
    (STEPS, "  steps: 5\n", "10: ramp.steps: found '5'; allowed is a list"),
    (RAMP, "  {kind: linear, from: 50%, to: 1%, over: 5m}\n", "9: ramp.to: found 1%; allowed is more than from (50%)"),
    (RAMP, "  {kind: linear, from: 1%, to: 5%}\n", "8: ramp.over: missing; it is required"),
    (
        RAMP,
        "  {kind: linear, from: 1%, to: 5%, over: 5m, every: 1m}\n",
        "9: ramp.every: unknown field; allowed are from, to, over, start, windows, holidays, segments, confirm, "
        "shadow, min_requests",
    ),
    (
        RAMP,
        "  {kind: exponential, from: 1%, to: 5%, factor: 1, every: 1m}\n",
        "9: ramp.factor: found 1; allowed is 1.01 to 100",
    ),
    (
        RAMP,
        "  {kind: exponential, from: 1%, to: 5%, factor: two, every: 1m}\n",
        "9: ramp.factor: found 'two'; allowed is a number",
    ),
    (
        RAMP,
        "  {kind: exponential, from: 0.0001%, to: 50%, factor: 1.01, every: 1m}\n",
        "9: ramp.factor: found 1.01, which makes 1320 steps; allowed are 200",
    ),
    (
        RAMP,
        f"  start: 2026-12-01 09:00:00\n{RAMP}",
        "9: ramp.start: found '2026-12-01 09:00:00'; allowed is a time with its zone such as 2026-12-01T09:00:00Z",
    ),
    (
        RAMP,
        f"  start: tomorrow\n{RAMP}",
        "9: ramp.start: found 'tomorrow'; allowed is a time with its zone such as 2026-12-01T09:00:00Z",
    ),
    (
        RAMP,
        f"  holidays: [2026-12-24]\n{RAMP}",
        "9: ramp.holidays: found days and no windows; on a holiday no window begins, so name windows",
    ),
    (
        RAMP,
        f"  windows: [{{from: '09:00', to: '17:00'}}]\n  holidays: [2026-12-24, 2026-12-25, 2026-12-24]\n{RAMP}",
        "10: ramp.holidays: found 2026-12-24 twice",
    ),
    (
        RAMP,
        f"  windows: [{{from: '09:00', to: '17:00'}}]\n  holidays: [christmas]\n{RAMP}",
        "10: ramp.holidays[0]: found 'christmas'; allowed is a day such as 2026-12-24",
    ),
    (
        RAMP,
        f"  windows: [{{from: 09:00, to: 17:00}}]\n{RAMP}",
        "9: ramp.windows[0].to: found 1020; allowed is a time such as '09:00', in quotes, up to '24:00'",
    ),
    (
        RAMP,
        f"  windows: [{{from: '9:00', to: '17:00'}}]\n{RAMP}",
        "9: ramp.windows[0].from: found '9:00'; allowed is a time such as '09:00', in quotes, up to '24:00'",
    ),
    (
        RAMP,
        f"  windows: [{{from: '09:00', to: '09:00'}}]\n{RAMP}",
        "9: ramp.windows[0].to: found '09:00', which is where the window begins; write 00:00 to 24:00 for a whole day",
    ),
    (
        RAMP,
        f"  windows: [{{from: '24:00', to: '09:00'}}]\n{RAMP}",
        "9: ramp.windows[0].from: found '24:00'; a window begins at '00:00' at the earliest",
    ),
    (
        RAMP,
        f"  windows: [{{from: '09:00', to: '17:00', days: weekdays}}]\n{RAMP}",
        "9: ramp.windows[0].days: found 'weekdays'; allowed are days such as mon-fri or sat,sun",
    ),
    (
        RAMP,
        f"  windows: [{{from: '09:00', to: '17:00', zone: Berlin}}]\n{RAMP}",
        "9: ramp.windows[0].zone: found 'Berlin'; allowed is a zone such as Europe/Berlin or UTC",
    ),
    (
        RAMP,
        f"  windows: [{{from: '09:00'}}]\n{RAMP}",
        "9: ramp.windows[0].to: missing; it is required",
    ),
    (
        RAMP,
        f"  segments: [[internal], [beta]]\n{RAMP}",
        "9: ramp.segments[1]: found beta; allowed is '*', everyone else: nobody is promoted to whom the canary was not "
        "shown",
    ),
    (
        RAMP,
        f"  segments: [[internal], [internal], ['*']]\n{RAMP}",
        "9: ramp.segments[1]: found 'internal'; allowed is each segment once, and '*' at the end",
    ),
    (
        RAMP,
        f"  min_requests: -1\n{RAMP}",
        "9: ramp.min_requests: found -1; allowed are 0 to 1,000,000,000",
    ),
    (RAMP, f"  segments: [[], ['*']]\n{RAMP}", "9: ramp.segments[0]: found no segment; allowed is at least one"),
    (
        RAMP,
        f"  segments: [[a], [b], [c], [d], [e], [f], [g], [h], ['*']]\n{RAMP}",
        "9: ramp.segments: found 9 groups of 9 segments; allowed are 8 groups of 64",
    ),
    (
        RAMP,
        "  {kind: adaptive, from: 1%, to: 5%, harm_budget: 50, segments: [[a], ['*']]}\n",
        "9: ramp.segments: found with kind adaptive; allowed are stages, linear, exponential",
    ),
    ("name: error_rate, ", "", "14: metrics[0].name: missing; it is required"),
    (
        "name: error_rate",
        "name: errors",
        "14: metrics[0].name: found 'errors'; allowed are error_rate, latency_ms, values.<name>, labels.<name>, "
        "feedback.<name>, joint",
    ),
    (
        "name: error_rate",
        "name: values.",
        "14: metrics[0].name: found 'values.'; allowed are error_rate, latency_ms, values.<name>, labels.<name>, "
        "feedback.<name>, joint",
    ),
    ("name: latency_ms", "name: error_rate", "15: metrics[1].name: found 'error_rate' twice; allowed once"),
    (
        "name: latency_ms, margin: 10%",
        "name: joint",
        "15: metrics[1].of: found 0 names; allowed are 2 to 6 metrics that are looked at together",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: joint, of: [values.a]",
        "15: metrics[1].of: found 1 names; allowed are 2 to 6 metrics that are looked at together",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: joint, of: [latency_ms, error_rate]",
        "15: metrics[1].of[1]: found 'error_rate'; allowed are latency_ms, values.<name>, feedback.<name>",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: joint, of: [latency_ms, values.a, latency_ms]",
        "15: metrics[1].of[2]: found 'latency_ms' twice; allowed once",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: joint, of: [latency_ms, feedback.rating]",
        "15: metrics[1].of[1]: found 'feedback.rating' beside 'latency_ms'; no event carries both; allowed are metrics "
        "of requests, or of feedback",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: joint, of: [latency_ms, values.a], margin: 10%",
        "15: metrics[1].margin: found one for joint, which shows a difference and no harm; allowed is none",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: joint, of: [latency_ms, values.a], role: observe",
        "15: metrics[1].role: found 'observe' for joint; observers see all metrics anyway: allowed is gate",
    ),
    (
        METRICS,
        "metrics: [{name: joint, of: [latency_ms, values.a]}]\n",
        "13: metrics: found no gate but joint, which excludes no harm; at least one other is needed",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: latency_ms, margin: 10%, of: [values.a]",
        "15: metrics[1].of: found ['values.a'] for latency_ms; allowed with joint only",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: labels.finish_reason, statistic: p99, role: observe",
        "15: metrics[1].statistic: found 'p99' for labels.finish_reason; allowed is mix",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: labels.finish_reason, margin: 2%, worse: lower",
        "15: metrics[1].worse: found 'lower'; a mix has no direction: allowed is either, or nothing",
    ),
    ("worse: higher", "worse: lower", "14: metrics[0].worse: found 'lower'; an error rate is worse when higher"),
    ("worse: higher", "worse: more", "14: metrics[0].worse: found 'more'; allowed are either, higher, lower"),
    (", margin: 0.5%", "", "14: metrics[0].margin: missing; a gate needs the largest degradation that is acceptable"),
    (
        "margin: 0.5%",
        "margin: 0.005",
        "14: metrics[0].margin: found 0.005; allowed is a percentage such as 0.5% or 10%",
    ),
    ("margin: 0.5%", "margin: 0%", "14: metrics[0].margin: found 0%; allowed is more than 0% and at most 100%"),
    ("margin: 0.5%", "margin: 150%", "14: metrics[0].margin: found 150%; allowed is more than 0% and at most 100%"),
    (
        "margin: 10%",
        "margin: 10%, tolerance: 20%",
        "15: metrics[1].tolerance: found 20%; allowed is less than the margin (10%)",
    ),
    (
        "margin: 10%",
        "margin: 2.9%, statistic: p99",
        "15: metrics[1].margin: found 2.9% for p99; allowed is at least 3%",
    ),
    (
        "margin: 10%",
        "margin: 100%, statistic: p50, worse: either",
        "15: metrics[1].margin: found 100% for p50; allowed is less when lower is worse",
    ),
    (
        "margin: 10%",
        "margin: 10%, statistic: mix",
        "15: metrics[1].statistic: found 'mix' for latency_ms; allowed are mean, p50, p95, p99",
    ),
    (
        "margin: 10%",
        "margin: 10%, statistic: rate",
        "15: metrics[1].statistic: found 'rate' for latency_ms; allowed are mean, p50, p95, p99",
    ),
    (
        "margin: 10%",
        "margin: 10%, statistic: median",
        "15: metrics[1].statistic: found 'median'; allowed are mean, mix, p50, p95, p99, rate",
    ),
    (
        "margin: 0.5%",
        "margin: 0.5%, statistic: mean",
        "14: metrics[0].statistic: found 'mean' for error_rate; allowed is rate",
    ),
    ("margin: 0.5%", "margin: 0.5%, role: gat", "14: metrics[0].role: found 'gat'; allowed are gate, observe"),
    ("margin: 0.5%", "margin: 0.5%, action: stop", "14: metrics[0].action: found 'stop'; allowed are hold, rollback"),
    (
        "margin: 0.5%",
        "margin: 0.5%, share: 1%",
        "14: metrics[0].share: unknown field; allowed are name, worse, margin, statistic, of, range, tolerance, role, "
        "action, season",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: latency_ms, margin: 10%, season: 5m",
        "15: metrics[1].season: found 5m; allowed are 10m to 7d",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: joint, of: [latency_ms, values.tokens], season: 24h",
        "15: metrics[1].season: found one for joint, which shows a difference and no harm; allowed is none",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: feedback.rating, margin: 10%, range: [5, 1]",
        "15: metrics[1].range: found [5, 1]; allowed are two numbers, the lower one first",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: latency_ms, margin: 10%, statistic: p99, range: [0, 9]",
        "15: metrics[1].range: found for latency_ms p99; allowed for the mean of a number alone",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: feedback.rating, margin: 10%, range: [1, 5], worse: either",
        "15: metrics[1].worse: found 'either' with a range; allowed are higher, lower",
    ),
    (
        "name: latency_ms, margin: 10%",
        "name: feedback.rating, margin: 100%, range: [1, 5]",
        "15: metrics[1].margin: found 100% with a range; a part of the range is less than all of it",
    ),
    (
        "independent: request\nramp:\n" + RAMP + "metrics:\n  - {name: error_rate, worse: higher, margin: 0.5%}",
        "ramp:\n" + RAMP + "metrics:\n  - {name: feedback.rating, margin: 5%, range: [1, 5]}",
        "13: metrics[0].range: found without independent: request; its gate is exact only where no value is told by "
        "earlier ones, and what a user said before tells what the same user says next. Leave range out to count users "
        "(not exactly), or say independent: request where hardly anybody gives two values",
    ),
    (METRICS, "metrics: []\n", "13: metrics: found 0 metrics; allowed are 1 to 16"),
    (
        METRICS,
        "metrics: [{name: error_rate, role: observe}]\n",
        "13: metrics: found no metric with role gate; at least one is needed to decide",
    ),
    (METRICS, "metrics: {name: error_rate}\n", "13: metrics: found fields with values; allowed is a list"),
    (
        "max_duration: 4h",
        "max_duration: 0s",
        "17: limits.max_duration: found 0s; allowed is more than 0s and at most 365d",
    ),
    (
        "max_duration: 4h",
        "max_duration: forever",
        "17: limits.max_duration: found 'forever'; allowed is a duration such as 500ms, 5s, 2m, 1h or 7d",
    ),
    ("after: 2m", "after: 20m", "16: limits.no_data_rollback: found 15m; allowed is at least no_data.after (20m)"),
    ("action: hold", "action: page", "18: limits.no_data.action: found 'page'; allowed are hold, rollback"),
    (
        "max_duration: 4h",
        "inconclusive: {after: 1h, action: promote}",
        "17: limits.inconclusive.action: found 'promote'; allowed are hold, rollback",
    ),
    (
        "max_duration: 4h",
        "retries: 3",
        "17: limits.retries: unknown field; allowed are max_duration, no_data, inconclusive, no_data_rollback",
    ),
    ("advance: population", "advance: fast", "5: advance: found 'fast'; allowed are population, strict"),
    ("by_segment: true", "by_segment: maybe", "6: by_segment: found 'maybe'; allowed is true or false"),
    (
        "independent: request",
        "independent: user",
        "7: independent: found 'user'; allowed are request, unit",
    ),
    (
        "by_segment: true",
        "windows: []",
        "6: windows: unknown field; " + PLAN_FIELDS,
    ),
    (
        "by_segment: true",
        "? [a, b]\n: c",
        "6: the document: found a list or fields as the name of a field; allowed is text",
    ),
    ("service: chat", "service: *name", "1: the document: found the alias *name; allowed are no aliases, write it out"),
    (
        "service: chat",
        "service: [[[[[[[[[[[[[[[[[[[[[[]]",
        "1: the document: found more than 20 levels; allowed are 20",
    ),
    (
        "service: chat",
        "service: !!python/object:os.system {}",
        "1: the document: not valid YAML: could not determine a constructor "
        "for the tag 'tag:yaml.org,2002:python/object:os.system'",
    ),
    ("service: chat", "service: [chat", "2: the document: not valid YAML: expected ',' or ']', but got ':'"),
    ("service: chat", "---\n---\nservice: chat", "2: the document: not valid YAML: but found another document"),
]
