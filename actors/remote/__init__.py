"""The actors that carry questions to other agents."""
