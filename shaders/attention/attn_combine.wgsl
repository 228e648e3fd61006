// attn_combine — out[m, h, :] = Σᵢ accᵢ · exp(maxᵢ − max) / Σᵢ sumᵢ · exp(maxᵢ − max): joins attention partials
//
//   partials  [M, H, entries, E+2]  f32  read
//   out       [T, H, E]             f32  write
//
// dispatch  (H, M, Z): Z workgroups per head of one row, COLUMNS threads along e and WG / COLUMNS along the entries
// cost      bytes 4·M·H·(entries·(E+2) + E), flops 2·M·H·entries·E: memory bound
// why       An entry is (acc [E], max, sum); one that saw no key has max −3e38 and sum 0 and weighs nothing. A row
//           that saw no key at all becomes 0. Many entries would be read one after another: they are shared out, and
//           each thread asks for BATCH of them before it uses one.

override WG: u32 = 64;       // threads per workgroup
override COLUMNS: u32 = 16;  // threads along e, divides WG
override BATCH: u32 = 8;     // entries under way per thread, at most 8
override H: u32 = 9;         // query heads
override E: u32 = 64;        // head width

struct Params {
  firstRow: u32,  // row of out that the first row of partials belongs to
  entries: u32,   // partials of a row and head
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

override SLICES: u32 = WG / COLUMNS;

var<workgroup> joined: array<vec3f, WG>;  // (acc, max, sum) of a thread's entries

// Two partials as one.
fn join(a: vec3f, b: vec3f) -> vec3f {
  let top = max(a.y, b.y);
  let factors = exp(vec2f(a.y, b.y) - top);
  return vec3f(a.x * factors.x + b.x * factors.y, top, a.z * factors.x + b.z * factors.y);
}

// Number e of the entries slice, slice + SLICES, … of the list that begins at `source`.
fn entries_of(source: u32, e: u32, slice: u32) -> vec3f {
  var mine = vec3f(0.0, -3e38, 0.0);
  let rounds = (params.entries + SLICES * BATCH - 1u) / (SLICES * BATCH);
  for (var left = rounds; left > 0u; left--) {
    var some: array<vec3f, 8>;
    for (var b = 0u; b < BATCH; b++) {
      let i = ((left - 1u) * BATCH + b) * SLICES + slice;
      let entry = source + min(i, params.entries - 1u) * (E + 2u);
      let top = select(-3e38, partials[entry + E], i < params.entries);  // beyond the last one: weighs nothing
      some[b] = vec3f(partials[entry + e], top, partials[entry + E + 1u]);
    }
    for (var b = 0u; b < BATCH; b++) { mine = join(mine, some[b]); }
  }
  return mine;
}

@compute @workgroup_size(WG)
fn attn_combine(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let source = (wg.y * H + wg.x) * params.entries * (E + 2u);
  let to = ((params.firstRow + wg.y) * H + wg.x) * E;
  let rounds = (E + COLUMNS * groups.z - 1u) / (COLUMNS * groups.z);
  for (var left = rounds; left > 0u; left--) {
    let e = ((left - 1u) * groups.z + wg.z) * COLUMNS + local % COLUMNS;
    var all = entries_of(source, min(e, E - 1u), local / COLUMNS);
    if (SLICES > 1u) {
      joined[local] = all;
      workgroupBarrier();
      for (var slice = 1u; slice < SLICES; slice++) { all = join(all, joined[slice * COLUMNS + local % COLUMNS]); }
      workgroupBarrier();
    }
    if (local < COLUMNS && e < E) { out[to + e] = all.x * select(0.0, 1.0 / all.z, all.z > 0.0); }
  }
}
