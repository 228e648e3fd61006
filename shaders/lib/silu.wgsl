// lib/silu.wgsl — the gate of SwiGLU

fn silu(value: f32) -> f32 { return value / (1.0 + exp(-value)); }
