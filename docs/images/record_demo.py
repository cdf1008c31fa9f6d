"""Records docs/images/demo.svg: runs the demo, and draws its table when one release is decided and the other is not.

python docs/images/record_demo.py
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
import threading
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from schemas.decision import State
from streams.demo.display import Lines
from streams.demo.run import Demo
from streams.demo.scene import Scene
from streams.demo.view import closing, screen
from streams.settings import Settings

PICTURE = Path(__file__).with_name("demo.svg")
WIDTH = 100
# A picture that is part of a README must not load fonts from elsewhere.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


class Recorder(Lines):
    """Shows the demo as lines and keeps the table of the telling moment: a verdict here, half the traffic there."""

    def __init__(self) -> None:
        super().__init__(Console())
        self.picture = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
        self._taken = False

    def opening(self, *, speed: float, brokers: str) -> None:
        super().opening(speed=speed, brokers=brokers)
        self.picture.print("[bold green]$[/] make demo")

    def passing(self, scene: Scene, now_s: float) -> None:
        super().passing(scene, now_s)
        chat, code = scene.releases
        canary_busy = (code.service.tally.recent_share("v2", now_s=now_s) or 0) > 0.4
        if not self._taken and chat.state is State.ROLLED_BACK and canary_busy:
            self._taken = True
            self.picture.print(screen(scene, now_s))

    def closing(self, scene: Scene, *, brokers: str, seconds: float) -> None:
        super().closing(scene, brokers=brokers, seconds=seconds)
        self.picture.print("\n".join(["[dim]…[/]", *closing(scene)]), highlight=False)
        PICTURE.write_text(self.picture.export_svg(title="serinus demo", code_format=FORMAT), encoding="utf-8")


def main() -> int:
    """Run the demo once and write the picture; 1 if it did not end as it should."""
    with tempfile.TemporaryDirectory() as data:
        demo = Demo(Settings(), embedded=True, show=Recorder(), stop=threading.Event())
        return 0 if demo.run(Path(data)).succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
