"""Take the records of docs/benchmarks again: `python tests/benchmarks/record.py [NAME ...]`, all CPU ones by default.

The interpreter needs the frameworks and the peers. The machine should be quiet, and the package committed. The figures
of the README are then made from the records. It takes about 18 minutes on 2 cores.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CORE = "cross_entropy,focal,dice,tversky,DiceLoss,TverskyLoss,FocalLoss,DiceCELoss"
FEW = "cross_entropy,dice,DiceLoss,FocalLoss"
RUNS = {
    "1-losses": "--peers --sizes 2-D --no-metrics --repeat 3",
    "2-metrics": "--peers --sizes none --repeat 5",
    "3-sizes": f"--peers --sizes small,binary,3-D --no-metrics --repeat 3 --functions {CORE}",
    "4-random": f"--peers --sizes 2-D --labels random --no-metrics --repeat 3 --functions {FEW},lovasz_softmax_loss",
    "5-classes": f"--peers --sizes classes --no-metrics --repeat 3 --backends numpy,torch --functions {FEW}",
    "6-float16": f"--peers --sizes 2-D --dtype float16 --no-metrics --repeat 3 --backends torch,jax --functions {FEW}",
    "7-bfloat16": f"--peers --sizes 2-D --dtype bfloat16 --no-metrics --repeat 3 --functions {FEW}",
    "8-growth": "--growth --repeat 5",
    "9-gpu": "--device cuda --peers --sizes 2-D,classes,3-D,small --repeat 20",
    "9-gpu-growth": "--device cuda --growth --repeat 20",
}


def main() -> None:
    """Take the named records one after the other, and write the README's table."""
    names = sys.argv[1:] or [name for name in RUNS if "gpu" not in name]
    unknown = [name for name in names if name not in RUNS]
    if unknown:
        sys.exit(f"Unknown record {unknown[0]!r}. Choose from: {', '.join(RUNS)}.")
    failed = []
    for name in names:
        command = ["tests/benchmarks/run.py", *RUNS[name].split(), "--output", f"docs/benchmarks/{name}.json"]
        print("$ python", " ".join(command), flush=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=False).returncode:
            failed.append(name)
    subprocess.run([sys.executable, "docs/benchmark_pages.py"], cwd=ROOT, check=True)
    if failed:
        sys.exit(f"These runs printed problems: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
