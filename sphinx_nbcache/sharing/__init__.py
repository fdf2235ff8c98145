"""Results that travel: what leaves a store, in which form, and how it arrives in another one."""
