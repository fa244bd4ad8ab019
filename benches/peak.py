"""Runs specbench for the other scripts and watches its memory."""

import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def measured(*arguments):
    """Exit code, seconds, and the peaks in bytes of the program's own memory and of all that is resident."""
    start, own, whole = time.time(), 0, 0
    running = subprocess.Popen([ROOT / "target/release/specbench", "--quiet", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    while running.poll() is None:
        try:
            status = Path(f"/proc/{running.pid}/status").read_text()
        except OSError:
            break
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(("RssAnon", "VmHWM"))}
        own, whole = max(own, sizes.get("RssAnon", 0)), max(whole, sizes.get("VmHWM", 0))
        time.sleep(0.1)
    return running.wait(), time.time() - start, own, whole
