"""`stm-jax paint`: a page to paint masks on, follow objects, correct and export."""

import dataclasses
import pathlib
import sys
import webbrowser
from typing import Annotated

import tyro

from stm_jax.checks import within
from stm_jax.commands.shared.options import ModelOptions
from stm_jax.errors import InputError
from stm_jax.runtime.outputs import check_outputs, weights_read


@dataclasses.dataclass(frozen=True)
class Paint:
    """Open a page in the browser: paint objects in any frames of a video, follow them, correct.

    Needs pip install 'stm_jax[app]'. All that is painted and found is in DIR as it is made; the
    same command goes on there.
    """

    path: Annotated[tyro.conf.Positional[pathlib.Path], tyro.conf.arg(metavar="VIDEO")]
    """A video file, or a folder of frames."""
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    session: pathlib.Path | None = None
    """The folder for masks and results; VIDEO-painted beside the video if it is not given."""
    soft: tyro.conf.FlagCreatePairsOff[bool] = False
    """Keep probabilities, for mattes with soft edges."""
    host: str = "127.0.0.1"
    """What to bind to. Anything but this machine lets others on the network try."""
    port: int = 0
    """0 for that of the last time, if it is free, or any."""
    browser: bool = True
    """Open the page in the browser, besides printing its address."""

    def run(self) -> None:
        """Runs the command, until it is stopped.

        Raises:
          InputError: the video cannot be read, or the extra is not installed.
          KeyboardInterrupt: stopped; all is kept.
        """
        self.model.check()
        within("--port", self.port, 0, 65535)
        try:
            from stm_jax.paint.serve import OWN, serve
        except ModuleNotFoundError as error:
            raise InputError(f"the page needs {error.name}: pip install 'stm_jax[app]'") from error
        if self.host not in OWN:
            print(
                f"WARNING: --host {self.host} lets whoever reaches this machine and learns the"
                " address see the video and change the masks; what is sent is not encrypted",
                file=sys.stderr,
            )
        video = self.path.resolve()
        out = self.session or video.with_name(f"{video.stem}-painted")
        check_outputs([self.path, *weights_read(self.model.weights)], folder=out, names=("masks",))
        with self.model.load().annotator(self.path, out, keep_soft=self.soft) as session:
            serve(session, out, self.host, self.port, self._tell)

    def _tell(self, address: str) -> None:
        print(f"paint at {address} (Ctrl-C ends it; all is kept)", flush=True)
        if self.browser:
            webbrowser.open(address)
