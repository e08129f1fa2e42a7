"""The differences that tests allow, relative ones unless a test says `atol`, by what causes them.

A test that needs another one says why.
"""

#: One library against another, or a whole loss against its formula; docs/conventions.md promises these.
FLOAT64, FLOAT32, FLOAT16 = 1e-12, 2e-6, 2e-3
#: Gradients, which may differ ten times as much.
FLOAT64_GRADIENT, FLOAT32_GRADIENT = 1e-11, 2e-5
#: The same float64 sums in another order.
SUMS = 1e-13
#: A few float64 operations, which round the last bits.
LAST_BITS = 1e-14
#: Numbers that were recorded in single precision, with six decimals.
SIX_DECIMALS = 1.5e-6
