// One line per test, failures in full, and last the count that CI reads.
import type { FullConfig, FullResult, Reporter, Suite, TestCase, TestResult } from "playwright/types/testReporter";

export default class CountingReporter implements Reporter {
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  onBegin(_config: FullConfig, suite: Suite): void {
    console.log(`${suite.allTests().length} tests`);
  }

  onStdOut(chunk: string | Buffer): void {
    process.stdout.write(chunk);
  }

  onTestEnd(test: TestCase, { status, duration, errors, annotations }: TestResult): void {
    if (status === "passed") this.#passed++;
    else if (status === "skipped") this.#skipped++;
    else this.#failed++;
    const word = status === "passed" ? "ok    " : status === "skipped" ? "skip  " : "FAILED";
    const reason = annotations.find(({ type }) => type === "skip")?.description;
    const note = status === "skipped" && reason ? `: ${reason}` : "";
    console.log(`${word} ${test.titlePath().slice(2).join(" › ")} (${Math.round(duration)} ms)${note}`);
    for (const { message, stack } of errors) console.log(stack ?? message);
  }

  onError({ message, stack }: { message?: string; stack?: string }): void {
    this.#failed++;
    console.log(stack ?? message);
  }

  onEnd(_result: FullResult): void {
    if (this.#skipped > 0) console.log(`${this.#skipped} skipped`);
    console.log(`${this.#passed} passed, ${this.#failed} failed`);
  }
}
