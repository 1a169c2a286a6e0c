"""The readable implementation of the hot path; native/ is the fast one."""
