import { calibrated, recipes, test } from "./families.ts";

test.describe.configure({ mode: "parallel" });

for (const variant of ["granite", "olmo2", "ministral3", "phi3-short", "qwen3-head-36"]) recipes(variant);

for (const variant of ["gemma3", "granite", "smollm3", "phi3", "qwen3-head-36"]) calibrated(variant);
