// One line per test, failures in full, and last the count that CI reads.
import type { FullConfig, FullResult, Reporter, Suite, TestCase, TestResult } from "playwright/types/testReporter";

export default class CountingReporter implements Reporter {
  #passed = 0;
  #failed = 0;

  onBegin(_config: FullConfig, suite: Suite): void {
    console.log(`${suite.allTests().length} tests`);
  }

  onStdOut(chunk: string | Buffer): void {
    process.stdout.write(chunk);
  }

  onTestEnd(test: TestCase, { status, duration, errors }: TestResult): void {
    const ok = status === "passed";
    if (ok) this.#passed++;
    else this.#failed++;
    console.log(`${ok ? "ok    " : "FAILED"} ${test.titlePath().slice(2).join(" › ")} (${Math.round(duration)} ms)`);
    for (const { message, stack } of errors) console.log(stack ?? message);
  }

  onError({ message, stack }: { message?: string; stack?: string }): void {
    this.#failed++;
    console.log(stack ?? message);
  }

  onEnd(_result: FullResult): void {
    console.log(`${this.#passed} passed, ${this.#failed} failed`);
  }
}
