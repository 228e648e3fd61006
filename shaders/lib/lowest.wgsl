// lib/lowest.wgsl — what no token with a probability has for a logit

const LOWEST = -3e38;  // stands for NaN and -inf: finite, and exp(LOWEST - max) = 0
