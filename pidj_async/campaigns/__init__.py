"""Campaigns: text many people, nobody twice, nobody who said STOP."""
