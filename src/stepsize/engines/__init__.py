"""How many trainings run: one after the other, as one, in worker processes, on a cluster."""

from stepsize.engines.choice import EngineChoice
from stepsize.engines.crew import Call, Crew, Outcome, carried_out

__all__ = ["Call", "Crew", "EngineChoice", "Outcome", "carried_out"]
