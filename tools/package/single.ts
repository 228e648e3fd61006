// The library in one file, which is the script of its own workers, too.
import "../../src/worker.ts";

export * from "../../src/index.ts";
