"""How quick the page to paint on is, in a headless Chromium: prints milliseconds.

    stm-jax paint VIDEO --no-browser        # prints the address
    python tools/speed/paint_page.py ADDRESS
    python tools/speed/paint_page.py ADDRESS --footprint

It paints over frame 0. With --footprint it shows all frames instead, one after the other, and tells
how much memory the browser's processes have by then (Linux only). Needs Chromium, chromedriver and
pip install 'stm_jax[browser]'.
"""

import contextlib
import dataclasses
import pathlib
import shutil

import tyro
from selenium import webdriver

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,720")
BRUSH = """
const [size, done] = arguments, { view, hub, mask } = paint, gaps = [], work = [];
const stage = document.getElementById("stage"), box = stage.getBoundingClientRect();
hub.size = size;
const fire = (kind, x, y) => stage.dispatchEvent(new PointerEvent(kind, {
  pointerId: 1, button: 0, bubbles: true,
  clientX: box.left + view.x + x * view.scale, clientY: box.top + view.y + y * view.scale }));
let last = 0, moves = 0;
fire("pointerdown", mask.width / 2, mask.height / 2);
requestAnimationFrame(function step(now) {
  if (last) gaps.push(now - last);
  last = now;
  const begun = performance.now();
  for (let each = 0; each < 2; each++, moves++) {
    fire("pointermove", mask.width * (0.5 + 0.4 * Math.cos(moves / 15)),
         mask.height * (0.5 + 0.4 * Math.sin(moves / 11)));
  }
  paint.flushDrawing();
  work.push(performance.now() - begun);
  if (gaps.length < 300) return requestAnimationFrame(step);
  const lifted = performance.now();
  fire("pointerup", 0, 0);
  done([gaps, work, [performance.now() - lifted]]);
});
"""
FRAMES = """
const [jump, done] = arguments, { frames, hub } = paint, { count } = hub.state.video;
frames.timings.length = 0;
for (let each = 1; each < 30; each++) {
  await frames.show((each * jump) % count);
  await new Promise((resolve) => setTimeout(resolve, 200));
}
done([...frames.timings]);
"""


SHOWN = """
const [first, end, done] = arguments;
(async () => {
  for (let frame = first; frame < end; frame++) await paint.frames.show(frame);
  done();
})();
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    address: tyro.conf.Positional[str]
    """Of the page."""
    footprint: bool = False
    """Measure the memory of the browser."""


def told(times: list[float]) -> str:
    ordered = sorted(times)
    middle, high = ordered[len(ordered) // 2], ordered[int(0.95 * (len(ordered) - 1))]
    return f"median {middle:.1f}, 95 % {high:.1f}, most {ordered[-1]:.1f}"


def print_memory(driver: webdriver.Chrome) -> None:
    count = driver.execute_script("return paint.hub.state.video.count")
    step = min(1000, max(1, count // 5))
    print(f"before: {browser_mib(driver)} MiB")
    for first in range(0, count, step):
        driver.execute_async_script(SHOWN, first, min(first + step, count))
        print(f"{min(first + step, count)} frames shown: {browser_mib(driver)} MiB", flush=True)


def browser_mib(driver: webdriver.Chrome) -> int:
    """Returns the memory of all processes that the driver has started, shared pages in parts."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    ours = {driver.service.process.pid}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    kib = 0
    for pid in ours:
        with contextlib.suppress(OSError):
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kib += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return kib // 2**10


def main(options: Options) -> None:
    chosen = webdriver.ChromeOptions()
    chosen.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in FLAGS:
        chosen.add_argument(flag)
    driver = webdriver.Chrome(chosen, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_script_timeout(600)
    driver.implicitly_wait(20)
    try:
        driver.get(options.address)
        driver.find_element("css selector", '#picture[data-frame="0"]')
        if options.footprint:
            print_memory(driver)
            return
        for size in (10, 30, 100):
            gaps, work, lifted = driver.execute_async_script(BRUSH, size)
            print(f"brush of {size} pixels, between pictures: {told(gaps)}")
            print(f"brush of {size} pixels, its work for one: {told(work)}; lifted {lifted[0]:.0f}")
        for name, jump in (("the next frame", 1), ("another frame", 17)):
            script = f"(async function () {{ {FRAMES} }}).apply(null, arguments)"
            print(f"{name}: {told(driver.execute_async_script(script, jump))}")
    finally:
        driver.quit()


if __name__ == "__main__":
    main(tyro.cli(Options))
