"""What is in force as nginx's configuration: `split_clients` and two maps. Pure."""

from __future__ import annotations

from urllib.parse import quote

from serinus.splitter import Split
from streams.in_force import InForce
from streams.routers.baseline import shown
from streams.routers.splits import splits

STEP_PPM = 100
"""`split_clients` takes percentages with two decimals."""


def configuration(now: InForce, prefix: str = "serinus") -> str:
    """Return what the file holds that nginx includes in its ``http`` block.

    It defines ``$serinus_version`` and ``$serinus_epoch`` (empty while no route is in force) and needs
    ``$serinus_unit`` and ``$serinus_segment``. nginx hashes by MurmurHash2, so who belongs to a share differs from
    other routers. That a share is sticky, that a ramp only adds and that canaries stay apart does not: the ranges lie
    as everywhere else. A share of less than 0.01 % is none.

    Parameters
    ----------
    now : what is in force.
    prefix : of the variables' names; one for each service of the same nginx.

    Examples
    --------
    >>> print(configuration(InForce("chat", {"v1": 950_000, "v2": 50_000}, "v1", epoch=7, salt="s")), end="")
    # chat, epoch 7: written by `serinus route nginx`, which replaces it at each change.
    map $serinus_unit $serinus_drawn { default $serinus_unit; "" $request_id; }
    split_clients "s:$serinus_drawn" $serinus_split_0 { 5.00% "v2"; * "v1"; }
    map $serinus_segment $serinus_version { default $serinus_split_0; }
    map "" $serinus_epoch { default "7"; }
    """
    by_segment, default = splits(now, step_ppm=STEP_PPM)
    numbers: dict[Split, int] = {default: 0}
    chosen = [f"default ${prefix}_split_0;"]
    for segment, split in by_segment.items():
        number = numbers.setdefault(split, len(numbers))
        # A plain string would be compared without regard to case.
        chosen.append(f'"~^{_pattern(segment)}\\z" ${prefix}_split_{number};')
    salt, epoch = quote(now.salt, safe="", errors="surrogatepass"), "" if now.epoch is None else now.epoch
    lines = [
        f"# {quote(shown(now), safe=', ')}: written by `serinus route nginx`, which replaces it at each change.",
        f'map ${prefix}_unit ${prefix}_drawn {{ default ${prefix}_unit; "" $request_id; }}',
    ]
    for split, number in numbers.items():
        lines.append(f'split_clients "{salt}:${prefix}_drawn" ${prefix}_split_{number} {{ {_parts(split)} }}')
    lines += [
        f"map ${prefix}_segment ${prefix}_version {{ {' '.join(chosen)} }}",
        f'map "" ${prefix}_epoch {{ default "{epoch}"; }}',
    ]
    return "\n".join(lines) + "\n"


def _parts(split: Split) -> str:
    """The shares in the order of their ranges; what is left to the end is the last one's.

    >>> _parts(Split((50_000, 700_050), ("v2", "v1", "v3")))
    '5.00% "v2"; 65.00% "v1"; * "v3";'
    """
    ends = [bound // STEP_PPM for bound in split.bounds]
    steps = [high - low for low, high in zip([0, *ends], ends, strict=False)]
    parts = [
        f"{step / 100:.2f}% {_quoted(version)};" for step, version in zip(steps, split.versions, strict=False) if step
    ]
    return " ".join([*parts, f"* {_quoted(split.versions[-1])};"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _pattern(text: str) -> str:
    r"""A pattern for exactly these bytes.

    >>> print(_pattern("in-1"))
    in\x2d1
    """
    data = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"\\x{byte:02x}" for byte in data)
