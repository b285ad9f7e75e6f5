"""Attacks: functions of what the attacker has seen to scores, higher = more likely a member. None sees membership."""
