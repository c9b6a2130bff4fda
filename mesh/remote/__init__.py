"""How an agent is steered from another one: what is asked and answered by ``mesh:control``."""
