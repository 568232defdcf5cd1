"""Reading a curve: one rule per function, one registry, one default that knows when to abstain."""

from stepsize.suggest.nine_tenths import nine_tenths
from stepsize.suggest.pool import pool
from stepsize.suggest.registry import RULES, Rule, every_rule
from stepsize.suggest.smooth import smooth
from stepsize.suggest.steepest import steepest

__all__ = ["RULES", "Rule", "every_rule", "nine_tenths", "pool", "smooth", "steepest"]
