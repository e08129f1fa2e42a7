"""Take the records of docs/benchmarks anew: `python tests/benchmarks/record.py [NAME ...]`, all on a CPU by default.

Of the interpreter that runs it, which needs the frameworks and the peers; the machine should be quiet, and the package
as it is committed. The README's figures are made of the records afterwards. About 18 minutes on 2 cores.
"""

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
    """Run what is named, one after the other, and write the README's table."""
    names = sys.argv[1:] or [name for name in RUNS if "gpu" not in name]
    unknown = [name for name in names if name not in RUNS]
    if unknown:
        sys.exit(f"There is no record {unknown[0]!r}; choose of {', '.join(RUNS)}.")
    failed = []
    for name in names:
        output = f"docs/benchmarks/{name}.json"
        command = [sys.executable, "-m", "arrayseg", "bench", *RUNS[name].split(), "--output", output]
        print("$", " ".join(command[2:]), flush=True)
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    subprocess.run([sys.executable, "docs/benchmark_pages.py"], cwd=ROOT, check=True)
    if failed:
        sys.exit(f"These runs had problems, which they told: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
