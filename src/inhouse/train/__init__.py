"""Training: a plan with its reasons, then the loop. `inhouse.train.loop` imports torch; this package does not."""

from inhouse.train.plan import Encoded, Plan, encode, make_plan, make_recipe, measure_flops

__all__ = ["Encoded", "Plan", "encode", "make_plan", "make_recipe", "measure_flops"]
