// lib/penalised.wgsl — whether a row's settings ask for counts of its tokens
// needs     settings

fn is_penalised(row: u32) -> bool {
  return settings[row].repetitionPenalty != 1.0 || settings[row].frequencyPenalty != 0.0
    || settings[row].presencePenalty != 0.0;
}
