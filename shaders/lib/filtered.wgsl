// lib/filtered.wgsl — whether sample_filter draws a row's token
// needs     settings

fn is_filtered(row: u32) -> bool {
  let on = settings[row].topK > 0u || settings[row].topP < 1.0 || settings[row].minP > 0.0;
  return on && settings[row].temperature > 0.0;
}
