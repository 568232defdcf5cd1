"""Settings of the whole test run."""

import os
import signal

from hypothesis import HealthCheck, settings

#: Of each law; STEPSIZE_EXAMPLES=1000 looks for longer.
EXAMPLES = int(os.environ.get("STEPSIZE_EXAMPLES", "50"))
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("dev", deadline=None, max_examples=EXAMPLES)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# Tiny networks on shared cores are many times slower with several threads. Before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what it puts into the background deaf to Ctrl-C, and its children with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
